"""A client in a process of its own, which is stopped and goes on later, as by a laptop's lid."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import pytest

__all__ = ["Program", "needs_stop"]

needs_stop = pytest.mark.skipif(
    not hasattr(signal, "SIGSTOP"), reason="the system cannot stop a process"
)

_PRELUDE = """
import json, ssl, sys, time
from tests.support.clients import make_client

def tell(*words):
    print(json.dumps(words), flush=True)

url, authority, options = json.loads(sys.argv[1])
if authority:
    options["ssl_context"] = ssl.create_default_context(cadata=authority)
client = make_client(url, **options)
"""


class Program:
    """A Python program with a client that is not connected yet, and ``tell(*words)``.

    :param url: of the server.
    :param code: what it does with ``client``.
    :param authority: whom it trusts, in PEM; for TLS.
    :param options: of the client.
    """

    def __init__(self, url: str, code: str, authority: str = "", **options: Any) -> None:
        command = [sys.executable, "-c", _PRELUDE + code, json.dumps([url, authority, options])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._told: queue.Queue[list[Any] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._listen, name="program", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put(json.loads(line))
        self._told.put(None)

    def told(self, timeout: float = 20.0) -> list[Any]:
        """Return the next words of the program; it must have some."""
        words = self._told.get(timeout=timeout)
        assert words is not None, "the program has ended"
        return words

    def told_until_end(self) -> list[list[Any]]:
        """End the program, and return all that it has told and nobody has taken yet."""
        self.end()
        return list(iter(self._told.get, None))  # type: ignore[arg-type]  # it is ended by None

    @contextlib.contextmanager
    def stopped(self, seconds: float) -> Iterator[float]:
        """Let the program stand still at least so long, and during the block.

        :returns: the wall clock's time before it does.
        """
        began, before = time.monotonic(), time.time()
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            os.waitpid(self._process.pid, os.WUNTRACED)  # until it has
            yield before
            time.sleep(max(began + seconds - time.monotonic(), 0.0))
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kill it, if it has not ended."""
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        assert self._process.stdout is not None
        self._process.stdout.close()
