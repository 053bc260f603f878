"""The faults of a scenario, whichever side causes them, and how often they have struck."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from etoro_sync.simulator import EToroSimulator
from etoro_sync.simulator.faults import Fault
from tests.support.raw_server import Peer, RawServer

from .resolver import Resolver

__all__ = ["KEYS", "RESOLVED", "SCRIPTED", "Injection"]

#: Faults of a function that returns a key.
KEYS = ("key_raises", "key_hangs")


def _end(peer: Peer) -> None:
    peer.read_bytes(1)
    peer.finish()


def _reset(peer: Peer) -> None:
    peer.read_bytes(1)
    peer.reset()


def _speak_http(peer: Peer) -> None:
    peer.read_bytes(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    peer.finish()


#: Faults of a TLS handshake that no simulator plays: they strike in the middle of it.
SCRIPTED = {"tls_end": _end, "tls_reset": _reset, "tls_http": _speak_http}
#: Faults of the simulator that are states, and strike nobody in particular.
_STATES = ("refuse", "freeze")
#: Faults of what a name resolves to.
RESOLVED = (*Resolver.MODES, *SCRIPTED)


class Key:
    """A function that returns a key, unless it is to do otherwise."""

    def __init__(self) -> None:
        self.mode = ""
        self.struck = 0
        self.healed = threading.Event()

    def __call__(self) -> str:
        mode = self.mode
        if mode:
            self.struck += 1
        if mode == "key_raises":
            raise LookupError("no key today")
        if mode == "key_hangs":
            self.healed.wait()
        return "api"


class Injection:
    """Starts and heals one fault at a time, and counts. As a context manager, ends with its block.

    :param sim: a running simulator.
    """

    def __init__(self, sim: EToroSimulator) -> None:
        self._sim = sim
        self._name = ""
        self._fault: Fault | None = None
        self._seen_in_force = 0
        self._server: RawServer | None = None
        self.resolver = Resolver()
        self.key = Key()

    def __enter__(self) -> Injection:
        self.resolver.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal()
        self.resolver.__exit__(kind, error, trace)

    def strike(self, name: str, given: dict[str, Any]) -> None:
        """Let something go wrong from now on."""
        self._name = name
        if name in SCRIPTED:
            self._server = RawServer(SCRIPTED[name]).start()
            self.resolver.fault("elsewhere", port=self._server.port)
        elif name in RESOLVED:
            self.resolver.fault(name, **given)
        elif name in KEYS:
            self.key.mode = name
        else:
            self._fault = self._sim.fault(name, **given)

    @property
    def struck(self) -> int | None:
        """How often it has; None: there was nothing that could."""
        if self._name in _STATES:
            return self._seen_in_force or self._is_in_force()
        if self._fault is not None:
            return self._fault.struck
        return self.key.struck if self._name in KEYS else self.resolver.struck

    def _is_in_force(self) -> int:
        return int(self._fault in self._sim.faults)

    def heal_here(self) -> None:
        """Let that be right again which hangs in this process, and which nobody can interrupt."""
        self.resolver.heal()
        self.key.mode = ""
        self.key.healed.set()
        if self._server is not None:
            self._server.stop()

    def heal(self) -> None:
        """Let everything be right again."""
        self._seen_in_force = self._seen_in_force or self._is_in_force()
        self.heal_here()
        self._sim.heal()
