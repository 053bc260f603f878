"""One session of a fleet, from ``connect()`` to its end: the sessions of its connections together.

It holds no reference to the fleet, so that one that is not used any more can be collected.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .. import clocks
from ..delivery.dispatcher import Dispatcher
from ..delivery.registry import Registry
from ..errors import EToroClosedError, EToroError, EToroSubscriptionError, EToroWebSocketError
from ..logs import log
from ..market.order_states import OrderStates
from ..redaction import Redactor
from ..state import ClientState
from ..text import count, no_thread
from ..ws.options import WsClientOptions
from ..ws.protocol.requests import Operation
from ..ws.session.commands import closed
from ..ws.session.session import COLLECTED, GRACE, Session, end_together
from .book import FleetBook
from .gathering import Gathering
from .lifecycles import FleetLifecycle
from .member import Member, MemberOwner, Relay
from .placement import NoRoom
from .stats import oldest
from .tracker import FleetTracker

__all__ = ["FleetSession", "Parts"]

_EMPTY = "The connection has no topics any more."


@dataclass(frozen=True)
class Parts:
    """What all sessions of a fleet share. The tracker's lock guards the list of members."""

    options: WsClientOptions
    redactor: Redactor
    registry: Registry
    order_states: OrderStates
    dispatcher: Dispatcher
    tracker: FleetTracker
    book: FleetBook
    lifecycle: FleetLifecycle
    members: list[Member]

    def member(self, number: int) -> Member:
        """Return the connection of this number in the placement; it is made if it is new."""
        while number >= len(self.members):
            new = Member(len(self.members), self.options, self.tracker, self.book, self.lifecycle)
            self.members.append(new)
            self.book.books = tuple(member.book for member in self.members)
        return self.members[number]


