"""SOCKS5 with scripted proxies: the bytes that are sent, and the ways in which a proxy fails."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from etoro_sync import EToroClosedError
from etoro_sync.errors import EToroTimeoutError, EToroWebSocketError
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.core import core_of
from etoro_sync.ws.transport.dialer import Tunnel
from etoro_sync.ws.transport.proxy import make_tunnel
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.target import Target
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.support.clients import make_client
from tests.support.raw_server import Peer, RawServer
from tests.support.threads import Background, Watchdog
from tests.support.timing import Stopwatch
from tests.ws.transport.tools import A_WHILE, AT_ONCE, SOON, dial, dialled, read_all

TARGET = "wss://stream.example:444/ws"
SECRET = "planted-secret"
LOCAL = "ws://127.0.0.1:81/ws"
NO_LOGIN = b"\x05\x01\x00"
OFFER = b"\x05\x02\x00\x02"
#: The request for LOCAL, and the answer that grants it.
REQUEST = b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x51"
GRANTED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x1f\x90"


def tunnel_to(url: str, server: RawServer, user: str = "", scheme: str = "socks5h") -> Tunnel:
    proxy = f"{scheme}://{user and user + '@'}127.0.0.1:{server.port}"
    return make_tunnel(urlsplit(proxy), Target.of(url))


def through(
    server: RawServer,
    waker: Waker,
    *,
    url: str = LOCAL,
    user: str = "",
    scheme: str = "socks5h",
    seconds: float = SOON,
) -> SocketStream:
    return dial(url, waker, seconds=seconds, tunnel=tunnel_to(url, server, user, scheme))


def greet(peer: Peer) -> None:
    """Take everybody."""
    assert peer.read_bytes(3) == NO_LOGIN
    peer.send(b"\x05\x00")


def answer(raw: bytes) -> Callable[[Peer], object]:
    """A proxy that takes everybody and answers the request with these bytes."""

    def script(peer: Peer) -> None:
        greet(peer)
        peer.read_bytes(len(REQUEST))
        peer.send(raw)
        peer.wait_closed()

    return script


def refusal(server: RawServer, waker: Waker, **options: Any) -> EToroWebSocketError:
    """Be refused at once; return the error, which names both ends and hides the password."""
    with Watchdog(AT_ONCE), pytest.raises(EToroWebSocketError) as caught:
        through(server, waker, **options)
    text = str(caught.value)
    target = Target.of(options.get("url", LOCAL))
    assert f"The proxy 127.0.0.1:{server.port} did not connect to {target}: it " in text
    assert "Check the proxy option" in text
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value


# What is sent


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (TARGET, b"\x03\x0estream.example\x01\xbc"),
        ("wss://192.0.2.1/ws", b"\x01\xc0\x00\x02\x01\x01\xbb"),
        ("wss://[2001:db8::1]/ws", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbb"),
    ],
)
def test_the_proxy_resolves_the_name_for_socks5h(
    raw_server: StartServer, waker: Waker, url: str, address: bytes
) -> None:
    """The name travels to the proxy as it is; an address travels as an address."""

    def script(peer: Peer) -> None:
        greet(peer)
        assert peer.read_bytes(3 + len(address)) == b"\x05\x01\x00" + address
        peer.send(b"\x05\x04")
        peer.wait_closed()

    assert refusal(raw_server(script), waker, url=url).error_code == "SOCKS 4"


@pytest.mark.parametrize(
    ("addresses", "sent"),
    [
        (["192.0.2.7"], b"\x01\xc0\x00\x02\x07"),
        (["2001:db8::7"], b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x07"),
        (["2001:db8::7", "192.0.2.7"], b"\x01\xc0\x00\x02\x07"),
    ],
)
def test_the_name_is_resolved_here_for_socks5(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    addresses: list[str],
    sent: bytes,
) -> None:
    """The proxy gets an address, of IPv4 where there is one."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **options: Any) -> Any:
        hosts = addresses if host == "stream.example" else [host]
        return [each for found in hosts for each in real(found, port, **options)]

    def script(peer: Peer) -> None:
        greet(peer)
        assert peer.read_bytes(5 + len(sent)) == b"\x05\x01\x00" + sent + b"\x01\xbc"
        peer.send(b"\x05\x04")
        peer.wait_closed()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    refusal(raw_server(script), waker, url=TARGET, scheme="socks5")


