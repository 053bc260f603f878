"""TLS under the stream: certificates, both directions at once, and what OpenSSL wants between."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from etoro_sync.errors import EToroTimeoutError, EToroWebSocketError
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.handshake import open_websocket
from etoro_sync.ws.transport.proxy import make_tunnel
from etoro_sync.ws.transport.target import Target
from etoro_sync.ws.transport.tls import make_default_context
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.support.certificates import Certificates
from tests.support.clocks import FakeClock
from tests.support.foreign import Context
from tests.support.frames import unmask
from tests.support.raw_server import TEXT, Peer, frame
from tests.support.threads import Watchdog, run_in_thread
from tests.ws.transport.tools import (
    A_WHILE,
    AT_ONCE,
    SOON,
    connected,
    count,
    dial,
    dialled,
    fill,
    flush_all,
    lasts,
    make_dialer,
    read_all,
    read_on,
)


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    """A client's context that trusts the tests' authority."""
    made = ssl.create_default_context()
    made.load_verify_locations(cadata=certificates.authority_pem().decode())
    return made


def handshaken(script: Callable[[Peer], object]) -> Callable[[Peer], object]:
    def whole(peer: Peer) -> None:
        peer.handshake()
        script(peer)

    return whole


def make_moody(context: ssl.SSLContext, **moods: list[Exception]) -> dict[str, list[Exception]]:
    """Make OpenSSL raise these rare errors first, and then work as usual."""

    def mood(name: str) -> Callable[..., Any]:
        usual = getattr(ssl.SSLSocket, name)

        def operation(self: ssl.SSLSocket, *args: Any, **kwargs: Any) -> Any:
            if moods[name]:
                raise moods[name][0]
            return usual(self, *args, **kwargs)

        return operation

    context.sslsocket_class = type(
        "MoodySocket", (ssl.SSLSocket,), {name: mood(name) for name in moods}
    )
    return moods


# Certificates


def test_a_right_certificate_is_accepted(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """A server whose certificate fits is connected to, by name and by address.

    Also by a context that is none of ``ssl``'s own, as some libraries' are.
    """
    server = raw_server(lambda peer: (peer.send(b"hello"), peer.wait_closed()), certificates.server)
    foreign: Any = Context(context)
    for url in (server.url, f"wss://127.0.0.1:{server.port}/ws"):
        for each in (context, foreign):
            with dialled(url, waker, each) as stream:
                assert read_all(stream, 5) == b"hello"


@pytest.mark.parametrize(
    ("kind", "words"),
    [("wrong_host", "mismatch"), ("expired", "expired"), ("untrusted", "unable to get local")],
)
def test_a_wrong_certificate_is_refused_and_explained(
    raw_server: StartServer,
    waker: Waker,
    certificates: Certificates,
    context: ssl.SSLContext,
    kind: str,
    words: str,
) -> None:
    """Nothing is sent to a server that is not the one meant, and the error says why."""
    reached = threading.Event()
    server = raw_server(lambda peer: reached.set(), getattr(certificates, kind))
    with pytest.raises(EToroWebSocketError, match="is not trusted") as caught:
        dial(server.url, waker, context)
    assert words in str(caught.value)
    assert f"localhost:{server.port}" in str(caught.value)
    assert "pass an ssl_context" in str(caught.value)
    assert ".." not in str(caught.value)
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert not reached.is_set()


def test_a_context_that_refuses_in_its_own_words_is_heard(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """A user's context may verify by itself, and its errors lack OpenSSL's details."""
    make_moody(context, do_handshake=[ssl.SSLCertVerificationError("not pinned")])
    server = raw_server(lambda peer: None, certificates.server)
    with pytest.raises(EToroWebSocketError, match=r"is not trusted: .*not pinned"):
        dial(server.url, waker, context)


def test_a_context_that_cannot_be_made_is_said_so(
    raw_server: StartServer, waker: Waker, certificates: Certificates
) -> None:
    """A key log or an authority file that cannot be opened is an error and no internal one."""

    def fail() -> ssl.SSLContext:
        raise FileNotFoundError(2, "No such file or directory")

    server = raw_server(lambda peer: None, certificates.server)
    with pytest.raises(EToroWebSocketError, match=r"The TLS handshake with .*: No such file"):
        make_dialer(waker).open(Target.of(server.url), fail)


def test_a_certificate_that_has_expired_asks_about_the_clock(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """It says what time it is here."""
    server = raw_server(lambda peer: None, certificates.expired)
    with pytest.raises(EToroWebSocketError, match="Is the clock of this machine right"):
        dial(server.url, waker, context)


@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_an_authority_that_is_missing_names_the_variable(
    raw_server: StartServer,
    waker: Waker,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """The file of SSL_CERT_FILE is not there, and OpenSSL says nothing of it."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")

    def proxied(peer: Peer) -> None:
        if way == "proxy":
            peer.respond(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.start_tls(certificates.server)

    server = raw_server(proxied)
    target = Target("localhost", server.port, True)
    tunnel = make_tunnel(urlsplit(f"http://127.0.0.1:{server.port}"), target)
    dialer = make_dialer(waker)
    with pytest.raises(EToroWebSocketError, match=r"SSL_CERT_FILE names '/no/such/file\.pem'"):
        dialer.open(target, make_default_context, tunnel if way == "proxy" else None)


# Servers that want to know the client


def demanding(peer: Peer, context: ssl.SSLContext) -> None:
    """Ask for a client's certificate; reset the connection of one that has none."""
    if peer.start_tls(context):
        peer.handshake()
        peer.send(b"hello")
        peer.wait_closed()
    else:
        peer.reset()


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (ssl.TLSVersion.TLSv1_3, "the server wants a client certificate"),
        (ssl.TLSVersion.TLSv1_2, "may want a client certificate"),
    ],
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "behind a failed send"])
def test_a_server_that_wants_a_certificate_is_told_as_such(
    raw_server: StartServer,
    waker: Waker,
    certificates: Certificates,
    context: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    version: ssl.TLSVersion,
    words: str,
    late: bool,
) -> None:
    """With TLS 1.3 its alert comes after the handshake, and the request may fail before that."""
    monkeypatch.setattr(certificates.demanding, "maximum_version", version)
    refused = threading.Event()
    server = raw_server(lambda peer: (demanding(peer, certificates.demanding), refused.set()))
    url = f"wss://localhost:{server.port}/ws"

    def knock() -> None:
        with dialled(url, waker, context) as stream:
            assert not late or refused.wait(SOON)
            open_websocket(url, stream, make_dialer(waker), str)

    with pytest.raises(EToroWebSocketError, match=words) as caught:
        knock()
    assert "ssl_context.load_cert_chain()" in str(caught.value)


