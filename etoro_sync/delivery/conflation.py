"""A buffer of rates that keeps its consumer near the present.

Pure containers: no threads, no locks; their owners hold a lock around every call, but for a look
at how much waits.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence, Sized
from typing import Any

from .arrivals import Arrivals

__all__ = ["ConflatingBuffer"]

Entry = tuple[Any, ...]


class ConflatingBuffer:
    """Keeps everything while there is room and nothing is late; else the newest of a key wins.

    Entries are tuples whose first item is the key. One is superseded when a newer one of its key
    waits behind it. Two things make entries give way:

    - *Age.* A superseded entry that has waited longer than *conflate_after* is skipped when its
      turn comes. So a consumer that lags gets the newest entry of each key, in the order in which
      they came, and one that stalls for less than that gets everything.
    - *Room.* When the buffer is full, a new entry takes the place of the waiting one of its key. If
      none waits, the entry that was superseded first is dropped; only if there is none, the oldest.
      So the newest entry of each key waits until it is taken, as long as there are at most
      *maxsize* keys.

    An entry whose key is None is never superseded.

    For a consumer that keeps up no bookkeeping is done at all: entries are in a deque. The first
    entry that is late, or finds no room, sets off a walk over them that notes what is superseded
    (:class:`_Crowd`), until the consumer has caught up.

    Each entry has a place: the number of those that were kept before it. One that replaces another
    takes over its place, and its age.

    ``delivered + dropped + conflated + waiting == received`` at all times.

    :param maxsize: most entries that wait; 0 is unbounded.
    :param conflate_after: seconds; None: only when there is no room.
    """

    def __init__(self, maxsize: int, conflate_after: float | None = None) -> None:
        self._maxsize = maxsize or float("inf")
        self.conflate_after = conflate_after
        self._entries: deque[Entry] = deque()
        self._crowd: _Crowd | None = None
        # What holds the entries now, by one name: qsize() and stats() look at it without the lock.
        self._waiting: Sized = self._entries
        self._arrivals = Arrivals()
        self._barrier = 0
        # Where what the last take() has taken ends. It may come back, so until the next take()
        # nothing but settle() forgets when it came.
        self._taken = 0
        #: When the first entry of the last :meth:`take` came, if that is known.
        self.came: float | None = None
        #: The place of the next entry that comes and replaces none.
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
        if self._crowd is not None:
            return next(iter(self._crowd.waiting), self.end)
        return self.end - len(self._entries)

    @property
    def oldest(self) -> float | None:
        """When the oldest entry came, or the one that it replaced; None when empty."""
        return self._arrivals.of(self.start)

    # -- in ------------------------------------------------------------------------------------

    def extend(self, entries: Sequence[Entry], now: float) -> int:
        """Take *entries*, in order; return how many were dropped or conflated for lack of room.

        :param now: the time.
        """
        count = len(entries)
        gone = 0
        if self._crowd is None and len(self._entries) + count <= self._maxsize:
            self._entries.extend(entries)
            self.end += count
        else:
            gone = self._add(entries, self._crowd or self._gather())
        self.received += count
        self._arrivals.note(self.end, now)
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
        self.end = crowd.end
        self.dropped += dropped
        self.conflated += conflated
        return dropped + conflated

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Take back the last entries of the last :meth:`take`, which were not used after all."""
        self.delivered -= len(entries)
        if self._crowd is None:
            self._entries.extendleft(reversed(entries))
        else:
            self._crowd.put_back(entries, self._taken)

    def settle(self) -> None:
        """Forget when those came that are gone: nobody will put them back."""
        self._arrivals.forget(self.start)

    def barrier(self) -> None:
        """Let nothing from before this call be replaced by something after it.

        Called when a new connection begins: a rate of the new generation must not move in front
        of the gap that the consumer is to see.
        """
        self._barrier = self.end

    # -- out -----------------------------------------------------------------------------------

    def pop(self, now: float) -> Entry:
        """Return the next entry; IndexError when empty.

        :param now: the time.
        """
        if self._crowd is None and (
            self.conflate_after is None
            or not self._is_late(self._arrivals.forget(self.end - len(self._entries)), now)
        ):
            entry = self._entries.popleft()
            self.delivered += 1
            return entry
        return self.take(1, now)[0]

    def take(self, most: int, now: float, before: int | None = None) -> list[Entry]:
        """Return the next entries; only one if the consumer lags, as it will be slow with it.

        :param most: so many at most.
        :param now: the time.
        :param before: and only what has a place below this one.
        """
        if self._crowd is not None:
            return self._take_newest(self._crowd, now, before)
        entries, after = self._entries, self.conflate_after
        if not entries:
            return []
        start = self.end - len(entries)
        self.came = came = self._arrivals.forget(start)
        if after is not None and came is not None and now - came > after:
            return self._take_newest(self._gather(), now, before)
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

    def _take_newest(self, crowd: "_Crowd", now: float, before: int | None) -> list[Entry]:
        """Skip what is superseded and late; return what comes then, if there is anything."""
        while True:
            start, taken = self.start, []
            self.came = came = self._arrivals.forget(start)
            if not self._is_late(came, now) or not crowd.skip(start):
                break
            self.conflated += 1
        if crowd.waiting and (before is None or start < before):
            taken.append(crowd.pop())
            self.delivered += 1
        self._taken = start + len(taken)
        came = self._arrivals.of(self.start)
        if not self._is_late(came, now, 0.5) and len(crowd.waiting) * 2 <= self._maxsize:
            self._disperse(crowd)
        return taken

    def _is_late(self, came: float | None, now: float, share: float = 1.0) -> bool:
        """Whether what came then has waited for more than this share of what is allowed."""
        after = self.conflate_after
        return after is not None and came is not None and now - came > after * share

    def _gather(self) -> "_Crowd":
        """Note from now on what is superseded."""
        self._crowd = crowd = _Crowd(self._entries, self.start)
        self._waiting = crowd.waiting
        self._entries = deque()
        return crowd

    def _disperse(self, crowd: "_Crowd") -> None:
        """Note nothing more; the next walk is earned by half of the room, or of the time.

        Not before all places between which something was dropped are gone: a deque has no holes.
        """
        if self.start + len(crowd.waiting) == self.end:
            self._waiting = self._entries = deque(crowd.waiting.values())
            self._crowd = None


