"""What the controller emits as connections begin and end, tested without a connection."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from etoro_sync import WsGap
from etoro_sync.delivery.registry import Registry
from etoro_sync.events import EVENTS
from etoro_sync.market.order_states import OrderStates
from etoro_sync.market.rate_book import RateBook
from etoro_sync.stats import Counters
from etoro_sync.ws.protocol.control import ControlChannel
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker
from etoro_sync.ws.session.controller import Controller
from etoro_sync.ws.session.credentials import Keys
from etoro_sync.ws.session.owner import Owner
from tests.support.clocks import FakeClock

OWNER = Owner(Registry(EVENTS))


class Bench:
    """A controller whose connections are opened, restored and lost by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        clocks = SimpleNamespace(uptime=self.clock, wall_clock=self.clock)
        monkeypatch.setattr("etoro_sync.ws.session.controller.clocks", clocks)
        self.tracker = WsSubscriptionTracker()
        self.tracker.add(["private"])
        self.protocol = ControlChannel(self.tracker, 10.0, 5.0, str)
        self.book = RateBook()
        self.counters = Counters()
        self.gaps: list[WsGap] = []
        out = SimpleNamespace(emit=lambda *a: None, barrier=lambda: None, lose=lambda topics: None)
        self.orders = OrderStates()
        feed: Any = SimpleNamespace(
            out=out, over=False, end_gap=self._end_gap, order_states=self.orders
        )
        self.controller = Controller(
            self.protocol,
            self.book,
            feed,
            self.counters,
            lambda state: None,
            0.0,
            False,
            Owner(Registry(EVENTS)),
        )

    def _end_gap(self, gap: WsGap, now: float) -> None:
        assert now == self.clock()
        self.gaps.append(gap)
        self.orders.note_gap(gap, now)

    def open(self) -> None:
        """Open a connection, and have the keys accepted."""
        self.controller.begin()
        self.controller.opened(self.clock())
        self._accept(self.controller.authenticate(Keys("api-key", "user-key"), self.clock()))

    def restore(self, refusal: str = "") -> None:
        """Have the subscription acknowledged, or refused with an error code."""
        request = self.controller.next_request(self.clock())
        assert request is not None
        self._accept(request, refusal)

    def _accept(self, request: str, refusal: str = "") -> None:
        asked = json.loads(request)
        reply = {"id": asked["id"], "operation": asked["operation"], "success": not refusal}
        self.controller.on_reply(reply | ({"errorCode": refusal} if refusal else {}))

    def hear(self) -> float:
        """Take a message, with nothing left to read; return the time."""
        self.controller.read_all_at = self.controller.complete_until = self.clock()
        return self.clock()

    def lose(self) -> None:
        """Lose the connection a second later, and be without one for another second."""
        self.clock.advance(1.0)
        self.controller.end()
        self.controller.lost()
        self.clock.advance(1.0)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """With one connection that was restored and then lost."""
    new = Bench(monkeypatch)
    new.open()
    new.restore()
    assert new.gaps == []
    return new


def test_a_gap_begins_with_the_first_of_several_connections_that_are_lost(bench: Bench) -> None:
    """A connection that was authenticated but not restored does not end the gap."""
    heard = bench.hear()
    bench.lose()
    bench.open()
    bench.lose()
    bench.open()
    bench.restore()
    (gap,) = bench.gaps
    assert (gap.from_, gap.until) == (heard, bench.clock())


def test_each_gap_has_a_beginning_of_its_own(bench: Bench) -> None:
    """The second gap begins after the first has ended."""
    heard = []
    for _ in range(2):
        heard.append(bench.hear())
        bench.lose()
        bench.open()
        bench.restore()
        bench.clock.advance(10.0)
    assert [gap.from_ for gap in bench.gaps] == heard
    assert bench.counters.reconnects == 2


def test_what_is_unsubscribed_and_wanted_again_in_an_outage_keeps_its_last_rate(
    bench: Bench,
) -> None:
    """It looks as if nothing had been called; a topic that is only unsubscribed has no rate."""
    for number in (18, 19):
        instrument = bench.book.instrument(f"instrument:{number}", bench.clock())
        assert instrument is not None
        content = {"Ask": "2", "Bid": "1"}
        bench.book.merge(instrument, content, "Trading.Instrument.Rate", 0.0, 0.0, print)
    bench.tracker.add(["instrument:18", "instrument:19"])
    bench.lose()
    assert sorted(bench.book.latest) == [18, 19]
    bench.tracker.remove(["instrument:19"])
    asked = [
        Operation("Unsubscribe", ["instrument:18", "instrument:19"], awaited=False),
        Operation("Subscribe", ["instrument:18"], awaited=False),
    ]
    bench.controller.submit(asked)
    assert list(bench.book.latest) == [18]


def test_a_topic_that_only_the_server_says_is_subscribed_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """It is believed, as nothing can prove it; but silence of order events would look usual."""
    bench.lose()
    bench.open()
    bench.restore("TopicAlreadySubscribed")
    assert len(bench.gaps) == 1
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert "private is subscribed already" in record.getMessage()


def test_topics_that_came_from_another_connection_have_a_gap_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It lasts from the loss of that connection until this one has them, and names no others."""
    bench = Bench(monkeypatch)
    bench.open()
    bench.restore()
    lost_at = bench.clock()
    bench.clock.advance(3.0)
    bench.tracker.add(["instrument:1", "instrument:2"])
    bench.controller.expect_moved({"instrument:1": lost_at})
    bench.controller.submit([Operation("Subscribe", ["instrument:1", "instrument:2"])])
    bench.restore()
    (gap,) = bench.gaps
    assert gap.topics == ("instrument:1",)
    assert gap.seconds == pytest.approx(3.0)
    assert bench.counters.reconnects == 0
    bench.controller.submit([Operation("Subscribe", ["instrument:1"], {"instrument:1": True})])
    bench.restore()
    assert len(bench.gaps) == 1


def test_orders_are_missing_from_a_loss_to_the_end_of_its_gap(bench: Bench) -> None:
    """While one connection of several is restored, the wait for an order knows of it."""
    assert bench.orders.open_gap(1, bench.clock(), 0.0) is None
    heard = bench.hear()
    bench.lose()
    for _ in range(2):
        lost = bench.orders.open_gap(1, bench.clock(), bench.clock())
        assert lost == WsGap(heard, bench.clock(), 1, ("private",))
        bench.open()
        bench.lose()
    bench.open()
    bench.restore()
    assert bench.orders.open_gap(1, bench.clock(), 0.0) is None
    assert bench.orders.gaps_behind(None, bench.clock()) == bench.gaps


def test_a_connection_without_the_topic_of_orders_loses_none(bench: Bench) -> None:
    """As one of a fleet; when order events come again, what an earlier session lost is over."""
    bench.tracker.remove(["private"])
    bench.tracker.add(["instrument:1"])
    bench.lose()
    assert bench.orders.open_gap(1, bench.clock(), 0.0) is None
    bench.orders.note_loss(bench.clock())
    bench.open()
    bench.restore()
    assert bench.orders.open_gap(1, bench.clock(), 0.0) is not None
    for topic in ("instrument:2", "private"):
        assert bench.orders.open_gap(1, bench.clock(), 0.0) is not None
        bench.tracker.add([topic])
        bench.controller.submit([Operation("Subscribe", [topic])])
        bench.restore()
    assert bench.orders.open_gap(1, bench.clock(), 0.0) is None
    assert [gap.topics for gap in bench.orders.gaps_behind(None, bench.clock())] == [("private",)]
