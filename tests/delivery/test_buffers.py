"""What gives way when there is no room, counted to the last entry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from etoro_sync.delivery.buffers import BoundedBuffer
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


def test_a_loss_raises_where_it_happened() -> None:
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


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest", "raise"])
def test_a_bounded_buffer_says_what_gave_way(overflow: str) -> None:
    """For its owner to warn, without a look at the counters each time."""
    buffer = BoundedBuffer(3, overflow)
    assert [buffer.extend(batch, 0.0) for batch in ([1, 2], [3], [4, 5])] == [0, 0, 2]


def test_ages_of_what_was_dropped_are_forgotten() -> None:
    """However long nobody reads."""
    buffer = BoundedBuffer(3, "drop_oldest")
    for n in range(100):
        buffer.extend([n], float(n))
    assert len(buffer._arrivals._notes) == 3
    assert buffer.oldest == 97.0
