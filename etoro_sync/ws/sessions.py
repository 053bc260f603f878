"""The sessions of a client, one after the other: how each begins, and how it is ended."""

import threading
import time
import weakref
from functools import partial
from typing import Any

from ..errors import (
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from .handlers import Registry
from .lifecycle import ClientState, Lifecycle
from .options import WsClientOptions
from .rate_book import RateBook
from .requests import Requests
from .session import Session
from .stats import Counters
from .subscription import WsSubscriptionTracker

__all__ = ["DISCONNECTED", "Sessions"]

#: What readers of a queue are told whose client was disconnected.
DISCONNECTED = "The client was disconnected. Call connect(), and make a new queue."
_CONNECTING = (ClientState.CONNECTING, ClientState.AUTHENTICATING)
_OVER = (ClientState.CLOSING, ClientState.CLOSED, ClientState.FAILED)
_AT_WORK = (*_CONNECTING, ClientState.LIVE, ClientState.RECONNECTING, ClientState.CLOSING)


class Sessions:
    """Connects and disconnects, from any thread. It holds what outlives a session.

    The lock guards the present session and its number, which change together.

    :param options: the client's.
    :param registry: who listens.
    :param counters: what is counted.
    """

    def __init__(self, options: WsClientOptions, registry: Registry, counters: Counters) -> None:
        self._options = options
        self._registry = registry
        self._counters = counters
        self.tracker = WsSubscriptionTracker()
        self.book = RateBook(options.request_timeout)
        self.lifecycle = Lifecycle()
        self.requests = Requests(self.tracker, self.lifecycle, options.request_timeout)
        # Re-entrant, because the garbage collector may run a finalizer that calls disconnect().
        self._lock = threading.RLock()
        self._finalizer: weakref.finalize[Any, Any] | None = None
        # Callbacks that earlier sessions have conflated, dropped and lost.
        self._past = (0, 0, 0)
        #: The session at work, or the last one; None before the first.
        self.present: Session | None = None

    # -- beginning -----------------------------------------------------------------------------

    def connect(self, timeout: float | None) -> None:
        """Begin a session and wait until it is authenticated; raises as the client's method.

        :param timeout: seconds; None trusts the options.
        """
        self._check_credentials()
        number, session = self._begin()
        options = self._options
        patience = options.connect_timeout + options.auth_timeout + 1.0
        seconds = patience if timeout is None else min(timeout, patience)
        try:
            session.start()
            done = self.lifecycle.outcome(number, *_CONNECTING, deadline=time.monotonic() + seconds)
        except EToroError:
            raise
        except RuntimeError as exc:
            error = EToroWebSocketError(f"Cannot start the client's threads: {exc}.")
            _give_up(session, error)
            raise error from exc
        except BaseException:
            # Ctrl-C while waiting.
            _give_up(session, EToroClosedError("connect() was interrupted."))
            raise
        if not done:
            late = EToroTimeoutError(
                f"connect() did not finish in {seconds:g} s. Check ws_url and the network."
            )
            _give_up(session, late)
            raise late
        if self.lifecycle.session != number or self.lifecycle.state in _OVER:
            # Whoever disconnected may have come before there was a session to close.
            session.close(0.0)
            raise EToroClosedError("disconnect() was called while connect() was waiting.")

    def _check_credentials(self) -> None:
        for name in ("api_key", "user_key"):
            if getattr(self._options, name) == "":
                raise EToroAuthError(
                    f"The {name} is missing. Set ETORO_{name.upper()} in the environment, or "
                    f"pass WsClientOptions({name}=...)."
                )

    def _begin(self) -> tuple[int, Session]:
        with self._lock:
            state = self.lifecycle.state
            resumed = state is ClientState.FAILED and self.book.generation > 0
            number = self.lifecycle.begin()
            if number is None:
                raise EToroWebSocketError(
                    f"This client is {state.value} already. Call disconnect() first, or make "
                    "another client."
                )
            try:
                session = Session(
                    number,
                    self._options,
                    self.tracker,
                    self._registry,
                    self.book,
                    self.lifecycle,
                    self._counters,
                    self.present,
                    resumed,
                )
            except OSError as exc:
                error = EToroWebSocketError(f"Cannot start the client: {exc}.")
                end_queues = partial(self._registry.end_queues, str(error), error)
                self.lifecycle.failed(number, error, end_queues)
                raise error from exc
            # Not before, or those of a session that could not be made would count twice.
            self._past = self.callback_losses()
            self.present = session
            self.requests.post = session.reader.post
            # A client that is collected takes its session with it; at the interpreter's exit
            # the session module sees to it.
            if self._finalizer is not None:
                self._finalizer.detach()
            self._finalizer = weakref.finalize(self, session.abandon)
            self._finalizer.atexit = False
        return number, session

    # -- ending --------------------------------------------------------------------------------

    def disconnect(self, timeout: float | None) -> None:
        """End the present session and forget what was wanted.

        :param timeout: seconds to wait at most; None is ``close_timeout``.
        """
        with self._lock:
            # Together, or the session of a connect() in another thread would be closed untold.
            number, session = self.lifecycle.closing(), self.present
        self.requests.clear()
        self._registry.end_queues(DISCONNECTED)
        try:
            if session is not None:
                session.close(self._options.close_timeout if timeout is None else timeout)
        finally:
            # Also after Ctrl-C in here.
            self.lifecycle.closed(number, self._forget)

    def _forget(self) -> None:
        # Callbacks that ran meanwhile may have subscribed.
        self.requests.clear()
        self.book.clear()

    def outlast(self) -> None:
        """Block until the present session has ended.

        :raises EToroError: what ended it, when the user did not.
        """
        number, session = self.lifecycle.session, self.present
        if session is not None and session.dispatcher.is_current:
            raise EToroWebSocketError(
                "run_forever() in a callback would keep all other callbacks waiting. Call it in "
                "the thread that is to wait."
            )
        try:
            self.lifecycle.outcome(number, *_AT_WORK)
        except KeyboardInterrupt:
            self.disconnect(None)
            raise

    # -- counts --------------------------------------------------------------------------------

    def callback_losses(self) -> tuple[int, int, int]:
        """How many events for callbacks were conflated, dropped and lost, in all sessions."""
        conflated, dropped, lost = self._past
        if self.present is not None:
            lanes = self.present.dispatcher.lanes
            conflated += lanes.rates.conflated
            dropped += lanes.dropped
            lost += lanes.lossless.dropped
        return conflated, dropped, lost


def _give_up(session: Session, error: EToroError) -> None:
    session.fail(error)
    session.close(0.0)
