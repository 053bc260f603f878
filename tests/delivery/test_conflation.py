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

from etoro_sync.delivery.conflation import ConflatingBuffer
from tests.support.amounts import amount


def drain(buffer: ConflatingBuffer) -> list[tuple[Any, ...]]:
    """Everything that waits."""
    return [buffer.pop(0.0) for _ in range(len(buffer))]


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
            buffer.extend(entries(batch), 0.0)
        assert [entry[1] for entry in drain(buffer)] == left.split()


def test_entries_without_a_key_are_never_replaced() -> None:
    """Each one counts, as long as there is room."""
    buffer = ConflatingBuffer(2)
    buffer.extend([(None, 1), ("a", 1), (None, 2), ("a", 2), (None, 3)], 0.0)
    assert drain(buffer) == [(None, 2), (None, 3)]
    assert (buffer.dropped, buffer.conflated) == (2, 1)


def test_a_value_that_comes_after_a_replaced_one_is_delivered_after_it() -> None:
    """When there is room again, a new value must not be taken for the one that was replaced."""
    buffer = ConflatingBuffer(2)
    buffer.extend(entries("a1 b1 a2"), 0.0)
    buffer.extend(entries("b2"), 0.0)
    assert buffer.pop(0.0)[1] == "a2"
    buffer.extend(entries("b3"), 0.0)
    assert [entry[1] for entry in drain(buffer)] == ["b2", "b3"]


def test_nothing_from_before_a_barrier_is_replaced_after_it() -> None:
    """A rate of the new connection must not stand in front of the gap, nor cost another key's."""
    buffer = ConflatingBuffer(3)
    buffer.extend(entries("b1 a1 c1 b2"), 0.0)
    buffer.barrier()
    buffer.extend(entries("b3"), 0.0)
    assert [entry[1] for entry in drain(buffer)] == ["a1", "c1", "b3"]
    assert (buffer.dropped, buffer.conflated) == (1, 1)


def test_popping_an_empty_buffer_is_an_index_error() -> None:
    """And changes no count."""
    buffer = ConflatingBuffer(2)
    with pytest.raises(IndexError):
        buffer.pop(0.0)
    assert buffer.delivered == 0


def test_a_conflating_buffer_says_what_gave_way() -> None:
    """Replaced or dropped; nothing, once there is room again."""
    buffer = ConflatingBuffer(2)
    assert buffer.extend([(1, "a"), (2, "a")], 0.0) == 0
    assert buffer.extend([(1, "b"), (3, "a"), (3, "b")], 0.0) == 3
    drain(buffer)
    assert buffer.extend([(1, "c"), (2, "c")], 0.0) == 0


class _Counted(deque[Any]):
    """A deque that counts how often it is read in the middle, which takes long."""

    indexed = 0

    def __getitem__(self, index: Any) -> Any:
        _Counted.indexed += 1
        return super().__getitem__(index)


def test_an_overflow_and_a_barrier_take_one_walk_over_the_entries() -> None:
    """By index, a million entries that wait would stop the reader for minutes."""
    buffer = ConflatingBuffer(1000)
    buffer.extend([(key % 500, key) for key in range(1000)], 0.0)
    buffer._entries = _Counted(buffer._entries)
    buffer.extend([(key, "new") for key in range(500)], 0.0)
    buffer.barrier()
    assert _Counted.indexed == 0
    assert buffer.conflated == 500


@pytest.mark.parametrize("barriers", [False, True], ids=["one connection", "many connections"])
def test_the_newest_entry_of_each_key_stays_while_keys_have_room(barriers: bool) -> None:
    """An instrument that changed once, long ago, is not lost behind those that change all day."""
    buffer = ConflatingBuffer(10)
    buffer.extend([("quiet", 0)], 0.0)
    for number in range(1, 200):
        buffer.extend([(number * step % 9, number) for step in (1, 2, 5)], 0.0)
        if barriers and number % 20 == 0:
            buffer.barrier()
    left = drain(buffer)
    assert left[0] == ("quiet", 0)
    newest = {number * step % 9: number for number in range(1, 200) for step in (1, 2, 5)}
    assert dict(left[1:]) == newest
    assert buffer.delivered + buffer.dropped + buffer.conflated == buffer.received == 1 + 199 * 3


def test_a_buffer_that_is_not_read_holds_no_more_through_many_connections() -> None:
    """Neither entries nor notes on them pile up behind one that stays the oldest."""
    buffer = ConflatingBuffer(8)
    buffer.extend([("stays", 0), *[(key, 0) for key in range(7)]], 0.0)
    for connection in range(100):
        buffer.barrier()
        buffer.extend([(key, connection) for key in reversed(range(7))], 0.0)
    backlog = buffer._backlog
    assert backlog is not None
    kept = (backlog.waiting, backlog._newest, backlog._superseded)
    assert [len(entries) for entries in kept] == [8, 8, 0]
    assert buffer.dropped == 700


