"""Buffers in which entries wait for a consumer, and which drop some when there is no room.

Pure containers: no threads, no locks; their owners hold a lock around every call. In each,
``delivered + dropped + conflated + waiting == received`` at all times.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from ..errors import EToroQueueOverflowError
from ..text import count
from .arrivals import Arrivals

__all__ = ["BoundedBuffer", "Buffer"]

_ADVICE = "Read faster, give it a larger maxsize, or choose another overflow policy."


class Buffer(Protocol):
    """The part of a buffer that its owners use."""

    conflate_after: float | None

    @property
    def received(self) -> int:
        """How many entries were put in."""

    @property
    def delivered(self) -> int:
        """How many were taken out."""

    @property
    def dropped(self) -> int:
        """How many were lost for lack of room."""

    @property
    def conflated(self) -> int:
        """How many were skipped or replaced for newer ones."""

    def extend(self, entries: Sequence[Any], now: float) -> int:
        """Take *entries*, in order; return how many were dropped or conflated for lack of room."""

    def pop(self, now: float) -> Any:
        """Remove and return the next entry; IndexError when empty."""

    def pop_some(self, most: int, now: float) -> list[Any]:
        """Remove and return at least one entry, and up to *most*; IndexError when empty."""

    def settle(self) -> None:
        """Forget when removed entries came: none of them will be put back any more."""

    def barrier(self) -> None:
        """Keep entries that came before this call from being replaced by later ones."""

    def __len__(self) -> int: ...

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return or to raise."""

    @property
    def oldest(self) -> float | None:
        """When the oldest entry came, by the clock of *now*; None when empty."""


class _Lost:
    """A marker in a queue where items are missing, with their number."""

    def __init__(self) -> None:
        self.count = 0


class BoundedBuffer:
    """A queue of at most *maxsize* entries. What it does when full depends on *overflow*.

    :param maxsize: most entries that wait; 0 is unbounded.
    :param overflow: ``"drop_oldest"``, ``"drop_newest"``, or ``"raise"``, which drops the newest
        and raises an error where entries are missing.
    :param name: the queue's name, for that error.
    :param advice: what its reader can do, for the same.
    """

    def __init__(
        self, maxsize: int, overflow: str, name: str = "queue", advice: str = _ADVICE
    ) -> None:
        self._maxsize = maxsize
        self._overflow = overflow
        self._name = name
        self._advice = advice
        self._entries: deque[Any] = deque()
        self._markers = 0
        # The times of entries and markers by place, and the place of the oldest.
        self._arrivals = Arrivals()
        self._start = 0
        #: None: no entry is skipped for its age.
        self.conflate_after: float | None = None
        self.received = self.delivered = self.dropped = self.conflated = 0

    def __len__(self) -> int:
        return len(self._entries) - self._markers

    @property
    def oldest(self) -> float | None:
        """When the oldest entry came, by the clock of *now*; None when empty."""
        return self._arrivals.forget(self._start)

    @property
    def head(self) -> Any:
        """The oldest entry, without removing it; None where entries are missing."""
        first = self._entries[0]
        return None if isinstance(first, _Lost) else first

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return or to raise."""
        return bool(self._entries)

    def extend(self, entries: Sequence[Any], now: float) -> int:
        """Take *entries*, in order; return how many were dropped for lack of room.

        :param now: the time.
        """
        self.received += len(entries)
        room = max(self._maxsize - len(self), 0) if self._maxsize else len(entries)
        lost = max(len(entries) - room, 0)
        self.dropped += lost
        if self._overflow == "drop_oldest":
            self._entries.extend(entries)
            for _ in range(lost):
                self._leave()
            if lost:
                self._arrivals.forget(self._start)
        else:
            self._entries.extend(entries[:room])
            if lost and self._overflow == "raise":
                self._mark(lost)
        self._arrivals.note(self._start + len(self._entries), now)
        return lost

    def _leave(self) -> Any:
        """Remove and return the oldest entry; IndexError when empty."""
        entry = self._entries.popleft()
        self._start += 1
        return entry

    def _mark(self, lost: int) -> None:
        if not (self._entries and isinstance(self._entries[-1], _Lost)):
            self._entries.append(_Lost())
            self._markers += 1
        self._entries[-1].count += lost

    def pop(self, now: float = 0.0) -> Any:
        """Remove and return the oldest entry; IndexError when empty.

        :param now: not used; :class:`ConflatingBuffer` needs it.
        :raises EToroQueueOverflowError: once for each place where entries are missing.
        """
        entry = self._leave()
        if isinstance(entry, _Lost):
            self._markers -= 1
            raise EToroQueueOverflowError(
                f"{count(entry.count, 'item')} of {self._name} could not be kept, because "
                f"{self._maxsize} waited already. {self._advice}",
                entry.count,
            )
        self.delivered += 1
        return entry

    def pop_some(self, most: int, now: float = 0.0) -> list[Any]:
        """Remove and return the oldest entry, as :meth:`pop`, in a list."""
        return [self.pop(now)]

    def drop_all(self) -> int:
        """Drop all entries; return how many."""
        lost = len(self)
        self._start += len(self._entries)
        self._entries.clear()
        self._markers = 0
        self.dropped += lost
        return lost

    def settle(self) -> None:
        """Do nothing: no entry is ever put back here, so :attr:`oldest` forgets times itself."""

    def barrier(self) -> None:
        """Do nothing: entries are never replaced here."""
