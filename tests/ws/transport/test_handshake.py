"""The opening handshake: what is asked, accepted and refused, and how long it may take."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import traceback

import pytest
import websocket._core
import websocket._handshake

from etoro_sync._version import __version__
from etoro_sync.errors import EToroTimeoutError, EToroWebSocketError
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.transport.handshake import open_websocket
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.support.raw_server import TEXT, Peer, RawServer, Script, frame
from tests.support.threads import Watchdog
from tests.ws.transport.tools import (
    A_WHILE,
    AT_ONCE,
    SOON,
    dialled,
    make_dialer,
    read_all,
)

SECRET = "planted-secret"


@pytest.fixture(autouse=True)
def _a_jar_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the process's jar of cookies as it is."""
    jar = websocket._handshake.SimpleCookieJar()
    monkeypatch.setattr(websocket._handshake, "CookieJar", jar)


def shake_hands(
    server: RawServer,
    waker: Waker,
    url: str = "",
    *,
    seconds: float = SOON,
) -> bytes:
    """Do the opening handshake with the server, and return the bytes behind it."""
    with dialled(server.url, waker) as stream:
        dialer = make_dialer(waker, seconds)
        return open_websocket(
            url or server.url, stream, dialer, lambda text: text.replace(SECRET, "***")
        )


def answer(raw: bytes) -> object:
    """A script that gives this answer, and goes on as the client does."""
    return lambda peer: (peer.respond(raw), peer.wait_closed())


def accept(peer: Peer) -> None:
    peer.handshake()
    peer.wait_closed()


# The request


