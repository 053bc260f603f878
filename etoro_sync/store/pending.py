"""The loop over what was not acknowledged: the next event, how long to wait for it, and the end."""

from collections.abc import Iterator, Mapping

from .. import clocks
from ..errors import EToroWebSocketError
from ..state import ClientState
from ..stream import MarketStream
from ..stream.core import StreamCore, core_of
from ..synchronization import ProcessGuard
from .database import Database
from .inbox import Changes
from .opening import ReaderLock, Turn
from .rows import StoredEvent
from .writer import Writer

__all__ = ["PendingLoop"]

#: Seconds after which a loop looks whether another process has stored something.
_LOOK_SECONDS = 0.5
_ENDED = frozenset([ClientState.CLOSED, ClientState.FAILED])
#: In these, what is wanted is subscribed to; before, it may still be on its way.
_CONNECTED = frozenset([ClientState.LIVE, ClientState.RECONNECTING])


class PendingLoop:
    """Brings the pending events of a store; runs in threads of the user.

    :param database: the store's.
    :param reader: lets one loop at a time take the events of the file.
    :param changes: wakes the loop.
    :param writer: the store's.
    :param streams: those that are attached, as the store has them.
    """

    def __init__(
        self,
        database: Database,
        reader: ReaderLock,
        changes: Changes,
        writer: Writer,
        streams: Mapping[int, tuple[MarketStream, object]],
    ) -> None:
        self._guard = ProcessGuard()
        self._database = database
        self._reader = reader
        self._changes = changes
        self._writer = writer
        self._streams = streams
        #: Whether the store is closed.
        self.closed = False

    def run(self, timeout: float | None) -> Iterator[StoredEvent]:
        """Yield the events that are pending; see :meth:`OrderStore.pending`."""
        turn = Turn()
        try:
            self._reader.acquire(turn)
            after = 0
            while True:
                found = self._next(after, timeout)
                if found is None:
                    return
                after = found.number
                yield found
        finally:
            self._reader.release(turn)

    def _next(self, after: int, timeout: float | None) -> StoredEvent | None:
        """Return the next pending event; None: the time is up, or nothing more will come."""
        deadline = None if timeout is None else clocks.monotonic() + timeout
        while True:
            self._guard.check()
            # Both are read before the file: what comes later wakes the wait below.
            seen, over = self._changes.number, self._is_over()
            if self.closed:
                return None
            found = self._database.next_pending(after)
            if found is not None:
                return found
            left = _LOOK_SECONDS if deadline is None else deadline - clocks.monotonic()
            if left <= 0:
                return None
            if over:
                self._raise_failure()
                return None
            self._check_wait()
            self._changes.wait(seen, min(left, _LOOK_SECONDS))

    def _check_wait(self) -> None:
        """Refuse to wait in vain, and on a thread for which the streams wait.

        :raises EToroWebSocketError: then.
        """
        cores = self._cores()
        # The state is looked up last: disconnect() sets it before it forgets the topics.
        if not any(core.source.brings("private") for core in cores) and any(
            core.state in _CONNECTED for core in cores
        ):
            raise EToroWebSocketError(
                "No order event can come, because the topic 'private' is not subscribed to. Call "
                "subscribe('private') before."
            )
        for core in cores:
            core.lifecycle.own_threads.check("pending()", "Call it in another thread.")
            if core.source.dispatcher.is_current:
                raise EToroWebSocketError(
                    "pending() and process() in a callback would keep all other callbacks waiting. "
                    "Call them in a thread of your own."
                )

    def _cores(self) -> list[StreamCore]:
        return [core_of(stream) for stream, _ in list(self._streams.values())]

    def _is_over(self) -> bool:
        """Whether all streams have ended, and what they brought is in the file."""
        states = {core.state for core in self._cores()}
        return bool(states) and states <= _ENDED and self._writer.is_idle

    def _raise_failure(self) -> None:
        for core in self._cores():
            failure = core.lifecycle.failure_of(core.lifecycle.session)
            if core.state is ClientState.FAILED and failure is not None:
                raise failure
