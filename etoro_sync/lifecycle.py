"""The state of a client, and how threads wait until it changes."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from .errors import EToroError, fresh
from .own_threads import OwnThreads
from .state import ClientState
from .synchronization import Monitor

__all__ = ["AT_WORK", "DISCONNECTED", "Lifecycle"]

#: The message of the error that readers of a queue get after ``disconnect()``.
DISCONNECTED = "The stream was disconnected. Call connect(), and make a new queue."


_IDLE = frozenset([ClientState.DISCONNECTED, ClientState.CLOSED, ClientState.FAILED])
#: The states in which a session runs.
AT_WORK = tuple(state for state in ClientState if state not in _IDLE)


class Lifecycle:
    """The state of a client, the number of its session, and the error that ended it.

    A session lasts from ``connect()`` to the end. Each has a number, so that a thread that ends an
    old session late leaves a newer one alone.

    The monitor's lock guards all of it, and the cleanups that a new session has to wait for.
    Reading :attr:`state` needs no lock. No other lock is taken under it: a signal handler or a
    finalizer that calls ``disconnect()`` may take this one while its thread holds any other.

    :param own_threads: shared with another lifecycle; None: its own.
    """

    def __init__(self, own_threads: OwnThreads | None = None) -> None:
        self._monitor = Monitor()
        self._session = 0
        self._failure: tuple[int, EToroError] | None = None
        # A cleanup that runs -> the id of its thread. No session begins while there is one.
        self._holds: dict[object, int] = {}
        # A call that will raise the error of its session -> the number of the session.
        self._waiting: dict[object, int] = {}
        #: The threads that work for the client, in all its sessions.
        self.own_threads = own_threads or OwnThreads()
        self.state = ClientState.DISCONNECTED
        self.error: EToroError | None = None
        #: Whether the previous session failed, and was not ended by ``disconnect()``.
        self.resumed = False

    @property
    def idle(self) -> bool:
        """Whether no session runs."""
        return self.state in _IDLE

    def begin(self, begun: list[int] | None = None, deadline: float | None = None) -> int | None:
        """Start a session and return its number, or None when one runs already.

        Waits until the previous session is cleaned up. Returns None, too, when that takes longer
        than *deadline*, and when the calling thread itself runs the cleanup, which could then never
        end.

        :param begun: the number is appended to it before anything changes, so that the caller knows
            it even when Ctrl-C prevents the return.
        :param deadline: in monotonic seconds; None is no limit.
        """
        numbers: list[int] = [] if begun is None else begun

        def attempt() -> bool:
            if not self.idle or threading.get_ident() in self._holds.values():
                return True
            if self._holds:
                return False
            numbers.append(self._session + 1)
            # No call in here, since Ctrl-C is raised where one begins: all of it happens, or none.
            self._session += 1
            self.resumed = self.state is ClientState.FAILED
            self.state, self.error = ClientState.CONNECTING, None
            self._monitor.changed()
            return True

        self._monitor.wait(attempt, deadline)
        return numbers[0] if numbers else None

    def advance(self, session: int, state: ClientState) -> None:
        """Set the state of *session*; no effect once it is closing, has ended, or is replaced."""
        with self._monitor.lock:
            active = not self.idle and self.state is not ClientState.CLOSING
            if active and session == self._session:
                self._to(state, None)

    def closing(self, session: int | None = None) -> int:
        """Set the state to CLOSING; return the number of the present session.

        :param session: the one that is to end; no effect if it is not the present one. None is the
            present one.
        """
        with self._monitor.lock:
            if not self.idle and session in (None, self._session):
                self._to(ClientState.CLOSING, None)
            return self._session

    def closed(self, session: int, cleanup: Callable[[], None]) -> None:
        """Set the state to CLOSED; no effect if *session* is not the present one.

        :param cleanup: called before a new session can begin.
        """
        try:
            self.settle(session, cleanup)
        finally:
            with self._monitor.lock:
                if session == self._session:
                    # No call in here either, as in begin().
                    self.state, self.error = ClientState.CLOSED, None
                    self._monitor.changed()

    def failed(
        self,
        session: int,
        error: EToroError,
        cleanup: Callable[[], None],
        unawaited: Callable[[], None] = lambda: None,
    ) -> None:
        """Set the state to FAILED; no effect if *session* is closing or has ended already.

        :param cleanup: called before a new session can begin.
        :param unawaited: called before that, if no call waits that will raise *error*.
        """
        with self._monitor.lock:
            if session != self._session or self.idle or self.state is ClientState.CLOSING:
                return
            # Kept for calls that wait for this session: disconnect() may change the state before
            # they have seen it. A call that stops waiting after the next line finds it here.
            if self.failure_of(session) is None:
                self._failure = (session, error)
            awaited = session in self._waiting.values()
        if not awaited:
            unawaited()

        def fail() -> None:
            with self._monitor.lock:
                if self.idle or self.state is ClientState.CLOSING:
                    return
                self._to(ClientState.FAILED, error)
            cleanup()

        self.settle(session, fail)

    def settle(self, session: int, cleanup: Callable[[], None]) -> bool:
        """Call *cleanup* while no session can begin; return False if *session* was replaced.

        *cleanup* runs without the lock, and may take other locks.
        """
        hold = object()
        try:
            with self._monitor.lock:
                if session != self._session:
                    return False
                self._holds[hold] = threading.get_ident()
            cleanup()
            return True
        finally:
            # One step, which Ctrl-C cannot divide: what is left here blocks all later sessions.
            self._holds.pop(hold, None)
            with self._monitor.lock:
                self._monitor.changed()

    def _to(self, state: ClientState, error: EToroError | None) -> None:
        self.state = state
        self.error = error
        self._monitor.changed()

    @property
    def session(self) -> int:
        """The number of the present session, or of the last one; 0 before the first."""
        return self._session

    def outcome(self, session: int, *waiting: ClientState, deadline: float | None = None) -> bool:
        """Block while *session* is in one of the states *waiting*.

        :param deadline: in monotonic seconds; None is no limit.
        :returns: False when the deadline has passed.
        :raises EToroError: the error that ended the session, also if it was closed afterwards.
        """
        with self.awaiting(session):
            ended = self._monitor.wait(
                lambda: session != self._session or self.state not in waiting, deadline
            )
        # Also when the time is up: a failure that came just then was left to this call to raise.
        failure = self.failure_of(session)
        if failure is not None:
            raise failure
        return ended

    def failure_of(self, session: int) -> EToroError | None:
        """Return the error that ended *session*, to raise it, also if it was closed afterwards."""
        failure = self._failure
        return fresh(failure[1]) if failure is not None and failure[0] == session else None

    @contextlib.contextmanager
    def awaiting(self, session: int) -> Iterator[None]:
        """Note that the caller will raise the error that ends *session*, so it is not logged."""
        caller = object()
        try:
            self._waiting[caller] = session
            yield
        finally:
            self._waiting.pop(caller, None)
