"""One TLS connection, one reader, many senders: what this library does, under stress.

The senders post to an outbox and wake the reader, which alone touches the socket. Everything that
is sent comes back, and is compared; a connection that ends before its time is counted.
``make tls-stress`` runs it on every Python, beside the way that fails (tls_shared_socket.py).
"""

import contextlib
import itertools
import socket
import ssl
import sys
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.waker import Waker

__all__ = ["CHUNK", "Outcome", "stress"]

#: Bytes of one send: about what a ping or a request takes.
CHUNK = 64
#: Sends that wait for the reader; beyond it the senders wait.
_MOST_POSTED = 2000
_MOST_UNSENT = 256 * 1024
_PATIENCE = 30.0


@dataclass
class Outcome:
    """What was seen.

    :ivar sends: how many chunks left.
    :ivar received: bytes that came back.
    :ivar deaths: connections that ended before their time, by how they ended.
    :ivar broken: connections whose bytes came back changed.
    """

    sends: int = 0
    received: int = 0
    connections: int = 0
    broken: int = 0
    deaths: Counter[str] = field(default_factory=Counter)


class Senders:
    """Threads that post numbered chunks to an outbox, as fast as it is emptied."""

    def __init__(self, count: int, outbox: deque[bytes], waker: Waker) -> None:
        self._outbox = outbox
        self._waker = waker
        self._stopping = False
        self._room = threading.Semaphore(_MOST_POSTED)
        self._threads = [
            threading.Thread(target=self._run, args=(number,)) for number in range(count)
        ]

    def _run(self, number: int) -> None:
        for serial in itertools.count():
            self._room.acquire()
            if self._stopping:
                return
            self._outbox.append(f"{number}:{serial}".encode().ljust(CHUNK, b"."))
            self._waker.wake()

    def taken(self) -> None:
        """Make room for one chunk more."""
        self._room.release()

    def __enter__(self) -> "Senders":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        for _thread in self._threads:
            self._room.release()
        for thread in self._threads:
            thread.join()


def stress(
    port: int, context: ssl.SSLContext, seconds: float, outcome: Outcome, senders: int = 4
) -> None:
    """Send for so long, and note what is seen; a connection that dies is replaced."""
    waker = Waker()
    outbox: deque[bytes] = deque()
    deadline = time.monotonic() + seconds
    try:
        with Senders(senders, outbox, waker) as threads:
            while time.monotonic() < deadline:
                with _connected(port, context, waker) as stream:
                    outcome.connections += 1
                    _converse(stream, outbox, threads, deadline, outcome)
    finally:
        waker.close()


@contextlib.contextmanager
def _connected(port: int, context: ssl.SSLContext, waker: Waker) -> Iterator[SocketStream]:
    stream = SocketStream(socket.create_connection(("127.0.0.1", port)), waker)
    try:
        stream.secure(context, "localhost")
        until = time.monotonic() + _PATIENCE
        while not stream.handshake_step():
            stream.wait(until)
        yield stream
    finally:
        stream.close()


def _converse(
    stream: SocketStream, outbox: deque[bytes], senders: Senders, deadline: float, outcome: Outcome
) -> None:
    """Do what the library's reader thread does, until *deadline* and until all came back."""
    sent = received = 0
    sent_sum = received_sum = 0
    patience = deadline + _PATIENCE
    try:
        while (now := time.monotonic()) < deadline or received < sent:
            assert now < patience, f"{sent - received} bytes did not come back"
            # By the clock of now: senders can fill the outbox for as long as it is emptied.
            while outbox and len(stream.unsent) < _MOST_UNSENT and time.monotonic() < deadline:
                chunk = outbox.popleft()
                senders.taken()
                stream.write(chunk)
                sent += len(chunk)
                sent_sum = zlib.crc32(chunk, sent_sum)
                outcome.sends += 1
            data = stream.read()
            if data is None:
                stream.wait(now + 0.1)
                stream.flush()
            elif not data:
                raise ConnectionError("end of stream")
            else:
                received += len(data)
                received_sum = zlib.crc32(data, received_sum)
    except OSError as exc:
        outcome.deaths[f"{type(exc).__name__}: {exc}"] += 1
    else:
        outcome.broken += sent_sum != received_sum
    outcome.received += received
