"""What gives way when there is no room, counted to the last entry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from etoro_sync.errors import EToroQueueOverflowError
from etoro_sync.ws.buffers import BoundedBuffer, Lanes


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
        buffer.extend(batch)
    assert len(buffer) == 3
    assert (buffer.received, buffer.dropped, buffer.conflated) == (5, 2, 0)
    buffer.barrier()
    assert drain(buffer) == left
    assert (buffer.delivered, len(buffer)) == (3, 0)


def test_a_loss_is_told_where_it_happened() -> None:
    """Each hole once, with its size, and the queue goes on."""
    buffer = BoundedBuffer(2, "raise", "the queue of 'x'")
    buffer.extend([1, 2, 3])
    assert (buffer.pop(), buffer.head, buffer.ready) == (1, 2, True)
    buffer.extend([4, 5])
    assert buffer.pop() == 2
    assert buffer.head is None
    with pytest.raises(
        EToroQueueOverflowError, match="1 items of the queue of 'x' were lost"
    ) as caught:
        buffer.pop()
    assert caught.value.lost == 1
    assert drain(buffer) == [4, -1]
    assert not buffer.ready
    assert buffer.received == buffer.delivered + buffer.dropped == 5


def test_an_unbounded_buffer_keeps_everything() -> None:
    """For those who ask for it."""
    buffer = BoundedBuffer(0, "raise")
    buffer.extend(range(1000))
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
        self.number = 0

    @rule(count=st.integers(0, 6))
    def extend(self, count: int) -> None:
        batch = list(range(self.number + 1, self.number + count + 1))
        self.number += count
        self.buffer.extend(batch)
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


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# Lanes -------------------------------------------------------------------------------------------


def names(lanes: Lanes, most: int = 1) -> list[Any]:
    """Rates, and the names of other events, in the order of delivery; losses as numbers."""
    heard: list[Any] = []
    while lanes.ready:
        try:
            runs = lanes.take(most)
        except EToroQueueOverflowError as exc:
            heard.append(-exc.lost)
            continue
        assert 0 < sum(len(calls) for _, calls in runs) <= most
        for event, calls in runs:
            rates = event == "instrument:rate"
            heard.extend(call[1] if rates else event for call in calls)
    return heard


@pytest.mark.parametrize("most", [1, 2, 3, 4, 64])
def test_both_lanes_are_read_as_one_sequence(most: int) -> None:
    """An order event stands where it came, between the rates before and after it."""
    lanes = Lanes(10, 10)
    lanes.append("open", ())
    lanes.extend([(1, "r1"), (2, "r2")], [])
    lanes.append("order", [1])
    lanes.append("close", ())
    lanes.extend([(1, "r3")], [])
    assert len(lanes) == 6
    assert names(lanes, most) == ["open", "r1", "r2", "order", "close", "r3"]


def test_rates_that_follow_one_another_are_one_run() -> None:
    """One look-up of their listeners is enough."""
    lanes = Lanes(10, 10)
    lanes.extend([(1, "r1"), (2, "r2"), (3, "r3")], [(2, "m1", ("m",))])
    assert lanes.take(64) == [
        ("instrument:rate", [(1, "r1"), (2, "r2")]),
        ("m1", [("m",)]),
        ("instrument:rate", [(3, "r3")]),
    ]


def test_the_lossless_lane_loses_nothing_to_a_flood_of_rates() -> None:
    """Rates give way to rates, and the order of what remains is kept."""
    lanes = Lanes(2, 10)
    lanes.extend([(1, "r1"), (2, "r2")], [])
    lanes.append("order", ())
    lanes.extend([(3, "r3"), (4, "r4"), (4, "r5")], [])
    lanes.append("late", ())
    assert names(lanes) == ["order", "r3", "r5", "late"]
    assert (lanes.rates.dropped, lanes.rates.conflated, lanes.lossless.dropped) == (2, 1, 0)


def test_other_fast_events_never_cost_a_rate() -> None:
    """A flood of messages drops messages; order among all lanes is kept."""
    lanes = Lanes(2, 10)
    lanes.extend([(1, "r1")], [(1, "m1", ()), (1, "m2", ())])
    lanes.append("order", ())
    lanes.extend([(2, "r2")], [(0, "m3", ()), (1, "m4", ())])
    lanes.append("late", ())
    assert len(lanes) == 6
    assert names(lanes) == ["r1", "order", "m3", "r2", "m4", "late"]
    assert (lanes.rates.dropped, lanes.others.dropped, lanes.dropped) == (0, 2, 2)
    assert not lanes.ready


@pytest.mark.parametrize("most", [1, 64])
def test_a_full_lossless_lane_says_what_is_missing(most: int) -> None:
    """It is bounded too, but never silent."""
    lanes = Lanes(2, 1)
    lanes.append("a", ())
    lanes.append("b", ())
    assert names(lanes, most) == ["a", -1]


def test_shedding_drops_rates_only() -> None:
    """At the end order events are still delivered, and the counts add up."""
    lanes = Lanes(4, 4)
    lanes.extend([(1, "r1"), (2, "r2")], [])
    lanes.append("order", ())
    lanes.take(1)
    lanes.shed()
    lanes.extend([], [(0, "message", ())])
    lanes.shed()
    assert (lanes.rates.delivered, lanes.rates.dropped, len(lanes)) == (1, 1, 1)
    assert lanes.others.dropped == 1
    assert names(lanes) == ["order"]


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "raise"])
def test_a_bounded_buffer_says_what_gave_way(overflow: str) -> None:
    """For its owner to warn, without a look at the counters each time."""
    buffer = BoundedBuffer(3, overflow)
    assert [buffer.extend([1, 2]), buffer.extend([3]), buffer.extend([4, 5])] == [0, 0, 2]


def test_the_lanes_say_what_gave_way() -> None:
    """In all of them together."""
    lanes = Lanes(2, 1)
    assert lanes.extend([(1, "a")], [(1, "message", ("m",))]) == 0
    assert lanes.extend([(1, "b"), (1, "c")], [(1, "message", ("n",)), (2, "message", ("o",))]) == 2
    assert lanes.append("private:event", ["p"]) == 0
    assert lanes.append("private:event", ["q"]) == 1
