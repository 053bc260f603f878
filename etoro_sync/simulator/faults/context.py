"""The part of the simulator that faults may use."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..peer import Peer


class FaultContext(Protocol):
    """The simulator's state as faults see it. All methods require its lock, :attr:`changed`."""

    changed: threading.Condition

    @property
    def peers(self) -> "tuple[Peer, ...]":
        """The clients with an open connection, in the order in which they connected."""

    def call_later(self, delay: float, action: Callable[[], None]) -> None:
        """Call *action* after *delay* seconds, with the lock held."""

    def drop_client(self, peer: "Peer") -> None:
        """Treat a client as disconnected, and send it nothing more."""

    def unsubscribe(self, peer: "Peer", topic: str) -> None:
        """Remove a client's subscription to a topic."""

    def send_snapshots(self, peer: "Peer", instrument_id: int | None) -> None:
        """Send a client the snapshots of an instrument, or of all, that it has subscribed to."""

    def send_to_subscribers(self, topic: str, text: str) -> int:
        """Send a message to the subscribers of its topic; return how many they are."""

    def faults_changed(self) -> None:
        """Update what depends on the active faults."""
