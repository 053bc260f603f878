"""Where a source of events stands."""

from enum import Enum
from typing import Protocol

from .own_threads import OwnThreads

__all__ = ["ClientState", "Life"]


class ClientState(Enum):
    """Where a client stands."""

    DISCONNECTED = "disconnected"  #: never connected
    CONNECTING = "connecting"  #: the first connection is being opened
    AUTHENTICATING = "authenticating"  #: the first connection waits for eToro's answer
    LIVE = "live"  #: data flows, or can flow
    RECONNECTING = "reconnecting"  #: lost; until all subscriptions are acknowledged again
    CLOSING = "closing"  #: ``disconnect()`` is at work
    CLOSED = "closed"  #: ended by ``disconnect()``
    FAILED = "failed"  #: ended by an error


class Life(Protocol):
    """What is asked of a source by those who wait for its events."""

    state: ClientState
    own_threads: OwnThreads

    @property
    def idle(self) -> bool:
        """Whether nothing can come, because nobody has connected it."""