def test_a_name_that_moves_away_meanwhile_is_no_way_for_keys(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is checked is the very address that the proxy gets."""
    real, answers = socket.getaddrinfo, ["127.0.0.1", "192.0.2.1"]

    def moving(host: str, *args: Any, **options: Any) -> Any:
        return real(answers.pop(0) if host == "localhost" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", moving)
    server = raw_server(lambda peer: (greet(peer), peer.wait_closed()))
    with pytest.raises(EToroWebSocketError, match="localhost resolves to another machine"):
        through(server, waker, url="ws://localhost:81/ws", scheme="socks5")
    assert not answers


def test_a_name_that_is_not_found_here_is_said_so(raw_server: StartServer, waker: Waker) -> None:
    """The proxy is not asked for what socks5:// resolves here."""
    server = raw_server(lambda peer: peer.wait_closed())
    with pytest.raises(EToroWebSocketError, match=r"Cannot resolve nowhere\.invalid"):
        through(server, waker, url="wss://nowhere.invalid/ws", scheme="socks5")


@pytest.mark.parametrize(
    ("user", "login"),
    [
        ("user:password", b"\x01\x04user\x08password"),
        ("user", b"\x01\x04user\x00"),
        ("a%40b:p%3Aw%20d", b"\x01\x03a@b\x05p:w d"),
        ("j%C3%BC:%E2%82%AC", b"\x01\x03j\xc3\xbc\x03\xe2\x82\xac"),
        ("j%FC:\udce9", b"\x01\x02j\xfc\x01\xe9"),
        (f"{'u' * 255}:{'p' * 255}", b"\x01\xff" + b"u" * 255 + b"\xff" + b"p" * 255),
    ],
)
def test_user_and_password_are_sent_as_they_are_meant(
    raw_server: StartServer, waker: Waker, user: str, login: bytes
) -> None:
    """Without the URL's escapes, and only to a proxy that asks for them."""

    def asking(peer: Peer) -> None:
        assert peer.read_bytes(4) == OFFER
        peer.send(b"\x05\x02")
        assert peer.read_bytes(len(login)) == login
        peer.send(b"\x01\x00")
        assert peer.read_bytes(len(REQUEST)) == REQUEST
        peer.send(GRANTED)
        peer.wait_closed()

    def open_to_all(peer: Peer) -> None:
        assert peer.read_bytes(4) == OFFER
        peer.send(b"\x05\x00")
        assert peer.read_bytes(len(REQUEST)) == REQUEST
        peer.send(GRANTED)
        peer.wait_closed()

    for script in (asking, open_to_all):
        through(raw_server(script), waker, user=user).close()


@pytest.mark.parametrize(
    ("user", "words"),
    [(":token", "needs a user"), ("u" * 256, "255 bytes"), ("u:" + "p" * 256, "255")],
)
def test_what_socks_cannot_send_is_refused_before_the_proxy_is_called(
    user: str, words: str
) -> None:
    """A length of more than a byte, and a password without a user."""
    with pytest.raises(EToroWebSocketError, match=words):
        make_tunnel(urlsplit(f"socks5://{user}@p:1080"), Target.of(TARGET))


def test_a_port_of_1080_is_assumed() -> None:
    """As every program does for SOCKS."""
    assert make_tunnel(urlsplit("socks5://p"), Target.of(TARGET)).entry == Target("p", 1080, False)


# What is understood


@pytest.mark.parametrize(
    "granted",
    [
        GRANTED,
        b"\x05\x00\x00\x04" + bytes(16) + b"\x00\x00",
        b"\x05\x00\x00\x03\x09localhost\x1f\x90",
        b"\x05\x00\x00\x03\x00\x1f\x90",
        b"\x05\x00\xff\x01" + bytes(6),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_an_answer_is_understood_in_pieces_and_whole(
    raw_server: StartServer, waker: Waker, granted: bytes, size: int
) -> None:
    """All of it is taken from the stream, and what follows belongs to the target."""

    def script(peer: Peer) -> None:
        greet(peer)
        peer.read_bytes(len(REQUEST))
        peer.drip(granted, size)
        assert peer.read_bytes(8) == b"question"
        peer.send(b"answer")
        peer.wait_closed()

    server = raw_server(script)
    with dialled(LOCAL, waker, tunnel=tunnel_to(LOCAL, server)) as stream:
        stream.write(b"question")
        assert read_all(stream, 6) == b"answer"


def test_answers_that_come_before_they_are_asked_for_are_taken_in_turn(
    raw_server: StartServer, waker: Waker
) -> None:
    """A proxy may send several answers at once; none is lost."""

    def script(peer: Peer) -> None:
        peer.send(b"\x05\x00" + GRANTED)
        assert peer.read_bytes(3 + len(REQUEST)) == NO_LOGIN + REQUEST
        peer.send(b"answer")
        peer.wait_closed()

    server = raw_server(script)
    with dialled(LOCAL, waker, tunnel=tunnel_to(LOCAL, server)) as stream:
        assert read_all(stream, 6) == b"answer"


# Refusals


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "SOCKS code 1, general server failure"),
        (2, "SOCKS code 2, connection not allowed by ruleset"),
        (3, "SOCKS code 3, network unreachable"),
        (4, "SOCKS code 4, host unreachable"),
        (5, "SOCKS code 5, connection refused"),
        (6, "SOCKS code 6, ttl expired"),
        (7, "SOCKS code 7, command not supported"),
        (8, "SOCKS code 8, address type not supported"),
        (91, "SOCKS code 91."),
    ],
)
def test_a_refusal_says_who_refused_what(
    raw_server: StartServer, waker: Waker, code: int, words: str
) -> None:
    """In words and as error_code; the rest of the answer, which some leave out, is not needed."""
    error = refusal(raw_server(answer(bytes([5, code]))), waker)
    assert f"it refused with {words}" in str(error)
    assert error.error_code == f"SOCKS {code}"


