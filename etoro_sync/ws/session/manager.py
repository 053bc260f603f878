"""Starts and ends the sessions of a client, one after the other."""

import itertools
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ... import clocks
from ...collecting import when_collected
from ...delivery.dispatcher import Dispatcher
from ...delivery.event_queue import make_buffer, name_of_events
from ...delivery.queues import ItemQueue
from ...delivery.registry import Registry
from ...errors import (
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from ...lifecycle import DISCONNECTED, Lifecycle
from ...market.order_states import OrderStates
from ...market.rate_book import RateBook
from ...redaction import Redactor
from ...state import ClientState
from ...stats import Counters
from ...text import no_thread
from ..options import WsClientOptions, secrets_of
from ..protocol.requests import Operation
from ..protocol.tracker import WsSubscriptionTracker
from ..transport.addresses import Addresses
from .owner import Owner
from .session import Session
from .subscriptions import Subscriptions

__all__ = ["SessionManager"]

_numbers = itertools.count(1)
_DISCONNECTED_MEANWHILE = (
    "disconnect() was called while connect() was waiting. Call connect() again to use the client."
)
_CONNECTING = (ClientState.CONNECTING, ClientState.AUTHENTICATING)
_OVER = (ClientState.CLOSING, ClientState.CLOSED, ClientState.FAILED)


class AnySession(Protocol):
    """What a manager needs of a session: of one connection, or of several together."""

    number: int

    @property
    def is_run_by_caller(self) -> bool:
        """Whether the caller runs on a reader thread."""

    @property
    def is_connected(self) -> bool:
        """Whether a WebSocket is open now."""

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the keys."""

    @property
    def is_resumed(self) -> bool:
        """Whether it, or the failed one before it, was ever live."""

    def retry_first(self, retry: bool) -> None:
        """Set whether the first connection is tried again as any later one."""

    def start(self) -> None:
        """Start the threads."""

    def post(self, operation: Operation) -> None:
        """Hand over an operation."""

    def close(self, timeout: float, caller: str = "disconnect()") -> None:
        """End it with a closing handshake, and wait for its threads."""

    def request_end(self, reason: str, at_end: Callable[[], None]) -> None:
        """Request the end and return at once."""

    def abandon(self) -> None:
        """End without waiting and without a lock."""

    def signs_of_life(self) -> tuple[float | None, float | None]:
        """Return the age of the last byte, and by how much a reader is late."""


class SessionManager:
    """Connects and disconnects, from any thread, and holds what outlives a session.

    The lock guards the present session, its ``post`` and its finalizer. No other lock is taken
    while it is held.

    :param options: the client's.
    :param registry: the client's handlers and queues.
    :param counters: the client's.
    :param lifecycle: the client's; None makes one, as for all that follow.
    :param tracker: the wanted topics.
    :param book: the merged state of each instrument.
    :param requests: hands operations to the session.
    """

    def __init__(
        self,
        options: WsClientOptions,
        registry: Registry,
        counters: Counters,
        lifecycle: Lifecycle | None = None,
        tracker: WsSubscriptionTracker | None = None,
        book: RateBook | None = None,
        requests: Subscriptions | None = None,
    ) -> None:
        self._options = options
        self._registry = registry
        self._counters = counters
        self._addresses = Addresses()
        #: Masks the keys; those that users' callables return are added to it.
        self.redactor = Redactor(secrets_of(options))
        self.redact: Callable[[str], str] = self.redactor
        #: Runs the callbacks of all sessions.
        self.dispatcher = Dispatcher(
            f"etoro-sync-dispatcher-{next(_numbers)}",
            registry,
            counters,
            options.callback_queue_size,
            options.conflate_after,
        )
        self.tracker = tracker or WsSubscriptionTracker()
        self.book = book or RateBook(options.request_timeout)
        self.order_states = OrderStates()
        self.lifecycle = lifecycle or Lifecycle()
        self.requests = requests or Subscriptions(
            self.tracker, self.lifecycle, options.request_timeout
        )
        # Re-entrant, because the garbage collector may run a finalizer that calls disconnect().
        self._lock = threading.RLock()
        self._finalizer: weakref.finalize[Any, Any] | None = None
        #: The active session, or the last one; None before the first.
        self.present: AnySession | None = None

    # -- beginning -----------------------------------------------------------------------------

    def connect(self, timeout: float | None, retry: bool = False) -> None:
        """Begin a session and wait until it is authenticated.

        :param timeout: seconds; None: as long as the timeouts of the options allow.
        :param retry: try the first connection as often as any later one.
        :raises EToroError: as :meth:`WsClient.connect`.
        """
        self.lifecycle.own_threads.check("connect()", "Call it in another thread.")
        self._check_credentials()
        options = self._options
        longest: float | None = options.connect_timeout + options.auth_timeout + 1.0
        if retry:
            longest = None  # the attempts come to their end
        seconds = min((s for s in (timeout, longest) if s is not None), default=None)
        begun: list[int] = []
        try:
            self._connect(begun, seconds, retry)
        except EToroError:
            raise
        except BaseException:
            # Ctrl-C: end the session, or other threads could wait for it forever.
            if begun:
                self._give_up(
                    begun[0], EToroClosedError("connect() was interrupted. Call it again.")
                )
            raise

    def _connect(self, begun: list[int], seconds: float | None, retry: bool) -> None:
        deadline = None if seconds is None else clocks.monotonic() + seconds
        number, session = self._begin(begun, deadline)
        session.retry_first(retry)
        done, begins = True, not self._is_over(number)
        # The reader goes from one attempt to the next by way of RECONNECTING.
        waiting = (*_CONNECTING, ClientState.RECONNECTING) if retry else _CONNECTING
        try:
            if begins:
                # Entered before the start, because the session may fail at once.
                with self.lifecycle.awaiting(number):
                    began = clocks.monotonic()
                    session.start()
                    if deadline is not None:
                        # The process may stand still here, too, before the wait can notice it.
                        deadline = clocks.put_off(deadline, began, clocks.monotonic())
                    done = self.lifecycle.outcome(number, *waiting, deadline=deadline)
        except RuntimeError as exc:
            error = EToroWebSocketError(f"Cannot start the client's threads: {no_thread(exc)}")
            self._give_up(number, error)
            raise error from exc
        if not done:
            late = EToroTimeoutError(
                f"connect() did not finish in {seconds:g} s. Check ws_url and the network."
            )
            self._give_up(number, late)
            raise late
        if self._is_over(number):
            if not begins:
                # disconnect() may have run before this session existed, so it could not close it.
                session.close(0.0)
            raise EToroClosedError(_DISCONNECTED_MEANWHILE)

    def _is_over(self, number: int) -> bool:
        return self.lifecycle.session != number or self.lifecycle.state in _OVER

    def _give_up(self, number: int, error: EToroError) -> None:
        """End a session that could not be established, unless it has ended already."""
        self._fail(number, error)
        session = self._session(number)
        if session is not None:
            session.close(0.0)

    def _fail(self, number: int, error: EToroError) -> None:
        end_queues = partial(self._registry.end_queues, str(error), error)
        self.lifecycle.failed(number, error, end_queues)

    def _session(self, number: int) -> AnySession | None:
        """Return the present session, if it has this number."""
        session = self.present
        return session if session is not None and session.number == number else None

    def _check_credentials(self) -> None:
        for name in ("api_key", "user_key"):
            if getattr(self._options, name) == "":
                raise EToroAuthError(
                    f"The {name} is missing. Set ETORO_{name.upper()} in the environment, or "
                    f"pass WsClientOptions({name}=...)."
                )

    def _begin(
        self, begun: list[int] | None = None, deadline: float | None = None
    ) -> tuple[int, AnySession]:
        number = self.lifecycle.begin(begun, deadline)
        if number is None:
            state = self.lifecycle.state
            raise EToroWebSocketError(
                f"This client is {state.value} already. Call disconnect() first, or make another "
                "client."
                if not self.lifecycle.idle
                else "The client's last session is still ending. Call connect() again later."
            )
        before = self.present
        if before is not None and before.number > number:
            before = None  # a newer session, started by another thread meanwhile
        resumed = self.lifecycle.resumed and before is not None and before.is_resumed
        try:
            session = self._make_session(number, resumed)
        except OSError as exc:
            error = EToroWebSocketError(f"Cannot start the client: {exc}.")
            self._fail(number, error)
            raise error from exc
        self._publish(session)
        return number, session

    def _make_session(self, number: int, resumed: bool) -> AnySession:
        """Return a new session, which has not started.

        :param resumed: whether the session before it failed, so that there was a gap.
        :raises OSError: when the system has no descriptor left.
        """
        return Session(
            number,
            self._options,
            self.redactor,
            self.tracker,
            self._registry,
            self.book,
            self.order_states,
            self.lifecycle,
            self._counters,
            self.dispatcher,
            self._addresses,
            Owner(self._registry),
            resumed,
        )

    def _publish(self, session: AnySession) -> None:
        """Make *session* the present one, unless another thread has set a newer one."""
        with self._lock:
            if self.present is not None and self.present.number > session.number:
                return
            self.present = session
            self.requests.post = session.post
            # Ends the session when the client is collected. Not at the interpreter's exit, for
            # which the session module has a handler.
            if self._finalizer is not None:
                self._finalizer.detach()
            self._finalizer = when_collected(self, session.abandon)

    # -- ending --------------------------------------------------------------------------------

    def disconnect(self, timeout: float | None) -> None:
        """End the present session and forget what was wanted.

        If another thread has disconnected and connected again meanwhile, the newer session is left
        untouched.

        :param timeout: seconds to wait at most; None is ``close_timeout``.
        """
        number = self.lifecycle.session
        try:
            self._end(number, self._options.close_timeout if timeout is None else timeout)
        except BaseException:
            # Ctrl-C: the end is completed, without waiting.
            self._end(number, 0.0)
            raise

    def _end(self, number: int, timeout: float) -> None:
        if self.lifecycle.closing(number) != number:
            return
        session = self._session(number)
        if session is not None and session.is_run_by_caller:
            # The reader thread cannot wait for itself; it does the rest when it ends.
            self.lifecycle.settle(number, self._clear)
            session.request_end(DISCONNECTED, self._forget)
            return
        try:
            self.lifecycle.settle(number, self._clear)
            if session is not None:
                session.close(timeout)
        finally:
            self.lifecycle.closed(number, self._forget)

    def _clear(self) -> None:
        if self.tracker.has("private"):
            self.order_states.note_loss(clocks.uptime())
        self.requests.clear()
        self._registry.end_queues(DISCONNECTED)

    def _forget(self) -> None:
        # Again, because callbacks that ran meanwhile may have subscribed.
        self.requests.clear()
        self.book.clear()

    # -- the source of a stream ----------------------------------------------------------------

    @property
    def conflate_after(self) -> float | None:
        """Seconds after which a ``stream()`` skips a superseded rate; None: only when full."""
        return self._options.conflate_after

    @property
    def is_connected(self) -> bool:
        """Whether a WebSocket is open now."""
        return self.present is not None and self.present.is_connected

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Subscribe a stream to *topics*; see :meth:`Subscriptions.hold`."""
        self.requests.hold(use, topics, timeout)

    def brings(self, topic: str) -> bool:
        """Whether *topic* is subscribed to, or will be on the next connection."""
        return self.tracker.has(topic)

    def make_items(
        self,
        event: str | tuple[str, ...],
        maxsize: int | None,
        overflow: str | None,
        conflate_after: float | None,
        on_close: Callable[[ItemQueue], None],
    ) -> ItemQueue:
        """Return the item queue behind a queue of *event*; arguments as of ``queue()``."""
        buffer = make_buffer(event, maxsize, overflow, conflate_after)
        return ItemQueue(name_of_events(event), buffer, on_close, self.lifecycle)

    def listeners_changed(self) -> None:
        """Do nothing: a connection never waits for its readers."""

    def end_is_awaited(self) -> None:
        """Do nothing: a connection goes on without listeners, too."""

    def release(self, use: object) -> None:
        """End a stream's use of its topics; see :meth:`Subscriptions.release`."""
        self.requests.release(use)
