"""What waits between the thread of a stream and the thread that writes its recording."""

import threading
from collections.abc import Iterable
from typing import Any

from .. import clocks
from ..market.rate_book import RateBook
from .lines import LONGEST_TEXT, Entry

__all__ = ["Intake", "count_texts"]

#: What an entry without texts counts for, in bytes.
_SMALL = 200


def count_texts(entries: Iterable[Entry]) -> int:
    """Return how many texts the entries have."""
    return sum(len(entry.details[1]) for entry in entries if entry.kind == "texts")


class Intake:
    """The journal of a stream: keeps what it notes until the writer takes it.

    It never blocks. What does not fit is refused and counted, until half of the room is free again;
    then follow a ``"hole"`` and the state of the book, since deltas mean nothing without one. The
    state is never saved while a read takes effect: the rest of that read would be missing behind
    it. The lock guards all attributes that change; counters are read without it. It is re-entrant,
    because the garbage collector may run a finalizer that closes the intake while it is held.

    :param book: the stream's; its state is saved when a new segment begins.
    :param most_bytes: how much text may wait.
    """

    def __init__(self, book: RateBook, most_bytes: int) -> None:
        self._book = book
        self._most = most_bytes
        self._lock = threading.RLock()
        self._entries: list[Entry] = []
        self._bytes = 0
        #: Whether the state of the book has to come before anything that is built on it.
        self.state_due = True
        # Whether texts were noted that have not taken effect yet.
        self._in_read, self._read_at = False, 0.0
        self._closed = False
        # What was refused since the hole began: when, and how many texts.
        self._hole: tuple[float, int] | None = None
        #: Texts that were noted, and those of them that were refused.
        self.received = self.refused = 0
        #: Set when there is something to write, or nothing more will come.
        self.wake = threading.Event()
        self.at: float | None = None

    @property
    def has_room(self) -> bool:
        """Whether a source that can wait may go on. Any thread."""
        return self._closed or self._bytes < self._most // 2

    def _time(self) -> float:
        return clocks.wall_clock() if self.at is None else self.at

    # -- the stream's thread ---------------------------------------------------------------------

    def note(self, kind: str, details: Any) -> None:
        """Keep what has come; see :class:`~etoro_sync.delivery.journal.Journal`."""
        number, size, fits = 0, _SMALL, True
        # What a read brings has its time, so that times do not go back with the next text of it.
        at = self._read_at if self._in_read else self._time()
        if kind == "texts":
            at, texts = details
            number, size = len(texts), sum(map(len, texts))
            fits = size <= LONGEST_TEXT or max(map(len, texts)) <= LONGEST_TEXT
        generation = self._book.generation
        with self._lock:
            # The state is saved later, and has what these two change. A book is cleared by
            # disconnect(), perhaps on another thread than the one that owns it.
            if self._closed or (self.state_due and kind in ("clear", "restored")):
                return
            self.received += number
            if kind == "texts":
                self._in_read, self._read_at = True, at
            if not (fits and self._has_room_for(size)):
                self.refused += number
                self._begin_hole(at, number)
                return
            if self.state_due:
                self._mark_hole(at, generation)
                if kind == "texts" or not self._in_read:
                    self.state_due = False
                    self._entries.append(Entry("state", at, generation, self._book.save()))
            self._entries.append(Entry(kind, at, generation, details))
            self._bytes += size
        if not self.wake.is_set():
            self.wake.set()

    def end_read(self) -> None:
        """Note that the texts that were noted last have taken effect."""
        with self._lock:
            self._in_read = False

    def _has_room_for(self, size: int) -> bool:
        if self._hole is not None:
            return self._bytes <= self._most // 2
        return not self._bytes or self._bytes + size <= self._most

    def _begin_hole(self, at: float, number: int) -> None:
        """Begin a hole, or go on with the present one."""
        since, before = self._hole or (at, 0)
        self._hole = since, before + number
        self.state_due = True

    def _mark_hole(self, at: float, generation: int) -> None:
        if self._hole is not None:
            since, number = self._hole
            missing = {"from": since, "until": max(at, since), "texts": number}
            self._entries.append(Entry("hole", at, generation, missing))
            self._hole = None

    # -- the writer's thread -----------------------------------------------------------------------

    def take(self, cut: bool = False) -> tuple[list[Entry], int]:
        """Return what waits, in order, and its size, for :meth:`written`.

        :param cut: let whatever comes from now on begin with the state of the book, unless a read
            takes effect just now.
        """
        with self._lock:
            entries, self._entries = self._entries, []
            if cut and not self._in_read:
                self.state_due = True
            if not self._closed:
                self.wake.clear()
            return entries, self._bytes

    def written(self, size: int) -> None:
        """Make room for as much as was taken."""
        with self._lock:
            self._bytes -= size

    def lose(self, since: float, number: int, size: int) -> None:
        """Begin a hole: some of what was taken cannot be written.

        What waits is built on that, and is lost, too.

        :param since: when the first of it came.
        :param number: how many texts were taken, and are lost.
        :param size: of what was taken, for :meth:`written`.
        """
        with self._lock:
            waiting, self._entries = self._entries, []
            number += count_texts(waiting)
            self._bytes = size
            self.refused += number
            self._begin_hole(since, number)

    def close(self) -> None:
        """Note nothing more. Any thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._mark_hole(self._time(), self._book.generation)
        self.wake.set()
