"""One session of a client, from ``connect()`` to its end.

It holds no reference to the client. So a client that is not used any more (as when a notebook cell
runs again) can be collected, which ends the session.
"""

import atexit
import contextlib
import itertools
import logging
import weakref
from collections.abc import Callable
from functools import partial

from ... import clocks
from ...delivery.dispatching import Dispatching
from ...delivery.publisher import Publisher
from ...delivery.registry import Registry
from ...errors import EToroClosedError, EToroError
from ...lifecycle import Lifecycle
from ...logs import log
from ...market.feed_handler import FeedHandler
from ...market.merging import make_rate
from ...market.order_states import OrderStates
from ...market.rate_book import RateBook
from ...redaction import Redactor
from ...stats import Counters
from ...synchronization import ProcessGuard
from ..options import WsClientOptions
from ..protocol.control import ControlChannel, Operation
from ..protocol.tracker import WsSubscriptionTracker
from ..transport.addresses import Addresses
from .controller import Controller
from .owner import Owner
from .reader import Reader

__all__ = ["COLLECTED", "GRACE", "Session", "end_together"]

#: Seconds beyond the timeout of close(), for the threads to end.
GRACE = 0.1
COLLECTED = (
    "The client of this queue was closed, because nothing referred to it any more. Keep a "
    "reference to the client while its queues are read."
)
_numbers = itertools.count(1)


