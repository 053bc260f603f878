"""What waits between the reader and its consumers, and what gives way when there is no room.

Pure containers: no threads, no locks; their owners hold a lock around every call. Each keeps the
identity ``delivered + dropped + conflated + waiting == received``.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Protocol

from ..errors import EToroQueueOverflowError

__all__ = ["RATE_EVENT", "BoundedBuffer", "Buffer", "ConflatingBuffer", "Lanes", "Run"]

#: The event of the entries that may be conflated.
RATE_EVENT = "instrument:rate"
#: An event, and the arguments of each time that it is to be told.
Run = tuple[str, list[tuple[Any, ...]]]


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


class ConflatingBuffer:
    """Keeps everything while there is room; when full, the newest value of a key wins.

    Entries are tuples whose first item is the key. When the buffer is full, a new entry takes the
    place of the waiting one of its key; if none waits, or the key is None, the oldest is dropped.

    While there is room, no bookkeeping is done at all. The first overflow notes where the last
    entry of each key waits (:attr:`_last`); replacements are kept beside the queue, by place
    (:attr:`_replaced`), so that entries can stay immutable tuples that consumers share. A place
    is the number of an entry, counted from the first that was ever kept.

    :param maxsize: most entries that wait; 0 is unbounded.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._entries: deque[tuple[Any, ...]] = deque()
        self._last: dict[Any, int] | None = None
        self._replaced: dict[int, tuple[Any, ...]] = {}
        self._barrier = 0  # the first place that may be replaced
        self.received = self.delivered = self.dropped = self.conflated = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return."""
        return bool(self._entries)

    @property
    def removed(self) -> int:
        """How many entries have left the queue, delivered or dropped: the place of the oldest."""
        return self.delivered + self.dropped

    def extend(self, entries: Sequence[tuple[Any, ...]]) -> int:
        """Take *entries*, in order; return how many were dropped or conflated for lack of room."""
        self.received += len(entries)
        fits = not self._maxsize or len(self._entries) + len(entries) <= self._maxsize
        if fits and self._last is None:
            self._entries.extend(entries)
            return 0
        if self._last is None:
            self._last = self._find_last()
        before = self.dropped + self.conflated
        for entry in entries:
            self._add(entry, self._last)
        return self.dropped + self.conflated - before

    def _find_last(self) -> dict[Any, int]:
        start = max(self._barrier - self.removed, 0)
        # Not by index: in the middle of a deque that takes as long as the deque is.
        waiting = enumerate(islice(self._entries, start, None), self.removed + start)
        return {entry[0]: place for place, entry in waiting if entry[0] is not None}

    def _add(self, entry: tuple[Any, ...], last: dict[Any, int]) -> None:
        """Take one entry while it is known where the others wait."""
        key = entry[0]
        if len(self._entries) >= self._maxsize > 0:
            place = last.get(key)
            if place is not None:
                self._replaced[place] = entry
                self.conflated += 1
                return
            self._take()
            self.dropped += 1
        if key is not None:
            last[key] = self.removed + len(self._entries)
        self._entries.append(entry)

    def pop(self) -> tuple[Any, ...]:
        """Return the oldest entry; IndexError when empty."""
        entry = self._take()
        self.delivered += 1
        if self._last is not None and len(self._entries) * 2 <= self._maxsize:
            # Half empty: note nothing more; the next overflow has earned its search.
            self._last = None
        return entry

    def take(self, most: int) -> list[tuple[Any, ...]]:
        """Return the oldest entries, *most* of them at most."""
        count = max(min(most, len(self._entries)), 0)
        if self._last is not None or self._replaced:
            return [self.pop() for _ in range(count)]
        popleft = self._entries.popleft
        self.delivered += count
        return [popleft() for _ in range(count)]

    def _take(self) -> tuple[Any, ...]:
        """Remove the oldest entry, in its newest form; the caller counts it."""
        entry = self._entries.popleft()
        if self._last is None and not self._replaced:
            return entry
        place = self.removed
        if self._last is not None and self._last.get(entry[0]) == place:
            del self._last[entry[0]]
        return self._replaced.pop(place, entry)

    def barrier(self) -> None:
        """Let nothing from before this call be replaced by something after it.

        Called when a new connection begins: a rate of the new generation must not move in front
        of the gap that the consumer is to see.
        """
        self._barrier = self.removed + len(self._entries)
        self._last = None


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

    def barrier(self) -> None:
        """Nothing to do: entries are never replaced here."""


class Lanes:
    """Three buffers for callbacks, read as one sequence.

    Rates are bounded and conflated; other events that come as fast as the feed are bounded and
    drop the oldest, so that they can never cost a rate; the lossless lane carries what must not
    be lost. A rate waits as the arguments of its callbacks, and nothing is added to it; an entry
    that is no rate remembers how many rates came before it, and its number among all that are no
    rates.

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
        return self.rates.removed + len(self.rates), event, arguments, self._count

    def take(self, most: int) -> list[Run]:
        """Return the next events, *most* of them at most, as runs of one event.

        :raises EToroQueueOverflowError: instead of the first, where entries are missing.
        """
        if not (self.lossless.ready or self.others.ready):
            rates = self.rates.take(most)
            return [(RATE_EVENT, rates)] if rates else []
        runs: list[Run] = []
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
        if self.lossless.ready or self.others.ready:
            head = self._older().head
            most = min(most, head[0] - self.rates.removed) if head is not None else 0
        return self.rates.take(most)

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
