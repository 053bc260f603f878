"""A full buffer of rates: what gives way, counted to the last entry."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from etoro_sync.ws.conflation import ConflatingBuffer


def drain(buffer: ConflatingBuffer) -> list[tuple[Any, ...]]:
    """Everything that waits."""
    return [buffer.pop() for _ in range(len(buffer))]


def entries(text: str) -> list[tuple[str, str]]:
    """``"a1 b1"`` as entries with the keys a and b."""
    return [(word[0], word) for word in text.split()]


@pytest.mark.parametrize(
    ("maxsize", "sent", "left"),
    [
        (3, "a1 a2 a3", "a1 a2 a3"),
        (3, "a1 a2 b1 a3", "a1 a3 b1"),
        (3, "a1 b1 c1 d1", "b1 c1 d1"),
        (3, "a1 b1 b2 c1", "a1 b2 c1"),
        (4, "a1 b1 c1 b2 d1", "a1 c1 b2 d1"),
        (4, "a1 b1 b2 a2 c1 d1", "b2 a2 c1 d1"),
        (4, "a1 b1 b2 a2 c1 d1 e1", "a2 c1 d1 e1"),
        (2, "a1 a2 b1 c1", "b1 c1"),
        (3, "a1 b1 c1 a2 b2 c2 a3", "a3 b2 c2"),
        (1, "a1 b1 b2", "b2"),
        (0, "a1 a2 b1 a3 c1", "a1 a2 b1 a3 c1"),
    ],
)
def test_the_newest_value_of_a_key_wins_only_when_there_is_no_room(
    maxsize: int, sent: str, left: str
) -> None:
    """If none of its key waits, an outdated one gives way; the oldest only if none is outdated."""
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
    """A rate of the new connection must not stand in front of the gap, nor cost another key's."""
    buffer = ConflatingBuffer(3)
    buffer.extend(entries("b1 a1 c1 b2"))
    buffer.barrier()
    buffer.extend(entries("b3"))
    assert [entry[1] for entry in drain(buffer)] == ["a1", "c1", "b3"]
    assert (buffer.dropped, buffer.conflated) == (1, 1)


def test_popping_an_empty_buffer_is_an_index_error() -> None:
    """And changes no count."""
    buffer = ConflatingBuffer(2)
    with pytest.raises(IndexError):
        buffer.pop()
    assert buffer.delivered == 0


def test_a_conflating_buffer_says_what_gave_way() -> None:
    """Replaced or dropped; nothing, once there is room again."""
    buffer = ConflatingBuffer(2)
    assert buffer.extend([(1, "a"), (2, "a")]) == 0
    assert buffer.extend([(1, "b"), (3, "a"), (3, "b")]) == 3
    buffer.take(2)
    assert buffer.extend([(1, "c"), (2, "c")]) == 0


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


@pytest.mark.parametrize("barriers", [False, True], ids=["one connection", "many connections"])
def test_the_newest_entry_of_each_key_stays_while_keys_have_room(barriers: bool) -> None:
    """An instrument that changed once, long ago, is not lost behind those that change all day."""
    buffer = ConflatingBuffer(10)
    buffer.extend([("quiet", 0)])
    for number in range(1, 200):
        buffer.extend([(number * step % 9, number) for step in (1, 2, 5)])
        if barriers and number % 20 == 0:
            buffer.barrier()
    left = drain(buffer)
    assert left[0] == ("quiet", 0)
    newest = {number * step % 9: number for number in range(1, 200) for step in (1, 2, 5)}
    assert dict(left[1:]) == newest
    assert buffer.delivered + buffer.dropped + buffer.conflated == buffer.received == 1 + 199 * 3


def test_a_buffer_that_nobody_reads_holds_no_more_through_many_connections() -> None:
    """Neither entries nor notes on them pile up behind one that stays the oldest."""
    buffer = ConflatingBuffer(8)
    buffer.extend([("stays", 0), *[(key, 0) for key in range(7)]])
    for connection in range(100):
        buffer.barrier()
        buffer.extend([(key, connection) for key in reversed(range(7))])
    crowd = buffer._crowd
    assert crowd is not None
    assert [len(kept) for kept in (crowd.waiting, crowd._last, crowd._outdated)] == [8, 8, 0]
    assert buffer.dropped == 700


def test_a_reader_that_lags_for_ever_costs_no_more_memory() -> None:
    """What is noted of entries that have been read is forgotten."""
    buffer = ConflatingBuffer(8)
    buffer.extend([(key, 0) for key in range(9)])
    for number in range(1000):
        buffer.take(3)
        buffer.extend([(key % 4, number) for key in range(number, number + 3)])
        crowd = buffer._crowd
        assert crowd is not None
        assert len(crowd._last) + len(crowd._outdated) == len(crowd.waiting) <= 8


