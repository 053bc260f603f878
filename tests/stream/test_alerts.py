"""Alerts: when they fire, and when not."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import (
    Crossing,
    EToroValidationError,
    Feed,
    MarketStream,
    WsInstrumentRate,
    synchronization,
)
from etoro_sync.stream.core import core_of
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import Ear
from tests.support.threads import Watchdog


def rate(price: float, generation: int = 1, **sides: float) -> WsInstrumentRate:
    return WsInstrumentRate(ask=price + 1, bid=price, generation=generation, **sides)


def fired(
    prices: list[float | WsInstrumentRate], set_up: Callable[[MarketStream, Any], object]
) -> list[Crossing]:
    """Play *prices* of instrument 18, and return what the alert was called with."""
    rates = [each if isinstance(each, WsInstrumentRate) else rate(each) for each in prices]
    seen: list[Crossing] = []

    def play(feed: Feed) -> None:
        feed.rates([(18, each) for each in rates])

    stream = MarketStream(play)
    set_up(stream, seen.append)
    with Watchdog(10), stream:
        stream.run_forever()
    return seen


def prices_of(crossings: list[Crossing]) -> list[tuple[str, float]]:
    return [(each.direction, each.price) for each in crossings]


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ([9, 10, 11, 12], [("above", 10)]),
        ([11, 12], []),
        ([10, 10], []),
        ([11, 9, 11, 9, 12], [("above", 11), ("above", 12)]),
        ([9, 9.99, 10], [("above", 10)]),
        ([9], []),
    ],
)
def test_a_crossing_is_told_once_and_never_on_the_first_price(
    prices: list[float], expected: list[tuple[str, float]]
) -> None:
    """A price on the threshold is beyond it."""
    found = fired(prices, lambda stream, note: stream.alert(18, note, above=10))
    assert prices_of(found) == expected


def test_below_is_the_mirror_image() -> None:
    """And both may be watched at once."""
    found = fired(
        [10, 5, 10, 15, 10, 5], lambda stream, note: stream.alert(18, note, above=14, below=6)
    )
    assert prices_of(found) == [("below", 5), ("above", 15), ("below", 5)]
    assert [each.previous for each in found] == [10, 10, 10]


def test_behind_a_crossing_the_price_has_to_come_back_beyond_the_hysteresis() -> None:
    """So a price that trembles around the threshold fires once."""
    trembling = [8, 10, 9.5, 10, 9.01, 11, 8.9, 10.5]
    found = fired(trembling, lambda stream, note: stream.alert(18, note, above=10, hysteresis=1))
    assert prices_of(found) == [("above", 10), ("above", 10.5)]


@pytest.mark.parametrize(
    ("prices", "expected"), [([9.5, 9.9, 10, 9.5, 10], [("above", 10)]), ([10.5, 9.5, 10], [])]
)
def test_the_hysteresis_hides_no_crossing_but_those_behind_a_price_beyond(
    prices: list[float], expected: list[tuple[str, float]]
) -> None:
    """A price that begins near the threshold and goes on through it is what the user waits for."""
    found = fired(prices, lambda stream, note: stream.alert(18, note, above=10, hysteresis=1))
    assert prices_of(found) == expected


@pytest.mark.parametrize(
    ("threshold", "hysteresis", "prices"),
    [
        ({"above": 1.1}, 0.1, [1.05, 1.1, 1.0, 1.1]),
        ({"above": 0.8}, 0.1, [0.75, 0.8, 0.7, 0.8]),
        ({"below": 0.2}, 0.1, [0.25, 0.2, 0.3, 0.2]),
        ({"below": 1.1}, 0.1, [1.15, 1.1, 1.2, 1.1]),
    ],
)
def test_a_price_that_comes_back_by_the_hysteresis_alone_does_not_arm_again(
    threshold: dict[str, float], hysteresis: float, prices: list[float]
) -> None:
    """It has to be more, counted in decimals as prices are, and not in floats."""
    for further in (0.0, 1e-9):
        back = prices[2] + (further if "below" in threshold else -further)
        found = fired(
            [*prices[:2], back, *prices[3:]],
            lambda stream, note: stream.alert(18, note, hysteresis=hysteresis, **threshold),
        )
        assert len(found) == (2 if further else 1)


def test_without_hysteresis_any_price_on_the_other_side_arms_again() -> None:
    """However close it is."""
    found = fired([9, 10, 9.999999, 10], lambda stream, note: stream.alert(18, note, above=10))
    assert len(found) == 2
    found = fired([9, 8, 8.000001, 8], lambda stream, note: stream.alert(18, note, below=8))
    assert len(found) == 2


def test_once_is_once() -> None:
    """It is over before the handler runs."""
    found = fired([9, 10, 9, 10], lambda stream, note: stream.alert(18, note, above=10, once=True))
    assert prices_of(found) == [("above", 10)]


@pytest.mark.parametrize(
    ("side", "threshold"), [("bid", 10), ("ask", 11), ("mid", 10.5), ("last_execution", 20)]
)
def test_each_side_of_a_rate_can_be_watched(side: str, threshold: float) -> None:
    """The threshold is one of that side."""
    rates: list[float | WsInstrumentRate] = [
        rate(9, last_execution=19.0),
        rate(10, last_execution=20.0),
    ]
    found = fired(rates, lambda stream, note: stream.alert(18, note, above=threshold, side=side))
    assert [each.price for each in found] == [threshold]


def test_no_valid_last_execution_is_no_price() -> None:
    """eToro sends 0 for it."""
    rates: list[float | WsInstrumentRate] = [
        rate(1, last_execution=n) for n in (9.0, 0.0, 9.0, 10.0)
    ]
    found = fired(
        rates,
        lambda stream, note: stream.alert(18, note, above=10, below=5, side="last_execution"),
    )
    assert prices_of(found) == [("above", 10.0)]


def test_a_middle_without_one_of_its_sides_is_no_price() -> None:
    """Half of the other side would look like a crash."""
    rates: list[float | WsInstrumentRate] = [
        rate(1000),
        WsInstrumentRate(ask=1001.0, bid=0.0),
        WsInstrumentRate(ask=0.0, bid=1000.0),
        WsInstrumentRate(ask=float("nan"), bid=1000.0),
        rate(1000),
    ]
    found = fired(rates, lambda stream, note: stream.alert(18, note, below=600, side="mid"))
    assert found == []


def test_a_price_that_is_no_number_is_no_price() -> None:
    """Of a source of the user's own; nor is it the one before."""
    nan, inf = float("nan"), float("inf")
    found = fired([9, nan, inf, 10, -inf, nan, 11], lambda s, note: s.alert(18, note, above=10))
    assert [(each.price, each.previous) for each in found] == [(10, 9)]


