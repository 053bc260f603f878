"""Real proxies on the loopback interface: proxy.py for HTTP, tiny-proxy for SOCKS5.

Both stop, and can be started again on the same port, which is an outage of the proxy. Neither knows
anything of this library, so what they understand other proxies understand too.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from tiny_proxy import Socks5ProxyHandler

from .timing import MS

__all__ = ["HttpProxy", "SocksProxy"]

_ROOT = Path(__file__).parents[2]
_START = 20_000 * MS


class HttpProxy:
    """An HTTP proxy in a process of its own, because proxy.py forks.

    :param login: ``user:password`` that it wants
    :param plugin: dotted name of a class that decides otherwise
    """

    def __init__(self, login: str = "", plugin: str = "") -> None:
        self._arguments = ["--basic-auth", login] if login else []
        self._arguments += ["--plugins", plugin] if plugin else []
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = tempfile.TemporaryDirectory(prefix="etoro-sync-proxy-")
        self.port = 0

    def start(self) -> None:
        """Listen, on the port of last time if there was one."""
        port_file = Path(self._directory.name) / "port"
        port_file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "proxy", "--hostname", "127.0.0.1"),
                *("--port", str(self.port), "--port-file", str(port_file)),
                *("--num-acceptors", "1", "--num-workers", "1", "--timeout", "600"),
                *("--log-level", "CRITICAL", *self._arguments),
            ],
            # It makes a directory in the user's home, whatever it is told.
            env={**os.environ, "HOME": self._directory.name, "PYTHONPATH": str(_ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Its acceptors are processes, too, and it must be possible to end them all.
            start_new_session=True,
        )
        deadline = time.monotonic() + _START
        while not (port_file.exists() and port_file.read_text().endswith("\n")):
            assert self._process.poll() is None, "proxy.py ended at its start"
            assert time.monotonic() < deadline, "proxy.py does not start"
            time.sleep(0.01)
        self.port = int(port_file.read_text())

    def stop(self) -> None:
        """End it at once, with all its connections."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None

    def __enter__(self) -> HttpProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._directory.cleanup()


class SocksProxy:
    """A SOCKS5 proxy in a thread.

    :param login: ``user:password`` that it wants
    :ivar connected: released for each connection, which may be after the client has left
    :ivar asked: hosts and ports, as clients have named them
    """

    def __init__(self, login: str = "") -> None:
        self._login = login.split(":") if login else [None, None]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.connected = threading.Semaphore(0)
        self.asked: list[tuple[str, int]] = []
        self.port = 0

    def start(self) -> None:
        """Listen, on the port of last time if there was one."""
        listening = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening,), name="socks-proxy")
        self._thread.start()
        assert listening.wait(_START), "the SOCKS proxy does not start"
        assert self._error is None, self._error

    def stop(self) -> None:
        """End it, with all its connections."""
        if self._thread is not None and self._loop is not None and self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> SocksProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, listening: threading.Event) -> None:
        try:
            asyncio.run(self._serve(listening))
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._error = error
        finally:
            listening.set()

    async def _serve(self, listening: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        listener = await anyio.create_tcp_listener(
            local_host="127.0.0.1", local_port=self.port, family=socket.AF_INET
        )
        async with listener:
            self.port = listener.extra(anyio.abc.SocketAttribute.local_port)
            listening.set()
            await listener.serve(_Handler(self, *self._login).handle)


class _Handler(Socks5ProxyHandler):
    """Notes whom it is asked for."""

    def __init__(self, notes: SocksProxy, user: str | None, password: str | None) -> None:
        super().__init__(user, password)
        self._notes = notes

    def create_proxy(self, stream: Any) -> Any:
        self._notes.connected.release()
        proxy = super().create_proxy(stream)
        negotiate = proxy.negotiate

        async def noting() -> tuple[str, int]:
            host, port = await negotiate()
            self._notes.asked.append((str(host), port))
            return host, port

        proxy.negotiate = noting
        return proxy