@pytest.mark.parametrize("most", [1, 2, 64])
def test_places_stay_what_they_were_when_something_is_dropped_between(most: int) -> None:
    """Callbacks' other events stand between rates by place; holes do not move them."""
    buffer = ConflatingBuffer(4)
    buffer.extend(entries("a1 b1 b2 b3"))
    assert (buffer.start, buffer.end) == (0, 4)
    place = buffer.end
    buffer.extend(entries("c1 d1"))  # b1 and b2 go
    assert (buffer.start, buffer.end, len(buffer)) == (0, 6, 4)
    before: list[tuple[Any, ...]] = []
    while taken := buffer.take(most, before=place):
        before += taken
    assert [entry[1] for entry in before] == ["a1", "b3"]
    assert (buffer.start, buffer.end) == (4, 6)
    buffer.extend(entries("e1"))
    assert [entry[1] for entry in buffer.take(64)] == ["c1", "d1", "e1"]
    assert buffer.start == buffer.end == 7


def test_places_are_right_where_something_was_dropped_behind_the_middle() -> None:
    """The notes are kept until that place has passed, however few entries wait."""
    buffer = ConflatingBuffer(4)
    buffer.extend(entries("a1 b1 c1 d1"))
    buffer.barrier()
    buffer.extend(entries("d2"))  # d1 goes, whose place was 3
    assert [entry[1] for entry in buffer.take(2)] == ["a1", "b1"]
    assert (buffer.start, buffer.end) == (2, 5)
    assert [entry[1] for entry in buffer.take(64, before=4)] == ["c1"]
    assert (buffer.start, buffer.end) == (4, 5)


@pytest.mark.parametrize("look", [len, lambda buffer: buffer.ready], ids=["len", "ready"])
@pytest.mark.parametrize("change", ["overflow", "relief"])
def test_a_look_without_the_lock_is_right_whenever_another_thread_comes_in_between(
    look: Callable[[ConflatingBuffer], int], change: str
) -> None:
    """``qsize()``, ``empty()`` and ``stats()`` look; here the other comes after each opcode."""
    places = 0
    sys._getframe().f_trace_opcodes = True  # 3.12 has to know before the trace function is set
    while True:
        buffer = ConflatingBuffer(4)
        buffer.extend(entries("a1 b1 c1 d1" if change == "overflow" else "a1 b1 c1 d1 e1"))
        if change == "relief":
            buffer.pop()
        left = places

        def step(frame: FrameType, event: str, _: object, buffer: ConflatingBuffer = buffer) -> Any:
            nonlocal left
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left == -1:
                    sys.settrace(None)
                    buffer.extend(entries("f1")) if change == "overflow" else buffer.pop()
            return step

        before = look(buffer)
        sys.settrace(step)
        try:
            seen = look(buffer)
        finally:
            sys.settrace(None)
        if left >= 0:
            break
        assert seen in (before, look(buffer))
        places += 1
    assert places > 2


def test_notes_are_taken_only_while_there_is_no_room() -> None:
    """They cost time with each entry, and memory."""
    buffer = ConflatingBuffer(4)
    buffer.extend(entries("a1 b1 c1 d1"))
    assert buffer._crowd is None
    buffer.extend(entries("e1"))
    assert buffer._crowd is not None
    assert not buffer._entries
    buffer.take(1)
    assert buffer._crowd is not None
    buffer.take(1)
    assert buffer._crowd is None
    assert [entry[1] for entry in drain(buffer)] == ["d1", "e1"]


class Model:
    """The documented rule, written down without regard to speed."""

    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        #: [place, entry], the oldest first.
        self.items: list[list[Any]] = []
        self.outdated: list[int] = []  # places, in the order in which they became so
        self.places = self.settled = self.dropped = self.conflated = 0

    def add(self, entry: tuple[Any, ...]) -> None:
        same = [item for item in self.items if entry[0] is not None and item[1][0] == entry[0]]
        full = 0 < self.maxsize <= len(self.items)
        if full and same and same[-1][0] >= self.settled:
            same[-1][1] = entry
            self.conflated += 1
            return
        if same:
            self.outdated.append(same[-1][0])
        self.items.append([self.places, entry])
        self.places += 1
        if full:
            gone = self.outdated[0] if self.outdated else self.items[0][0]
            self.items = [item for item in self.items if item[0] != gone]
            self.outdated = [place for place in self.outdated if place != gone]
            self.dropped += 1

    def pop(self) -> Any:
        place, entry = self.items.pop(0)
        self.outdated = [other for other in self.outdated if other != place]
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

    @rule(most=st.integers(0, 6), ahead=st.integers(-1, 6))
    def take(self, most: int, ahead: int) -> None:
        before = self.buffer.start + ahead
        expected = []
        while len(expected) < most and self.model.items and self.model.items[0][0] < before:
            expected.append(self.model.pop())
        assert self.buffer.take(most, before=before) == expected
        self.delivered.extend(expected)

    @rule()
    def barrier(self) -> None:
        self.buffer.barrier()
        self.model.settled = self.model.places

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
        assert buffer.end == self.model.places
        assert buffer.start == (self.model.items[0][0] if self.model.items else buffer.end)

    @invariant()
    def the_order_per_key_is_kept(self) -> None:
        for key in (1, 2, 3, 4, None):
            numbers = [number for k, number in self.delivered if k == key]
            assert numbers == sorted(numbers)


TestConflation = Conflation.TestCase
TestConflation.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
