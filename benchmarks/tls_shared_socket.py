"""The counter-example: one TLS socket shared by a thread that reads and threads that send.

That is how many clients are built: one thread blocks in ``recv`` with a timeout, others call
``send`` under a lock of their own. OpenSSL forbids it, CPython does not prevent it, and healthy
connections die of it (cpython #77271), now and then the interpreter too. What was seen is counted;
the server is the one that the library's own way is tested with, see tls_stress.py.
"""

import contextlib
import socket
import ssl
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tls_stress import CHUNK, Outcome

__all__ = ["shared_socket"]

#: Chunks that may be on their way, so that nobody waits for room in a buffer.
_WINDOW = 100


class _Connection:
    """One shared socket, until it dies or the time is over."""

    def __init__(self, sock: ssl.SSLSocket, deadline: float, outcome: Outcome) -> None:
        self._sock = sock
        self._deadline = deadline
        self._outcome = outcome
        self._room = threading.Semaphore(_WINDOW)
        self._sending = threading.Lock()  # guards the sends, as websocket-client does
        self._over = threading.Event()

    def run(self, senders: int) -> None:
        threads = [threading.Thread(target=self._send) for _ in range(senders)]
        for thread in threads:
            thread.start()
        try:
            self._read()
        finally:
            self._over.set()
            for _ in threads:
                self._room.release()
            for thread in threads:
                thread.join()

    def _read(self) -> None:
        """Block in recv with a timeout, as a reader does that has deadlines to judge."""
        waiting = 0
        while time.monotonic() < self._deadline and not self._over.is_set():
            try:
                data = self._sock.recv(65536)
            except TimeoutError:
                continue
            except OSError as exc:
                self._died(exc)
                return
            if not data:
                # The server never closes: this is the reader's illusion.
                self._died(ConnectionError("recv returned the end of the stream"))
                return
            self._outcome.received += len(data)
            waiting += len(data)
            self._room.release(waiting // CHUNK or 1)
            waiting %= CHUNK

    def _send(self) -> None:
        chunk = b"x" * CHUNK
        while True:
            self._room.acquire()
            if self._over.is_set() or time.monotonic() >= self._deadline:
                return
            try:
                with self._sending:
                    self._sock.sendall(chunk)
                    self._outcome.sends += 1
            except OSError as exc:
                if not self._over.is_set():
                    self._died(exc)
                return

    def _died(self, exc: OSError) -> None:
        self._over.set()
        self._outcome.deaths[f"{type(exc).__name__}: {exc}"] += 1


def shared_socket(
    port: int, context: ssl.SSLContext, seconds: float, outcome: Outcome, senders: int = 2
) -> None:
    """Send for so long, and note what is seen; a connection that dies is replaced."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError):
            plain = socket.create_connection(("127.0.0.1", port), timeout=10)
            with context.wrap_socket(plain, server_hostname="localhost") as sock:
                sock.settimeout(1.0)
                outcome.connections += 1
                _Connection(sock, deadline, outcome).run(senders)
