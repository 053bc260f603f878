"""A buffer of rates that skips outdated ones, so that a slow consumer gets recent prices.

Pure containers: no threads, no locks. The owner holds a lock around every call except ``len()``.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence, Sized
from typing import Any

from .arrivals import Arrivals

__all__ = ["ConflatingBuffer"]

Entry = tuple[Any, ...]


class ConflatingBuffer:
    """Keeps all entries while there is room and none is late; otherwise the newest of each key.

    Entries are tuples whose first item is the key. An entry is superseded when a newer one of its
    key waits behind it. Entries are removed for two reasons:

    - *Age.* A superseded entry that has waited longer than *conflate_after* is skipped when its
      turn comes. So a consumer that lags gets the newest entry of each key, in the order in which
      they came, and one that pauses for less than that gets everything.
    - *Room.* When the buffer is full, a new entry replaces the waiting one of its key. If none
      waits, the entry that was superseded first is dropped; only if there is none, the oldest. So
      the newest entry of each key waits until it is taken, as long as there are at most *maxsize*
      keys.

    An entry whose key is None is never superseded.

    While the consumer keeps up, entries are in a deque, without further bookkeeping. The first
    entry that is late or finds no room moves them all into a :class:`_Backlog`, which knows which
    are superseded, until the consumer has caught up.

    Each entry has a place, a number: how many entries were kept before it. An entry that replaces
    another takes over its place, and its age.

    ``delivered + dropped + conflated + waiting == received`` at all times.

    :param maxsize: most entries that wait; 0 is unbounded.
    :param conflate_after: seconds; None: no entry is skipped for its age.
    """

    def __init__(self, maxsize: int, conflate_after: float | None = None) -> None:
        self._maxsize = maxsize or float("inf")
        self.conflate_after = conflate_after
        self._entries: deque[Entry] = deque()
        self._backlog: _Backlog | None = None
        # The container that holds the entries now, under one name, because qsize() and stats() read
        # its length without the lock.
        self._waiting: Sized = self._entries
        self._arrivals = Arrivals()
        self._barrier = 0
        # The place behind the entries of the last take(). They may be put back, so their times are
        # kept until the next take() or settle().
        self._taken = 0
        #: When the first entry of the last :meth:`take` came; None if unknown.
        self.came: float | None = None
        #: The place of the next new entry.
        self.end = 0
        self.received = self.delivered = self.dropped = self.conflated = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return."""
        return len(self._waiting) > 0

    @property
    def start(self) -> int:
        """The place of the oldest entry; :attr:`end` when empty."""
        if self._backlog is not None:
            return next(iter(self._backlog.waiting), self.end)
        return self.end - len(self._entries)

    @property
    def oldest(self) -> float | None:
        """When the oldest entry came, or the one that it has replaced; None when empty."""
        return self._arrivals.of(self.start)

    # -- in ------------------------------------------------------------------------------------

    def extend(self, entries: Sequence[Entry], now: float) -> int:
        """Take *entries*, in order; return how many were dropped or conflated for lack of room.

        :param now: the time.
        """
        count = len(entries)
        gone = 0
        if self._backlog is None and len(self._entries) + count <= self._maxsize:
            self._entries.extend(entries)
            self.end += count
        else:
            gone = self._add(entries, self._backlog or self._to_backlog())
        self.received += count
        self._arrivals.note(self.end, now)
        return gone

    def _add(self, entries: Sequence[Entry], backlog: "_Backlog") -> int:
        dropped = conflated = 0
        for entry in entries:
            if len(backlog.waiting) < self._maxsize:
                backlog.append(entry)
            elif backlog.replace(entry, self._barrier):
                conflated += 1
            else:
                # Appended first, so that an older entry of its key counts as superseded.
                backlog.append(entry)
                backlog.drop()
                dropped += 1
        self.end = backlog.end
        self.dropped += dropped
        self.conflated += conflated
        return dropped + conflated

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Put entries back that were the last of the last :meth:`take`, and were not used."""
        self.delivered -= len(entries)
        if self._backlog is None:
            self._entries.extendleft(reversed(entries))
        else:
            self._backlog.put_back(entries, self._taken)

    def settle(self) -> None:
        """Forget when removed entries came: none of them will be put back any more."""
        self._arrivals.forget(self.start)

    def barrier(self) -> None:
        """Keep entries that came before this call from being replaced by later ones.

        Called when a new connection begins: a rate of the new generation must not take a place
        before the events of the gap.
        """
        self._barrier = self.end

    # -- out -----------------------------------------------------------------------------------

    def pop(self, now: float) -> Entry:
        """Remove and return the next entry; IndexError when empty.

        :param now: the time.
        """
        if self._backlog is None and (
            self.conflate_after is None
            or not self._is_late(self._arrivals.forget(self.end - len(self._entries)), now)
        ):
            entry = self._entries.popleft()
            self.delivered += 1
            return entry
        return self.take(1, now)[0]

    def pop_some(self, most: int, now: float) -> list[Entry]:
        """Remove and return the next entries; IndexError when empty.

        :param most: the most entries to return.
        :param now: the time.
        """
        return self.take(most, now) or [self.pop(now)]

    def take(self, most: int, now: float, before: int | None = None) -> list[Entry]:
        """Remove and return the next entries; only one at a time while the consumer lags.

        :param most: the most entries to take.
        :param now: the time.
        :param before: take entries with a place below this one only; None: any.
        """
        if self._backlog is not None:
            return self._take_newest(self._backlog, now, before)
        entries, after = self._entries, self.conflate_after
        if not entries:
            return []
        start = self.end - len(entries)
        self.came = came = self._arrivals.forget(start)
        if after is not None and came is not None and now - came > after:
            return self._take_newest(self._to_backlog(), now, before)
        count = len(entries)
        if count <= most and before is None:
            taken = list(entries)
            entries.clear()
        else:
            count = min(count, most) if before is None else max(min(count, most, before - start), 0)
            popleft = entries.popleft
            taken = [popleft() for _ in range(count)]
        self.delivered += count
        self._taken = start + count
        return taken

    def _take_newest(self, backlog: "_Backlog", now: float, before: int | None) -> list[Entry]:
        """Skip entries that are superseded and late; return the next one, if any, in a list."""
        while True:
            start, taken = self.start, []
            self.came = came = self._arrivals.forget(start)
            if not self._is_late(came, now) or not backlog.skip(start):
                break
            self.conflated += 1
        if backlog.waiting and (before is None or start < before):
            taken.append(backlog.pop())
            self.delivered += 1
        self._taken = start + len(taken)
        came = self._arrivals.of(self.start)
        if not self._is_late(came, now, 0.5) and len(backlog.waiting) * 2 <= self._maxsize:
            self._to_deque(backlog)
        return taken

    def _is_late(self, came: float | None, now: float, share: float = 1.0) -> bool:
        """Return whether an entry has waited longer than this share of ``conflate_after``."""
        after = self.conflate_after
        return after is not None and came is not None and now - came > after * share

    def _to_backlog(self) -> "_Backlog":
        """Move the entries into a backlog, which knows which of them are superseded."""
        self._backlog = backlog = _Backlog(self._entries, self.start)
        self._waiting = backlog.waiting
        self._entries = deque()
        return backlog

    def _to_deque(self, backlog: "_Backlog") -> None:
        """Move the entries back into a deque, if their places have no holes, as a deque has none.

        The caller does this at half of the bounds, so that the next move does not follow at once.
        """
        if self.start + len(backlog.waiting) == self.end:
            self._waiting = self._entries = deque(backlog.waiting.values())
            self._backlog = None


class _Backlog:
    """The entries of a buffer whose consumer lags, by place, and which of them are superseded.

    :param entries: the waiting entries, the oldest first.
    :param start: the place of the oldest.
    """

    def __init__(self, entries: Iterable[Entry], start: int) -> None:
        #: Place -> entry, in order. A dict would search for its first item after many were removed
        #: from the front, and a deque cannot remove one from the middle.
        self.waiting: OrderedDict[int, Entry] = OrderedDict()
        #: The place of the next entry.
        self.end = start
        self._newest: dict[Any, int] = {}  # key -> the place of its newest entry
        self._superseded: OrderedDict[int, None] = OrderedDict()  # their places, the oldest first
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Add an entry at the end."""
        place, key = self.end, entry[0]
        self.end = place + 1
        self.waiting[place] = entry
        if key is not None:
            before = self._newest.get(key)
            if before is not None:
                self._superseded[before] = None
            self._newest[key] = place

    def put_back(self, entries: Sequence[Entry], end: int) -> None:
        """Add entries in front of all others, the last one right before the place *end*."""
        for place, entry in zip(range(end - 1, -1, -1), reversed(entries), strict=False):
            self.waiting[place] = entry
            self.waiting.move_to_end(place, last=False)
            if entry[0] is not None and self._newest.setdefault(entry[0], place) != place:
                self._superseded[place] = None
                self._superseded.move_to_end(place, last=False)

    def replace(self, entry: Entry, barrier: int) -> bool:
        """Replace the newest entry of the same key; return False if there is none to replace.

        :param barrier: entries before this place are not replaced.
        """
        place = self._newest.get(entry[0], -1)
        if place < barrier:
            return False
        self.waiting[place] = entry
        return True

    def skip(self, place: int) -> bool:
        """Remove the entry at *place* if it is superseded; return whether it was."""
        if place not in self._superseded:
            return False
        del self._superseded[place], self.waiting[place]
        return True

    def pop(self) -> Entry:
        """Remove and return the oldest entry; KeyError when there is none."""
        place, entry = self.waiting.popitem(last=False)
        if self._newest.get(entry[0]) == place:
            del self._newest[entry[0]]
        else:
            self._superseded.pop(place, None)
        return entry

    def drop(self) -> None:
        """Remove the entry that was superseded first or, if there is none, the oldest."""
        if self._superseded:
            place, _ = self._superseded.popitem(last=False)
            del self.waiting[place]
        else:
            self.pop()