def test_a_crossing_between_two_connections_says_so() -> None:
    """Nobody knows when it was; the next one is an ordinary one."""
    rates: list[float | WsInstrumentRate] = [rate(9), rate(10, 2), rate(9, 2), rate(10, 2)]
    found = fired(rates, lambda stream, note: stream.alert(18, note, above=10))
    assert [each.across_gap for each in found] == [True, False]


def test_a_crossing_between_two_runs_of_a_source_says_so() -> None:
    """Though each run begins with the same generation."""
    seen: list[Crossing] = []
    stream = MarketStream(lambda feed: feed.rates([(18, rate(10)), (18, rate(9))]))
    stream.alert(18, seen.append, above=10)
    for _ in range(2):
        with Watchdog(10), stream:
            stream.run_forever()
    assert [each.across_gap for each in seen] == [True]


def test_an_error_of_the_handler_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """And not with that of what the library calls for it."""

    def is_high(crossing: Crossing) -> None:
        raise ValueError("boom")

    fired([9, 10], lambda stream, note: stream.alert(18, is_high, above=10))
    assert "is_high for 'instrument:rate' raised ValueError" in caplog.text


def test_a_stream_with_an_alert_is_collected_when_nobody_uses_it() -> None:
    """Its threads know the alert, which must not keep the stream."""
    stream = MarketStream(lambda feed: feed.wait(1e6))
    stream.alert(18, lambda crossing: None, above=10)
    stream.connect()
    source = weakref.ref(core_of(stream).source)
    del stream
    with Watchdog(10):
        while source() is not None:
            gc.collect()


def test_a_decorated_handler_stays_callable_and_can_be_cancelled() -> None:
    """From any thread; other instruments do not concern it."""
    stream = MarketStream(lambda feed: None)
    seen: list[Crossing] = []

    @stream.alert(19, below=5)
    def low(crossing: Crossing) -> str:
        """What it does."""
        seen.append(crossing)
        return "done"

    assert (low.__name__, low.__doc__) == ("low", "What it does.")
    assert repr(low) == "<Alert bid of instrument 19 below 5>"
    crossing = Crossing(19, "below", 5.0, 4.0, 6.0, False, rate(4))
    assert low(crossing) == "done"
    low.cancel()
    low.cancel()
    assert seen == [crossing]
    found = fired([9, 10], lambda stream, note: stream.alert(18, note, above=10).cancel())
    assert found == []