def test_the_request_is_what_etoro_gets_from_etoropy(raw_server: StartServer, waker: Waker) -> None:
    """No origin, no cookie, an own user agent, and a host with its port."""
    server = raw_server(accept)
    assert shake_hands(server, waker) == b""
    (peer,) = server.peers
    lines = peer.request.split("\r\n")
    assert lines[0] == "GET /ws HTTP/1.1"
    assert peer.header("Host") == f"127.0.0.1:{server.port}"
    assert peer.header("Upgrade") == "websocket"
    assert peer.header("Sec-WebSocket-Version") == "13"
    assert peer.header("User-Agent") == f"etoro-sync/{__version__}"
    for absent in ("Origin", "Cookie", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"):
        assert peer.header(absent) is None


@pytest.mark.parametrize(
    ("url", "first_line", "host"),
    [
        ("ws://localhost:{}/a/b%20c?d=e&f=%2F", "GET /a/b%20c?d=e&f=%2F HTTP/1.1", "localhost:{}"),
        ("ws://localhost:{}", "GET / HTTP/1.1", "localhost:{}"),
        ("ws://localhost:{}?x=1", "GET /?x=1 HTTP/1.1", "localhost:{}"),
        ("WS://localhost:{}/ws", "GET /ws HTTP/1.1", "localhost:{}"),
        ("ws://[::1]:{}/ws", "GET /ws HTTP/1.1", "[::1]:{}"),
        ("wss://ws.etoro.com/ws", "GET /ws HTTP/1.1", "ws.etoro.com"),
    ],
)
def test_the_url_is_asked_for_as_it_is_written(
    raw_server: StartServer, waker: Waker, url: str, first_line: str, host: str
) -> None:
    """Path and query are kept, IPv6 addresses keep their brackets, and schemes have no case."""
    server = raw_server(accept)
    shake_hands(server, waker, url.format(server.port))
    assert server.peers[0].request.split("\r\n")[0] == first_line
    assert server.peers[0].header("Host") == host.format(server.port)


@pytest.mark.parametrize("status", ["101 Switching Protocols", "403 Forbidden"])
def test_the_head_of_the_answer_is_handed_on(
    status: str, raw_server: StartServer, waker: Waker
) -> None:
    """Also that of a refusal, since it may say who has refused; secrets are masked."""

    def script(peer: Peer) -> None:
        peer.read_request()
        key = f"Sec-WebSocket-Accept: {peer.accept_key()}"
        upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\n{key}"
        peer.send(f"HTTP/1.1 {status}\r\n{upgrade}\r\nServer: {SECRET}\r\n\r\n".encode())
        peer.wait_closed()

    heads: list[bytes] = []
    server = raw_server(script)
    with dialled(server.url, waker) as stream, contextlib.suppress(ConnectionFailed):
        redact = lambda text: text.replace(SECRET, "***")  # noqa: E731
        open_websocket(server.url, stream, make_dialer(waker), redact, heads.append)
    (head,) = heads
    assert head.startswith(f"HTTP/1.1 {status}\r\n".encode())
    assert b"Server: ***\r\n" in head


def test_each_connection_has_a_key_of_its_own(raw_server: StartServer, waker: Waker) -> None:
    """Nothing of a connection is used for the next one."""
    server = raw_server(accept)
    shake_hands(server, waker)
    shake_hands(server, waker)
    keys = {peer.header("Sec-WebSocket-Key") for peer in server.peers}
    assert len(keys) == 2


def test_a_request_that_is_read_late_is_sent_in_pieces(
    raw_server: StartServer, waker: Waker
) -> None:
    """A request that the kernel does not take at once waits for room, within the deadline."""
    size = 8 * 1024 * 1024
    server = raw_server(accept, recv_buffer=65536)
    with Watchdog(2 * SOON):
        shake_hands(server, waker, f"ws://localhost/{'x' * size}", seconds=2 * SOON)
    assert len(server.peers[0].request) > size


def test_a_request_that_is_never_read_ends_at_the_deadline(
    raw_server: StartServer, waker: Waker
) -> None:
    """A server that reads nothing is a timeout that names the handshake."""
    server = raw_server(lambda peer: peer.hold(), recv_buffer=4096)
    url = f"ws://localhost/{'x' * 16 * 1024 * 1024}"
    with Watchdog(SOON), pytest.raises(EToroTimeoutError, match="the opening handshake with"):
        shake_hands(server, waker, url, seconds=A_WHILE)


# The answer


def test_bytes_behind_the_answer_are_kept(raw_server: StartServer, waker: Waker) -> None:
    """Frames in the same segment as the answer are the first ones of the connection."""
    hello = frame(TEXT, b"hello") + frame(TEXT, b"cut off", declared_length=50)
    server = raw_server(lambda peer: (peer.handshake(trailing=hello), peer.wait_closed()))
    assert shake_hands(server, waker) == hello


def test_any_number_of_bytes_behind_the_answer_is_kept(
    raw_server: StartServer, waker: Waker
) -> None:
    """The limit is one of the head, not of what follows it."""
    many = bytes(300_000)
    server = raw_server(lambda peer: (peer.handshake(trailing=many), peer.wait_closed()))
    with dialled(server.url, waker) as stream:
        early = open_websocket(server.url, stream, make_dialer(waker), str)
        assert early + read_all(stream, len(many) - len(early)) == many


def test_an_answer_in_single_bytes_is_an_answer(raw_server: StartServer, waker: Waker) -> None:
    """However the network cuts it, the head is found, and nothing behind it is lost."""

    def script(peer: Peer) -> None:
        peer.read_request()
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {peer.accept_key()}\r\n\r\n"
        )
        peer.drip(head.encode() + b"early")
        peer.wait_closed()

    server = raw_server(script)
    with dialled(server.url, waker) as stream:
        early = open_websocket(server.url, stream, make_dialer(waker), str)
        assert early + read_all(stream, 5 - len(early)) == b"early"


def with_lines(*lines: str) -> Script:
    """A script that answers 101 with these headers besides the key's."""

    def script(peer: Peer) -> None:
        peer.read_request()
        key = f"Sec-WebSocket-Accept: {peer.accept_key()}"
        head = ["HTTP/1.1 101 Switching Protocols", *lines, key, "", ""]
        peer.send("\r\n".join(head).encode())
        peer.wait_closed()

    return script


@pytest.mark.parametrize(
    "lines",
    [
        ("Upgrade: websocket", "Connection: Upgrade", "Connection: keep-alive"),
        ("Upgrade: websocket", "Connection: keep-alive", "Connection: Upgrade"),
        ("connection:upgrade", "X: y", "CONNECTION: keep-alive, x", "Upgrade: websocket"),
        ("Upgrade: websocket", "Upgrade: h2c", "Connection: Upgrade", "Connection: Upgrade"),
    ],
)
def test_a_list_that_is_cut_into_lines_is_a_list(
    raw_server: StartServer, waker: Waker, lines: tuple[str, ...]
) -> None:
    """As HTTP has it: gateways add a line of their own to what the server sends."""
    assert shake_hands(raw_server(with_lines(*lines)), waker) == b""


