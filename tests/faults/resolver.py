"""A name resolution that goes wrong on demand, for everything in this process."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Any

__all__ = ["NAME", "Resolver"]

#: The only name that is meddled with.
NAME = "localhost"


class Resolver:
    """Stands in for ``socket.getaddrinfo``; as a context manager, until the block ends."""

    #: What it may do; and ``elsewhere``, which is to name another port.
    MODES = ("fails", "no_address", "hangs", "refused_first", "silent_first", "silent")

    def __init__(self) -> None:
        self._real = socket.getaddrinfo
        self._mode = ""
        self._hang = 0.0
        self._port = 0
        #: How often it was asked while it went wrong; None: it never was to.
        self.struck: int | None = None
        self._healed = threading.Event()
        self._busy: list[socket.socket] = []
        #: Set while somebody hangs.
        self.entered = threading.Event()

    def __enter__(self) -> Resolver:
        socket.getaddrinfo = self._resolve
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal()
        socket.getaddrinfo = self._real

    def fault(self, mode: str, hang: float = 0.0, port: int = 0) -> None:
        """Go wrong from now on.

        :param mode: one of :attr:`MODES`, or ``elsewhere``.
        :param hang: seconds.
        :param port: where ``elsewhere`` leads to.
        """
        self._hang, self._port, self.struck = hang, port, 0
        if mode.startswith("silent"):
            self._make_silent_port()
        self._mode = mode

    def heal(self) -> None:
        """Behave; who hangs gets his answer."""
        self._mode = ""
        self._healed.set()
        while self._busy:
            self._busy.pop().close()

    def _resolve(self, host: Any, port: Any, *args: Any, **more: Any) -> Any:
        mode = self._mode
        if host != NAME:
            return self._real(host, port, *args, **more)
        if mode:
            assert self.struck is not None
            self.struck += 1
        if mode == "fails":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if mode == "hangs":
            self.entered.set()
            self._healed.wait(self._hang)
        if mode == "no_address":
            return []
        others = [self._refusing()] if mode == "refused_first" else []
        others += [self._port] if mode == "silent_first" else []
        if mode in ("silent", "elsewhere"):
            port = self._port
        found = []
        for each in (*others, port):
            found += self._real("127.0.0.1", each, *args, **more)
        return found

    @staticmethod
    def _refusing() -> int:
        """Return a port where nobody listens."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
            return port

    def _make_silent_port(self) -> None:
        """Open a port that answers nobody: as many wait there as its queue has room for."""
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        self._port = server.getsockname()[1]
        self._busy.append(server)
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(server.getsockname())
            self._busy.append(waiting)