def test_a_client_with_a_certificate_is_let_in(
    raw_server: StartServer, waker: Waker, certificates: Certificates
) -> None:
    """The certificate is the context's."""
    server = raw_server(lambda peer: demanding(peer, certificates.demanding))
    url = f"wss://localhost:{server.port}/ws"
    with dialled(url, waker, certificates.certified) as stream:
        assert open_websocket(url, stream, make_dialer(waker), str) in (b"", b"hello")


def test_a_connection_that_an_alert_ends_is_lost_for_its_reason(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """Wherever it comes; here it is behind a frame that could not be sent."""

    def alert(self: ssl.SSLSocket, *_: Any) -> bytes:
        error = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] (_ssl.c:1)")
        error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
        raise error

    def broken(self: ssl.SSLSocket, *_: Any) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    server = raw_server(handshaken(lambda peer: peer.wait_closed()), certificates.server)
    with connected(server.url, waker, context) as connection:
        connection._stream._sock.__class__ = type(
            "Alerted", (ssl.SSLSocket,), {"recv": alert, "send": broken}
        )
        connection.send_text("x")
        with pytest.raises(ConnectionFailed, match="the server wants a client certificate"):
            connection.receive()


# Servers that do not speak TLS


@pytest.mark.parametrize("end", ["close", "reset"])
def test_an_end_in_the_tls_handshake_is_said_so(
    raw_server: StartServer, waker: Waker, context: ssl.SSLContext, end: str
) -> None:
    """A server that leaves instead of answering the hello is an error of the TLS handshake."""
    server = raw_server(lambda peer: (peer.pause(0.01), getattr(peer, end)()))
    with pytest.raises(EToroWebSocketError, match="The TLS handshake with"):
        dial(f"wss://localhost:{server.port}/ws", waker, context)