def test_a_reader_that_lags_for_ever_costs_no_more_memory() -> None:
    """What is noted of entries that have been read is forgotten."""
    buffer = ConflatingBuffer(8)
    buffer.extend([(key, 0) for key in range(9)], 0.0)
    for number in range(1000):
        buffer.take(3, 0.0)
        buffer.extend([(key % 4, number) for key in range(number, number + 3)], 0.0)
        backlog = buffer._backlog
        assert backlog is not None
        assert len(backlog._newest) + len(backlog._superseded) == len(backlog.waiting) <= 8


@pytest.mark.parametrize("most", [1, 2, 64])
def test_places_stay_what_they_were_when_something_is_dropped_between(most: int) -> None:
    """Callbacks' other events stand between rates by place; holes do not move them."""
    buffer = ConflatingBuffer(4)
    buffer.extend(entries("a1 b1 b2 b3"), 0.0)
    assert (buffer.start, buffer.end) == (0, 4)
    place = buffer.end
    buffer.extend(entries("c1 d1"), 0.0)  # b1 and b2 go
    assert (buffer.start, buffer.end, len(buffer)) == (0, 6, 4)
    before: list[tuple[Any, ...]] = []
    while taken := buffer.take(most, 0.0, before=place):
        before += taken
    assert [entry[1] for entry in before] == ["a1", "b3"]
    assert (buffer.start, buffer.end) == (4, 6)
    buffer.extend(entries("e1"), 0.0)
    assert [entry[1] for entry in buffer.take(64, 0.0)] == ["c1", "d1", "e1"]
    assert buffer.start == buffer.end == 7


def test_places_are_right_where_something_was_dropped_behind_the_middle() -> None:
    """The notes are kept until that place has passed, however few entries wait."""
    buffer = ConflatingBuffer(4)
    buffer.extend(entries("a1 b1 c1 d1"), 0.0)
    buffer.barrier()
    buffer.extend(entries("d2"), 0.0)  # d1 goes, whose place was 3
    assert [buffer.pop(0.0)[1], buffer.pop(0.0)[1]] == ["a1", "b1"]
    assert (buffer.start, buffer.end) == (2, 5)
    assert [entry[1] for entry in buffer.take(64, 0.0, before=4)] == ["c1"]
    assert (buffer.start, buffer.end) == (4, 5)


@pytest.mark.parametrize("look", [len, lambda buffer: buffer.ready], ids=["len", "ready"])
@pytest.mark.parametrize("change", ["overflow", "relief"])
def test_a_look_without_the_lock_is_right_whenever_another_thread_comes_in_between(
    look: Callable[[ConflatingBuffer], int], change: str
) -> None:
    """``qsize()``, ``empty()`` and ``stats()`` look; here the other comes after each opcode."""
    places = 0
    traced = sys.gettrace()  # such as by a measurement of coverage, which is to go on
    sys._getframe().f_trace_opcodes = True  # 3.12 has to know before the trace function is set
    while True:
        buffer = ConflatingBuffer(4)
        buffer.extend(entries("a1 b1 c1 d1" if change == "overflow" else "a1 b1 c1 d1 e1"), 0.0)
        if change == "relief":
            buffer.pop(0.0)
        left = places

        def step(frame: FrameType, event: str, _: object, buffer: ConflatingBuffer = buffer) -> Any:
            nonlocal left
            frame.f_trace_opcodes = True
            if event == "opcode":
                left -= 1
                if left == -1:
                    sys.settrace(traced)
                    (buffer.extend(entries("f1"), 0.0) if change == "overflow" else buffer.pop(0.0))
            return step

        before = look(buffer)
        sys.settrace(step)
        try:
            seen = look(buffer)
        finally:
            sys.settrace(traced)
        if left >= 0:
            break
        assert seen in (before, look(buffer))
        places += 1
    assert places > 2


def test_notes_are_taken_only_while_there_is_no_room() -> None:
    """They cost time with each entry, and memory."""
    buffer = ConflatingBuffer(4)
    buffer.extend(entries("a1 b1 c1 d1"), 0.0)
    assert buffer._backlog is None
    buffer.extend(entries("e1"), 0.0)
    assert buffer._backlog is not None
    assert not buffer._entries
    buffer.take(1, 0.0)
    assert buffer._backlog is not None
    buffer.take(1, 0.0)
    assert buffer._backlog is None
    assert [entry[1] for entry in drain(buffer)] == ["d1", "e1"]


