"""What waits between the reader and its consumers, and what gives way when there is no room.

Pure containers: no threads, no locks; their owners hold a lock around every call. Each keeps the
identity ``delivered + dropped + conflated + waiting == received``.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from ..errors import EToroQueueOverflowError
from .conflation import ConflatingBuffer

__all__ = ["RATE_EVENT", "BoundedBuffer", "Buffer", "Lanes", "Run"]

#: The event of the entries that may be conflated.
RATE_EVENT = "instrument:rate"
#: An event, and the arguments of each time that it is to be told.
Run = tuple[str, Iterable[tuple[Any, ...]]]


class Buffer(Protocol):
    """What the owners need of a buffer."""

    received: int
    delivered: int
    dropped: int
    conflated: int

    def extend(self, entries: Sequence[Any]) -> int:
        """Take *entries*, in order; return how many were dropped or conflated for lack of room."""

    def pop(self) -> Any:
        """Return the oldest; IndexError when empty."""

    def barrier(self) -> None:
        """Let nothing from before this call be replaced by something after it."""

    def __len__(self) -> int: ...

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return or to raise."""


class _Lost:
    """Stands in a queue where items are missing."""

    def __init__(self) -> None:
        self.count = 0


class BoundedBuffer:
    """A queue of at most *maxsize* entries that drops one end, or says where items are missing.

    :param maxsize: most entries that wait; 0 is unbounded.
    :param overflow: ``"drop_oldest"``, ``"drop_newest"`` or ``"raise"``.
    :param name: what overflowed, for the error's text.
    """

    def __init__(self, maxsize: int, overflow: str, name: str = "queue") -> None:
        self._maxsize = maxsize
        self._overflow = overflow
        self._name = name
        self._entries: deque[Any] = deque()
        self._markers = 0
        self.received = self.delivered = self.dropped = self.conflated = 0

    def __len__(self) -> int:
        return len(self._entries) - self._markers

    @property
    def head(self) -> Any:
        """The oldest entry, without removing it; None where items are missing."""
        first = self._entries[0]
        return None if isinstance(first, _Lost) else first

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return or to raise."""
        return bool(self._entries)

    def extend(self, entries: Sequence[Any]) -> int:
        """Take *entries*, in order; return how many were dropped for lack of room."""
        self.received += len(entries)
        room = self._maxsize - len(self) if self._maxsize else len(entries)
        if room >= len(entries):
            self._entries.extend(entries)
            return 0
        lost = len(entries) - max(room, 0)
        self.dropped += lost
        if self._overflow == "drop_oldest":
            self._entries.extend(entries)
            for _ in range(lost):
                self._entries.popleft()
            return lost
        self._entries.extend(entries[: max(room, 0)])
        if self._overflow == "raise":
            self._mark(lost)
        return lost

    def _mark(self, lost: int) -> None:
        if not (self._entries and isinstance(self._entries[-1], _Lost)):
            self._entries.append(_Lost())
            self._markers += 1
        self._entries[-1].count += lost

    def pop(self) -> Any:
        """Return the oldest entry; IndexError when empty.

        :raises EToroQueueOverflowError: once, at the place where items are missing.
        """
        entry = self._entries.popleft()
        if isinstance(entry, _Lost):
            self._markers -= 1
            raise EToroQueueOverflowError(
                f"{entry.count} items of {self._name} were lost, because {self._maxsize} were "
                "already waiting. Read faster, give it a larger maxsize, or choose another "
                "overflow policy.",
                entry.count,
            )
        self.delivered += 1
        return entry

    def lose(self) -> int:
        """Drop all entries; return how many."""
        lost = len(self)
        self._entries.clear()
        self._markers = 0
        self.dropped += lost
        return lost

    def barrier(self) -> None:
        """Nothing to do: entries are never replaced here."""


class Lanes:
    """Three buffers for callbacks, read as one sequence.

    Rates are bounded and conflated; other events that come as fast as the feed are bounded and
    drop the oldest, so that they can never cost a rate; the lossless lane carries what must not
    be lost. A rate waits as the arguments of its callbacks, and nothing is added to it; an entry
    that is no rate remembers the place among the rates that it stands before, and its number among
    all that are no rates.

    :param bulk_size: most rates, and most other fast events, that wait.
    :param lossless_size: most order and connection events that wait.
    """

    def __init__(self, bulk_size: int, lossless_size: int) -> None:
        self.rates = ConflatingBuffer(bulk_size)
        self.others = BoundedBuffer(bulk_size, "drop_oldest")
        self.lossless = BoundedBuffer(lossless_size, "raise", "the callbacks' lossless lane")
        self._count = 0

    def __len__(self) -> int:
        return len(self.rates) + len(self.others) + len(self.lossless)

    @property
    def ready(self) -> bool:
        """Whether :meth:`take` has something to return or to raise."""
        return self.rates.ready or self.others.ready or self.lossless.ready

    @property
    def dropped(self) -> int:
        """How many entries that may be dropped were dropped."""
        return self.rates.dropped + self.others.dropped

    def extend(
        self, rates: Sequence[tuple[Any, ...]], others: Sequence[tuple[int, str, tuple[Any, ...]]]
    ) -> int:
        """Add what a read has brought; return how much was dropped or conflated for lack of room.

        :param rates: pairs of instrument id and rate.
        :param others: ``(n, event, arguments)`` for each event that came after the first *n* rates.
        """
        if not others:
            return self.rates.extend(rates)
        start = gone = 0
        for stop, event, arguments in others:
            gone += self.rates.extend(rates[start:stop])
            gone += self.others.extend((self._placed(event, arguments),))
            start = stop
        return gone + self.rates.extend(rates[start:])

    def append(self, event: str, arguments: Iterable[Any]) -> int:
        """Add an event that must not be lost; return how many were, for lack of room."""
        return self.lossless.extend((self._placed(event, tuple(arguments)),))

    def _placed(self, event: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        self._count += 1
        return self.rates.end, event, arguments, self._count

    def take(self, most: int, runs: list[Run] | None = None) -> list[Run]:
        """Return the next events, *most* of them at most, as runs of one event.

        :param runs: to append them to; what was taken before an error is in there, not lost.
        :raises EToroQueueOverflowError: instead of the first, where entries are missing.
        """
        runs = [] if runs is None else runs
        if not (self.lossless.ready or self.others.ready):
            rates = self.rates.take(most)
            if rates:
                runs.append((RATE_EVENT, rates))
            return runs
        while most > 0 and self.ready:
            run = self._take_rates(most)
            if not run:
                lane = self._older()
                if lane.head is None and runs:
                    break  # the loss is told first thing next time, in its place
                _, event, arguments, _ = lane.pop()
                runs.append((event, [arguments]))
                most -= 1
            else:
                runs.append((RATE_EVENT, run))
                most -= len(run)
        return runs

    def _take_rates(self, most: int) -> list[tuple[Any, ...]]:
        """Return the rates that are next; an empty list: something else is."""
        if not (self.lossless.ready or self.others.ready):
            return self.rates.take(most)
        head = self._older().head
        return [] if head is None else self.rates.take(most, before=head[0])

    def _older(self) -> BoundedBuffer:
        """Return the lane, of the two that hold no rates, whose head came first."""
        if not self.others.ready:
            return self.lossless
        if not self.lossless.ready:
            return self.others
        lossless, other = self.lossless.head, self.others.head
        return self.lossless if lossless is None or lossless[3] < other[3] else self.others

    def shed(self) -> None:
        """Drop all but the entries of the lossless lane."""
        for lane in (self.rates, self.others):
            while lane:
                lane.pop()
                lane.delivered -= 1
                lane.dropped += 1
