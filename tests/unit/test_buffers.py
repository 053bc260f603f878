"""What gives way when there is no room, counted to the last entry."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from etoro_sync.errors import EToroQueueOverflowError
from etoro_sync.ws.buffers import BoundedBuffer, Buffer, ConflatingBuffer, Lanes


def drain(buffer: Buffer | Lanes) -> list[Any]:
    """Everything that waits, with losses as negative numbers."""
    items: list[Any] = []
    while True:
        try:
            items.append(buffer.pop())
        except IndexError:
            return items
        except EToroQueueOverflowError as exc:
            items.append(-exc.lost)


def entries(text: str) -> list[tuple[str, str]]:
    """``"a1 b1"`` as entries with the keys a and b."""
    return [(word[0], word) for word in text.split()]


# Conflation --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maxsize", "sent", "left"),
    [
        (3, "a1 a2 a3", "a1 a2 a3"),
        (3, "a1 a2 b1 a3", "a1 a3 b1"),
        (3, "a1 b1 c1 d1", "b1 c1 d1"),
        (3, "a1 b1 c1 a2 b2 c2 a3", "a3 b2 c2"),
        (1, "a1 b1 b2", "b2"),
        (0, "a1 a2 b1 a3 c1", "a1 a2 b1 a3 c1"),
    ],
)
def test_the_newest_value_of_a_key_wins_only_when_there_is_no_room(
    maxsize: int, sent: str, left: str
) -> None:
    """It takes the place of the waiting one; if none waits, the oldest gives way."""
    for batches in ([sent], sent.split()):
        buffer = ConflatingBuffer(maxsize)
        for batch in batches:
            buffer.extend(entries(batch))
        assert [entry[1] for entry in drain(buffer)] == left.split()


def test_entries_without_a_key_are_never_replaced() -> None:
    """Each one counts, as long as there is room."""
    buffer = ConflatingBuffer(2)
    buffer.extend([(None, 1), ("a", 1), (None, 2), ("a", 2), (None, 3)])
    assert drain(buffer) == [(None, 2), (None, 3)]
    assert (buffer.dropped, buffer.conflated) == (2, 1)


def test_a_value_that_comes_after_a_replaced_one_is_delivered_after_it() -> None:
    """When there is room again, a new value must not be taken for the one that was replaced."""
    buffer = ConflatingBuffer(2)
    buffer.extend(entries("a1 b1 a2"))
    buffer.extend(entries("b2"))
    assert buffer.pop()[1] == "a2"
    buffer.extend(entries("b3"))
    assert [entry[1] for entry in drain(buffer)] == ["b2", "b3"]


def test_nothing_from_before_a_barrier_is_replaced_after_it() -> None:
    """A rate of the new connection must not stand in front of the gap."""
    buffer = ConflatingBuffer(2)
    buffer.extend(entries("a1 b1 b2"))
    buffer.barrier()
    buffer.extend(entries("b3"))
    assert [entry[1] for entry in drain(buffer)] == ["b2", "b3"]
    assert (buffer.dropped, buffer.conflated) == (1, 1)


def test_popping_an_empty_buffer_is_an_index_error() -> None:
    """And changes no count."""
    buffer = ConflatingBuffer(2)
    with pytest.raises(IndexError):
        buffer.pop()
    assert buffer.delivered == 0


class _Counted(deque[Any]):
    """A deque that counts how often it is read in the middle, which takes long."""

    indexed = 0

    def __getitem__(self, index: Any) -> Any:
        _Counted.indexed += 1
        return super().__getitem__(index)


def test_an_overflow_and_a_barrier_take_one_walk_over_the_entries() -> None:
    """By index, a million entries that wait would stop the reader for minutes."""
    buffer = ConflatingBuffer(1000)
    buffer.extend([(key % 500, key) for key in range(1000)])
    buffer._entries = _Counted(buffer._entries)
    buffer.extend([(key, "new") for key in range(500)])
    buffer.barrier()
    assert _Counted.indexed == 0
    assert buffer.conflated == 500


class Model:
    """The documented rule, written down without regard to speed."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.items: list[list[Any]] = []
        self.settled = 0
        self.dropped = self.conflated = 0

    def add(self, entry: tuple[Any, ...]) -> None:
        if not self.maxsize or len(self.items) < self.maxsize:
            self.items.append([entry])
            return
        for place in reversed(self.items[self.settled :]):
            if entry[0] is not None and place[0][0] == entry[0]:
                place[0] = entry
                self.conflated += 1
                return
        self.pop()
        self.dropped += 1
        self.items.append([entry])

    def pop(self) -> Any:
        (entry,) = self.items.pop(0)
        self.settled = max(self.settled - 1, 0)
        return entry


class Conflation(RuleBasedStateMachine):
    """The buffer beside the model, through every kind of call."""

    @initialize(maxsize=st.sampled_from([0, 1, 2, 3, 5, 8]))
    def begin(self, maxsize: int) -> None:
        self.buffer = ConflatingBuffer(maxsize)
        self.model = Model(maxsize)
        self.number = 0
        self.delivered: list[tuple[Any, int]] = []

    @rule(keys=st.lists(st.sampled_from([1, 2, 3, 4, None]), max_size=7))
    def extend(self, keys: list[int | None]) -> None:
        batch = []
        for key in keys:
            self.number += 1
            batch.append((key, self.number))
        self.buffer.extend(batch)
        for entry in batch:
            self.model.add(entry)

    @rule(count=st.integers(1, 6))
    def pop(self, count: int) -> None:
        for _ in range(count):
            if not self.model.items:
                with pytest.raises(IndexError):
                    self.buffer.pop()
                return
            entry = self.buffer.pop()
            assert entry == self.model.pop()
            self.delivered.append((entry[0], entry[1]))

    @rule()
    def barrier(self) -> None:
        self.buffer.barrier()
        self.model.settled = len(self.model.items)

    @invariant()
    def every_entry_is_accounted_for(self) -> None:
        buffer = self.buffer
        assert len(buffer) == len(self.model.items)
        assert not buffer._maxsize or len(buffer) <= buffer._maxsize
        assert (buffer.dropped, buffer.conflated) == (self.model.dropped, self.model.conflated)
        assert buffer.delivered == len(self.delivered)
        assert buffer.received == self.number
        gone = buffer.delivered + buffer.dropped + buffer.conflated
        assert gone + len(buffer) == buffer.received
        assert buffer.removed == buffer.delivered + buffer.dropped

    @invariant()
    def the_order_per_key_is_kept(self) -> None:
        for key in (1, 2, 3, 4, None):
            numbers = [number for k, number in self.delivered if k == key]
            assert numbers == sorted(numbers)


TestConflation = Conflation.TestCase
TestConflation.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


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


def test_a_conflating_buffer_says_what_gave_way() -> None:
    """Replaced or dropped; nothing, once there is room again."""
    buffer = ConflatingBuffer(2)
    assert buffer.extend([(1, "a"), (2, "a")]) == 0
    assert buffer.extend([(1, "b"), (3, "a"), (3, "b")]) == 3
    buffer.take(2)
    assert buffer.extend([(1, "c"), (2, "c")]) == 0


def test_the_lanes_say_what_gave_way() -> None:
    """In all of them together."""
    lanes = Lanes(2, 1)
    assert lanes.extend([(1, "a")], [(1, "message", ("m",))]) == 0
    assert lanes.extend([(1, "b"), (1, "c")], [(1, "message", ("n",)), (2, "message", ("o",))]) == 2
    assert lanes.append("private:event", ["p"]) == 0
    assert lanes.append("private:event", ["q"]) == 1
