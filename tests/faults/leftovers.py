"""What a client has left behind, while the server in the same process still runs."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from tests.support.threads import join_stragglers, open_descriptors

__all__ = ["client_ends", "client_threads"]

_CLIENT = "etoro-sync-"


def client_threads(grace: float) -> list[str]:
    """Return the names of a client's threads that do not end within the grace, in seconds."""
    return join_stragglers(prefix=_CLIENT, grace=grace)


def client_ends(port: int) -> list[str]:
    """Return what is connected to a port of this machine."""
    return [what for number, what in open_descriptors().items() if _leads_to(number, port)]


def _leads_to(number: int, port: int) -> bool:
    # A server may close its own descriptors at any time; one that is not connected has no peer.
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            with socket.socket(fileno=os.dup(number)) as sock:
                peer = sock.getpeername()
                return isinstance(peer, tuple) and peer[1:2] == (port,)
    return False
