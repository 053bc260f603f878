"""What servers of tests do on a connection, where several tests want the same."""

from __future__ import annotations

import threading

from tests.support.peer import Peer
from tests.support.raw_server import Script

__all__ = ["live", "until"]


def live(peer: Peer) -> None:
    """Authenticate the client and serve it until it leaves."""
    peer.accept()
    peer.serve()


def until(lose: threading.Event) -> Script:
    """Authenticate the client and end the connection when the event is set."""
    return lambda peer: (peer.accept(), peer.wait(lose))
