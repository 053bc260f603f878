"""The parts of a client: those of any stream, and those that know the connection."""

from ..delivery.registry import Registry
from ..events import EVENTS
from ..lifecycle import AT_WORK
from ..state import ClientState
from ..stats import Counters
from ..stream.core import StreamCore
from ..stream.core import core_of as core_of_stream
from .options import WsClientOptions
from .session.manager import SessionManager

__all__ = ["Core", "core_of"]


def core_of(client: object) -> "Core":
    """Return the parts of *client*.

    :raises EToroError: when its ``__init__`` has not run.
    """
    core = core_of_stream(client)
    assert isinstance(core, Core)
    return core


class Core(StreamCore):
    """Makes and holds the parts of a client.

    :param options: the client's.
    """

    def __init__(self, options: WsClientOptions) -> None:
        registry, counters = Registry(EVENTS), Counters()
        self.options = options
        self.sessions = self._make_sessions(registry, counters)
        super().__init__(registry, counters, self.sessions)
        self.tracker = self.sessions.tracker
        self.requests = self.sessions.requests

    def _make_sessions(self, registry: Registry, counters: Counters) -> SessionManager:
        return SessionManager(self.options, registry, counters)

    @property
    def is_authenticated(self) -> bool:
        """Whether eToro has accepted the credentials on the present connection."""
        session = None if self.guard.foreign else self.sessions.present
        return session is not None and session.is_authenticated

    def signs_of_life(self) -> tuple[float | None, float | None]:
        """Return the age of the last byte, and by how much the reader is late. Any thread."""
        session, state = self.sessions.present, self.lifecycle.state
        if session is None or state not in AT_WORK or state is ClientState.CLOSING:
            return None, None
        return session.signs_of_life()