@pytest.mark.parametrize(
    "lines",
    [
        ("Upgrade: websocket", "Connection: close", "Connection: keep-alive"),
        ("Upgrade: h2c", "Connection: Upgrade", "Connection: keep-alive"),
        ("Upgrade: websocket", "Connection: close", "\n", "Connection: Upgrade"),
    ],
)
def test_a_list_in_lines_that_lacks_what_is_wanted_is_refused(
    raw_server: StartServer, waker: Waker, lines: tuple[str, ...]
) -> None:
    """Also where it is behind the end of the head as websocket-client sees it."""
    with pytest.raises(EToroWebSocketError, match="Invalid WebSocket Header"):
        shake_hands(raw_server(with_lines(*lines)), waker)


@pytest.mark.parametrize("size", [60 * 1024, 80 * 1024, 10 * 1024 * 1024])
@pytest.mark.parametrize("step", [100, 100_000_000], ids=["many headers", "one header"])
def test_the_head_has_a_limit(raw_server: StartServer, waker: Waker, size: int, step: int) -> None:
    """A head of 60 KiB is read, one of more than 64 KiB refused before all of it is read."""
    names = range(0, size, step)
    lines = [(f"X-{number}", "v" * min(step - 12, size)) for number in names]

    def script(peer: Peer) -> None:
        peer.handshake(lines)
        peer.wait_closed()

    server = raw_server(script)
    if size < 64 * 1024:
        assert shake_hands(server, waker) == b""
    else:
        with pytest.raises(EToroWebSocketError, match="has more than 65536 bytes of headers"):
            shake_hands(server, waker)


def test_a_head_without_an_end_is_refused(raw_server: StartServer, waker: Waker) -> None:
    """The client does not read on when the head is too long."""
    server = raw_server(answer(b"HTTP/1.1 101 OK\r\n" + b"X: y\r\n" * 20_000))
    with (
        Watchdog(AT_ONCE),
        pytest.raises(EToroWebSocketError, match="has more than 65536 bytes of headers"),
    ):
        shake_hands(server, waker)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused(raw_server: StartServer, waker: Waker, status: int) -> None:
    """The client would send its keys to another host."""
    server = raw_server(lambda peer: None)
    here = f"Location: {server.url}\r\n".encode()
    redirecting = raw_server(answer(b"HTTP/1.1 %d Go\r\n%s\r\n" % (status, here)))
    with pytest.raises(EToroWebSocketError, match="Redirects are not followed"):
        shake_hands(redirecting, waker)
    assert server.connections == 0
    assert redirecting.connections == 1