def test_a_late_entry_is_skipped_if_a_newer_one_of_its_key_waits() -> None:
    """The newest of each key comes in its turn; the order in which they came stays."""
    buffer = ConflatingBuffer(0, conflate_after=1.0)
    buffer.extend(entries("a1 b1 a2 c1 a3 b2"), 10.0)
    buffer.extend(entries("a4"), 10.5)
    assert [buffer.pop(11.1)[1] for _ in range(3)] == ["c1", "b2", "a4"]
    assert (buffer.delivered, buffer.conflated, buffer.dropped, len(buffer)) == (3, 4, 0, 0)


def test_an_entry_of_a_quiet_key_is_never_skipped_however_late() -> None:
    """It is the newest of its key."""
    buffer = ConflatingBuffer(0, conflate_after=1.0)
    buffer.extend([("quiet", 1), (None, 1), ("a", 1), ("a", 2)], 0.0)
    assert [buffer.pop(1000.0) for _ in range(3)] == [("quiet", 1), (None, 1), ("a", 2)]


@pytest.mark.parametrize("conflate_after", [None, 1.0, 5.0])
def test_a_short_stall_skips_nothing(conflate_after: float | None) -> None:
    """Shorter than what the user allows; None allows any."""
    buffer = ConflatingBuffer(100, conflate_after)
    for number in range(50):
        buffer.extend([("a", number)], number / 50)
    assert [buffer.pop(1.0)[1] for _ in range(50)] == list(range(50))
    assert buffer.conflated == 0


def test_zero_seconds_leave_the_newest_of_each_key() -> None:
    """For those who want nothing else."""
    buffer = ConflatingBuffer(0, conflate_after=0.0)
    for number in range(5):
        buffer.extend([("a", number), ("b", number)], float(number))
    assert [buffer.pop(4.5) for _ in range(2)] == [("a", 4), ("b", 4)]


def test_a_late_consumer_gets_one_entry_at_a_time_and_more_when_it_has_caught_up() -> None:
    """Of several that are taken at once, the last would be later still when its turn comes."""
    buffer = ConflatingBuffer(0, conflate_after=1.0)
    buffer.extend(entries("a1 b1 c1"), 0.0)
    assert [entry[1] for entry in buffer.take(64, 2.0)] == ["a1"]
    assert [entry[1] for entry in buffer.take(64, 2.0)] == ["b1"]
    assert [entry[1] for entry in buffer.take(64, 2.0)] == ["c1"]
    buffer.extend(entries("a2 b2 c2"), 3.0)
    assert [entry[1] for entry in buffer.take(64, 3.0)] == ["a2", "b2", "c2"]


def test_what_is_put_back_is_judged_anew() -> None:
    """A newer one has come since, and the time has run out."""
    buffer = ConflatingBuffer(0, conflate_after=1.0)
    buffer.extend(entries("a1 b1 a2"), 0.0)
    taken = buffer.take(64, 0.5)
    buffer.extend(entries("b2"), 0.9)
    buffer.put_back(taken[1:])
    assert (buffer.delivered, len(buffer), buffer.oldest) == (1, 3, 0.0)
    assert [buffer.pop(1.1)[1] for _ in range(2)] == ["a2", "b2"]
    assert (buffer.delivered, buffer.conflated) == (3, 1)


def test_what_is_superseded_is_noted_until_the_consumer_has_caught_up_by_half() -> None:
    """Else each late entry would set off a walk over all that wait."""
    buffer = ConflatingBuffer(0, 1.0)
    for n in range(30):
        buffer.extend([(n, n)], n / 10)
    assert buffer.take(5, 3.0) == [(0, 0)]
    while buffer.oldest is not None and 3.0 - buffer.oldest > 0.5:
        assert buffer._backlog is not None
        buffer.take(5, 3.0)
    assert buffer._backlog is None
    assert len(buffer) == 5


class Model:
    """The documented rule, written down without regard to speed."""

    def __init__(self, maxsize: int, conflate_after: float | None) -> None:
        self.maxsize, self.conflate_after = maxsize, conflate_after
        #: [place, entry, came], the oldest first.
        self.items: list[list[Any]] = []
        self.superseded: list[int] = []  # places, in the order in which they became so
        self.places = self.settled = self.dropped = self.conflated = 0
        self.taken: list[list[Any]] = []

    def add(self, entry: tuple[Any, ...], now: float) -> None:
        same = [item for item in self.items if entry[0] is not None and item[1][0] == entry[0]]
        full = 0 < self.maxsize <= len(self.items)
        if full and same and same[-1][0] >= self.settled:
            same[-1][1] = entry
            self.conflated += 1
            return
        if same:
            self.superseded.append(same[-1][0])
        self.items.append([self.places, entry, now])
        self.places += 1
        if full:
            self.leave(self.superseded[0] if self.superseded else self.items[0][0])
            self.dropped += 1

    def leave(self, place: int) -> None:
        self.items = [item for item in self.items if item[0] != place]
        self.superseded = [other for other in self.superseded if other != place]

    def is_late(self, now: float) -> bool:
        """Whether the oldest is."""
        after = self.conflate_after
        return after is not None and bool(self.items) and now - self.items[0][2] > after

    def skip(self, now: float) -> None:
        """Let go of what is late and superseded, up to the first that is not."""
        while self.is_late(now) and self.items[0][0] in self.superseded:
            self.leave(self.items[0][0])
            self.conflated += 1

    def pop(self, now: float) -> Any:
        self.skip(now)
        item = self.items[0]
        self.leave(item[0])
        self.taken.append(item)
        return item[1]

    def put_back(self, count: int, noted: bool) -> None:
        back = self.taken[len(self.taken) - count :]
        self.items = [*back, *self.items]
        newer = {
            item[0]: [other[0] for other in self.items[n + 1 :] if other[1][0] == item[1][0]]
            for n, item in enumerate(self.items)
            if item[1][0] is not None
        }
        again = [item[0] for item in back if newer.get(item[0])]
        if noted:
            self.superseded = [*again, *self.superseded]
        else:
            places = [*again, *self.superseded]
            self.superseded = sorted(places, key=lambda place: newer[place][0])


