"""What a buffer of rates does when it is full: the newest rate of each instrument stays.

Pure containers: no threads, no locks; their owners hold a lock around every call, but for a look
at how much waits.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence, Sized
from typing import Any

__all__ = ["ConflatingBuffer"]

Entry = tuple[Any, ...]


class ConflatingBuffer:
    """Keeps everything while there is room; when full, the newest value of a key wins.

    Entries are tuples whose first item is the key. When the buffer is full, a new entry takes the
    place of the waiting one of its key. If none waits, an outdated entry is dropped, that is, one
    that a newer entry of its key follows; only if there is none, the oldest. So the newest entry
    of each key waits until it is taken, as long as there are at most *maxsize* keys. An entry
    whose key is None is neither replaced nor outdated.

    While there is room, no bookkeeping is done at all: entries are in a deque. The first overflow
    walks over them once and notes what waits (:class:`_Crowd`), until there is room again.

    Each entry has a place: the number of those that were kept before it. One that replaces another
    takes over its place.

    ``delivered + dropped + conflated + waiting == received`` at all times.

    :param maxsize: most entries that wait; 0 is unbounded.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._entries: deque[Entry] = deque()
        self._crowd: _Crowd | None = None
        # What holds the entries now, by one name: qsize() and stats() look at it without the lock.
        self._waiting: Sized = self._entries
        self._barrier = 0
        self.received = self.delivered = self.dropped = self.conflated = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return."""
        return len(self._waiting) > 0

    @property
    def end(self) -> int:
        """The place of the next entry that comes and replaces none."""
        return self.received - self.conflated

    @property
    def start(self) -> int:
        """The place of the oldest entry; :attr:`end` when empty."""
        if self._crowd is not None:
            return next(iter(self._crowd.waiting), self.end)
        return self.end - len(self._entries)

    def extend(self, entries: Sequence[Entry]) -> int:
        """Take *entries*, in order; return how many were dropped or conflated for lack of room."""
        if self._crowd is None:
            if not self._maxsize or len(self._entries) + len(entries) <= self._maxsize:
                self._entries.extend(entries)
                self.received += len(entries)
                return 0
            self._crowd = _Crowd(self._entries, self.start)
            self._waiting = self._crowd.waiting
            self._entries = deque()
        gone = self._add(entries, self._crowd)
        self.received += len(entries)
        return gone

    def _add(self, entries: Sequence[Entry], crowd: "_Crowd") -> int:
        dropped = conflated = 0
        for entry in entries:
            if len(crowd.waiting) < self._maxsize:
                crowd.append(entry)
            elif crowd.replace(entry, self._barrier):
                conflated += 1
            else:
                # Before something is dropped: it may be this one's own predecessor.
                crowd.append(entry)
                crowd.drop()
                dropped += 1
        self.dropped += dropped
        self.conflated += conflated
        return dropped + conflated

    def pop(self) -> Entry:
        """Return the oldest entry; IndexError when empty."""
        crowd = self._crowd
        entry = self._entries.popleft() if crowd is None else crowd.pop()
        self.delivered += 1
        if crowd is not None and len(crowd.waiting) * 2 <= self._maxsize:
            self._relax(crowd)
        return entry

    def _relax(self, crowd: "_Crowd") -> None:
        """Note nothing more, half empty as it is; the next overflow has earned its walk.

        Not before all places between which something was dropped are gone: a deque has no holes.
        """
        if self.start + len(crowd.waiting) == self.end:
            self._waiting = self._entries = deque(crowd.waiting.values())
            self._crowd = None

    def take(self, most: int, before: int | None = None) -> list[Entry]:
        """Return the oldest entries.

        :param most: so many at most.
        :param before: and only what has a place below this one.
        """
        if self._crowd is None:
            if before is not None:
                most = min(most, before - self.start)
            count = max(min(most, len(self._entries)), 0)
            popleft = self._entries.popleft
            self.delivered += count
            return [popleft() for _ in range(count)]
        taken: list[Entry] = []
        while len(taken) < most and self.ready and (before is None or self.start < before):
            taken.append(self.pop())
        return taken

    def barrier(self) -> None:
        """Let nothing from before this call be replaced by something after it.

        Called when a new connection begins: a rate of the new generation must not move in front
        of the gap that the consumer is to see.
        """
        self._barrier = self.end


class _Crowd:
    """What waits in a buffer that has been full, by place, and what of it is outdated.

    :param entries: what waits, the oldest first.
    :param start: the place of the oldest.
    """

    def __init__(self, entries: Iterable[Entry], start: int) -> None:
        #: Place -> entry, in order. Unlike a dict it finds its first item without a search, however
        #: many were taken from the front; and unlike a deque it lets go of one in the middle.
        self.waiting: OrderedDict[int, Entry] = OrderedDict()
        self._end = start
        self._last: dict[Any, int] = {}  # key -> the place of its newest entry
        self._outdated: OrderedDict[int, None] = OrderedDict()  # the longest outdated first
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Add an entry at the end."""
        place, key = self._end, entry[0]
        self._end = place + 1
        self.waiting[place] = entry
        if key is not None:
            before = self._last.get(key)
            if before is not None:
                self._outdated[before] = None
            self._last[key] = place

    def replace(self, entry: Entry, barrier: int) -> bool:
        """Put an entry in the place of the newest of its key; return False if none can be.

        :param barrier: the first place that may be taken.
        """
        place = self._last.get(entry[0], -1)
        if place < barrier:
            return False
        self.waiting[place] = entry
        return True

    def pop(self) -> Entry:
        """Return the oldest entry; IndexError when there is none."""
        try:
            place, entry = self.waiting.popitem(last=False)
        except KeyError:
            raise IndexError("nothing waits") from None
        if self._last.get(entry[0]) == place:
            del self._last[entry[0]]
        else:
            self._outdated.pop(place, None)
        return entry

    def drop(self) -> None:
        """Let go of the entry that was outdated first; if there is none, of the oldest."""
        if self._outdated:
            place, _ = self._outdated.popitem(last=False)
            del self.waiting[place]
        else:
            self.pop()
