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

    def __init__(self) -> None:
        self._real = socket.getaddrinfo
        self._mode = ""
        self._hang = 0.0
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

    def fault(self, mode: str, hang: float = 0.0) -> None:
        """Go wrong from now on.

        :param mode: ``fails``, ``no_address``, ``hangs``, ``refused_first`` or ``silent_first``.
        :param hang: seconds.
        """
        self._mode, self._hang = mode, hang
        if mode == "silent_first":
            self._make_silent_port()

    def heal(self) -> None:
        """Behave; who hangs gets his answer."""
        self._mode = ""
        self._healed.set()
        while self._busy:
            self._busy.pop().close()

    def _resolve(self, host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host != NAME:
            return self._real(host, port, *args, **more)
        if self._mode == "fails":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if self._mode == "hangs":
            self.entered.set()
            self._healed.wait(self._hang)
        if self._mode == "no_address":
            return []
        found = self._real("127.0.0.1", port, *args, **more)
        if self._mode == "refused_first":
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = server.getsockname()[1]
            return [*self._real("127.0.0.1", port, *args, **more), *found]
        if self._mode == "silent_first":
            port = self._busy[0].getsockname()[1]
            return [*self._real("127.0.0.1", port, *args, **more), *found]
        return found

    def _make_silent_port(self) -> None:
        """Open a port that answers nobody: as many wait there as its queue has room for."""
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        self._busy.append(server)
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(server.getsockname())
            self._busy.append(waiting)
