"""One session of a fleet, from ``connect()`` to its end: the sessions of its connections together.

It holds no reference to the fleet, so that one that is not used any more can be collected.
"""

import logging
from collections.abc import Callable
from functools import partial

from .. import clocks
from ..errors import EToroClosedError, EToroError
from ..logs import log
from ..state import ClientState
from ..ws.protocol.requests import Operation
from ..ws.session.session import COLLECTED, GRACE, Session, end_together
from .connections import Connections, Parts, close_lifecycle
from .member import Member
from .stats import oldest

__all__ = ["FleetSession"]


class FleetSession:
    """Begins and ends the connections of a fleet together.

    Its lock is that of its connections. It guards whether one has failed.

    :param number: from the lifecycle.
    :param parts: what outlives the session.
    :param resumed: whether the session before this one failed, so that there was a gap.
    :raises OSError: when the system has no descriptor left.
    """

    def __init__(self, number: int, parts: Parts, resumed: bool) -> None:
        self.number = number
        self._parts = parts
        self._connections = Connections(parts, self, resumed)
        self._has_failed = False
        # Set by an end that nobody waits for: its reason, and what to call then.
        self._reason = ""
        self._at_end: Callable[[], None] = lambda: None
        parts.dispatcher.open(number, self._on_callbacks_failed)
        try:
            self._connections.open_wanted()
        except BaseException:
            self._abort()
            raise

    @property
    def _sessions(self) -> list[Session]:
        """The sessions of the connections that are used now, as a list of its own."""
        return list(self._connections.sessions.values())

    # -- beginning -------------------------------------------------------------------------------

    def retry_first(self, retry: bool) -> None:
        """Set whether first connections are tried again as any later ones. Before the start."""
        for session in self._sessions:
            session.retry_first(retry)

    def start(self) -> None:
        """Start the threads.

        :raises RuntimeError: when the system has no thread left.
        """
        try:
            self._parts.dispatcher.start(self.number)
            for session in self._sessions:
                session.start()
        except BaseException:
            self._abort()
            raise

    def _abort(self) -> None:
        self._connections.ending = True
        for session in self._sessions:
            session.reader.abort()
        self._close_lifecycles()

    # -- operations ------------------------------------------------------------------------------

    def post(self, operation: Operation) -> None:
        """Hand each connection its part of an operation; see :meth:`Connections.post`."""
        self._connections.post(operation)

    def is_opening(self, topics: list[str]) -> bool:
        """Whether any of *topics* is on a connection that was not live yet. Any thread."""
        return self._connections.is_opening(topics)

    def move(
        self,
        member: Member,
        operations: list[Operation],
        topics: list[str],
        room: int,
        lost: dict[str, float],
    ) -> bool:
        """Subscribe to topics on other connections; see :meth:`Owner.move`."""
        return self._connections.move(member, operations, topics, room, lost)

    # -- ending ----------------------------------------------------------------------------------

    def close(self, timeout: float, caller: str = "disconnect()") -> None:
        """End all connections with closing handshakes, and wait for all threads. Any thread.

        :param timeout: seconds to wait at most, for all together.
        :param caller: what ends the session, for the log.
        """
        if self.is_foreign:
            return
        begun = clocks.monotonic()
        dispatcher = self._parts.dispatcher
        try:
            self._end_all(timeout)
            dispatcher.stop(self.number)
            left = begun + timeout + GRACE * 0.9 - clocks.monotonic()
            dispatcher.join(self.number, left, caller)
        finally:
            # In finally, because Ctrl-C may interrupt the waits above.
            dispatcher.stop(self.number)

    def open_no_more(self) -> None:
        """Let no connection be opened, closed or given topics from now on. Any thread."""
        with self._connections.lock:
            self._connections.ending = True

    def _end_all(self, timeout: float) -> None:
        self.open_no_more()
        with self._connections.lock:
            sessions = [*self._sessions, *self._connections.retired.values()]
        try:
            end_together(sessions, timeout)
        finally:
            self._close_lifecycles()

    def finish(self, timeout: float) -> None:
        """Wait for connections that end still, before another session begins.

        :param timeout: seconds; those that have not ended then are left alone.
        """
        if not self.is_foreign:
            self._end_all(timeout)

    def _close_lifecycles(self) -> None:
        for member in list(self._parts.members):
            close_lifecycle(member)

    def abandon(self) -> None:
        """End without waiting and without a lock, as the garbage collector may call it anywhere."""
        if not self.is_foreign:
            self._connections.ending, self._reason = True, COLLECTED
            for session in list(self._connections.retired.values()):
                session.abandon(warns=False)
            for place, session in enumerate(self._sessions):
                session.abandon(warns=place == 0)

    def request_end(self, reason: str, at_end: Callable[[], None] = lambda: None) -> None:
        """Request the end and return at once. Any thread.

        :param reason: the message for readers of queues.
        :param at_end: called at the end, before a new session can begin.
        """
        if not self._reason:
            self._reason, self._at_end = reason, at_end
        self._end_members(reason)

    def _end_members(self, reason: str) -> None:
        with self._connections.lock:
            self._connections.ending = True
            sessions = self._sessions
        for session in sessions:
            session.request_end(reason)

    def fail(self, error: EToroError) -> None:
        """End the fleet with *error*, unless it has ended already. Any thread."""
        end_queues = partial(self._parts.registry.end_queues, str(error), error)
        logging_it = partial(log, logging.ERROR, "The fleet ended: %s", error)
        self._parts.lifecycle.failed(self.number, error, end_queues, logging_it)
        self._end_members(str(error))

    def _on_callbacks_failed(self, error: EToroError) -> None:
        """End the fleet, which would get no more callbacks. Runs on the dispatcher thread."""
        self.fail(error)

    # -- what connections report -----------------------------------------------------------------

    def member_ended(self, member: Member, reason: str, error: EToroError | None) -> None:
        """Note why the session of a connection ends. Its reader thread."""
        if member.last in list(self._connections.retired.values()):
            return
        if error is not None and reason != COLLECTED:
            self.fail(error)
        elif not self._connections.ending:
            # The program ends, and with it all connections.
            self.request_end(reason)

    def member_over(self, member: Member) -> None:
        """Conclude all of it behind the last connection. Any thread."""
        with self._connections.lock:
            session = member.last
            if session is None or not session.is_over:
                return
            if self._connections.retired.get(member.number) is session:
                del self._connections.retired[member.number]
                self._parts.tracker.placement.closed(member.number)
                close_lifecycle(member)
            sessions = self._sessions
        if not self._connections.ending or not all(session.is_over for session in sessions):
            return
        lifecycle = self._parts.lifecycle
        if self._reason and not lifecycle.idle:
            lifecycle.closing(self.number)
            lifecycle.closed(self.number, self._clean_up)
        self._parts.dispatcher.stop(self.number)

    def _clean_up(self) -> None:
        # An error, because the user did not close the fleet: a loop over a queue must raise.
        error = EToroClosedError(COLLECTED) if self._reason == COLLECTED else None
        self._parts.registry.end_queues(self._reason, error)
        self._at_end()

    def is_first_failure(self, member: Member) -> bool:
        """Whether no connection has failed before, of those that are used. Reader threads."""
        with self._connections.lock:
            first = not self._has_failed and member.number not in self._connections.retired
            self._has_failed = self._has_failed or first
            return first

    # -- figures ---------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether any WebSocket is open now."""
        return any(session.is_connected for session in self._sessions)

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the credentials on all connections."""
        sessions = self._sessions
        return bool(sessions) and all(session.is_authenticated for session in sessions)

    @property
    def is_resumed(self) -> bool:
        """Whether any connection was ever live, in this session or the failed one before it."""
        return any(session.is_resumed for session in self._sessions)

    @property
    def is_run_by_caller(self) -> bool:
        """Whether the caller runs on one of the reader threads, before its end is reported."""
        return any(session.is_run_by_caller for session in self._sessions)

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a forked child of the one that made the session."""
        return any(session.is_foreign for session in self._sessions)

    def signs_of_life(self) -> tuple[float | None, float | None]:
        """Return the worst of all connections: see :meth:`Session.signs_of_life`."""
        return oldest(session.signs_of_life() for session in self._sessions)

    @property
    def open_members(self) -> list[tuple[Member, ClientState]]:
        """The connections that are used, and their states."""
        with self._connections.lock:
            members = [self._parts.members[number] for number in sorted(self._connections.sessions)]
        return [(member, member.lifecycle.state) for member in members]