def test_a_plain_server_is_said_so(
    raw_server: StartServer, waker: Waker, context: ssl.SSLContext
) -> None:
    """wss:// to a server that speaks plain HTTP fails and does not hang."""
    server = raw_server(lambda peer: (peer.send(b"HTTP/1.1 400 Bad\r\n\r\n"), peer.wait_closed()))
    with Watchdog(AT_ONCE), pytest.raises(EToroWebSocketError, match="does not speak TLS"):
        dial(f"wss://localhost:{server.port}/ws", waker, context)


def test_a_silent_server_ends_at_the_deadline(
    raw_server: StartServer, waker: Waker, context: ssl.SSLContext
) -> None:
    """A hello that nobody answers is a timeout that names the TLS handshake."""
    server = raw_server(lambda peer: peer.wait_closed())
    url = f"wss://localhost:{server.port}/ws"
    with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError, match="the TLS handshake with"):
        dial(url, waker, context, seconds=A_WHILE)


def test_disconnect_ends_the_tls_handshake_at_once(
    raw_server: StartServer, waker: Waker, context: ssl.SSLContext
) -> None:
    """While the hello waits for its answer, ``disconnect()`` is obeyed at once."""

    def script(peer: Peer) -> None:
        peer.pause(A_WHILE / 4)
        waker.stop()
        peer.wait_closed()

    server = raw_server(script)
    with Watchdog(AT_ONCE), pytest.raises(Interrupted):
        dial(f"wss://localhost:{server.port}/ws", waker, context)


# What OpenSSL wants in between


