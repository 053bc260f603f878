"""Where a client stands, and a way for any thread to wait until that changes."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from .errors import EToroError, fresh
from .own_threads import OwnThreads
from .state import ClientState
from .synchronization import Monitor

__all__ = ["AT_WORK", "DISCONNECTED", "Lifecycle"]

#: What readers of a queue are told whose client was disconnected.
DISCONNECTED = "The client was disconnected. Call connect(), and make a new queue."


_IDLE = frozenset([ClientState.DISCONNECTED, ClientState.CLOSED, ClientState.FAILED])
#: The states of a session that is not over.
AT_WORK = tuple(state for state in ClientState if state not in _IDLE)


class Lifecycle:
    """The state of a client and the error that ended it.

    The monitor's lock guards both, the session's number, and who holds off the next session.
    Reading :attr:`state` needs no lock. No other lock is taken under it: a signal handler or a
    finalizer that disconnects may come to it from inside of any other.
    """

    def __init__(self) -> None:
        self._monitor = Monitor()
        self._session = 0
        self._failure: tuple[int, EToroError] | None = None
        # What is being cleaned up -> the thread that does it; no session begins meanwhile.
        self._holds: dict[object, int] = {}
        # Who will raise what ends a session -> its number.
        self._waiting: dict[object, int] = {}
        #: The threads that work for the client, in all its sessions.
        self.own_threads = OwnThreads()
        self.state = ClientState.DISCONNECTED
        self.error: EToroError | None = None
        #: Whether the session before the present one failed, and was not closed by the user.
        self.resumed = False

    @property
    def idle(self) -> bool:
        """Whether no session is at work."""
        return self.state in _IDLE

    def begin(self, begun: list[int] | None = None, deadline: float | None = None) -> int | None:
        """Start a session and return its number; None when one is at work already.

        Waits until the one before is cleaned up; not for the calling thread, which would have to
        do that, and not longer than until *deadline*: None, too.

        :param begun: gets the number before anything is changed, so that Ctrl-C cannot hide it.
        """
        numbers: list[int] = [] if begun is None else begun

        def attempt() -> bool:
            if not self.idle or threading.get_ident() in self._holds.values():
                return True
            if self._holds:
                return False
            numbers.append(self._session + 1)
            # Without a call, at whose beginning Ctrl-C might come: all of it, or nothing.
            self._session += 1
            self.resumed = self.state is ClientState.FAILED
            self.state, self.error = ClientState.CONNECTING, None
            self._monitor.changed()
            return True

        self._monitor.wait(attempt, deadline)
        return numbers[0] if numbers else None

    def advance(self, session: int, state: ClientState) -> None:
        """Move within *session*; without effect once it is closing, over, or replaced."""
        with self._monitor.lock:
            active = not self.idle and self.state is not ClientState.CLOSING
            if active and session == self._session:
                self._to(state, None)

    def closing(self, session: int | None = None) -> int:
        """Note that ``disconnect()`` is at work; return the number of the present session.

        :param session: the one to end; without effect when a newer one is at work.
        """
        with self._monitor.lock:
            if not self.idle and session in (None, self._session):
                self._to(ClientState.CLOSING, None)
            return self._session

    def closed(self, session: int, cleanup: Callable[[], None]) -> None:
        """End *session* by the user's wish; without effect when a newer one is at work.

        :param cleanup: called before a new session can begin.
        """
        try:
            self.settle(session, cleanup)
        finally:
            with self._monitor.lock:
                if session == self._session:
                    # As in begin().
                    self.state, self.error = ClientState.CLOSED, None
                    self._monitor.changed()

    def failed(self, session: int, error: EToroError, cleanup: Callable[[], None]) -> None:
        """End *session* by an error; without effect when it was over already.

        :param cleanup: called before a new session can begin.
        """

        def fail() -> None:
            with self._monitor.lock:
                if self.idle or self.state is ClientState.CLOSING:
                    return
                # Kept for those who waited for this session: disconnect() may follow at once.
                self._failure = (session, error)
                self._to(ClientState.FAILED, error)
            cleanup()

        self.settle(session, fail)

    def settle(self, session: int, cleanup: Callable[[], None]) -> bool:
        """Call *cleanup* while no session can begin; False: a newer one than *session* has.

        It runs without the lock, and may take others.
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
            # In one step that Ctrl-C cannot divide, or no session could ever begin again.
            self._holds.pop(hold, None)
            with self._monitor.lock:
                self._monitor.changed()

    def _to(self, state: ClientState, error: EToroError | None) -> None:
        self.state = state
        self.error = error
        self._monitor.changed()

    @property
    def session(self) -> int:
        """The number of the present session, or of the last one."""
        return self._session

    def outcome(self, session: int, *waiting: ClientState, deadline: float | None = None) -> bool:
        """Block while *session* is in one of the states *waiting*; False: the deadline has passed.

        :raises EToroError: what ended the session, if it failed, even when it was closed since.
        """
        with self.awaiting(session):
            if not self._monitor.wait(
                lambda: session != self._session or self.state not in waiting, deadline
            ):
                return False
        failure = self.failure_of(session)
        if failure is not None:
            raise failure
        return True

    def failure_of(self, session: int) -> EToroError | None:
        """Return what ended *session*, to raise, if it failed; also when it was closed since."""
        failure = self._failure
        return fresh(failure[1]) if failure is not None and failure[0] == session else None

    @contextlib.contextmanager
    def awaiting(self, session: int) -> Iterator[None]:
        """Let it be known that the caller will raise what ends *session*."""
        caller = object()
        try:
            self._waiting[caller] = session
            yield
        finally:
            self._waiting.pop(caller, None)

    def is_awaited(self, session: int) -> bool:
        """Whether a caller waits who will raise what ends *session*."""
        return session in self._waiting.values()
