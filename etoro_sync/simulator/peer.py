"""The hub's view of a client, without threads and sockets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .link import Action
    from .transport import Transport


class Peer(Protocol):
    """A client's connection. Nothing here may block."""

    @property
    def messages_sent(self) -> int:
        """Messages handed to its socket so far."""

    @property
    def id(self) -> int:
        """The number of the connection."""

    @property
    def too_slow(self) -> bool:
        """Whether it was cut off because it read too slowly."""

    def send(self, message: str | bytes) -> bool:
        """Queue a message; return False when the connection is cut off instead."""

    def enqueue(self, action: "Action") -> None:
        """Queue an action for the sending thread."""

    @property
    def transport(self) -> "Transport":
        """The socket below the connection, which faults act on."""

    def close(self, code: int, reason: str) -> None:
        """Queue a close frame."""

    def abort(self) -> None:
        """Reset the connection."""


@dataclass(frozen=True)
class SimulatorClient:
    """A connected client, as the simulator sees it.

    :param id: number of its connection, from 1.
    :param authenticated: whether it has authenticated.
    :param topics: the topics that it has subscribed to.
    :param messages_sent: messages handed to its socket so far, replies included.
    """

    id: int
    authenticated: bool
    topics: frozenset[str]
    messages_sent: int