def test_a_handshake_that_wants_to_write_gets_to_write(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """A hello that the kernel did not take waits for room, not for an answer to it."""
    moods = make_moody(context, do_handshake=[ssl.SSLWantWriteError()])
    timer = threading.Timer(A_WHILE / 4, moods["do_handshake"].clear)
    timer.start()
    server = raw_server(lambda peer: (peer.send(b"hello"), peer.wait_closed()), certificates.server)
    with Watchdog(AT_ONCE), dialled(server.url, waker, context) as stream:
        assert read_all(stream, 5) == b"hello"
    timer.join()


def test_a_read_that_wants_to_write_waits_for_room(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """Room ends the wait of a read that has to write first, and unread bytes do not."""
    moods = make_moody(context, recv=[ssl.SSLWantWriteError()])
    read = threading.Event()

    def script(peer: Peer) -> None:
        peer.send(b"hello")
        peer.wait(read, SOON)
        peer.wait_closed()

    server = raw_server(script, certificates.server, recv_buffer=4096)
    with dialled(server.url, waker, context) as stream:
        assert stream.read() is None
        with Watchdog(AT_ONCE):
            stream.wait(time.monotonic() + SOON)
        fill(stream)
        assert stream.read() is None
        assert lasts(lambda: stream.wait(time.monotonic() + A_WHILE), A_WHILE)
        moods["recv"].clear()
        assert read_all(stream, 5) == b"hello"
        read.set()
        flush_all(stream)
        # All is as usual again: room alone ends no wait.
        assert lasts(lambda: stream.wait(time.monotonic() + A_WHILE), A_WHILE)


def test_a_write_that_wants_to_read_waits_for_bytes(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """Room does not end the wait of a write that has to read first, and bytes do."""
    moods = make_moody(context, send=[ssl.SSLWantReadError()])
    speak = threading.Event()

    def script(peer: Peer) -> None:
        peer.wait(speak, SOON)
        peer.send(b"go on")
        peer.wait_closed()

    server = raw_server(script, certificates.server)
    with dialled(server.url, waker, context) as stream:
        while stream.read() is not None:
            pass
        stream.write(b"question")
        assert len(stream.unsent) == 8
        # The tickets of TLS 1.3 may still come in.
        assert any(sleeps(stream) for _ in range(20))
        speak.set()
        with Watchdog(AT_ONCE):
            stream.wait(time.monotonic() + SOON)
        moods["send"].clear()
        stream.flush()
        assert len(stream.unsent) == 0
        assert read_all(stream, 5) == b"go on"
        # More may wait in a record that was taken from the socket.
        assert not stream.drained


def sleeps(stream: Any) -> bool:
    slept = lasts(lambda: stream.wait(time.monotonic() + A_WHILE), A_WHILE)
    assert stream.read() is None
    return slept


# Bytes


def test_records_that_tls_has_taken_already_are_read(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """A hundred messages in one segment are read without another byte from the network."""
    texts = [f"{number:05}" for number in range(100)]

    def script(peer: Peer) -> None:
        for text in texts:
            peer.send_text(text)
        peer.send(b"".join(frame(TEXT, text.encode()) for text in texts))
        peer.hold()

    server = raw_server(handshaken(script), certificates.server)
    with connected(server.url, waker, context) as connection, Watchdog(AT_ONCE):
        assert read_on(connection, count(200)) == texts * 2


def test_a_queue_that_grows_while_it_is_sent_arrives_whole(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """A write that OpenSSL has to repeat is repeated rightly, whatever was queued meanwhile."""
    go = threading.Event()
    received: list[tuple[int, bytes]] = []
    sizes = [1, 100, 5_000, 16_384, 20_000, 300_000, 1_000_000, 3]

    def script(peer: Peer) -> None:
        peer.wait(go, SOON)
        received.extend(peer.read_frame() for _ in range(len(sizes) * 2))
        peer.send_text("thanks")
        peer.wait_closed()

    server = raw_server(handshaken(script), certificates.server, recv_buffer=16384)
    with connected(server.url, waker, context) as connection:
        connection._stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        for number, size in enumerate(sizes * 2):
            connection.send_text(chr(ord("a") + number) * size)
            connection.flush()
        assert connection._stream.unsent
        go.set()
        assert read_on(connection, count(1)) == ["thanks"]
    assert received == [
        (TEXT, bytes([ord("a") + number]) * size) for number, size in enumerate(sizes * 2)
    ]


def test_progress_within_a_large_queue_is_progress(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """A peer that reads slowly is no stall: a piece counts when it is sent, not when all is."""
    clock = FakeClock()
    gate = threading.Event()

    def script(peer: Peer) -> None:
        peer.wait(gate, SOON)
        peer.read_request()
        peer.hold()

    server = raw_server(script, certificates.server, recv_buffer=16384)
    with dialled(server.url, waker, context) as stream:
        stream._clock = clock
        stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        stream.write(b"x" * 1_000_000 + b"\r\n\r\n")
        fill(stream)
        before = len(stream.unsent)
        gate.set()
        clock.advance(60)
        deadline = time.monotonic() + SOON
        while len(stream.unsent) > before - 500_000:
            assert time.monotonic() < deadline
            stream._selector.select(A_WHILE)
            stream.flush()
        assert stream.unsent
        assert stream.stalled(clock()) == 0.0


@pytest.mark.parametrize("sends", [0, 2])
def test_4001_and_a_reset_is_4001(
    raw_server: StartServer,
    waker: Waker,
    certificates: Certificates,
    context: ssl.SSLContext,
    sends: int,
) -> None:
    """Over TLS too, the close code survives a reset right behind it, and failed requests."""
    gone = threading.Event()

    def script(peer: Peer) -> None:
        peer.send_text("last")
        peer.send_close(4001, "Unauthorized")
        peer.reset()
        gone.set()

    server = raw_server(handshaken(script), certificates.server)
    with connected(server.url, waker, context) as connection:
        assert gone.wait(SOON)
        for _ in range(sends):
            connection.send_text("unaware")
        assert read_on(connection) == ["last"]
        assert connection.close_status() == (4001, "Unauthorized")


@pytest.mark.parametrize("end", ["close", "reset", "shutdown_write"])
def test_an_end_without_goodbye_is_1006(
    raw_server: StartServer,
    waker: Waker,
    certificates: Certificates,
    context: ssl.SSLContext,
    end: str,
) -> None:
    """However the stream ends below TLS, it is code 1006 after the messages before it."""
    server = raw_server(
        handshaken(lambda peer: (peer.send_text("last"), getattr(peer, end)())),
        certificates.server,
    )
    with connected(server.url, waker, context) as connection:
        assert read_on(connection, count(1)) == ["last"]
        with pytest.raises(ConnectionFailed, match="The connection ended") as caught:
            read_on(connection)
        assert caught.value.code == 1006


def test_garbage_on_the_wire_is_a_lost_connection(
    raw_server: StartServer, waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """Bytes that are no TLS record end the connection; they are never read as frames."""

    def script(peer: Peer) -> None:
        peer.handshake()
        socket.socket.send(peer._socket, frame(TEXT, b"forged"))
        # OpenSSL tells the server by an alert, which is an error to it.
        with contextlib.suppress(ssl.SSLError):
            peer.wait_closed()

    server = raw_server(script, certificates.server)
    with connected(server.url, waker, context) as connection:
        with pytest.raises(ConnectionFailed, match="The connection ended"):
            read_on(connection)
        assert connection.bytes_received == 0


# Both directions at once


class Duplex:
    """A TLS peer that sends and receives at the same time, from one thread.

    It sends numbered messages, never more than so many without an echo, and checks the echoes.
    """

    MESSAGES = 20_000
    WINDOW = 2_000

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"wss://localhost:{self._listener.getsockname()[1]}/ws"
        self.echoes: list[int] = []
        self.extras = 0
        self._inbox = bytearray()

    def run(self) -> None:
        with self._listener:
            self._listener.settimeout(SOON)
            plain, _ = self._listener.accept()
        plain.settimeout(SOON)
        with self._context.wrap_socket(plain, server_side=True) as sock:
            peer = Peer(sock, 0, threading.Event())
            peer.handshake()
            sock.setblocking(False)
            self._converse(sock)
            sock.setblocking(True)
            peer.send_close(1000)

    def _converse(self, sock: ssl.SSLSocket) -> None:
        sent, outbox = 0, b""
        deadline = time.monotonic() + SOON
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while len(self.echoes) < self.MESSAGES:
                assert time.monotonic() < deadline, f"{len(self.echoes)} echoes of {sent}"
                if not outbox and sent < min(len(self.echoes) + self.WINDOW, self.MESSAGES):
                    # Sizes all around the borders of the frame's length and of a packet.
                    text = f"{sent}:".ljust(8 + (sent * 37) % 500).encode()
                    outbox, sent = frame(TEXT, text), sent + 1
                moved = False
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    if outbox:
                        outbox = outbox[sock.send(outbox) :]
                        moved = True
                with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    data = sock.recv(65536)
                    assert data, "the client left"
                    self._take(data)
                    moved = True
                if not moved:
                    selector.select(10 * A_WHILE)

    def _take(self, data: bytes) -> None:
        self._inbox += data
        while len(self._inbox) >= 8:
            size, start = self._inbox[1] & 0x7F, 2
            if size == 126:
                (size,), start = struct.unpack("!H", self._inbox[2:4]), 4
            if len(self._inbox) < start + 4 + size:
                return
            key = bytes(self._inbox[start : start + 4])
            text = unmask(bytes(self._inbox[start + 4 : start + 4 + size]), key)
            del self._inbox[: start + 4 + size]
            if text.startswith(b"extra"):
                self.extras += 1
            else:
                self.echoes.append(int(text.partition(b":")[0]))


def echo(connection: Connection, extras: list[str]) -> int:
    """Answer every message, and send what another thread has posted, until the peer closes."""
    received = 0
    deadline = time.monotonic() + SOON
    while connection.peer_close is None:
        assert time.monotonic() < deadline
        while extras:
            connection.send_text(extras.pop())
        texts = connection.receive()
        if texts is None:
            connection.check(time.monotonic())
            connection.wait(deadline)
            continue
        for text in texts:
            assert int(text.partition(":")[0]) == received
            received += 1
            connection.send_text(text)
    return received


def test_both_directions_at_once(
    waker: Waker, certificates: Certificates, context: ssl.SSLContext
) -> None:
    """Twenty thousand messages each way, with a third thread that makes the reader send, and not
    one is lost, changed or out of order, and nothing closes before its time.
    """
    duplex = Duplex(certificates.server)
    serving = run_in_thread(duplex.run)
    extras = ["extra"]
    done = threading.Event()
    posted = 1

    def post() -> None:
        nonlocal posted
        while not done.wait(0.0005):
            extras.append("extra")
            posted += 1
            waker.wake()

    with connected(duplex.url, waker, context, heartbeat_interval=SOON) as connection:
        # Small, so that OpenSSL often has to repeat a write while there is something to read.
        connection._stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        posting = run_in_thread(post)
        try:
            received = echo(connection, extras)
        finally:
            done.set()
            posting.wait(SOON)
        assert connection.close_status() == (1000, "")
    serving.result(SOON)
    assert received == Duplex.MESSAGES
    assert duplex.echoes == list(range(Duplex.MESSAGES))
    assert posted >= duplex.extras > 0
