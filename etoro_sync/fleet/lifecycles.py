"""The state of a fleet, which follows from the states of its connections."""

from collections.abc import Callable

from ..errors import EToroError
from ..lifecycle import Lifecycle
from ..state import ClientState

__all__ = ["FleetLifecycle", "MemberLifecycle"]


class FleetLifecycle(Lifecycle):
    """LIVE while all connections are, once each that ``connect()`` opens has been."""

    def __init__(self) -> None:
        super().__init__()
        #: Those of the connections that are used. Replaced, never changed.
        self.members: tuple[MemberLifecycle, ...] = ()
        #: Whether ``connect()`` goes on after a first attempt that fails.
        self.retries = False
        self._established = False

    def begin(self, begun: list[int] | None = None, deadline: float | None = None) -> int | None:
        """Start a session; see :meth:`Lifecycle.begin`."""
        number = super().begin(begun, deadline)
        if number is not None:
            self.members, self._established = (), False
        return number

    def refresh(self, session: int) -> None:
        """Set the state to what follows from the connections; called after each change of one.

        The states are read under the lock. So the last of several calls sees the last of all
        changes, in whatever order they come.
        """
        with self._monitor.lock:
            if session == self._session and not self.idle and self.state is not ClientState.CLOSING:
                state = self._derived()
                if state is not self.state:
                    self._to(state, None)

    def _derived(self) -> ClientState:
        members = self.members
        is_lost = any(member.is_lost for member in members)
        if not self._established and members and all(member.was_live for member in members):
            self._established = True
        if self._established:
            return ClientState.RECONNECTING if is_lost else ClientState.LIVE
        if is_lost and self.retries:
            return ClientState.RECONNECTING
        opened = any(member.state is not ClientState.CONNECTING for member in members)
        return ClientState.AUTHENTICATING if opened else ClientState.CONNECTING


class MemberLifecycle(Lifecycle):
    """The state of one connection of a fleet.

    :param fleet: the state of all of it.
    """

    def __init__(self, fleet: FleetLifecycle) -> None:
        super().__init__(fleet.own_threads)
        self._fleet = fleet
        self._fleet_session = 0
        #: From a loss, or from a first attempt that has failed, until it is live (again).
        self.is_lost = False
        #: Whether it was ever live in its present session.
        self.was_live = False

    def prepare(self, fleet_session: int, is_lost: bool) -> None:
        """Set what the next session begins with.

        :param fleet_session: the session of the fleet.
        :param is_lost: whether messages of its topics are missing already.
        """
        self._fleet_session, self.is_lost, self.was_live = fleet_session, is_lost, False

    def advance(self, session: int, state: ClientState) -> None:
        """Set the state, and that of the fleet. The reader thread."""
        if session == self.session and state is ClientState.RECONNECTING:
            self.is_lost = True
        elif session == self.session and state is ClientState.LIVE:
            self.is_lost, self.was_live = False, True
        super().advance(session, state)
        self._fleet.refresh(self._fleet_session)

    def failed(
        self,
        session: int,
        error: EToroError,
        cleanup: Callable[[], None],
        unawaited: Callable[[], None] = lambda: None,
    ) -> None:
        """Set the state to FAILED; the fleet says so, and not each of its connections."""
        super().failed(session, error, cleanup)
