"""Fixtures of the tests of metrics, health and the service manager."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

__all__ = ["Manager", "until"]


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Poll a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


class Manager:
    """A service manager's end of the notification socket.

    :param name: as in ``NOTIFY_SOCKET``.
    """

    def __init__(self, name: str) -> None:
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._address = f"\0{name[1:]}" if name[0] == "@" else name
        self._socket.bind(self._address)

    def fill(self) -> None:
        """Let others send until no message has room."""
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other,
            contextlib.suppress(BlockingIOError),
        ):
            other.setblocking(False)
            while True:
                other.sendto(b"X_OTHER=1", self._address)

    def receive(self, timeout: float = 5.0) -> list[str]:
        """Return the lines of the next message."""
        self._socket.settimeout(timeout)
        lines = self._socket.recv(4096).decode().split("\n")
        self.lines += lines
        return lines

    def wait_for(self, start: str, timeout: float = 5.0) -> str:
        """Return the next line that begins so."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for line in self.receive(max(deadline - time.monotonic(), 0.01)):
                if line.startswith(start):
                    return line
        raise TimeoutError(start)

    def drain(self) -> list[str]:
        """Return the lines that have come and were not received yet."""
        lines: list[str] = []
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                lines += self.receive(0)
        return lines

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    """A manager that has started this process, and wants a sign of life every 100 ms."""
    folder = tempfile.mkdtemp(prefix="sd")  # the path of a socket must be short
    path = str(Path(folder) / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    made = Manager(path)
    yield made
    made.close()
    shutil.rmtree(folder)


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the system refuse threads whose names contain a word."""
    start = threading.Thread.start

    def refuse(word: str) -> None:
        def refusing(thread: threading.Thread) -> None:
            if word in thread.name:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refusing)

    return refuse


class Blocker(logging.Handler):
    """A handler of the log that blocks the thread that logs, until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = threading.Event()
        self.go_on = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Block."""
        if "Reconnecting" in record.getMessage():
            self.blocks.set()
            self.go_on.wait(20)


@pytest.fixture
def blocker() -> Iterator[Blocker]:
    """Block the reader of a client when it loses its connection."""
    handler = Blocker()
    logger = logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    yield handler
    handler.go_on.set()
    logger.removeHandler(handler)