class _Crowd:
    """What waits in a buffer whose consumer lags, by place, and what of it is superseded.

    :param entries: what waits, the oldest first.
    :param start: the place of the oldest.
    """

    def __init__(self, entries: Iterable[Entry], start: int) -> None:
        #: Place -> entry, in order. Unlike a dict it finds its first item without a search, however
        #: many were taken from the front; and unlike a deque it lets go of one in the middle.
        self.waiting: OrderedDict[int, Entry] = OrderedDict()
        #: The place of the next entry.
        self.end = start
        self._newest: dict[Any, int] = {}  # key -> the place of its newest entry
        self._superseded: OrderedDict[int, None] = OrderedDict()  # the first of them first
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
        """Put an entry in the place of the newest of its key; return False if none can be.

        :param barrier: the first place that may be taken.
        """
        place = self._newest.get(entry[0], -1)
        if place < barrier:
            return False
        self.waiting[place] = entry
        return True

    def skip(self, place: int) -> bool:
        """Let go of the entry at *place* if it is superseded; return whether it was."""
        if place not in self._superseded:
            return False
        del self._superseded[place], self.waiting[place]
        return True

    def pop(self) -> Entry:
        """Return the oldest entry; KeyError when there is none."""
        place, entry = self.waiting.popitem(last=False)
        if self._newest.get(entry[0]) == place:
            del self._newest[entry[0]]
        else:
            self._superseded.pop(place, None)
        return entry

    def drop(self) -> None:
        """Let go of the entry that was superseded first; if there is none, of the oldest."""
        if self._superseded:
            place, _ = self._superseded.popitem(last=False)
            del self.waiting[place]
        else:
            self.pop()