def test_what_an_alert_raises_is_reported_under_the_handlers_name(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As that of any callback; the alert goes on."""
    seen: list[float] = []

    def fragile(crossing: Crossing) -> None:
        seen.append(crossing.price)
        raise KeyError("mine")

    fired([9, 10, 9, 11], lambda stream, note: stream.alert(18, fragile, above=10))
    assert seen == [10, 11]
    assert "raised KeyError" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "above"),
        ({"above": 0}, "above"),
        ({"below": float("nan")}, "below"),
        ({"above": float("inf")}, "above"),
        ({"above": 10, "hysteresis": float("inf")}, "hysteresis"),
        ({"above": 10, "hysteresis": float("nan")}, "hysteresis"),
        ({"above": "10"}, "above"),
        ({"above": 10, "side": "middle"}, "side"),
        ({"above": 10, "hysteresis": -1}, "hysteresis"),
        ({"above": 10, "once": 3}, "once"),
        ({"above": 10, "handler": 3}, "handler"),
        ({"above": 10, "handler": lambda: None}, "handler"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, Any], field: str) -> None:
    """When the alert is set, and not when the price comes."""
    with pytest.raises(EToroValidationError) as caught:
        MarketStream(lambda feed: None).alert(18, **arguments)
    assert caught.value.field == field


def test_a_handler_with_other_arguments_is_told_those_of_an_alert() -> None:
    """And not those of some event."""
    stream = MarketStream(lambda feed: None)
    with pytest.raises(EToroValidationError) as caught:
        stream.alert(18, lambda instrument_id, rate: None, above=10)  # type: ignore[arg-type,misc]
    assert str(caught.value).endswith(
        "(instrument_id, rate) cannot be called: the arguments are (Crossing)."
    )

    async def wait(crossing: Crossing) -> None:
        raise AssertionError

    with pytest.raises(EToroValidationError, match="coroutine"):
        stream.alert(18, above=10)(wait)


def test_removing_all_listeners_ends_alerts_too() -> None:
    """They are callbacks of rates; ending one more than once is no error."""
    found = fired(
        [9, 10],
        lambda stream, note: (
            stream.on("instrument:delta", print),
            alert := stream.alert(18, note, above=10),
            stream.remove_all_listeners("instrument:rate"),
            alert.cancel(),
        ),
    )
    assert found == []


def test_an_alert_that_was_ended_does_not_fire_for_the_present_price_either() -> None:
    """Callbacks that are called for one price have been looked up before the first of them ran."""
    stream = MarketStream(lambda feed: feed.rates([(18, rate(9)), (18, rate(10))]))
    seen: list[Crossing] = []
    stream.alert(18, lambda crossing: second.cancel(), above=10)
    second = stream.alert(18, seen.append, above=10)
    with Watchdog(10), stream:
        stream.run_forever()
    assert seen == []


def test_an_alert_is_a_listener_for_which_a_source_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """As any callback: a source that is played waits until there is one."""
    monkeypatch.setattr(synchronization, "_SLICE", 60.0)  # so that it has to be woken
    crossed = threading.Event()
    stream = MarketStream(lambda feed: feed.rates([(18, rate(9)), (18, rate(10))]))
    with Watchdog(10), stream:
        source: Any = core_of(stream).source
        while not source.pace._monitor._bells:
            pass
        stream.alert(18, lambda crossing: crossed.set(), above=10)
        assert crossed.wait(5)


def test_an_alert_shows_its_thresholds_in_full() -> None:
    """Six digits would not tell two prices of one instrument apart."""
    stream = MarketStream(lambda feed: None)
    alert = stream.alert(18, print, above=1234567.25, below=84917.73, side="ask")
    assert repr(alert) == "<Alert ask of instrument 18 above 1234567.25, below 84917.73>"


def test_an_alert_of_a_client_goes_on_through_a_reconnect(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Over real sockets: what crossed while there was no connection is told as such."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    crossed = threading.Event()
    seen: list[Crossing] = []
    c.subscribe([18], snapshot=True)
    c.alert(18, lambda crossing: (seen.append(crossing), crossed.set()), above=1e6)
    c.connect()
    ear.wait_for("instrument:rate")
    sim.drop()
    sim.publish(18, Bid="2000000", Ask="2000001")
    ear.wait_for("reconnected")
    sim.publish(18, Bid="2000000", Ask="2000001")
    assert crossed.wait(5)
    assert (seen[0].across_gap, seen[0].price) == (True, 2e6)
