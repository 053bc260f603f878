"""The store of order events, as users hold it."""

import atexit
import contextlib
import os
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .. import clocks
from ..closeable import Closeable
from ..errors import EToroError, EToroValidationError
from ..events import check_timeout
from ..models import WsGap
from ..stream import MarketStream
from ..stream.core import core_of
from ..synchronization import ProcessGuard
from .arguments import check_path, check_time, check_whole
from .database import Database
from .inbox import Changes, Inbox, Origin, listen
from .opening import ReaderLock
from .pending import PendingLoop
from .rows import StoredEvent, column
from .writer import Writer

__all__ = ["OrderStore", "StoreStats"]

#: Seconds that gaps() waits at most for what a stream has just said.
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class StoreStats:
    """The counters of a store. ``stored + repeated + refused + waiting`` is ``received``.

    :param received: order events that have come since it was made.
    :param stored: of these, how many were written to the file.
    :param repeated: of these, how many were in the file already.
    :param refused: of these, how many are missing, because the disk took nothing for so long that
        100,000 waited, or until the end; each time is a gap of :meth:`OrderStore.gaps`.
    :param waiting: of these, how many wait to be written.
    :param pending: events in the file that were not acknowledged, also those of earlier programs.
    :param failure: why nothing can be written now, such as a full disk; None: all is well.
    """

    received: int
    stored: int
    repeated: int
    refused: int
    waiting: int
    pending: int
    failure: str | None