class FleetSession:
    """Opens and ends connections, and hands operations to those that have the topics.

    Its lock is that of the fleet's tracker, since connections, topics and places change together.
    It guards the dictionaries of sessions and whether all of it ends.

    :param number: from the lifecycle.
    :param parts: what outlives the session.
    :param resumed: whether the session before this one failed, so that there was a gap.
    :raises OSError: when the system has no descriptor left.
    """

    def __init__(self, number: int, parts: Parts, resumed: bool) -> None:
        self.number = number
        self._parts = parts
        self._resumed = resumed
        self._lock = parts.tracker.lock
        self._placement = parts.tracker.placement
        # By number of the connection: those that are used, and those that end for lack of topics.
        self._sessions: dict[int, Session] = {}
        self._retired: dict[int, Session] = {}
        # How many parts of operations have not ended.
        self._posted: Counter[int] = Counter()
        self._ending = self._has_failed = False
        # Set by an end that nobody waits for: its reason, and what to call then.
        self._reason = ""
        self._at_end: Callable[[], None] = lambda: None
        parts.dispatcher.open(number, self._on_callbacks_failed)
        with self._lock:
            self._placement.all_ended()
            try:
                for each in self._placement.in_use or [0]:
                    self._open(each)
            except BaseException:
                self._abort()
                raise

    # -- beginning -------------------------------------------------------------------------------

    def retry_first(self, retry: bool) -> None:
        """Set whether first connections are tried again as any later ones. Before the start."""
        for session in self._sessions.values():
            session.retry_first(retry)

    def start(self) -> None:
        """Start the threads.

        :raises RuntimeError: when the system has no thread left.
        """
        try:
            self._parts.dispatcher.start(self.number)
            for session in list(self._sessions.values()):
                session.start()
        except BaseException:
            self._abort()
            raise

    def _abort(self) -> None:
        self._ending = True
        for session in list(self._sessions.values()):
            session.reader.abort()
        self._close_lifecycles()

    def _open(self, number: int, is_lost: bool = False) -> Session:
        """Make the session of a connection, which has not started. The caller holds the lock.

        :param is_lost: whether messages of its topics are missing already.
        :raises OSError: when the system has no descriptor left.
        """
        parts, member = self._parts, self._parts.member(number)
        member.lifecycle.prepare(self.number, is_lost)
        own = member.lifecycle.begin(deadline=clocks.monotonic())
        if own is None:
            raise OSError("an earlier connection is still ending")
        resumed = self._resumed and member.last is not None and member.last.is_resumed
        try:
            session = Session(
                own,
                member.options,
                parts.redactor,
                member.tracker,
                parts.registry,
                member.book,
                parts.order_states,
                member.lifecycle,
                member.counters,
                Relay(parts.dispatcher, member, self),
                member.addresses,
                MemberOwner(parts.registry, member, self),
                resumed,
            )
        except BaseException:
            _close_lifecycle(member)
            raise
        self._sessions[number] = member.last = session
        self._placement.opened(number)
        self._count_members()
        return session

    def _count_members(self) -> None:
        """Let the fleet's state follow from the connections that are used now."""
        members = [self._parts.members[number] for number in self._sessions]
        self._parts.lifecycle.members = tuple(member.lifecycle for member in members)

    # -- operations ------------------------------------------------------------------------------

    def post(self, operation: Operation) -> None:
        """Hand each connection its part of an operation, and open those that are missing.

        Any thread. The operation ends with its last part.
        """
        gathering = Gathering(operation.on_done)
        all_posted = gathering.part()
        error: EToroError | None = None
        with self._lock:
            if self._ending:
                error, shares = closed(), {}
            else:
                shares = self._placement.shares(operation.topics)
                if operation.name == "Subscribe":
                    error = self._open_missing(shares, operation)
            parts = [
                (self._sessions[number], self._part(number, operation, topics, gathering))
                for number, topics in shares.items()
                if number in self._sessions
            ]
        for session, part in parts:
            session.post(part)
        all_posted(error)

    def _part(
        self, number: int, operation: Operation, topics: list[str], gathering: Gathering
    ) -> Operation:
        """Return the part of an operation for a connection, to be posted; caller holds the lock.

        Until the part ends, the connection does not.
        """
        part = Operation(
            operation.name,
            topics,
            {t: operation.snapshot[t] for t in topics if t in operation.snapshot},
            version=operation.version,
            awaited=operation.awaited,
            recorded=operation.recorded,
        )
        part.on_done = gathering.part(partial(self._part_ended, number, part))
        self._posted[number] += 1
        return part

    def _open_missing(
        self, shares: dict[int, list[str]], operation: Operation
    ) -> EToroError | None:
        """Open the connections that are to get topics; the caller holds the lock.

        :returns: why one could not be opened; its topics are not wanted any more then.
        """
        error: EToroError | None = None
        for number, topics in shares.items():
            if number in self._sessions:
                continue
            try:
                session = self._open(number)
                session.retry_first(True)
                session.start()
            except (OSError, RuntimeError) as exc:
                self._sessions.pop(number, None)
                self._count_members()
                _close_lifecycle(self._parts.member(number))
                self._parts.tracker.withdraw(topics, operation.version)
                text = no_thread(exc) if isinstance(exc, RuntimeError) else f"{exc}."
                error = EToroWebSocketError(
                    f"Cannot open another connection for {count(len(topics), 'topic')}: {text}"
                )
        return error

    def is_opening(self, topics: list[str]) -> bool:
        """Whether any of *topics* is on a connection that was not live yet. Any thread."""
        with self._lock:
            shares = self._placement.shares(topics)
            return any(not self._parts.member(number).lifecycle.was_live for number in shares)

    def _part_ended(self, number: int, part: Operation, error: EToroError | None) -> None:
        """Free the places of topics that have left, and end their connection if it has no others.

        The reader thread, or the caller's if the session has ended.
        """
        with self._lock:
            # What eToro refuses to unsubscribe goes on to come.
            if part.name == "Unsubscribe" and not isinstance(error, EToroSubscriptionError):
                self._placement.left(part.topics)
            self._posted[number] -= 1
            in_use = self._posted[number] or self._placement.topics_of(number)
            if self._ending or in_use or number not in self._sessions or len(self._sessions) < 2:
                return
            self._placement.close(number)
            self._retired[number] = session = self._sessions.pop(number)
            self._count_members()
        session.request_end(_EMPTY)
        self._parts.lifecycle.refresh(self.number)

    def move(
        self,
        member: Member,
        operations: list[Operation],
        topics: list[str],
        room: int,
        lost: dict[str, float],
    ) -> bool:
        """Subscribe to topics on other connections; see :meth:`Owner.move`."""
        with self._lock:
            if self._ending:
                return False
            try:
                self._placement.move(member.number, topics, room)
            except NoRoom:
                return False
            wanted = [topic for topic in topics if self._parts.tracker.has(topic)]
            part = _moved(operations, wanted, lost)
            if part.recorded and part.snapshot:
                # As new as the restoration, whose snapshots their own connection may request.
                part.version = self._parts.tracker.add(list(part.snapshot), True)
            gathering = _joined(operations)
            all_posted = gathering.part()
            try:
                self._hand_over(part, gathering, lost)
            except (OSError, RuntimeError) as exc:
                self.fail(EToroWebSocketError(f"Cannot open another connection: {exc}."))
        all_posted(None)
        log(
            logging.WARNING,
            "eToro takes no more than %s on a connection; the others go to another one: %s.",
            count(room, "topic"),
            count(len(wanted), "topic"),
        )
        return True

    def _hand_over(self, moved: Operation, gathering: Gathering, lost: dict[str, float]) -> None:
        """Post an operation to the connections that its topics have been given to."""
        for number, topics in self._placement.shares(moved.topics).items():
            session = self._sessions.get(number)
            is_new = session is None
            if session is None:
                session = self._open(number, is_lost=bool(lost))
                session.retry_first(True)
            part = self._part(number, moved, topics, gathering)
            session.expect_moved({topic: lost[topic] for topic in topics if topic in lost})
            if is_new:
                session.start()
            session.post(part)

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

    def _end_all(self, timeout: float) -> None:
        with self._lock:
            self._ending = True
            sessions = [*self._sessions.values(), *self._retired.values()]
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
            _close_lifecycle(member)

    def abandon(self) -> None:
        """End without waiting and without a lock, as the garbage collector may call it anywhere."""
        if not self.is_foreign:
            self._ending, self._reason = True, COLLECTED
            for session in list(self._retired.values()):
                session.abandon(warns=False)
            for place, session in enumerate(list(self._sessions.values())):
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
        with self._lock:
            self._ending = True
            sessions = list(self._sessions.values())
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
        if member.last in list(self._retired.values()):
            return
        if error is not None and reason != COLLECTED:
            self.fail(error)
        elif not self._ending:
            # The program ends, and with it all connections.
            self.request_end(reason)

    def member_over(self, member: Member) -> None:
        """Conclude all of it behind the last connection. Any thread."""
        with self._lock:
            session = member.last
            if session is None or not session.is_over:
                return
            if self._retired.get(member.number) is session:
                del self._retired[member.number]
                self._placement.closed(member.number)
                _close_lifecycle(member)
            sessions = list(self._sessions.values())
        if not self._ending or not all(session.is_over for session in sessions):
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
        with self._lock:
            first = not self._has_failed and member.number not in self._retired
            self._has_failed = self._has_failed or first
            return first

    # -- figures ---------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether any WebSocket is open now."""
        return any(session.is_connected for session in list(self._sessions.values()))

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the credentials on all connections."""
        sessions = list(self._sessions.values())
        return bool(sessions) and all(session.is_authenticated for session in sessions)

    @property
    def is_resumed(self) -> bool:
        """Whether any connection was ever live, in this session or the failed one before it."""
        return any(session.is_resumed for session in list(self._sessions.values()))

    @property
    def is_run_by_caller(self) -> bool:
        """Whether the caller runs on one of the reader threads, before its end is reported."""
        return any(session.is_run_by_caller for session in list(self._sessions.values()))

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a forked child of the one that made the session."""
        return any(session.is_foreign for session in list(self._sessions.values()))

    def signs_of_life(self) -> tuple[float | None, float | None]:
        """Return the worst of all connections: see :meth:`Session.signs_of_life`."""
        return oldest(session.signs_of_life() for session in list(self._sessions.values()))

    @property
    def open_members(self) -> list[tuple[Member, ClientState]]:
        """The connections that are used, and their states."""
        with self._lock:
            members = [self._parts.members[number] for number in sorted(self._sessions)]
        return [(member, member.lifecycle.state) for member in members]


def _close_lifecycle(member: Member) -> None:
    """Let the next session of a connection begin at any time."""
    number = member.lifecycle.session
    member.lifecycle.closing(number)
    member.lifecycle.closed(number, lambda: None)


def _moved(operations: list[Operation], topics: list[str], lost: dict[str, float]) -> Operation:
    """Return what subscribes to *topics* elsewhere, which the first of *operations* could not.

    :param lost: those of which messages are missing; their snapshots are requested.
    """
    first = operations[0]
    snapshot = {t: first.snapshot[t] for t in topics if first.snapshot.get(t)}
    snapshot |= {t: True for t in topics if t in lost and t != "private"}
    return Operation(
        "Subscribe",
        topics,
        snapshot,
        version=first.version,
        awaited=any(each.awaited and not each.restoring for each in operations),
        # No caller could try again what is part of a restoration.
        recorded=first.restoring or first.recorded,
    )


def _joined(operations: list[Operation]) -> Gathering:
    """Let *operations* end no sooner than all parts of what is returned."""
    ends = []
    for each in operations:
        own = Gathering(each.on_done)
        each.on_done = own.part()
        ends.append(own.part())

    def end(error: EToroError | None) -> None:
        for each in ends:
            each(error)

    return Gathering(end)
