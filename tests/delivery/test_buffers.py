"""What gives way when there is no room, counted to the last entry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from etoro_sync.delivery.buffers import BoundedBuffer, Lanes
from etoro_sync.errors import EToroQueueOverflowError


def drain(buffer: BoundedBuffer) -> list[Any]:
    """Everything that waits, with losses as negative numbers."""
    items: list[Any] = []
    while True:
        try:
            items.append(buffer.pop())
        except IndexError:
            return items
        except EToroQueueOverflowError as exc:
            items.append(-exc.lost)


# Bounded buffers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overflow", "left"),
    [("drop_oldest", [3, 4, 5]), ("drop_newest", [1, 2, 3]), ("raise", [1, 2, 3, -2])],
)
@pytest.mark.parametrize(
    "batches", [[[1, 2, 3, 4, 5]], [[1], [2], [3], [4], [5]], [[1, 2], [3, 4, 5]]]
)
def test_a_full_buffer_follows_its_policy(
    overflow: str, left: list[int], batches: list[list[int]]
) -> None:
    """However the entries arrive."""
    buffer = BoundedBuffer(3, overflow)
    for batch in batches:
        buffer.extend(batch, 0.0)
    assert len(buffer) == 3
    assert (buffer.received, buffer.dropped, buffer.conflated) == (5, 2, 0)
    buffer.barrier()
    assert drain(buffer) == left
    assert (buffer.delivered, len(buffer)) == (3, 0)


def test_a_loss_is_told_where_it_happened() -> None:
    """Each hole once, with its size, and the queue goes on."""
    buffer = BoundedBuffer(2, "raise", "the queue of 'x'")
    buffer.extend([1, 2, 3], 0.0)
    assert (buffer.pop(), buffer.head, buffer.ready) == (1, 2, True)
    buffer.extend([4, 5], 0.0)
    assert buffer.pop() == 2
    assert buffer.head is None
    with pytest.raises(
        EToroQueueOverflowError, match="1 item of the queue of 'x' could not be kept"
    ) as caught:
        buffer.pop()
    assert caught.value.lost == 1
    assert drain(buffer) == [4, -1]
    assert not buffer.ready
    assert buffer.received == buffer.delivered + buffer.dropped == 5


def test_an_unbounded_buffer_keeps_everything() -> None:
    """For those who ask for it."""
    buffer = BoundedBuffer(0, "raise")
    buffer.extend(range(1000), 0.0)
    assert drain(buffer) == list(range(1000))


class Bounded(RuleBasedStateMachine):
    """Every policy, through every kind of call, beside a list."""

    @initialize(
        maxsize=st.integers(0, 4), overflow=st.sampled_from(["drop_oldest", "drop_newest", "raise"])
    )
    def begin(self, maxsize: int, overflow: str) -> None:
        self.buffer = BoundedBuffer(maxsize, overflow)
        self.overflow, self.maxsize = overflow, maxsize
        self.items: list[int] = []  # negative: so many are lost here
        self.came: dict[int, float] = {}
        self.number = 0
        self.now = 0.0

    @rule(count=st.integers(0, 6))
    def extend(self, count: int) -> None:
        batch = list(range(self.number + 1, self.number + count + 1))
        self.number += count
        self.now += 1.0
        self.came.update(dict.fromkeys(batch, self.now))
        self.buffer.extend(batch, self.now)
        for number in batch:
            waiting = [item for item in self.items if item > 0]
            if not self.maxsize or len(waiting) < self.maxsize:
                self.items.append(number)
            elif self.overflow == "drop_oldest":
                self.items = [*self.items[1:], number]
            elif self.overflow == "raise":
                if self.items[-1] < 0:
                    self.items[-1] -= 1
                else:
                    self.items.append(-1)

    @rule()
    def pop(self) -> None:
        try:
            item = self.buffer.pop()
        except IndexError:
            item = None
        except EToroQueueOverflowError as exc:
            item = -exc.lost
        assert item == (self.items.pop(0) if self.items else None)

    @invariant()
    def every_entry_is_accounted_for(self) -> None:
        buffer = self.buffer
        assert len(buffer) == len([item for item in self.items if item > 0])
        assert buffer.received == self.number
        assert buffer.delivered + buffer.dropped + len(buffer) == buffer.received
        assert buffer.ready == bool(self.items)
        if self.items and self.items[0] > 0:
            assert buffer.oldest == self.came[self.items[0]]


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# Lanes -------------------------------------------------------------------------------------------


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
    lanes.shed()
    lanes.extend([], [(0, "message", ())], 0.0)
    lanes.shed()
    assert (lanes.rates.delivered, lanes.rates.dropped, len(lanes)) == (1, 1, 2)
    assert lanes.others.dropped == 1
    assert lanes.is_owing
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
    assert lanes.lose() == 1
    assert lanes.oldest == 3.0
    lanes.shed()
    assert lanes.oldest is None


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "raise"])
def test_a_bounded_buffer_says_what_gave_way(overflow: str) -> None:
    """For its owner to warn, without a look at the counters each time."""
    buffer = BoundedBuffer(3, overflow)
    assert [buffer.extend(batch, 0.0) for batch in ([1, 2], [3], [4, 5])] == [0, 0, 2]


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


def test_ages_of_what_was_dropped_are_forgotten() -> None:
    """However long nobody reads."""
    buffer = BoundedBuffer(3, "drop_oldest")
    for n in range(100):
        buffer.extend([n], float(n))
    assert len(buffer._arrivals._notes) == 3
    assert buffer.oldest == 97.0
