"""One connection of a fleet: what it has of its own, and how its session reaches the others."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..delivery.dispatcher import Dispatcher
from ..delivery.registry import Registry
from ..errors import EToroError
from ..stats import Counters
from ..ws.options import WsClientOptions
from ..ws.protocol.requests import Operation
from ..ws.session.owner import Owner
from ..ws.session.session import Session
from ..ws.transport.addresses import Addresses
from .book import FleetBook, MemberBook
from .lifecycles import FleetLifecycle, MemberLifecycle
from .tracker import FleetTracker, MemberTracker

__all__ = ["Member", "MemberOwner", "Relay"]


class Member:
    """What outlives the sessions of one connection.

    :param number: of the connection in the placement.
    :param options: the fleet's.
    :param tracker: the topics of all connections.
    :param book: the rates of all connections.
    :param lifecycle: the state of the fleet.
    """

    def __init__(
        self,
        number: int,
        options: WsClientOptions,
        tracker: FleetTracker,
        book: FleetBook,
        lifecycle: FleetLifecycle,
    ) -> None:
        self.number = number
        self.options = options
        self.tracker = MemberTracker(tracker, number)
        self.book = MemberBook(book, options.request_timeout)
        self.lifecycle = MemberLifecycle(lifecycle)
        self.counters = Counters()
        self.addresses = Addresses()
        #: The last session that it had; None: none yet.
        self.last: Session | None = None


class Shared(Protocol):
    """The part of a fleet's session that its connections use."""

    number: int

    def member_ended(self, member: Member, reason: str, error: EToroError | None) -> None:
        """Note why the session of a connection ends."""

    def fail(self, error: EToroError) -> None:
        """End the fleet with an error."""

    def member_over(self, member: Member) -> None:
        """Note that the session of a connection has ended."""

    def is_first_failure(self, member: Member) -> bool:
        """Whether no connection has failed before."""

    def move(
        self,
        member: Member,
        operations: list[Operation],
        topics: list[str],
        room: int,
        lost: dict[str, float],
    ) -> bool:
        """Subscribe to topics on other connections; see :meth:`Owner.move`."""


class MemberOwner(Owner):
    """Hands what a connection reports to the session of its fleet.

    :param registry: the fleet's.
    :param member: the connection.
    :param fleet: the session that it belongs to.
    """

    has_others = True

    def __init__(self, registry: Registry, member: Member, fleet: Shared) -> None:
        super().__init__(registry)
        self._member = member
        self._fleet = fleet

    def end_queues(self, reason: str, error: EToroError | None = None) -> None:
        """Leave the queues, which all connections share, to the fleet."""
        self._fleet.member_ended(self._member, reason, error)

    def reports_failure(self) -> bool:
        """Whether this is the first connection that fails: the fleet ends once."""
        return self._fleet.is_first_failure(self._member)

    def move(
        self, operations: list[Operation], topics: list[str], room: int, lost: dict[str, float]
    ) -> bool:
        """Subscribe to topics on other connections; see :meth:`Owner.move`."""
        return self._fleet.move(self._member, operations, topics, room, lost)


class Relay:
    """Stands in for the dispatcher, which the connections of a fleet share.

    Events pass, with the number of the fleet's session in the place of that of the connection's.
    The fleet itself opens, starts, stops and joins the dispatcher.

    :param dispatcher: the fleet's.
    :param member: the connection.
    :param fleet: the session that it belongs to.
    """

    def __init__(self, dispatcher: Dispatcher, member: Member, fleet: Shared) -> None:
        self._dispatcher = dispatcher
        self._member = member
        self._fleet = fleet

    def extend(
        self,
        session: int,
        rates: Sequence[tuple[Any, ...]],
        others: Sequence[tuple[int, str, tuple[Any, ...]]] = (),
    ) -> None:
        """Add the market events of one read. The connection's reader thread."""
        self._dispatcher.extend(self._fleet.number, rates, others)

    def post(self, session: int, event: str, *arguments: Any) -> None:
        """Add an event that must not be lost. Any thread."""
        self._dispatcher.post(self._fleet.number, event, *arguments)

    def barrier(self) -> None:
        """Keep rates of the next connection from replacing waiting ones. Reader thread."""
        self._dispatcher.barrier()

    def open(self, session: int, on_failure: Callable[[EToroError], None]) -> None:
        """Do nothing."""

    def start(self, session: int) -> None:
        """Do nothing."""

    def stop(self, session: int) -> None:
        """Tell the fleet that the session of the connection has ended, if it has. Any thread."""
        self._fleet.member_over(self._member)

    def join(self, session: int, timeout: float, caller: str = "") -> bool:
        """Do not wait: other connections may go on."""
        return True
