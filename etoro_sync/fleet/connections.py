"""The connections of a fleet in one of its sessions: opened, given operations, ended when empty."""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial

from .. import clocks
from ..delivery.dispatcher import Dispatcher
from ..delivery.registry import Registry
from ..errors import EToroError, EToroSubscriptionError, EToroWebSocketError
from ..logs import log
from ..market.order_states import OrderStates
from ..redaction import Redactor
from ..text import count, no_thread
from ..ws.options import WsClientOptions
from ..ws.protocol.requests import Operation
from ..ws.session.commands import closed
from ..ws.session.session import Session
from .book import FleetBook
from .gathering import Gathering
from .lifecycles import FleetLifecycle
from .member import Member, MemberOwner, Relay, Shared
from .placement import NoRoom
from .tracker import FleetTracker

__all__ = ["Connections", "Parts", "close_lifecycle"]

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


class Connections:
    """Opens and ends connections, and hands operations to those that have the topics.

    Its lock is that of the fleet's tracker, since connections, topics and places change together:
    two locks could be taken in two orders. It guards all attributes. It is re-entrant, because a
    finalizer may end a stream while this thread holds it.

    :param parts: what outlives the session.
    :param fleet: the session, which gets what connections report.
    :param resumed: whether the session before this one failed, so that there was a gap.
    """

    def __init__(self, parts: Parts, fleet: Shared, resumed: bool) -> None:
        self._parts = parts
        self._fleet = fleet
        self._resumed = resumed
        self.lock = parts.tracker.lock
        self._placement = parts.tracker.placement
        #: By number of the connection: those that are used, and those that end for lack of topics.
        self.sessions: dict[int, Session] = {}
        self.retired: dict[int, Session] = {}
        # How many parts of operations have not ended.
        self._posted: Counter[int] = Counter()
        #: Whether the session ends, so that nothing is opened any more.
        self.ending = False

    # -- opening ---------------------------------------------------------------------------------

    def open_wanted(self) -> None:
        """Make the sessions of all connections that have topics, or of one, which do not start.

        :raises OSError: when the system has no descriptor left.
        """
        with self.lock:
            self._placement.all_ended()
            for number in self._placement.in_use or [0]:
                self._open(number)

    def _open(self, number: int, is_lost: bool = False) -> Session:
        """Make the session of a connection, which has not started. The caller holds the lock.

        :param is_lost: whether messages of its topics are missing already.
        :raises OSError: when the system has no descriptor left.
        """
        parts, member = self._parts, self._parts.member(number)
        member.lifecycle.prepare(self._fleet.number, is_lost)
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
                Relay(parts.dispatcher, member, self._fleet),
                member.addresses,
                MemberOwner(parts.registry, member, self._fleet),
                resumed,
            )
        except BaseException:
            close_lifecycle(member)
            raise
        self.sessions[number] = member.last = session
        self._placement.opened(number)
        self._count_members()
        return session

    def _count_members(self) -> None:
        """Let the fleet's state follow from the connections that are used now."""
        members = [self._parts.members[number] for number in self.sessions]
        self._parts.lifecycle.members = tuple(member.lifecycle for member in members)

    # -- operations ------------------------------------------------------------------------------

    def post(self, operation: Operation) -> None:
        """Hand each connection its part of an operation, and open those that are missing.

        Any thread. The operation ends with its last part.
        """
        gathering = Gathering(operation.on_done)
        all_posted = gathering.part()
        error: EToroError | None = None
        with self.lock:
            if self.ending:
                error, shares = closed(), {}
            else:
                shares = self._placement.shares(operation.topics)
                if operation.name == "Subscribe":
                    error = self._open_missing(shares, operation)
            parts = [
                (self.sessions[number], self._part(number, operation, topics, gathering))
                for number, topics in shares.items()
                if number in self.sessions
            ]
        for session, part in parts:
            session.post(part)
        # Not under the lock, since handlers of the log are user code.
        if error is not None and not (operation.awaited or self.ending):
            log(logging.ERROR, "%s", error)
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
        operation.parts.append(part)
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
            if number in self.sessions:
                continue
            try:
                session = self._open(number)
                session.retry_first(True)
                session.start()
            except (OSError, RuntimeError) as exc:
                self.sessions.pop(number, None)
                self._count_members()
                close_lifecycle(self._parts.member(number))
                self._parts.tracker.withdraw(topics, operation.version)
                text = no_thread(exc) if isinstance(exc, RuntimeError) else f"{exc}."
                error = EToroWebSocketError(
                    f"Cannot open another connection for {count(len(topics), 'topic')}: {text}"
                )
        return error

    def is_opening(self, topics: list[str]) -> bool:
        """Whether any of *topics* is on a connection that was not live yet. Any thread."""
        with self.lock:
            shares = self._placement.shares(topics)
            return any(not self._parts.member(number).lifecycle.was_live for number in shares)

    def _part_ended(self, number: int, part: Operation, error: EToroError | None) -> None:
        """Free the places of topics that have left, and end their connection if it has no others.

        The reader thread, or the caller's if the session has ended.
        """
        with self.lock:
            # What eToro refuses to unsubscribe goes on to come.
            if part.name == "Unsubscribe" and not isinstance(error, EToroSubscriptionError):
                self._placement.left(part.topics)
            self._posted[number] -= 1
            in_use = self._posted[number] or self._placement.topics_of(number)
            if self.ending or in_use or number not in self.sessions or len(self.sessions) < 2:
                return
            self._placement.close(number)
            self.retired[number] = session = self.sessions.pop(number)
            self._count_members()
        session.request_end(_EMPTY)
        self._parts.lifecycle.refresh(self._fleet.number)

    def move(
        self,
        member: Member,
        operations: list[Operation],
        topics: list[str],
        room: int,
        lost: dict[str, float],
    ) -> bool:
        """Subscribe to topics on other connections; see :meth:`Owner.move`."""
        with self.lock:
            if self.ending:
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
            for each in operations:
                each.parts.append(part)
            gathering = _joined(operations)
            all_posted = gathering.part()
            error: EToroError | None = None
            try:
                self._hand_over(part, gathering, lost)
            except (OSError, RuntimeError) as exc:
                error = EToroWebSocketError(f"Cannot open another connection: {exc}.")
        if error is not None:
            self._fleet.fail(error)
        all_posted(error)
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
            session = self.sessions.get(number)
            is_new = session is None
            if session is None:
                session = self._open(number, is_lost=bool(lost))
                session.retry_first(True)
            part = self._part(number, moved, topics, gathering)
            session.expect_moved({topic: lost[topic] for topic in topics if topic in lost})
            if is_new:
                session.start()
            session.post(part)


def close_lifecycle(member: Member) -> None:
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
