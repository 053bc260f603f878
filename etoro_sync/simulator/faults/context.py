"""What a fault may do to the simulator, so that no fault has to know the whole of it."""

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
        """Have something done after a delay in seconds."""

    def drop_client(self, peer: "Peer") -> None:
        """Count a client as gone, and say nothing more to it."""

    def unsubscribe(self, peer: "Peer", topic: str) -> None:
        """Lose a client's subscription to a topic."""

    def send_snapshots(self, peer: "Peer", instrument_id: int | None) -> None:
        """Send a client the snapshots of an instrument, or of all, that it has subscribed to."""

    def send_to_subscribers(self, topic: str, text: str) -> int:
        """Send a message to those who have subscribed to its topic."""

    def faults_changed(self) -> None:
        """Look at the faults in force anew."""