@pytest.mark.parametrize(
    ("user", "method", "words"),
    [
        ("", 0xFF, "wants a way to log in, such as user and password"),
        ("", 2, "wants a way to log in, such as user and password"),
        (f"user:{SECRET}", 0xFF, "wants another way to log in than user and password"),
        (f"user:{SECRET}", 1, "wants another way to log in than user and password"),
    ],
)
def test_no_common_way_to_log_in_is_said_so(
    raw_server: StartServer, waker: Waker, user: str, method: int, words: str
) -> None:
    """Also where the proxy chooses what was not offered; no password is sent then."""

    def script(peer: Peer) -> None:
        peer.read_bytes(4 if user else 3)
        peer.send(bytes([5, method]))
        peer.wait_closed()

    assert words in str(refusal(raw_server(script), waker, user=user))


def test_a_refused_password_is_said_so(raw_server: StartServer, waker: Waker) -> None:
    """The error says what was refused, without the password."""

    def script(peer: Peer) -> None:
        peer.read_bytes(4)
        peer.send(b"\x05\x02")
        peer.read_bytes(7 + len(SECRET))
        peer.send(b"\x01\x01")
        peer.wait_closed()

    error = refusal(raw_server(script), waker, user=f"user:{SECRET}")
    assert "it refused the user and the password" in str(error)