class Session:
    """Builds and runs what serves one ``connect()``: the reader, with the client's dispatcher.

    :param number: from the lifecycle.
    :param options: the client's.
    :param redactor: masks the keys.
    :param tracker: the wanted topics.
    :param registry: the client's handlers and queues.
    :param book: the merged state of each instrument.
    :param order_states: the last states of orders.
    :param lifecycle: the client's state.
    :param counters: the client's.
    :param dispatcher: runs the client's callbacks, in all its sessions.
    :param addresses: which of the server's addresses have worked.
    :param owner: gets the end of the session.
    :param resumed: whether the session before this one failed, so that there was a gap.
    """

    def __init__(
        self,
        number: int,
        options: WsClientOptions,
        redactor: Redactor,
        tracker: WsSubscriptionTracker,
        registry: Registry,
        book: RateBook,
        order_states: OrderStates,
        lifecycle: Lifecycle,
        counters: Counters,
        dispatcher: Dispatching,
        addresses: Addresses,
        owner: Owner,
        resumed: bool = False,
    ) -> None:
        #: From the lifecycle.
        self.number = number
        self._options = options
        self._registry = registry
        self._lifecycle = lifecycle
        self._owner = owner
        self._guard = ProcessGuard()
        # Set by an end that nobody waits for: its reason, and what to call then.
        self._reason = ""
        self._at_end: Callable[[], None] = lambda: None
        self._over = False
        self._warns = True
        self._dispatcher = dispatcher
        dispatcher.open(number, self._on_callbacks_failed)
        out = Publisher(registry, dispatcher, make_rate, number)
        feed = FeedHandler(book, registry, out, counters, redactor, order_states=order_states)
        protocol = ControlChannel(tracker, options.auth_timeout, options.request_timeout, redactor)
        advance = partial(lifecycle.advance, number)
        self._controller = Controller(
            protocol, book, feed, counters, advance, options.stale_after, resumed, owner
        )
        self.reader = Reader(
            f"etoro-sync-reader-{next(_numbers)}",
            options,
            redactor,
            self._controller,
            feed,
            counters,
            lifecycle.own_threads,
            addresses,
            self._on_end,
            owner.reports_failure,
        )
        _sessions.add(self)

    def start(self) -> None:
        """Start the threads.

        :raises RuntimeError: when the system has no thread left.
        """
        try:
            self._dispatcher.start(self.number)
            self.reader.start()
        except BaseException as exc:
            self.reader.abort()
            if isinstance(exc, RuntimeError) and isinstance(exc.__context__, KeyboardInterrupt):
                # Ctrl-C broke the Condition in which Thread.start() waits; see synchronization.py.
                raise exc.__context__ from None
            raise

    def _on_end(self, error: EToroError | None) -> None:
        """Report the end of the reader. Runs on its thread, last of all."""
        try:
            if error is not None:
                self.fail(error)
            self._over = True
            if self._reason:
                self.conclude()
        finally:
            self._dispatcher.stop(self.number)
        if self._reason == COLLECTED and self._warns and self._registry.has_callbacks:
            # Not without callbacks: readers of queues get an error, and a notebook cell that runs
            # again needs no warning.
            log(
                logging.WARNING,
                "A connected client was closed, because nothing refers to it any more; its "
                "callbacks get no more events. Keep a reference to the client while it is needed, "
                "or use it in a with block.",
            )

    def conclude(self) -> None:
        """Close a session that ends without ``disconnect()``, and wake its waiters. Any thread."""
        if not self._lifecycle.idle:
            self._lifecycle.closing(self.number)
            self._lifecycle.closed(self.number, self._clean_up)

    def _clean_up(self) -> None:
        # An error, because the user did not close the client: a loop over a queue must raise.
        error = EToroClosedError(COLLECTED) if self._reason == COLLECTED else None
        self._owner.end_queues(self._reason, error)
        self._at_end()

    def _on_callbacks_failed(self, error: EToroError) -> None:
        """End the client, which would get no more callbacks. Runs on the dispatcher thread."""
        self.fail(error)
        self.reader.stop()

    def fail(self, error: EToroError) -> None:
        """End the client with *error*, unless it has ended already. Any thread.

        The error is logged, unless ``connect()`` or ``run_forever()`` waits and raises it.
        """
        end_queues = partial(self._owner.end_queues, str(error), error)
        logging_it = partial(log, logging.ERROR, "The client ended: %s", error)
        self._lifecycle.failed(self.number, error, end_queues, logging_it)

    def close(self, timeout: float, caller: str = "disconnect()") -> None:
        """End the session with a closing handshake and wait for its threads. Any thread.

        A callback may call this; the dispatcher thread then ends after the callback has returned.

        :param timeout: seconds to wait at most; the threads get a little more to end.
        :param caller: what ends the session, for the log.
        """
        if self._guard.foreign:
            return
        begun = clocks.monotonic()
        try:
            end_together([self], timeout)
            # The reader may hang in a name resolution, and would not stop the dispatcher.
            self._dispatcher.stop(self.number)
            left = begun + timeout + GRACE * 0.9 - clocks.monotonic()
            self._dispatcher.join(self.number, left, caller)
        finally:
            # In finally, because Ctrl-C may interrupt the waits above.
            self.reader.abort()
            self._dispatcher.stop(self.number)

    def abandon(self, warns: bool = True) -> None:
        """End without waiting and without a lock, as the garbage collector may call it anywhere.

        :param warns: whether to log that callbacks get no more events.
        """
        if not self._guard.foreign:
            self._reason, self._warns = COLLECTED, warns
            self.reader.abort()

    def request_end(self, reason: str, at_end: Callable[[], None] = lambda: None) -> None:
        """Request the end and return at once. Any thread.

        :param reason: the message for readers of queues.
        :param at_end: called at the end, before a new session can begin.
        """
        if not self._reason:
            self._reason, self._at_end = reason, at_end
        self.reader.stop()

    @property
    def is_run_by_caller(self) -> bool:
        """Whether the caller runs on the reader thread, before its end is reported."""
        return self.reader.is_current and not self._over

    @property
    def is_over(self) -> bool:
        """Whether the reader has ended, and has reported that."""
        return self._over

    @property
    def is_connected(self) -> bool:
        """Whether a WebSocket is open now."""
        return self.reader.is_connected

    @property
    def is_authenticated(self) -> bool:
        """Whether the present connection is authenticated."""
        return self.reader.is_authenticated

    @property
    def is_resumed(self) -> bool:
        """Whether this session, or the failed one before it, was ever live."""
        return self.reader.is_resumed

    def retry_first(self, retry: bool) -> None:
        """Set whether the first connection is tried again as any later one. Before the start."""
        self.reader.retries_first = retry

    def post(self, operation: Operation) -> None:
        """Hand over an operation; after the end it ends with EToroClosedError. Any thread."""
        self.reader.post(operation)

    def signs_of_life(self) -> tuple[float | None, float | None]:
        """Return the age of the last byte, and by how much the reader is late. Any thread."""
        return self.reader.silence, self.reader.delay

    def expect_moved(self, lost: dict[str, float]) -> None:
        """Report a gap of topics that came from another connection, once they are subscribed.

        :param lost: topic -> since when messages of it are missing, by ``clocks.uptime``.
        """
        self._controller.expect_moved(lost)

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a forked child of the one that made the session."""
        return self._guard.foreign


def end_together(sessions: list[Session], timeout: float) -> None:
    """End sessions with closing handshakes, and wait for their readers, all at a time. Any thread.

    :param timeout: seconds to wait at most; the threads get a little more to end.
    """
    deadline = clocks.monotonic() + timeout + GRACE / 2
    readers = [session.reader for session in sessions]
    try:
        for reader in readers:
            reader.stop()
        for ends_at, abort in ((deadline, False), (deadline + GRACE / 4, True)):
            for reader in readers if abort else ():
                reader.abort()
            for reader in readers:
                reader.join(max(ends_at - clocks.monotonic(), 0.0))
    finally:
        # In finally, because Ctrl-C may interrupt the waits above.
        for session in sessions:
            session.reader.abort()
            _sessions.discard(session)


_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()


def _all_sessions() -> list[Session]:
    while True:
        try:
            return [session for session in _sessions if not session.is_foreign]
        except RuntimeError:  # a daemon thread has just connected, or a session was collected
            continue


@atexit.register
def _end_all() -> None:
    """End all sessions when the program ends.

    Daemon threads that still run while the interpreter shuts down may crash it.
    """
    sessions = _all_sessions()
    for session in sessions:  # all at once, so that the waits below overlap
        session.request_end("The program ends.")
    deadline = clocks.monotonic() + 1.0
    for session in sessions:
        left = max(deadline - clocks.monotonic(), 0.0)
        with contextlib.suppress(Exception):
            session.close(min(session._options.close_timeout, left), "The end of the program")
            # Needed if the reader hangs.
            session.conclude()