class Conflation(RuleBasedStateMachine):
    """The buffer beside the model, through every kind of call."""

    @initialize(
        maxsize=st.sampled_from([0, 1, 2, 3, 5, 8]),
        conflate_after=st.sampled_from([None, 0.0, 1.0, 3.0]),
    )
    def begin(self, maxsize: int, conflate_after: float | None) -> None:
        self.buffer = ConflatingBuffer(maxsize, conflate_after)
        self.model = Model(maxsize, conflate_after)
        self.number = 0
        self.now = 0.0
        self.delivered: list[tuple[Any, int]] = []

    @rule(keys=st.lists(st.sampled_from([1, 2, 3, 4, None]), max_size=7))
    def extend(self, keys: list[int | None]) -> None:
        batch = []
        for key in keys:
            self.number += 1
            batch.append((key, self.number))
        self.buffer.extend(batch, self.now)
        for entry in batch:
            self.model.add(entry, self.now)

    @rule(seconds=st.sampled_from([0.25, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 6))
    def pop(self, count: int) -> None:
        for _ in range(count):
            self.model.taken = []
            if not self.model.items:
                with pytest.raises(IndexError):
                    self.buffer.pop(self.now)
                return
            entry = self.buffer.pop(self.now)
            assert entry == self.model.pop(self.now)
            self.delivered.append((entry[0], entry[1]))

    @rule(
        most=st.integers(1, 6),
        ahead=st.sampled_from([None, -1, 0, 1, 2, 3, 4, 6]),
        back=st.integers(0, 6),
        late=st.booleans(),
    )
    def take(self, most: int, ahead: int | None, back: int, late: bool) -> None:
        given = None if ahead is None else self.buffer.start + ahead
        before = self.buffer.end if given is None else given
        calm = self.buffer._backlog is None and not self.model.is_late(self.now)
        taken = self.buffer.take(most, self.now, before=given)
        assert len(taken) <= most
        self.model.taken = []
        for entry in taken:
            assert entry == self.model.pop(self.now)
        left = self.model.items
        if calm and len(taken) < most and left:
            assert left[0][0] >= before
        if not taken:
            self.model.skip(self.now)
            assert not self.model.items or self.model.items[0][0] >= before
        if late:
            self.extend([1, 2, 3, 4, None, 1])  # while what was taken is being used
        back = min(back, len(taken))
        self.buffer.put_back(taken[len(taken) - back :])
        self.model.put_back(back, noted=self.buffer._backlog is not None)
        self.delivered.extend(taken[: len(taken) - back])

    @rule()
    def barrier(self) -> None:
        self.buffer.barrier()
        self.model.settled = self.model.places

    @invariant()
    def every_entry_is_accounted_for(self) -> None:
        buffer = self.buffer
        assert len(buffer) == len(self.model.items)
        assert (buffer.dropped, buffer.conflated) == (self.model.dropped, self.model.conflated)
        assert buffer.delivered == len(self.delivered)
        assert buffer.received == self.number
        gone = buffer.delivered + buffer.dropped + buffer.conflated
        assert gone + len(buffer) == buffer.received
        assert buffer.end == self.model.places
        assert buffer.start == (self.model.items[0][0] if self.model.items else buffer.end)
        assert buffer.oldest == (self.model.items[0][2] if self.model.items else None)

    @invariant()
    def the_order_per_key_is_kept(self) -> None:
        for key in (1, 2, 3, 4, None):
            numbers = [number for k, number in self.delivered if k == key]
            assert numbers == sorted(numbers)


TestConflation = Conflation.TestCase
TestConflation.settings = settings(
    max_examples=amount(60, 150), stateful_step_count=30, deadline=None
)
