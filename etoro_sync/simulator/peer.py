"""What the hub knows of a client, so that it needs neither threads of its own nor sockets."""

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
        """Number of the connection."""

    @property
    def too_slow(self) -> bool:
        """Whether it was cut off because it read too slowly."""

    def send(self, message: str | bytes) -> bool:
        """Line up a message; False when the connection is cut off instead."""

    def enqueue(self, action: "Action") -> None:
        """Line up something to be done on the sending thread."""

    @property
    def transport(self) -> "Transport":
        """The socket below, for what goes wrong on the wire."""

    def close(self, code: int, reason: str) -> None:
        """Line up a close frame."""

    def abort(self) -> None:
        """Cut the connection off."""


@dataclass(frozen=True)
class SimulatorClient:
    """
    What is known of a connected client.

    :param id: Number of its connection, from 1.
    :param authenticated: Whether it is.
    :param topics: What it has subscribed to.
    :param messages_sent: Frames handed to its socket so far, acknowledgements included.
    """

    id: int
    authenticated: bool
    topics: frozenset[str]
    messages_sent: int
