"""The states of a client, and the part of a lifecycle that queues depend on."""

from enum import Enum
from typing import Protocol

from .own_threads import OwnThreads

__all__ = ["ClientState", "Life"]


class ClientState(Enum):
    """The state of a client or of any other stream, as its ``state`` returns it."""

    DISCONNECTED = "disconnected"  #: ``connect()`` was never called
    CONNECTING = "connecting"  #: the first connection is being opened
    AUTHENTICATING = "authenticating"  #: the first connection waits for eToro to accept the keys
    LIVE = "live"  #: events can come
    RECONNECTING = "reconnecting"  #: from a lost connection until all subscriptions are restored
    CLOSING = "closing"  #: ``disconnect()`` is running
    CLOSED = "closed"  #: ended by ``disconnect()``, or because the source has come to its end
    FAILED = "failed"  #: ended by an error


class Life(Protocol):
    """The part of a source's lifecycle that its queues use."""

    state: ClientState
    own_threads: OwnThreads

    @property
    def idle(self) -> bool:
        """Whether no session runs, so that no event can come before ``connect()``."""
