"""The thread that writes what the inbox has kept into the file."""

import logging
import threading
import weakref
from collections import deque

from .. import clocks
from ..errors import EToroError
from ..logs import log, tidy
from ..models import WsGap
from ..state import ClientState
from ..stream import MarketStream
from ..stream.core import core_of
from ..synchronization import join_thread
from ..text import no_thread
from .database import Database
from .inbox import Arrival, Changes, Inbox, Origin
from .rows import Row, encode

__all__ = ["Writer"]

#: Seconds between two looks at the streams, and between two attempts to write to a full disk.
_TICK = 1.0
#: Seconds between two notes that all is well: a kill makes a gap begin so much too early.
_NOTE_SECONDS = 5.0


class _Watch:
    """One stream, and the session in which it was last seen to be live.

    :param stream: not kept alive by this.
    :param origin: of what it brings.
    """

    def __init__(self, stream: MarketStream, origin: Origin) -> None:
        self._stream = weakref.ref(stream)
        self.origin = origin
        self.session: int | None = None

    def look(self) -> tuple[int, int] | None:
        """Return its session and generation; None unless it gets order events now."""
        stream = self._stream()
        if stream is None:
            return None
        core = core_of(stream)
        if core.state is not ClientState.LIVE or not core.source.brings("private"):
            return None
        return core.lifecycle.session, core.book.generation


class Writer:
    """Writes the file of one store.

    No lock: all but :meth:`watch`, :meth:`stop` and :meth:`join` runs on the writer's own thread,
    and others only read the counters.

    :param database: the file.
    :param inbox: what is to be written.
    :param changes: is notified of each commit.
    """

    def __init__(self, database: Database, inbox: Inbox, changes: Changes) -> None:
        self._database = database
        self._inbox = inbox
        self._changes = changes
        self._stopping = threading.Event()
        # Set when all that had come before is in the file, or cannot be written now.
        self._asked: deque[threading.Event] = deque()
        self._watches: tuple[_Watch, ...] = ()
        self._watched_until: float | None = None
        self._noted_at = float("-inf")
        #: Order events that were written, those that were in the file, and those that were lost.
        self.stored = self.repeated = self.lost = 0
        #: Why nothing can be written now; None: all is well.
        self.failure: str | None = None
        #: Whether some of what was taken from the inbox is not in the file yet.
        self.is_writing = False
        self._thread = threading.Thread(target=self._run, name="etoro-sync-store", daemon=True)

    def start(self) -> None:
        """Start the thread.

        :raises EToroError: when the system has no thread left.
        """
        try:
            self._thread.start()
        except RuntimeError as exc:
            self._database.close()
            raise EToroError(f"A store needs a thread: {no_thread(exc)}") from exc

    def watch(self, stream: MarketStream, origin: Origin) -> None:
        """Note from now on when *stream* gets order events. Any thread, one at a time."""
        self._watches += (_Watch(stream, origin),)
        self._inbox.wake.set()

    def refresh(self, timeout: float) -> None:
        """Wait until the streams were looked at, and what had come is in the file. Any thread.

        :param timeout: seconds to wait at most.
        """
        done = threading.Event()
        self._asked.append(done)
        self._inbox.wake.set()
        done.wait(timeout)

    def stop(self) -> None:
        """Write what waits, and end. Any thread, also in a finalizer; does not wait."""
        self._stopping.set()
        self._inbox.close()

    def join(self, timeout: float) -> bool:
        """Wait until all is written; return whether it is. Any thread."""
        return join_thread(self._thread, timeout)

    @property
    def is_idle(self) -> bool:
        """Whether all that has come is in the file. Any thread."""
        return self._inbox.is_empty and not self.is_writing

    # -- the writer's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        tidy(self._write_all, self._inbox.close, self._close)

    def _write_all(self) -> None:
        while not self._stopping.is_set():
            self._inbox.wake.wait(_TICK)
            self._write()
            if self.failure is not None:
                self._stopping.wait(_TICK)
        self._write()

    def _write(self) -> None:
        """Write what waits, in one transaction; if that fails, it waits for the next attempt."""
        # Set first: whoever sees the inbox empty then finds that this is at work.
        self.is_writing = True
        arrivals: list[Arrival] = []
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        try:
            self._look(arrivals)
            arrivals += self._inbox.take()
            now = clocks.monotonic()
            is_due = now >= self._noted_at + _NOTE_SECONDS or self._stopping.is_set()
            if arrivals or (is_due and self._watched_until is not None):
                entries = [(a.origin.id, a.origin.base, _encoded(a)) for a in arrivals]
                stored, repeated = self._database.add(
                    entries, self._watched_until, clocks.wall_clock()
                )
                self.stored += stored
                self.repeated += repeated
                self._noted_at = now
            self._resume()
        except Exception as exc:  # whatever it is, the events wait for the next attempt
            self._inbox.put_back(arrivals)
            self._pause(exc)
        finally:
            self.is_writing = False
            for each in asked:
                each.set()
            if arrivals:
                self._changes.happened()

    def _look(self, arrivals: list[Arrival]) -> None:
        """Note that events are received now, and the gap behind which that began.

        Before the events are taken: what had come until then is in the file as soon as this is.
        """
        now = clocks.wall_clock()
        seen = [(watch, watch.look()) for watch in self._watches]
        live = [(watch, *found) for watch, found in seen if found is not None]
        was_live = any(watch.session == session for watch, session, _ in live)
        for watch, session, generation in live:
            if watch.session != session and not was_live:
                # Of the file, because another process may have received meanwhile.
                known = (self._watched_until, self._database.watched_until())
                since = max((moment for moment in known if moment is not None), default=now)
                if since < now:
                    gap = WsGap(since, now, generation, ("private",))
                    arrivals.append(Arrival(watch.origin, gap))
            watch.session, was_live = session, True
        if live:
            self._watched_until = now

    def _pause(self, exc: Exception) -> None:
        if self.failure is None:
            log(
                logging.ERROR,
                "The store pauses: %s Order events wait in memory, and are lost if the program is "
                "killed. It resumes by itself.",
                exc,
            )
        self.failure = str(exc)

    def _resume(self) -> None:
        if self.failure is not None:
            self.failure = None
            log(logging.WARNING, "The store %s goes on.", self._database.path)

    def _close(self) -> None:
        """Count what was not written, and close the file."""
        self.lost = self._inbox.received - self._inbox.refused - self.stored - self.repeated
        if self.lost:
            log(
                logging.ERROR,
                "The store %s ended before %d order events were written, because: %s",
                self._database.path,
                self.lost,
                self.failure,
            )
        self._database.close()
        self._changes.happened()


def _encoded(arrival: Arrival) -> Row | WsGap:
    item = arrival.item
    return item if isinstance(item, WsGap) else encode(item, arrival.origin.redact)