def test_only_101_is_a_connection(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect is refused even where websocket-client takes it for a connection."""
    monkeypatch.setattr(websocket._core, "SUPPORTED_REDIRECT_STATUSES", ())
    server = raw_server(answer(b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"))
    with pytest.raises(EToroWebSocketError, match="answered the opening handshake with 302"):
        shake_hands(server, waker)


@pytest.mark.parametrize(
    ("line", "words", "code"),
    [
        (b"HTTP/1.1 200 OK", "HTTP 200 OK", "HTTP 200"),
        (b"HTTP/1.1 403 No way", "HTTP 403 Forbidden", "HTTP 403"),
        (b"HTTP/1.1 404 Not Found", "HTTP 404 Not Found", "HTTP 404"),
        (b"HTTP/1.1 429 Slow down", "HTTP 429 Too Many Requests", "HTTP 429"),
        (b"HTTP/1.1 503 Busy", "HTTP 503 Service Unavailable", "HTTP 503"),
        (b"HTTP/1.1 599 Strange", "HTTP 599", "HTTP 599"),
        (b"", "not HTTP", None),
    ],
)
def test_an_http_error_is_told_by_its_status(
    raw_server: StartServer, waker: Waker, line: bytes, words: str, code: str | None
) -> None:
    """The status is in the message and in the code; too many requests ask for patience."""
    server = raw_server(answer(line + b"\r\nX: y\r\n\r\n"))
    with pytest.raises(ConnectionFailed) as caught:
        shake_hands(server, waker)
    error = caught.value.error
    assert isinstance(error, EToroWebSocketError)
    assert words in str(error)
    assert error.error_code == code
    assert caught.value.slow is (code == "HTTP 429")
    assert not caught.value.fatal


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_a_refusal_asks_for_is_named_and_kept(
    raw_server: StartServer, waker: Waker, status: int
) -> None:
    """Also in the error of connect(), which does not retry."""
    server = raw_server(answer(b"HTTP/1.1 %d No\r\nRetry-After: 120\r\n\r\n" % status))
    with pytest.raises(ConnectionFailed, match=r"asks to wait for 120 s") as caught:
        shake_hands(server, waker)
    assert caught.value.retry_after == 120.0


@pytest.mark.parametrize("length", [b"1000000", b"nonsense", b"-1"])
def test_the_page_of_an_error_is_not_waited_for(
    raw_server: StartServer, waker: Waker, length: bytes
) -> None:
    """The status is reported at once, though the announced page is large and never comes."""
    server = raw_server(
        answer(b"HTTP/1.1 403 Forbidden\r\nContent-Length: " + length + b"\r\n\r\n<html>")
    )
    with Watchdog(AT_ONCE), pytest.raises(ConnectionFailed, match="403"):
        shake_hands(server, waker)


@pytest.mark.parametrize("how", [False, "bm90IHRoZSByaWdodCBrZXk="])
def test_an_answer_to_another_request_is_refused(
    raw_server: StartServer, waker: Waker, how: bool | str
) -> None:
    """A missing or wrong Sec-WebSocket-Accept is no WebSocket server's."""
    server = raw_server(lambda peer: (peer.handshake(accept=how), peer.wait_closed()))
    with pytest.raises(EToroWebSocketError, match=r"The opening handshake with .* failed"):
        shake_hands(server, waker)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 OK\r\nX: \xff\xfe\r\n\r\n",
        b"HTTP/1.1 101 OK\n\nX: y\r\n\r\n",
        bytes(range(256)) + b"\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(raw_server: StartServer, waker: Waker, raw: bytes) -> None:
    """Whatever else speaks at that port, the error is this package's own."""
    server = raw_server(answer(raw))
    with pytest.raises((EToroWebSocketError, ConnectionFailed)):
        shake_hands(server, waker)


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 101 Switch", b"HTTP/1.1 403 Forbidden\r\nX: y"])
def test_an_end_before_the_answer_is_said_so(
    raw_server: StartServer, waker: Waker, part: bytes
) -> None:
    """A server that closes before the head is complete has not answered."""
    server = raw_server(lambda peer: peer.respond(part))
    with pytest.raises(EToroWebSocketError, match="closed the connection during the opening"):
        shake_hands(server, waker)


def test_a_refusal_that_comes_before_the_request_is_read(
    raw_server: StartServer, waker: Waker
) -> None:
    """A gateway may refuse and reset at once; the request then fails, and the answer is there."""
    connected, gone = threading.Event(), threading.Event()

    def refuse(peer: Peer) -> None:
        # A reset that comes before would be the end of the TCP connection alone.
        assert connected.wait(SOON)
        peer.send(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        peer.reset()
        gone.set()

    server = raw_server(refuse)
    with dialled(server.url, waker) as stream:
        connected.set()
        assert gone.wait(SOON)
        with pytest.raises(ConnectionFailed, match="HTTP 403"):
            open_websocket(server.url, stream, make_dialer(waker), str)


def test_a_reset_is_a_lost_connection(raw_server: StartServer, waker: Waker) -> None:
    """A reset in the handshake is told as such, with its cause."""
    server = raw_server(lambda peer: (peer.read_request(), peer.reset()))
    with pytest.raises(EToroWebSocketError, match="was lost in the opening handshake") as caught:
        shake_hands(server, waker)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_no_secret_of_the_answer_is_shown(raw_server: StartServer, waker: Waker) -> None:
    """A server that repeats a key does not get it into an error or its traceback."""
    server = raw_server(
        answer(f"HTTP/1.1 101 OK\r\n{SECRET} without a colon: \xff\r\n\r\n".encode("latin-1"))
    )
    with pytest.raises(EToroWebSocketError) as caught:
        shake_hands(server, waker)
    assert "***" in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


# Time


def test_a_dripping_answer_ends_at_the_deadline(raw_server: StartServer, waker: Waker) -> None:
    """One deadline holds for the whole handshake, however often a byte comes."""
    server = raw_server(
        lambda peer: (peer.read_request(), peer.drip(b"HTTP/1.1 101 " + b"x" * 2000, pause=0.01))
    )
    with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError, match="the opening handshake with"):
        shake_hands(server, waker, seconds=3 * A_WHILE)


def test_a_silent_server_ends_at_the_deadline(raw_server: StartServer, waker: Waker) -> None:
    """A server that accepts and says nothing is a timeout."""
    server = raw_server(lambda peer: peer.wait_closed())
    with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError):
        shake_hands(server, waker, seconds=A_WHILE)