class OrderStore(Closeable):
    """Order events in an SQLite file: none that was stored is lost by a crash of the program.

    *Stored* is an event whose transaction is committed; :meth:`pending` and :meth:`process` bring
    no other ones. *Acknowledged* is one for which :meth:`acknowledge` has returned, or the handler
    of :meth:`process` and the note of that. What is stored and not acknowledged is brought again
    after a crash; what is acknowledged never is.

    A background thread writes what has come at once, all that waits in one transaction; the streams
    never wait for it. Every method may be called from any thread. One file is for one account; it
    may have several streams of the account, also of several processes, and stores once what all of
    them receive. The file has the account's number and no keys, and only its owner can read it.

    :param path: of the file; made if it is missing, with its folder. On a local disk.
    :param durable: True: an event is stored when the disk has it, and a loss of power loses none,
        either. False: when the system has it, which survives any end of the process, is faster, and
        may lose the last seconds when the power fails.
    :raises EToroValidationError: naming the argument.
    :raises EToroError: when the file cannot be used, and why.
    """

    _no_copies = (
        "An OrderStore cannot be copied or pickled: its thread and its file belong to this "
        "process. Make another one there, with the same path."
    )

    def __init__(self, path: str | os.PathLike[str], *, durable: bool = True) -> None:
        self._guard = ProcessGuard()
        #: The file.
        self.path = check_path(path)
        self._database = Database(self.path, bool(durable))
        self._reader = ReaderLock(self.path)
        self._inbox = Inbox()
        self._changes = Changes()
        # Held while a stream is attached; guards the next.
        self._lock = threading.Lock()
        # Streams, which are kept alive, as by a queue, and what takes the store off each.
        self._streams: dict[int, tuple[MarketStream, Callable[[], None]]] = {}
        try:
            self._writer = Writer(self._database, self._inbox, self._changes)
            self._writer.start()
        except BaseException:
            self._database.close()
            raise
        self._loop = PendingLoop(
            self._database, self._reader, self._changes, self._writer, self._streams
        )
        self._finalizer = weakref.finalize(self, _abandon, self._writer, self._reader)
        self._finalizer.atexit = False
        _stores.add(self)

    def attach(self, stream: MarketStream) -> "OrderStore":
        """Store the order events of *stream* from now on, over all its sessions.

        Attach before ``connect()``, or at least before ``subscribe("private")``, which is left to
        you. The store keeps the stream alive. A stream that is attached already stays so.

        :param stream: such as a :class:`~etoro_sync.WsClient`.
        :returns: the store itself.
        :raises EToroValidationError: for anything else.
        :raises EToroClosedError: when the store is closed.
        """
        self._guard.check()
        if not isinstance(stream, MarketStream):
            raise EToroValidationError(
                f"stream must be a WsClient or another MarketStream, not {type(stream).__name__}.",
                "stream",
            )
        core = core_of(stream)
        with self._lock:
            if id(stream) in self._streams:
                return self
            origin = Origin(uuid.uuid4().hex, self._database.last_number(), core.source.redact)
            stop = listen(core.registry, origin, self._inbox, self._changes.happened)
            self._streams[id(stream)] = stream, stop
            self._writer.watch(stream, origin)
        core.source.listeners_changed()
        return self

    # -- events that are to be handled -------------------------------------------------------------

    def pending(self, timeout: float | None = 0.0) -> Iterator[StoredEvent]:
        """Iterate over the events that were not acknowledged, the oldest first.

        First those that an earlier run has left, then new ones. Acknowledge each when you have
        handled it; one that is not is brought again by the next :meth:`pending`, but not by this
        one. One loop at a time, of all processes, takes the events of a file.

        :param timeout: seconds that each step waits for an event; the loop ends when none came.
            0: do not wait; None: no limit.
        :returns: an iterator, which ends, too, when the store is closed, and when all its streams
            are.
        :raises EToroWebSocketError: from the loop: when it would wait, and ``"private"`` is not
            subscribed to; and when it would wait in a callback.
        :raises EToroError: from the loop: when another loop takes the events; what ended the
            stream, when it failed; when the file cannot be read.
        :raises EToroValidationError: for a negative timeout.
        """
        self._guard.check()
        return self._pending(check_timeout(timeout))

    def _pending(self, timeout: float | None) -> Iterator[StoredEvent]:
        # A generator of the store's own, so that the loop keeps the store alive.
        yield from self._loop.run(timeout)

    def acknowledge(self, *items: StoredEvent) -> None:
        """Note that events were handled: none of them is pending any more.

        It returns when that is in the file. One that was acknowledged before stays as it is.

        :param items: events of this store.
        :raises EToroValidationError: for anything else.
        :raises EToroError: when the file cannot be written; then none was noted.
        """
        self._guard.check()
        for item in items:
            if not isinstance(item, StoredEvent):
                raise EToroValidationError(
                    "acknowledge() takes what pending() brings, a StoredEvent, not "
                    f"{type(item).__name__}.",
                    "items",
                )
        self._database.acknowledge([item.number for item in items], clocks.wall_clock())

    def process(
        self, handler: Callable[[StoredEvent], object], timeout: float | None = None
    ) -> None:
        """Call *handler* with each event that was not acknowledged; its return acknowledges.

        Runs in the calling thread, until the store or all its streams are closed. If the handler
        raises, that ends the loop, and the event stays pending. If the program is killed while the
        handler runs, or just behind it, the next run calls it with the same event again: compare
        ``number`` with what you have done, where doing it twice would hurt.

        :param handler: called with a :class:`StoredEvent`.
        :param timeout: seconds to wait for the next event at most; None is no limit.
        :raises EToroError: as :meth:`pending` and :meth:`acknowledge`.
        """
        self._guard.check()
        if not callable(handler):
            raise EToroValidationError(
                f"handler must be a function of one argument, not {type(handler).__name__}.",
                "handler",
            )
        for item in self.pending(timeout):
            handler(item)
            self.acknowledge(item)

    # -- what is in the file -----------------------------------------------------------------------

    def events(
        self,
        order_id: int | None = None,
        request_guid: str | None = None,
        *,
        since: float | None = None,
        after: int = 0,
    ) -> Iterator[StoredEvent]:
        """Iterate over the stored events in the order in which they came. Nothing is acknowledged.

        :param order_id: only of this order.
        :param request_guid: only of this request.
        :param since: only what was received at this time or later; seconds since the epoch.
        :param after: only what has a higher number.
        :raises EToroValidationError: naming the argument.
        :raises EToroError: from the loop, when the file cannot be read.
        """
        self._guard.check()
        condition = ""
        values: list[object] = []
        if order_id is not None:
            condition += " AND order_id = ?"
            values.append(column(check_whole(order_id, "order_id")))
        if request_guid is not None:
            condition += " AND request_guid = ?"
            values.append(column(request_guid))
        if since is not None:
            condition += " AND received_at >= ?"
            values.append(check_time(since))
        return self._database.events(condition, values, check_whole(after, "after"))

    def gaps(self, since: float = 0.0) -> list[WsGap]:
        """Return the times in which order events may be missing, oldest first.

        eToro sends each event once. A gap is the time of a reconnect, as in the event
        ``"reconnected"``; the time from the last moment in which an earlier program is known to
        have received, until this one does (up to five seconds of it were received, too, if that
        one was killed); and the time in which the disk took nothing for too long. Ask eToro's REST
        API for the orders of these times, and of some seconds before and after.

        :param since: only those that ended later; seconds since the epoch.
        :raises EToroValidationError: naming the argument.
        :raises EToroError: when the file cannot be read.
        """
        self._guard.check()
        seconds = check_time(since)
        if not self._loop.closed:
            # A stream that has just connected ends a gap.
            self._writer.refresh(_LOOK_SECONDS)
        return self._database.gaps(seconds)

    def stats(self) -> StoreStats:
        """Return all counters, as they are now.

        :raises EToroError: when the file cannot be read.
        """
        self._guard.check()
        inbox, writer = self._inbox, self._writer
        received, stored, repeated = inbox.received, writer.stored, writer.repeated
        refused = inbox.refused + writer.lost
        return StoreStats(
            received=received,
            stored=stored,
            repeated=repeated,
            refused=refused,
            waiting=max(received - stored - repeated - refused, 0),
            pending=0 if self._loop.closed else self._database.count_pending(),
            failure=writer.failure,
        )

    # -- end ---------------------------------------------------------------------------------------

    def close(self, timeout: float | None = None) -> None:
        """Store what waits, and close the file. The streams go on. May be called several times.

        :param timeout: seconds to wait at most; None is ten. What the disk does not take until
            then is counted as refused, and logged.
        """
        if self._guard.foreign:
            return
        seconds = 10.0 if timeout is None else check_timeout(timeout) or 0.0
        self._loop.closed = True
        for _, stop in list(self._streams.values()):
            stop()
        self._writer.stop()
        self._changes.happened()
        self._writer.join(seconds)
        self._reader.close()
        self._streams.clear()

    def __repr__(self) -> str:
        return f"<OrderStore {str(self.path)!r}{', closed' if self._loop.closed else ''}>"


def _abandon(writer: Writer, reader: ReaderLock) -> None:
    """End what a store has begun, when nothing refers to it any more."""
    writer.stop()
    reader.close()


_stores: "weakref.WeakSet[OrderStore]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Store what waits at the end of the program."""
    with contextlib.suppress(RuntimeError):
        for store in list(_stores):
            with contextlib.suppress(EToroError):
                store.close(2.0)
