"""What the transport's tests share: pairs of sockets, dialled streams, open connections."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.dialer import Dialer, Tunnel
from etoro_sync.ws.transport.handshake import open_websocket
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.target import Target
from etoro_sync.ws.transport.waker import Waker
from tests.support.timing import MS

#: Seconds within which everything happens that is to happen at all.
SOON = 10_000 * MS
#: Seconds that a wait which is to end at once may take on a busy machine.
AT_ONCE = 3_000 * MS
#: Bytes; more than the buffers of :func:`tcp_pair` take.
MUCH = 2 * 1024 * 1024
#: A wait that is to last is made this long.
A_WHILE = 100 * MS


def no_context() -> ssl.SSLContext:
    raise AssertionError("TLS is not wanted here")


def make_dialer(waker: Waker, seconds: float = SOON) -> Dialer:
    return Dialer(waker, time.monotonic() + seconds)


def dial(
    url: str,
    waker: Waker,
    context: ssl.SSLContext | None = None,
    *,
    seconds: float = SOON,
    tunnel: Tunnel | None = None,
) -> SocketStream:
    """Return a connected stream."""
    dialer = make_dialer(waker, seconds)
    return dialer.open(Target.of(url), no_context if context is None else lambda: context, tunnel)


@contextlib.contextmanager
def dialled(url: str, waker: Waker, *args: Any, **options: Any) -> Iterator[SocketStream]:
    """Dial, and close at the end."""
    stream = dial(url, waker, *args, **options)
    try:
        yield stream
    finally:
        stream.close()


def make_connection(stream: SocketStream, early: bytes = b"", **options: Any) -> Connection:
    """Return a connection on a stream after its handshake; keepalive is off unless asked for."""
    settings = {
        "max_message_bytes": 1024 * 1024,
        "heartbeat_interval": 0.0,
        "heartbeat_timeout": 10.0,
        "redact": str,
    }
    return Connection(stream, early, **{**settings, **options})


@contextlib.contextmanager
def connected(
    url: str, waker: Waker, context: ssl.SSLContext | None = None, **options: Any
) -> Iterator[Connection]:
    """Dial, do the opening handshake, and dispose of the connection at the end."""
    with dialled(url, waker, context) as stream:
        early = open_websocket(url, stream, make_dialer(waker), str)
        yield make_connection(stream, early, **options)


def read_on(
    connection: Connection,
    done: Callable[[list[str]], bool] = lambda texts: False,
    seconds: float = SOON,
) -> list[str]:
    """Do what the reader thread does, until *done* or the peer's close; return the messages."""
    deadline = time.monotonic() + seconds
    texts: list[str] = []
    while not done(texts) and connection.peer_close is None:
        assert time.monotonic() < deadline, f"only {len(texts)} messages: {texts[:10]}"
        found = connection.receive()
        if found is None:
            connection.check(time.monotonic())
            connection.wait(min(deadline, connection.next_check(time.monotonic())))
        else:
            texts += found
    return texts


def count(number: int) -> Callable[[list[str]], bool]:
    return lambda texts: len(texts) >= number


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected TCP sockets with small buffers, the second one with a timeout."""
    with socket.socket() as listener:
        # Before listen: accepted sockets inherit it, and the first window obeys it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    far.settimeout(SOON)
    return near, far


@contextlib.contextmanager
def stream_with_peer(waker: Waker, **options: Any) -> Iterator[tuple[SocketStream, socket.socket]]:
    """A stream and the socket at its other end."""
    near, far = tcp_pair()
    stream = SocketStream(near, waker, **options)
    with far:
        try:
            yield stream, far
        finally:
            stream.close()


def read_all(stream: SocketStream, size: int, seconds: float = SOON) -> bytes:
    """Read exactly so many bytes from a stream."""
    deadline = time.monotonic() + seconds
    data = b""
    while len(data) < size:
        assert time.monotonic() < deadline, f"only {len(data)} bytes"
        piece = stream.read()
        assert piece != b"", "the stream ended"
        if piece is None:
            stream.wait(deadline)
        else:
            data += piece
    return data


def flush_all(stream: SocketStream, seconds: float = SOON) -> None:
    """Flush until nothing is queued."""
    deadline = time.monotonic() + seconds
    while stream.unsent:
        assert time.monotonic() < deadline, f"{len(stream.unsent)} bytes unsent"
        stream.wait(deadline)
        stream.flush()


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Read exactly so many bytes from a socket."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(size - len(data), 65536))
        assert piece, "the stream ended"
        data += piece
    return bytes(data)


class BlackHole:
    """A port to which a connection neither succeeds nor fails: its backlog is full."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind((host, port))
        self._listener.listen(0)
        self.address = self._listener.getsockname()
        self.port: int = self.address[1]
        self.url = f"ws://127.0.0.1:{self.port}/ws"
        self._fillers: list[socket.socket] = []
        # A backlog of 0 holds one connection on some systems and a few on others.
        for _ in range(8):
            filler = socket.socket(family, socket.SOCK_STREAM)
            filler.setblocking(False)
            filler.connect_ex(self.address)
            self._fillers.append(filler)

    def __enter__(self) -> BlackHole:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in [*self._fillers, self._listener]:
            sock.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> None:
    """Make every name lead to these addresses, in this order."""

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [
            (
                socket.AF_INET6 if ":" in address[0] else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                address,
            )
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def lasts(wait: Callable[[], object], seconds: float) -> bool:
    """Whether a wait takes its time; a selector's clock ticks in milliseconds."""
    started = time.monotonic()
    wait()
    return time.monotonic() - started >= seconds * 0.9


def fill(stream: SocketStream) -> None:
    """Queue MUCH, and send until the kernel has no room left, which it may find bit by bit."""
    stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    stream.write(bytes(MUCH))
    with selectors.DefaultSelector() as selector:
        selector.register(stream._sock, selectors.EVENT_WRITE)
        while selector.select(A_WHILE):
            stream.flush()
    assert stream.unsent
