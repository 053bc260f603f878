"""What waits for callbacks: which lane gives way, and in which order they are read."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync.delivery.lanes import Lanes
from etoro_sync.errors import EToroQueueOverflowError


def names(lanes: Lanes, most: int = 1, now: float = 0.0) -> list[Any]:
    """Orders, rates, and the names of other events, in the order of delivery; losses as numbers."""
    heard: list[Any] = []
    while lanes.ready:
        try:
            if lanes.orders.ready:
                heard.append(*lanes.orders.pop())
                continue
            hand: list[Any] = []
            lanes.take(most, now, hand)
        except EToroQueueOverflowError as exc:
            heard.append(-exc.lost)
            continue
        ((event, calls),) = hand
        assert 0 < len(calls) <= most
        heard.extend(call[1] if event == "instrument:rate" else event for call in calls)
    return heard


@pytest.mark.parametrize("most", [1, 2, 3, 4, 64])
def test_orders_overtake_all_and_connection_events_keep_their_place(most: int) -> None:
    """Between the rates before and after them."""
    lanes = Lanes(10, 10)
    lanes.append("open", (), 0.0)
    lanes.extend([(1, "r1"), (2, "r2")], [], 0.0)
    lanes.append("private:event", ["order 1"], 0.0)
    lanes.append("close", (), 0.0)
    lanes.extend([(1, "r3")], [], 0.0)
    lanes.append("private:event", ["order 2"], 0.0)
    assert len(lanes) == 7
    assert names(lanes, most) == ["order 1", "order 2", "open", "r1", "r2", "close", "r3"]


def test_rates_that_follow_one_another_are_one_run() -> None:
    """One look-up of their listeners is enough."""
    lanes = Lanes(10, 10)
    lanes.extend([(1, "r1"), (2, "r2"), (3, "r3")], [(2, "m1", ("m",))], 5.0)
    hand: list[Any] = []
    assert [lanes.take(64, 6.0, hand) for _ in range(4)] == [5.0, 5.0, 5.0, None]
    assert [(event, list(calls)) for event, calls in hand] == [
        ("instrument:rate", [(1, "r1"), (2, "r2")]),
        ("m1", [("m",)]),
        ("instrument:rate", [(3, "r3")]),
    ]


def test_the_lossless_lane_loses_nothing_to_a_flood_of_rates() -> None:
    """Rates give way to rates, and the order of what remains is kept."""
    lanes = Lanes(2, 10)
    lanes.extend([(1, "r1"), (2, "r2")], [], 0.0)
    lanes.append("close", (), 0.0)
    lanes.extend([(3, "r3"), (4, "r4"), (4, "r5")], [], 0.0)
    lanes.append("late", (), 0.0)
    assert names(lanes) == ["close", "r3", "r5", "late"]
    assert (lanes.rates.dropped, lanes.rates.conflated, lanes.lost) == (2, 1, 0)


def test_other_fast_events_never_cost_a_rate() -> None:
    """A flood of messages drops messages; order among all lanes is kept."""
    lanes = Lanes(2, 10)
    lanes.extend([(1, "r1")], [(1, "m1", ()), (1, "m2", ())], 0.0)
    lanes.append("close", (), 0.0)
    lanes.extend([(2, "r2")], [(0, "m3", ()), (1, "m4", ())], 0.0)
    lanes.append("late", (), 0.0)
    assert len(lanes) == 6
    assert names(lanes) == ["r1", "close", "m3", "r2", "m4", "late"]
    assert (lanes.rates.dropped, lanes.others.dropped, lanes.dropped) == (0, 2, 2)
    assert not lanes.ready


@pytest.mark.parametrize("most", [1, 64])
@pytest.mark.parametrize("event", ["close", "private:event"])
def test_a_full_lossless_lane_says_what_is_missing(event: str, most: int) -> None:
    """It is bounded too, but never silent."""
    lanes = Lanes(2, 1)
    lanes.append(event, ("a",), 0.0)
    lanes.append(event, ("b",), 0.0)
    assert names(lanes, most) == ["a" if event == "private:event" else event, -1]
    assert lanes.lost == 1


def test_shedding_drops_rates_only() -> None:
    """At the end orders and connection events are still delivered, and the counts add up."""
    lanes = Lanes(4, 4)
    lanes.extend([(1, "r1"), (2, "r2")], [], 0.0)
    lanes.append("close", (), 0.0)
    lanes.append("private:event", ("order",), 0.0)
    lanes.take(1, 0.0, [])
    lanes.drop_market_events()
    lanes.extend([], [(0, "message", ())], 0.0)
    lanes.drop_market_events()
    assert (lanes.rates.delivered, lanes.rates.dropped, len(lanes)) == (1, 1, 2)
    assert lanes.others.dropped == 1
    assert lanes.orders.ready
    assert lanes.lossless.ready
    assert names(lanes) == ["order", "close"]


def test_connection_events_wait_for_one_rate_of_each_instrument_at_most() -> None:
    """Where the callbacks lag; what is superseded is skipped, also by a rate behind the event."""
    lanes = Lanes(100, 10, conflate_after=1.0)
    lanes.extend([(1, "a1"), (2, "b1"), (1, "a2"), (3, "c1"), (1, "a3")], [], 0.0)
    lanes.append("close", (), 0.0)
    lanes.extend([(1, "a4"), (2, "b2")], [], 0.5)
    assert names(lanes, 64, now=1.1) == ["c1", "close", "a4", "b2"]
    assert lanes.rates.conflated == 4


def test_the_lanes_know_since_when_the_oldest_waits() -> None:
    """In all of them together."""
    lanes = Lanes(10, 10)
    assert lanes.oldest is None
    lanes.extend([(1, "a")], [(1, "message", ())], 3.0)
    lanes.append("close", (), 2.0)
    lanes.append("private:event", ("order",), 1.0)
    assert lanes.oldest == 1.0
    lanes.orders.pop()
    assert lanes.oldest == 2.0
    assert lanes.drop_lossless() == 1
    assert lanes.oldest == 3.0
    lanes.drop_market_events()
    assert lanes.oldest is None


def test_the_lanes_say_what_gave_way() -> None:
    """In all of them together."""
    lanes = Lanes(2, 1)
    others = [(1, "message", ("n",)), (2, "message", ("o",))]
    assert lanes.extend([(1, "a")], [(1, "message", ("m",))], 0.0) == 0
    assert lanes.extend([(1, "b"), (1, "c")], others, 0.0) == 2
    assert [lanes.append(event, ["p"], 0.0) for event in ("private:event", "close") * 2] == [
        0,
        0,
        1,
        1,
    ]
