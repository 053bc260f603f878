"""The loop of one connection: what it checks, and how often."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from etoro_sync import EToroWebSocketError, clocks
from etoro_sync.delivery.registry import Registry
from etoro_sync.events import EVENTS
from etoro_sync.market.rate_book import RateBook
from etoro_sync.redaction import Redactor
from etoro_sync.stats import Counters
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.protocol.control import ControlChannel
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker
from etoro_sync.ws.session.connection_loop import ConnectionLoop
from etoro_sync.ws.session.controller import Controller
from etoro_sync.ws.session.credentials import Keys
from etoro_sync.ws.session.owner import Owner
from etoro_sync.ws.transport.keepalive import Keepalive
from tests.conftest import MakeClient, StartServer
from tests.support.clients import envelope, quick_options
from tests.support.clocks import LeapingTime
from tests.support.peer import Peer

PRICE = {"Ask": "2", "Bid": "1", "Date": "d", "PriceRateID": "1"}


def test_a_lone_message_sets_off_no_look_at_the_deadlines(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are checked when the next one is due, not at each wake-up."""
    looks: list[str] = []
    for owner, name in (
        (Keepalive, "judge"),
        (ControlChannel, "check_deadline"),
        (Controller, "check"),
    ):
        usual = getattr(owner, name)

        def counted(*arguments: object, name: str = name, usual: object = usual) -> object:
            looks.append(name)
            return usual(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, counted)
    goes_on, messages = threading.Semaphore(0), 50

    def one_by_one(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        for _ in range(messages):
            peer.send_text(envelope("instrument:18", PRICE))
            assert goes_on.acquire(timeout=5)
        peer.serve()

    c = client(raw_server(one_by_one).url)
    rates = c.queue("instrument:rate")
    c.subscribe([18])
    c.connect()
    for _ in range(messages):
        rates.get(timeout=5)
        goes_on.release()
    # At the beginning, for each reply, and once a second.
    for name in ("judge", "check_deadline", "check"):
        assert 1 <= looks.count(name) < messages / 2


class Still:
    """A connection without messages; it records until when the loop would wait."""

    def __init__(self) -> None:
        self.is_sending = False
        self.checks = self.pings_soon = 0
        self.deadline = 0.0
        self.check_at = float("inf")

    def check(self, now: float) -> None:
        self.checks += 1

    def ping_soon(self, slept: float) -> bool:
        self.pings_soon += 1
        return True

    def next_check(self, now: float) -> float:
        return self.check_at

    def send_text(self, text: str) -> None: ...

    def wait(self, deadline: float) -> None:
        self.deadline = deadline


class Bench:
    """An idle loop, whose next deadline is as far away as possible."""

    def __init__(self) -> None:
        self.connection = Still()
        tracker = WsSubscriptionTracker()
        tracker.add(["instrument:18"])
        self.protocol = ControlChannel(tracker, 10.0, 0.2, str)
        self.protocol.authenticated = True
        nobody: Any = SimpleNamespace(out=None)
        self.controller = Controller(
            self.protocol,
            RateBook(),
            nobody,
            Counters(),
            lambda state: None,
            0.0,
            False,
            Owner(Registry(EVENTS)),
        )
        self.commands = SimpleNamespace(
            waker=SimpleNamespace(stopping=False), operations=[], take=self.take
        )
        options = quick_options("ws://127.0.0.1:1/ws")
        loop: Any = ConnectionLoop(
            self.connection,  # type: ignore[arg-type]
            options,
            Redactor([]),
            self.controller,
            self.commands,  # type: ignore[arg-type]
            nobody,
            Counters(),
        )
        self.loop = loop
        self.idle()
        assert self.left == pytest.approx(1.0, abs=0.1)

    def idle(self) -> None:
        self.loop._idle()

    def take(self) -> list[Operation]:
        taken, self.commands.operations = self.commands.operations, []
        return taken

    @property
    def left(self) -> float:
        """Seconds that the loop would wait, since its last look at the clocks."""
        return float(self.connection.deadline - self.loop._now)


def test_a_request_that_was_sent_brings_the_next_look_closer() -> None:
    """A missing acknowledgement is noticed when it is due, not at the next regular check."""
    bench = Bench()
    bench.commands.operations.append(Operation("Subscribe", ["instrument:18"], {}, awaited=True))
    bench.idle()
    assert 0.0 < bench.left < 0.5


def test_a_reply_brings_the_next_look_closer() -> None:
    """After a subscription, the deadline of its silence or its snapshot may be the next one."""
    bench = Bench()
    bench.controller._next_stale_check = bench.loop._up + 0.1
    bench.idle()
    assert bench.left > 0.5  # nobody has said so
    bench.loop._on_reply({})
    bench.idle()
    assert bench.left == pytest.approx(0.1, abs=0.05)


def test_what_waits_to_be_sent_is_looked_at_each_time() -> None:
    """A peer that stops reading is noticed in time."""
    bench = Bench()
    checks = bench.connection.checks
    bench.idle()
    assert bench.connection.checks == checks
    bench.connection.is_sending = True
    bench.idle()
    assert bench.connection.checks == checks + 1


def test_a_sleep_of_the_machine_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock stands still during the sleep, so no deadline has passed."""
    clock = LeapingTime()
    monkeypatch.setattr("etoro_sync.ws.session.connection_loop.clocks", clock)
    bench = Bench()
    checks = bench.connection.checks
    clock.slept += 3600.0
    bench.loop._read_clocks()
    bench.idle()
    assert (bench.connection.pings_soon, bench.connection.checks) == (1, checks + 1)
    assert bench.left == pytest.approx(clocks.TIME_TO_READ, abs=0.1)


def test_a_ping_is_due_in_time_also_while_nothing_is_taken_for_missing() -> None:
    """After a pause of the process, replies get more time, but the ping is sent at once."""
    bench = Bench()
    bench.loop._grace_until = bench.loop._now + clocks.TIME_TO_READ
    bench.connection.check_at = bench.loop._now + 0.1
    bench.loop._next_check = 0.0
    bench.idle()
    assert bench.left == pytest.approx(0.1, abs=0.05)


def test_the_first_reply_that_ends_the_connection_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those behind it in the same read are not applied: nothing of them would last."""
    bench, applied = Bench(), []

    def refuse(reply: dict[str, Any]) -> None:
        applied.append(reply)
        raise ConnectionFailed(EToroWebSocketError("refused"))

    monkeypatch.setattr(bench.controller, "on_reply", refuse)
    for reply in ({"id": "first"}, {"id": "second"}):
        bench.loop._on_reply(reply)
    assert applied == [{"id": "first"}]


def test_on_a_stream_that_never_pauses_an_answer_has_its_time_twice() -> None:
    """It may be among the bytes that are still to be read."""
    bench = Bench()
    bench.commands.operations.append(Operation("Subscribe", ["instrument:18"], {}, awaited=True))
    bench.idle()
    due, twice = bench.protocol.deadline, bench.loop._options.request_timeout
    assert due is not None
    bench.loop._busy_since = due
    bench.loop._now = due + twice - 0.1
    bench.loop._go_on_reading()
    bench.loop._now = due + twice
    with pytest.raises(ConnectionFailed, match="No acknowledgement"):
        bench.loop._go_on_reading()


class Reads(Still):
    """A connection whose reads bring what a test says, and which ends with an error then.

    :ivar reads: for each one, whether it has taken all that was there, and the seconds that it took
    """

    peer_close = None
    bytes_received = 0
    drained = True

    def __init__(self, clock: LeapingTime, *reads: tuple[bool, float]) -> None:
        super().__init__()
        self.clock = clock
        self.reads = list(reads)
        self.last_pong_at = 0.0

    def receive(self) -> list[str]:
        if not self.reads:
            raise ConnectionFailed(EToroWebSocketError("lost"))
        self.drained, seconds = self.reads.pop(0)
        self.clock.leap(seconds)
        return []


class Run:
    """A loop from its beginning to its end; it records what the controller is asked to check."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *reads: tuple[bool, float]) -> None:
        self.clock = LeapingTime()
        monkeypatch.setattr("etoro_sync.ws.session.connection_loop.clocks", self.clock)
        self.connection = Reads(self.clock, *reads)
        self.counters = Counters()
        self.checked_for: list[float] = []
        self.controller = SimpleNamespace(
            opened=lambda up: None,
            authenticate=lambda keys, now: "",
            next_request=lambda now: None,
            next_check=lambda now, up: float("inf"),
            check=lambda now, up: self.checked_for.append(self.clock.monotonic() - now),
            complete_until=0.0,
        )
        out = SimpleNamespace(emit=lambda *arguments: None, flush=lambda: None)
        self.feed = SimpleNamespace(
            out=out,
            begin_read=lambda now: None,
            on_texts=lambda texts, on_reply: None,
            brought_messages=False,
        )

    def to_the_end(self) -> None:
        commands: Any = SimpleNamespace(waker=SimpleNamespace(stopping=False), operations=[])
        options = quick_options("ws://127.0.0.1:1/ws")
        parts: Any = self.connection, options, Redactor([]), self.controller, commands, self.feed
        with pytest.raises(ConnectionFailed):
            ConnectionLoop(*parts, self.counters).run(Keys("api-key", "user-key"))


def test_a_stream_that_pauses_now_and_then_is_not_taken_for_one_that_never_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While something is left to read no deadline is enforced, for it may be what is awaited."""
    run = Run(monkeypatch, (False, 0.0), (True, 0.6), (True, 0.6), (False, 0.0))
    run.to_the_end()
    assert max(run.checked_for) < 1.0


def test_the_last_pong_is_remembered_over_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the next one comes."""
    run = Run(monkeypatch, (True, 0.0))
    run.counters.last_pong_at = 5.0
    run.to_the_end()
    assert run.counters.last_pong_at == 5.0
    run.connection.reads, run.connection.last_pong_at = [(True, 0.0)], 7.0
    run.to_the_end()
    assert run.counters.last_pong_at == 7.0


@pytest.mark.parametrize("brought", [False, True])
def test_only_messages_move_the_beginning_of_a_gap(
    monkeypatch: pytest.MonkeyPatch, brought: bool
) -> None:
    """A keepalive says nothing of whether data was sent."""
    run = Run(monkeypatch, (True, 0.0))
    run.feed.brought_messages = brought
    run.to_the_end()
    assert (run.controller.complete_until > 0.0) is brought


@pytest.mark.parametrize(("drained", "seconds"), [(True, 1.0), (False, 0.5)])
def test_a_gap_begins_when_all_was_read_for_the_last_time_before_the_last_message(
    monkeypatch: pytest.MonkeyPatch, drained: bool, seconds: float
) -> None:
    """Whatever was sent before that moment has been read, so none of it can be missing."""
    run = Run(monkeypatch, (True, 0.5), (True, 0.5), (drained, 0.5), (True, 0.5))
    run.feed.brought_messages = True
    begun = run.clock.uptime()
    run.to_the_end()
    for moment in (run.controller.complete_until, run.controller.read_all_at):
        assert moment - begun == pytest.approx(seconds, abs=0.25)