def test_disconnect_ends_the_handshake_at_once(raw_server: StartServer, waker: Waker) -> None:
    """While the answer is waited for, ``disconnect()`` is obeyed at once."""

    def script(peer: Peer) -> None:
        peer.read_request()
        waker.stop()
        peer.wait_closed()

    server = raw_server(script)
    with Watchdog(AT_ONCE), pytest.raises(Interrupted):
        shake_hands(server, waker)


def test_a_subscription_does_not_end_the_handshake(raw_server: StartServer, waker: Waker) -> None:
    """Another wake-up than that of ``disconnect()`` only ends a wait."""
    woken = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        for _ in range(10):
            waker.wake()
            time.sleep(0)
        woken.set()
        peer.wait_closed()

    server = raw_server(script)
    with pytest.raises(EToroTimeoutError):
        shake_hands(server, waker, seconds=A_WHILE)
    assert woken.is_set()


# Cookies


@pytest.mark.parametrize(
    "spelling",
    [
        "Set-Cookie: account=1; domain={}",
        "SET-COOKIE: account=1; domain={}",
        " Set-Cookie: account=1; domain={}",
        "\x0bSet-Cookie: account=1; domain={}",
        "X: y\nSet-Cookie: account=1; domain={}",
        "X: y\n \u00a0Set-Cookie: account=1; domain={}",
        "Set-Cookie : account=1; domain={}",
    ],
)
def test_cookies_of_a_server_are_not_kept(
    raw_server: StartServer, waker: Waker, spelling: str
) -> None:
    """No spelling of Set-Cookie gets a cookie into the jar that all accounts share."""

    def script(peer: Peer) -> None:
        peer.read_request()
        head = (
            f"HTTP/1.1 101 OK\r\n{spelling.format('127.0.0.1')}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {peer.accept_key()}\r\n\r\n"
        )
        peer.send(head.encode())
        peer.wait_closed()

    server = raw_server(script)
    for _ in range(2):
        shake_hands(server, waker)
    assert websocket._handshake.CookieJar.jar == {}
    assert [peer.header("Cookie") for peer in server.peers] == [None, None]


def test_cookies_of_others_are_not_sent(raw_server: StartServer, waker: Waker) -> None:
    """What another user of websocket-client in this process has in the jar stays there."""
    websocket._handshake.CookieJar.add("account=other; domain=127.0.0.1")
    server = raw_server(accept)
    shake_hands(server, waker)
    assert server.peers[0].header("Cookie") is None
    assert websocket._handshake.CookieJar.get("127.0.0.1") == "account=other"


# Descriptors


def test_a_failed_handshake_closes_the_stream(raw_server: StartServer, waker: Waker) -> None:
    """The server sees the end of a connection that it refused, whoever closes it."""
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.respond(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        peer.wait_closed(SOON)
        closed.set()

    server = raw_server(script)
    with dialled(server.url, waker) as stream:
        with pytest.raises(ConnectionFailed):
            open_websocket(server.url, stream, make_dialer(waker), str)
        assert closed.wait(SOON)


def test_the_handshake_leaves_the_global_defaults_alone() -> None:
    """Other users of sockets in this process notice nothing."""
    assert socket.getdefaulttimeout() is None
    assert websocket.getdefaulttimeout() is None
