"""What waits between the thread of a stream and the thread that writes its recording."""

import threading
from typing import Any

from .. import clocks
from ..market.rate_book import RateBook
from .lines import Entry

__all__ = ["Intake"]

#: What an entry without texts counts for, in bytes.
_SMALL = 200


class Intake:
    """The journal of a stream: keeps what it notes until the writer takes it.

    It never blocks. What does not fit is refused and counted, until half of the room is free again;
    then follow a ``"hole"`` and the state of the book, since deltas mean nothing without one. The
    lock guards all attributes that change; counters are read without it.

    :param book: the stream's; its state is saved when a new segment begins.
    :param most_bytes: how much text may wait.
    """

    def __init__(self, book: RateBook, most_bytes: int) -> None:
        self._book = book
        self._most = most_bytes
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._bytes = 0
        self._state_due = True
        self._closed = False
        # What was refused since the hole began: when, and how many texts.
        self._hole: tuple[float, int] | None = None
        #: Texts that were noted, and those of them that were refused.
        self.received = self.refused = 0
        #: Set when there is something to write, or nothing more will come.
        self.wake = threading.Event()

    @property
    def has_room(self) -> bool:
        """Whether a source that can wait may go on. Any thread."""
        return self._bytes < self._most // 2

    # -- the stream's thread ---------------------------------------------------------------------

    def note(self, kind: str, details: Any) -> None:
        """Keep what has come; see :class:`~etoro_sync.delivery.journal.Journal`."""
        at, number, size = clocks.wall_clock(), 0, _SMALL
        if kind == "texts":
            at, texts = details
            number, size = len(texts), sum(map(len, texts))
        generation = self._book.generation
        with self._lock:
            # A book is cleared by disconnect(), perhaps on another thread than the one that owns
            # it, so that no state is saved then; the next segment begins with an empty book.
            if self._closed or (self._state_due and kind == "clear"):
                return
            self.received += number
            if not self._fits(size):
                self.refused += number
                since, before = self._hole or (at, 0)
                self._hole = since, before + number
                self._state_due = True
                return
            if self._state_due:
                self._begin(at, generation)
            self._entries.append(Entry(kind, at, generation, details))
            self._bytes += size
        if not self.wake.is_set():
            self.wake.set()

    def _fits(self, size: int) -> bool:
        if self._hole is not None:
            return self._bytes <= self._most // 2
        return not self._bytes or self._bytes + size <= self._most

    def _begin(self, at: float, generation: int) -> None:
        """Put the state of the book before what comes next, behind what is missing."""
        self._mark_hole(at, generation)
        self._state_due = False
        self._entries.append(Entry("state", at, generation, self._book.save()))

    def _mark_hole(self, at: float, generation: int) -> None:
        if self._hole is not None:
            since, number = self._hole
            missing = {"from": since, "until": at, "texts": number}
            self._entries.append(Entry("hole", at, generation, missing))
            self._hole = None

    # -- the writer's thread -----------------------------------------------------------------------

    def take(self, cut: bool = False) -> tuple[list[Entry], int]:
        """Return what waits, in order, and its size, for :meth:`written`.

        :param cut: let whatever comes from now on begin with the state of the book.
        """
        with self._lock:
            entries, self._entries = self._entries, []
            self._state_due = self._state_due or cut
            if not self._closed:
                self.wake.clear()
            return entries, self._bytes

    def written(self, size: int) -> None:
        """Make room for as much as was taken."""
        with self._lock:
            self._bytes -= size

    def lose(self, number: int) -> None:
        """Begin a hole: texts that were taken could not be written."""
        with self._lock:
            self.refused += number
            since, before = self._hole or (clocks.wall_clock(), 0)
            self._hole = since, before + number
            self._state_due = True

    def close(self) -> None:
        """Note nothing more. Any thread."""
        with self._lock:
            self._closed = True
            self._mark_hole(clocks.wall_clock(), self._book.generation)
        self.wake.set()
