"""One session of a client, from ``connect()`` to its end: its reader, and the client's callbacks.

It holds no reference to the client, so that a client that nobody uses any more (a notebook cell
run twice) can be collected, and takes its session with it.
"""

import atexit
import contextlib
import itertools
import logging
import weakref
from collections.abc import Callable
from functools import partial

from ... import clocks
from ...delivery.dispatcher import Dispatcher
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
from ..protocol.control import ControlChannel
from ..protocol.tracker import WsSubscriptionTracker
from ..transport.addresses import Addresses
from .controller import Controller
from .reader import Reader

__all__ = ["Session"]

#: On top of close_timeout, for the threads to notice that it is over.
_GRACE = 0.1
_COLLECTED = "The client of this queue is not in use any more, and was closed."
_numbers = itertools.count(1)


class Session:
    """What works for one ``connect()``: a reader of its own, and the client's dispatcher.

    :param number: from the lifecycle.
    :param options: the client's.
    :param redactor: masks the keys.
    :param tracker: the wanted topics.
    :param registry: who listens.
    :param book: merged states.
    :param order_states: the last states of orders.
    :param lifecycle: where the client stands.
    :param counters: what is counted.
    :param dispatcher: runs the client's callbacks, in all its sessions.
    :param addresses: which of the server's have worked.
    :param resumed: the session before this one failed, so that there was a gap.
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
        dispatcher: Dispatcher,
        addresses: Addresses,
        resumed: bool = False,
    ) -> None:
        #: From the lifecycle.
        self.number = number
        self._options = options
        self._registry = registry
        self._lifecycle = lifecycle
        self._guard = ProcessGuard()
        # Why it ends without a disconnect() that waits for its end, and what is to be done then.
        self._reason = ""
        self._at_end: Callable[[], None] = lambda: None
        self._over = False
        self._dispatcher = dispatcher
        dispatcher.open(number, self._on_callbacks_failed)
        out = Publisher(registry, dispatcher, make_rate, number)
        feed = FeedHandler(book, registry, out, counters, redactor, order_states=order_states)
        protocol = ControlChannel(tracker, options.auth_timeout, options.request_timeout, redactor)
        advance = partial(lifecycle.advance, number)
        controller = Controller(
            protocol, book, feed, counters, advance, options.stale_after, resumed
        )
        self.reader = Reader(
            f"etoro-sync-reader-{next(_numbers)}",
            options,
            redactor,
            controller,
            feed,
            counters,
            lifecycle.own_threads,
            addresses,
            self._on_end,
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
        """Runs on the reader thread, last of all."""
        try:
            if error is not None:
                self.fail(error)
            self._over = True
            if self._reason:
                self.conclude()
        finally:
            self._dispatcher.stop(self.number)
        if self._reason == _COLLECTED and self._registry.has_callbacks:
            # Readers of its queues are told; and a notebook's cell that runs again is no trouble.
            log(
                logging.WARNING,
                "A client that was connected is closed, because nothing refers to it any more; its "
                "callbacks hear nothing more. Keep a reference to it for as long as it is to work, "
                "or use it in a with block.",
            )

    def conclude(self) -> None:
        """Wake whoever waits for a session that ends without ``disconnect()``. Any thread."""
        if not self._lifecycle.idle:
            self._lifecycle.closing(self.number)
            self._lifecycle.closed(self.number, self._clean_up)

    def _clean_up(self) -> None:
        # Who left is no user who closed it: a loop over a queue must not end as if one had.
        error = EToroClosedError(_COLLECTED) if self._reason == _COLLECTED else None
        self._registry.end_queues(self._reason, error)
        self._at_end()

    def _on_callbacks_failed(self, error: EToroError) -> None:
        """Runs on the dispatcher thread, last of all: nobody must take its silence for quiet."""
        self.fail(error)
        self.reader.stop()

    def fail(self, error: EToroError) -> None:
        """End the client by *error*, unless it is over already. Any thread.

        It is logged, unless connect() or run_forever() waits: they raise it, in the same words.
        """
        if not self._lifecycle.is_awaited(self.number):
            log(logging.ERROR, "The client ended: %s", error)
        end_queues = partial(self._registry.end_queues, str(error), error)
        self._lifecycle.failed(self.number, error, end_queues)

    def close(self, timeout: float, caller: str = "disconnect()") -> None:
        """End politely and wait for it, for about *timeout* seconds at most. Any thread.

        A callback may call this; its own thread then ends after it has returned.

        :param caller: who ends the session, for the log.
        """
        if self._guard.foreign:
            return
        begun = clocks.monotonic()
        try:
            self.reader.stop()
            if not self.reader.join(timeout + _GRACE / 2):
                self.reader.abort()
                self.reader.join(_GRACE / 4)
            # Where the reader hangs in a name resolution, the callbacks still have to end.
            self._dispatcher.stop(self.number)
            left = begun + timeout + _GRACE * 0.9 - clocks.monotonic()
            self._dispatcher.join(self.number, left, caller)
        finally:
            # Also after Ctrl-C in here.
            self.reader.abort()
            self._dispatcher.stop(self.number)
            _sessions.discard(self)

    def abandon(self) -> None:
        """End without waiting and without a lock: the garbage collector may call from anywhere."""
        if not self._guard.foreign:
            self._reason = _COLLECTED
            self.reader.abort()

    def leave(self, reason: str, at_end: Callable[[], None] = lambda: None) -> None:
        """Ask for the end, and do not wait for it. Any thread.

        :param reason: what readers of queues are told.
        :param at_end: called then, before a new session can begin.
        """
        if not self._reason:
            self._reason, self._at_end = reason, at_end
        self.reader.stop()

    @property
    def is_run_by_caller(self) -> bool:
        """Whether the caller runs on the thread that reads, and this has not come to its end."""
        return self.reader.is_current and not self._over

    @property
    def is_foreign(self) -> bool:
        """Whether this is a forked child of the owner."""
        return self._guard.foreign


_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()


def _all_sessions() -> list[Session]:
    while True:
        try:
            return [session for session in _sessions if not session.is_foreign]
        except RuntimeError:  # a daemon thread has just connected, or a session was collected
            continue


@atexit.register
def _end_all() -> None:
    """End the sessions of a program that ends without ``disconnect()``.

    Daemon threads that still run while the interpreter is taken apart may crash it.
    """
    sessions = _all_sessions()
    for session in sessions:  # all at once, not one after the other
        session.leave("The program ends.")
    deadline = clocks.monotonic() + 1.0
    for session in sessions:
        left = max(deadline - clocks.monotonic(), 0.0)
        with contextlib.suppress(Exception):
            session.close(min(session._options.close_timeout, left), "The end of the program")
            # Where the reader hangs.
            session.conclude()
