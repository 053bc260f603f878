"""The fleet that users work with."""

import os
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ..delivery.registry import Registry
from ..errors import EToroError, EToroValidationError
from ..numbers import whole
from ..state import ClientState
from ..stats import Counters
from ..stream.core import equip
from ..text import count, show
from ..ws.client import WsClient, chosen_options
from ..ws.core import Core, core_of
from ..ws.options import WsClientOptions, hide_locals
from .manager import FleetManager
from .stats import FleetConnection

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..ws.options import Settings

__all__ = ["WsFleet"]


class FleetCore(Core):
    """The parts of a fleet.

    :param options: the fleet's.
    :param connections: how many connections there may be.
    """

    def __init__(self, options: WsClientOptions, connections: int | None) -> None:
        self._connections = connections
        super().__init__(options)

    def _make_sessions(self, registry: Registry, counters: Counters) -> FleetManager:
        self.fleet = FleetManager(self.options, registry, counters, self._connections)
        return self.fleet

    @property
    def counters(self) -> Counters:
        """The counters of all connections together, as they are now."""
        return self.fleet.total()

    @counters.setter
    def counters(self, counters: Counters) -> None:
        """Accept the fleet's own, which its manager has."""

    @property
    def generations(self) -> frozenset[int]:
        """The numbers of the connections that are live now."""
        session = self.fleet.session
        if session is None or self.lifecycle.idle:
            return frozenset()
        members = session.open_members
        return frozenset(m.book.generation for m, state in members if state is ClientState.LIVE)


class WsFleet(WsClient):
    """A client with as many connections as its topics need.

    eToro allows 4,999 topics on a connection, and has some 12,700 instruments. A fleet is used as a
    :class:`WsClient` is: callbacks, queues and loops get the events of all connections. Its
    connections open and close with the topics. Each has one thread that reads; the callbacks of all
    run on one thread, in order.

    A topic stays on its connection. So a connection that is lost costs only its own topics: the
    others go on, and ``"reconnected"`` has a gap that names the topics of that one. ``state`` is
    LIVE while all connections are.

    :param options: as of :class:`WsClient`; each connection has its own keepalive, its own waits
        between attempts, and reads the keys for itself.
    :param connections: how many there may be at a time; None: as many as the topics need.
    :param settings: options by keyword instead.
    :raises EToroValidationError: when an option is not valid; names the field.
    """

    @hide_locals
    def __init__(
        self,
        options: WsClientOptions | None = None,
        *,
        connections: int | None = None,
        **settings: "Unpack[Settings]",
    ) -> None:
        most = None if connections is None else whole(connections)
        if connections is not None and (most is None or most < 1):
            raise EToroValidationError(
                f"connections must be a whole number of 1 or more, or None, not "
                f"{show(connections, 60)}.",
                "connections",
            )
        equip(self, FleetCore(chosen_options(options, cast(Any, settings)), most))

    @property
    def connections(self) -> tuple[FleetConnection, ...]:
        """The connections that are used now: the generation, the state and the topics of each."""
        core = _fleet_core(self)
        core.guard.check()
        session = core.fleet.session
        if session is None or core.lifecycle.idle:
            return ()
        return tuple(
            FleetConnection(member.book.generation, state, tuple(member.tracker.get_all()))
            for member, state in session.open_members
        )

    def record(self, folder: str | os.PathLike[str], **limits: Any) -> NoReturn:
        """Raise an error: a recording is of one connection.

        :param folder: as for a :class:`WsClient`.
        :param limits: as there.
        :raises EToroError: always.
        """
        raise EToroError(
            "A fleet cannot be recorded, because a recording is of one connection. Give each part "
            "of the topics, 4,999 at most, to a WsClient of its own, and record each."
        )

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            core = core_of(self)
            number = len(self.connections)
        except EToroError:  # in a debugger, or in the error's own traceback
            return f"<{name}, super().__init__() not called>"
        return (
            f"<{name} {core.state.value}, {count(number, 'connection')}, "
            f"{count(core.tracker.size, 'topic')}>"
        )


def _fleet_core(fleet: object) -> FleetCore:
    core = core_of(fleet)
    assert isinstance(core, FleetCore)
    return core