@pytest.mark.parametrize(
    "script",
    [
        lambda peer: (peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), peer.wait_closed()),
        lambda peer: (peer.send(b"\x04\x00"), peer.wait_closed()),
        lambda peer: (peer.send(b"\x05\x09"), peer.wait_closed()),
        answer(b"\x04\x00\x00\x01" + bytes(6)),
        answer(b"\x04\x05"),
        answer(b"\x05\x00\x00\x02" + bytes(6)),
        answer(b"\x05\x00\x00\x03\x01\xff\x00\x00"),
    ],
    ids=[
        "HTTP",
        "SOCKS4",
        "unknown way",
        "other version",
        "refusal of another version",
        "unknown address",
        "no text",
    ],
)
def test_what_is_no_socks_proxy_is_said_so(
    raw_server: StartServer, waker: Waker, script: Callable[[Peer], object]
) -> None:
    """Whatever else listens at that port, the error names the proxy."""
    assert "something that is not SOCKS5" in str(refusal(raw_server(script), waker))


def test_bytes_of_the_proxy_in_the_tunnel_are_refused(
    raw_server: StartServer, waker: Waker
) -> None:
    """Whatever the proxy sends there, it cannot come from the server."""
    server = raw_server(answer(GRANTED + bytes(50_000)))
    assert "bytes of its own" in str(refusal(server, waker))


@pytest.mark.parametrize("step", range(4))
def test_a_proxy_that_leaves_is_said_so(raw_server: StartServer, waker: Waker, step: int) -> None:
    """At each step, by an end and by a reset, with the proxy's name."""

    def leave(peer: Peer) -> None:
        """Answer a part of what is asked."""
        peer.read_bytes(3)
        peer.send(b"\x05\x00"[:step])
        if step >= 2:
            peer.read_bytes(len(REQUEST))
            peer.send(GRANTED[: 4 * (step - 2)])

    closing = raw_server(leave)
    with pytest.raises(EToroWebSocketError, match=f"the proxy 127.0.0.1:{closing.port}"):
        through(closing, waker)
    resetting = raw_server(lambda peer: (leave(peer), peer.reset()))
    with pytest.raises(EToroWebSocketError, match=f"proxy 127.0.0.1:{resetting.port}"):
        through(resetting, waker)


# Time


@pytest.mark.parametrize("step", range(3))
def test_a_proxy_that_never_answers_ends_at_the_deadline(
    raw_server: StartServer, waker: Waker, step: int
) -> None:
    """It is part of the one deadline, at each step."""

    def script(peer: Peer) -> None:
        if step:
            greet(peer)
        if step == 2:
            peer.send(GRANTED[:9])
        peer.wait_closed()

    server = raw_server(script)
    with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError, match="the request to the proxy"):
        through(server, waker, seconds=A_WHILE)


def test_a_dripping_proxy_ends_at_the_deadline(raw_server: StartServer, waker: Waker) -> None:
    """Single bytes now and then do not extend the deadline."""
    name = b"\x05\x00\x00\x03\xff" + b"x" * 257
    server = raw_server(lambda peer: (greet(peer), peer.drip(name, pause=0.01)))
    with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError, match="the request to the proxy"):
        through(server, waker, seconds=3 * A_WHILE)


def test_disconnect_ends_the_wait_for_a_proxy_at_once(
    raw_server: StartServer, waker: Waker
) -> None:
    """A stop ends the wait for the proxy's answer."""

    def script(peer: Peer) -> None:
        greet(peer)
        peer.read_bytes(len(REQUEST))
        waker.stop()
        peer.wait_closed()

    server = raw_server(script)
    with Watchdog(AT_ONCE), pytest.raises(Interrupted):
        dial(LOCAL, waker, tunnel=tunnel_to(LOCAL, server))


def test_promise_13_disconnect_in_mid_negotiation(raw_server: StartServer) -> None:
    """It takes no longer than ever, and connect() ends with it."""
    asked = threading.Event()

    def script(peer: Peer) -> None:
        greet(peer)
        peer.read_bytes(len(REQUEST))
        asked.set()
        peer.wait_closed()

    server = raw_server(script)
    client = make_client(LOCAL, proxy=f"socks5h://127.0.0.1:{server.port}", connect_timeout=60)
    connecting = Background(client.connect)
    assert asked.wait(SOON)
    watch = Stopwatch()
    client.disconnect()
    assert watch.seconds < core_of(client).options.close_timeout
    with pytest.raises(EToroClosedError):
        connecting.result(SOON)
