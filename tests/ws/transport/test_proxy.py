"""Which proxy is used, how one of HTTP is asked, and what its refusals become."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from etoro_sync.errors import EToroTimeoutError, EToroWebSocketError
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.transport.dialer import Tunnel
from etoro_sync.ws.transport.handshake import open_websocket
from etoro_sync.ws.transport.proxy import find_proxy, make_tunnel
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.target import Target
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.support.certificates import Certificates
from tests.support.raw_server import TEXT, Peer, RawServer, Refuser
from tests.support.threads import Watchdog
from tests.ws.transport.tools import (
    A_WHILE,
    AT_ONCE,
    SOON,
    dial,
    dialled,
    make_connection,
    make_dialer,
    read_all,
    read_on,
)
from tests.ws.transport.tools import count as messages

ETORO = Target("ws.etoro.com", 443, True)
SECRET = "planted-secret"
LOCAL = "ws://localhost:1/ws"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the variables of proxies, and no others."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


def tunnel_to(url: str, server: RawServer, user: str = "") -> Tunnel:
    """The tunnel that the scripted proxy makes to a URL."""
    return make_tunnel(urlsplit(f"http://{user}127.0.0.1:{server.port}"), Target.of(url))


def through(
    url: str, server: RawServer, waker: Waker, user: str = "", seconds: float = SOON
) -> SocketStream:
    return dial(url, waker, seconds=seconds, tunnel=tunnel_to(url, server, user))


def answer(raw: bytes) -> Callable[[Peer], object]:
    return lambda peer: (peer.respond(raw), peer.wait_closed())


# Which proxy


@pytest.mark.parametrize(
    ("variables", "target", "proxy"),
    [
        ({}, ETORO, None),
        ({"https_proxy": "http://p:3128"}, ETORO, "p:3128"),
        ({"HTTPS_PROXY": "http://p:3128"}, ETORO, "p:3128"),
        ({"https_proxy": "p:3128"}, ETORO, "p:3128"),
        ({"https_proxy": "http://user:pass@p:3128"}, ETORO, "user:pass@p:3128"),
        ({"https_proxy": ""}, ETORO, None),
        ({"all_proxy": "socks5h://p:1"}, ETORO, "p:1"),
        ({"ALL_PROXY": "socks5h://p:1"}, ETORO, "p:1"),
        ({"all_proxy": "http://a:1"}, Target("h", 80, False), "a:1"),
        ({"https_proxy": "http://p:1", "all_proxy": "http://a:1"}, ETORO, "p:1"),
        ({"HTTPS_PROXY": "http://p:1", "all_proxy": "http://a:1"}, ETORO, "p:1"),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"}, ETORO, "p:1"),
        ({"http_proxy": "http://p:1", "all_proxy": "http://a:1"}, ETORO, "a:1"),
        ({"all_proxy": "http://a:1", "no_proxy": "etoro.com"}, ETORO, None),
        ({"all_proxy": "http://a:1"}, Target("127.0.0.1", 443, True), None),
        ({"http_proxy": "http://p:1"}, ETORO, None),
        ({"http_proxy": "http://p:1"}, Target("h", 80, False), "p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "ws.etoro.com"}, ETORO, None),
        ({"https_proxy": "http://p:1", "no_proxy": "other, .etoro.com"}, ETORO, None),
        ({"https_proxy": "http://p:1", "NO_PROXY": "*"}, ETORO, None),
        ({"https_proxy": "http://p:1", "no_proxy": "ws.etoro.com:443"}, ETORO, None),
        ({"https_proxy": "http://p:1", "no_proxy": "ws.etoro.com:8443"}, ETORO, "p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "notetoro.com"}, ETORO, "p:1"),
        (
            {"https_proxy": "http://p:1", "no_proxy": "2001:db8::1"},
            Target("2001:db8::1", 443, True),
            None,
        ),
        ({"https_proxy": "http://p:1"}, Target("localhost", 443, True), None),
        ({"https_proxy": "http://p:1"}, Target("127.0.0.1", 443, True), None),
        ({"https_proxy": "http://p:1"}, Target("::1", 443, True), None),
        ({"http_proxy": "http://p:1"}, Target("127.8.9.1", 80, False), None),
    ],
)
def test_the_environment_names_the_proxy(
    environment: Callable[..., None],
    variables: dict[str, str],
    target: Target,
    proxy: str | None,
) -> None:
    """The standard variables say which proxy is used, and a loopback target never needs one."""
    environment(**variables)
    found = find_proxy(None, target)
    assert (found and found.netloc) == proxy


def vanish(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let a variable vanish that often while somebody reads all of them, as for another thread."""
    environment = type(os.environ)
    usual = environment.__iter__
    left = iter(range(times))

    def names(self: Any) -> Any:
        yield from usual(self)
        if next(left, None) is not None:
            yield "gone_proxy"

    monkeypatch.setattr(environment, "__iter__", names)


def test_variables_that_change_while_they_are_read_are_read_again(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs set them in other threads."""
    environment(https_proxy="http://p:3128")
    vanish(monkeypatch, 3)
    proxy = find_proxy(None, ETORO)
    assert proxy is not None
    assert proxy.netloc == "p:3128"


def test_variables_that_never_stand_still_are_a_failed_attempt(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no internal error, and no connection goes past the proxy for want of its name."""
    environment(https_proxy="http://p:3128")
    vanish(monkeypatch, 1_000_000)
    with pytest.raises(EToroWebSocketError, match="another thread keeps changing it"):
        find_proxy(None, ETORO)


def test_the_option_outranks_the_environment(environment: Callable[..., None]) -> None:
    """An explicit proxy is used whatever the variables say, and "" is none."""
    environment(https_proxy="http://p:1", no_proxy="*")
    chosen = find_proxy("http://mine:2", ETORO)
    assert chosen is not None
    assert chosen.netloc == "mine:2"
    assert find_proxy("", ETORO) is None


@pytest.mark.parametrize("url", ["http://[::1:8080", "http://", "http://p:port", "http://p:99999"])
def test_a_proxy_that_is_no_url_is_said_so(environment: Callable[..., None], url: str) -> None:
    """A variable with a slip in it is an error that names the variables, not an internal one."""
    environment(https_proxy=url)
    with pytest.raises(EToroWebSocketError, match="https_proxy"):
        make_tunnel(find_proxy(None, ETORO) or urlsplit(""), ETORO)


@pytest.mark.parametrize("scheme", ["socks", "socks4", "socks4a", "https", "ftp"])
def test_a_proxy_of_another_kind_is_refused(scheme: str) -> None:
    """CONNECT is not sent to what speaks another protocol, nor a password in the clear."""
    proxy = urlsplit(f"{scheme}://user:{SECRET}@p:1080")
    with pytest.raises(EToroWebSocketError, match=f"{scheme}:// is not supported") as caught:
        make_tunnel(proxy, ETORO)
    assert SECRET not in str(caught.value)


def test_keys_do_not_travel_to_a_proxy_in_the_clear() -> None:
    """Plain ws:// is for this machine, so a proxy on another one is no way to it."""
    with pytest.raises(EToroWebSocketError, match="plain ws://"):
        make_tunnel(urlsplit("http://proxy.example:3128"), Target.of(LOCAL))
    make_tunnel(urlsplit("http://proxy.example:3128"), ETORO)
    make_tunnel(urlsplit("http://localhost:3128"), Target.of(LOCAL))


@pytest.mark.parametrize("moved", ["the target", "the proxy"])
def test_a_localhost_that_is_elsewhere_is_no_way_for_keys(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    """A table of hosts that sends localhost to another machine does not send the keys there."""
    proxy = raw_server(lambda peer: peer.wait_closed())
    real = socket.getaddrinfo

    def mistaken(host: str, *args: Any, **kwargs: Any) -> Any:
        return real("192.0.2.1" if host == "localhost" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", mistaken)
    hosts = ("localhost", "127.0.0.1") if moved == "the target" else ("127.0.0.1", "localhost")
    url = f"ws://{hosts[0]}:1/ws"
    for scheme in ("http", "socks5", "socks5h"):
        tunnel = make_tunnel(urlsplit(f"{scheme}://{hosts[1]}:{proxy.port}"), Target.of(url))
        with pytest.raises(EToroWebSocketError, match="localhost resolves to another machine"):
            dial(url, waker, tunnel=tunnel)
    assert proxy.connections == 0


def test_a_socks_proxy_of_the_environment_without_the_extra_is_said_so(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it, and how to do without."""
    environment(all_proxy=f"socks5h://user:{SECRET}@p:1080")
    monkeypatch.delitem(sys.modules, "etoro_sync.ws.transport.socks_proxy", raising=False)
    monkeypatch.setitem(sys.modules, "socksio", None)
    proxy = find_proxy(None, ETORO)
    assert proxy is not None
    with pytest.raises(EToroWebSocketError, match=r'pip install "etoro-sync\[socks\]"') as caught:
        make_tunnel(proxy, ETORO)
    assert "all_proxy" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_file_named_socksio_is_named(
    environment: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has what belongs to no proxy: the extra is there, and would be installed in vain."""
    environment(all_proxy="socks5h://p:1080")
    monkeypatch.delitem(sys.modules, "etoro_sync.ws.transport.socks_proxy", raising=False)
    own = ModuleType("socksio")
    own.__spec__ = ModuleSpec("socksio", None, origin="/a/folder/socksio.py")
    monkeypatch.setitem(sys.modules, "socksio", own)
    proxy = find_proxy(None, ETORO)
    assert proxy is not None
    with pytest.raises(EToroWebSocketError, match=r"/a/folder/socksio\.py\. If that file"):
        make_tunnel(proxy, ETORO)


@pytest.mark.heavy
def test_socksio_is_imported_for_a_socks_proxy_only() -> None:
    """Nobody else pays for it, installed or not."""
    code = (
        "import sys\n"
        "from urllib.parse import urlsplit\n"
        "import etoro_sync\n"
        "assert 'urllib.request' not in sys.modules\n"
        "from etoro_sync.ws.transport.target import Target\n"
        "from etoro_sync.ws.transport.proxy import make_tunnel\n"
        "for kind in ('http', 'socks5'):\n"
        "    etoro_sync.WsClientOptions(proxy=kind + '://h:1')\n"
        "    assert 'socksio' not in sys.modules\n"
        "    make_tunnel(urlsplit(kind + '://h:1'), Target('t', 443, True))\n"
        "assert 'socksio' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# The tunnel


def test_the_tunnel_is_asked_for_by_name(raw_server: StartServer, waker: Waker) -> None:
    """The proxy resolves the name; the client does not have to be able to."""
    proxy = raw_server(lambda peer: peer.respond(b"HTTP/1.1 502 Enough\r\n\r\n"))
    url = "wss://nowhere.invalid:444/ws"
    with pytest.raises(EToroWebSocketError, match=r"did not connect to nowhere\.invalid:444"):
        through(url, proxy, waker)
    assert proxy.peers[0].request.startswith("CONNECT nowhere.invalid:444 HTTP/1.1")


def test_the_websocket_is_opened_in_the_tunnel(raw_server: StartServer, waker: Waker) -> None:
    """As it is on a direct connection."""
    proxy = raw_server(lambda peer: (peer.respond(ESTABLISHED), peer.handshake()))
    url = "ws://localhost:81/ws?a=b"
    with dialled(url, waker, tunnel=tunnel_to(url, proxy)) as stream:
        assert open_websocket(url, stream, make_dialer(waker), str) == b""
    (peer,) = proxy.peers
    assert peer.request.startswith("GET /ws?a=b HTTP/1.1\r\nUpgrade: websocket\r\n")


@pytest.mark.parametrize(
    ("url", "request_line"),
    [
        ("ws://localhost:81/ws", "CONNECT localhost:81 HTTP/1.1"),
        ("ws://[::1]:81/ws", "CONNECT [::1]:81 HTTP/1.1"),
        ("ws://localhost/ws", "CONNECT localhost:80 HTTP/1.1"),
    ],
)
def test_a_proxy_without_a_password_gets_none(
    raw_server: StartServer, waker: Waker, url: str, request_line: str
) -> None:
    """The request names host and port, twice, and nothing else is in it."""
    proxy = raw_server(answer(ESTABLISHED))
    through(url, proxy, waker).close()
    request = proxy.peers[0].request
    assert request.split("\r\n") == [request_line, f"Host: {request_line.split()[1]}"]


@pytest.mark.parametrize(
    ("user", "pair"),
    [
        ("user:password@", "user:password"),
        ("user@", "user:"),
        ("a%40b:p%3Aw%20d@", "a@b:p:w d"),
        ("j%C3%BCrgen:%E2%82%AC@", "jürgen:€"),
        (":token@", ":token"),
    ],
)
def test_a_password_is_sent_as_it_is_meant(
    raw_server: StartServer, waker: Waker, user: str, pair: str
) -> None:
    """User and password of the URL, without its escapes, become Basic authentication."""
    proxy = raw_server(answer(ESTABLISHED))
    through(LOCAL, proxy, waker, user).close()
    scheme, _, encoded = (proxy.peers[0].header("Proxy-Authorization") or "").partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded).decode() == pair


@pytest.mark.parametrize("user", ["us%E9r:p%e9ss@", "us\udce9r:p\udce9ss@"])
def test_a_password_that_is_no_utf8_is_sent_byte_for_byte(
    raw_server: StartServer, waker: Waker, user: str
) -> None:
    """Escaped in the URL, or as the environment has it."""
    proxy = raw_server(answer(ESTABLISHED))
    through(LOCAL, proxy, waker, user).close()
    encoded = (proxy.peers[0].header("Proxy-Authorization") or "").removeprefix("Basic ")
    assert base64.b64decode(encoded) == b"us\xe9r:p\xe9ss"


def test_tls_goes_through_the_tunnel_and_is_verified(
    raw_server: StartServer, waker: Waker, certificates: Certificates
) -> None:
    """The certificate is the target's, not the proxy's, and messages flow both ways."""

    def script(peer: Peer) -> None:
        peer.respond(ESTABLISHED)
        assert peer.start_tls(certificates.server)
        peer.handshake()
        assert peer.read_frame() == (TEXT, b"hello")
        peer.send_text("welcome")
        peer.wait_closed()

    proxy = raw_server(script)
    url = "wss://localhost:444/ws"
    with dialled(url, waker, certificates.client, tunnel=tunnel_to(url, proxy)) as stream:
        connection = make_connection(stream, open_websocket(url, stream, make_dialer(waker), str))
        connection.send_text("hello")
        assert read_on(connection, messages(1)) == ["welcome"]


def test_a_wrong_certificate_behind_the_proxy_is_refused(
    raw_server: StartServer, waker: Waker, certificates: Certificates
) -> None:
    """A proxy that answers in the target's place is found out."""

    def script(peer: Peer) -> None:
        peer.respond(ESTABLISHED)
        assert not peer.start_tls(certificates.wrong_host)

    proxy = raw_server(script)
    url = "wss://localhost:444/ws"
    with pytest.raises(EToroWebSocketError, match="certificate of localhost:444"):
        dial(url, waker, certificates.client, tunnel=tunnel_to(url, proxy))


# Refusals


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"HTTP/1.1 403 Nope", "refused with HTTP 403 Forbidden"),
        (b"HTTP/1.0 407 Who are you", "refused with HTTP 407 Proxy Authentication Required"),
        (b"HTTP/1.1 502", "refused with HTTP 502 Bad Gateway"),
        (b"HTTP/1.1 302 Found", "refused with HTTP 302 Found"),
        (b"HTTP/1.1 599 Strange", "refused with HTTP 599"),
    ],
)
def test_a_refusal_says_who_refused_what(
    raw_server: StartServer, waker: Waker, line: bytes, words: str
) -> None:
    """Proxy, target, status and what to check are in the error, and no page is waited for."""
    proxy = raw_server(answer(line + b"\r\nContent-Length: 100000\r\n\r\n<html>"))
    with Watchdog(AT_ONCE), pytest.raises(EToroWebSocketError) as caught:
        through(LOCAL, proxy, waker, f"user:{SECRET}@")
    text = str(caught.value)
    assert f"The proxy 127.0.0.1:{proxy.port} did not connect to localhost:1" in text
    assert words in text
    assert "Check the proxy option" in text
    assert caught.value.error_code == "HTTP " + line.split()[1].decode()
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert base64.b64encode(f"user:{SECRET}".encode()).decode() not in shown


@pytest.mark.parametrize(
    ("status", "header", "asked"),
    [
        (429, b"", 0.0),
        (429, b"Retry-After: 7\r\n", 7.0),
        (503, b"Retry-After: 7\r\n", 7.0),
    ],
)
def test_a_proxy_that_asks_for_patience_gets_it(
    raw_server: StartServer, waker: Waker, status: int, header: bytes, asked: float
) -> None:
    """As the server itself would."""
    proxy = raw_server(answer(b"HTTP/1.1 %d No\r\n%s\r\n" % (status, header)))
    with pytest.raises(ConnectionFailed, match=f"refused with HTTP {status}") as caught:
        through(LOCAL, proxy, waker)
    assert caught.value.slow is (status == 429)
    assert caught.value.retry_after == asked
    assert ("asks to wait for 7 s" in str(caught.value)) is bool(asked)


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 ok\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        # Of more digits than int() takes.
        b"HTTP/1.1 " + b"2" * 5000 + b"\r\n\r\n",
    ],
    ids=lambda raw: str(raw[:12]),
)
def test_what_is_no_proxy_is_said_so(raw_server: StartServer, waker: Waker, raw: bytes) -> None:
    """Whatever else listens at that port, the error names the proxy."""
    proxy = raw_server(answer(raw))
    with pytest.raises(EToroWebSocketError, match="something that is not HTTP"):
        through(LOCAL, proxy, waker)


def test_bytes_of_the_proxy_in_the_tunnel_are_refused(
    raw_server: StartServer, waker: Waker
) -> None:
    """Nobody speaks in the server's place."""
    proxy = raw_server(answer(ESTABLISHED + b"\x81\x05hello"))
    with pytest.raises(EToroWebSocketError, match="bytes of its own"):
        through(LOCAL, proxy, waker)


def test_a_proxy_that_closes_is_said_so(raw_server: StartServer, waker: Waker) -> None:
    """An end instead of an answer names the request to the proxy."""
    proxy = raw_server(lambda peer: peer.read_request())
    with pytest.raises(EToroWebSocketError, match="closed the connection during the request to"):
        through(LOCAL, proxy, waker)


def test_a_proxy_that_resets_is_said_so(raw_server: StartServer, waker: Waker) -> None:
    """A reset instead of an answer names the proxy and keeps its cause."""
    proxy = raw_server(lambda peer: (peer.read_request(), peer.reset()))
    with pytest.raises(EToroWebSocketError, match="ended the connection") as caught:
        through(LOCAL, proxy, waker)
    assert isinstance(caught.value.__cause__, OSError)


def test_a_proxy_that_is_not_there_is_said_so(waker: Waker) -> None:
    """When nobody listens at the proxy's address, the error says to check the proxy."""
    with Refuser() as refuser:
        tunnel = make_tunnel(urlsplit(f"http://127.0.0.1:{refuser.port}"), ETORO)
        with pytest.raises(EToroWebSocketError, match="Check the proxy option") as caught:
            dial("wss://ws.etoro.com/ws", waker, tunnel=tunnel)
    assert f"127.0.0.1:{refuser.port}" in str(caught.value)


def test_an_endless_answer_is_refused(raw_server: StartServer, waker: Waker) -> None:
    """The head of a proxy's answer has a limit."""
    proxy = raw_server(answer(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"\r\n"))
    with pytest.raises(EToroWebSocketError, match="has more than 65536 bytes of headers"):
        through(LOCAL, proxy, waker)


def test_a_port_of_80_is_assumed(waker: Waker) -> None:
    """A proxy without a port is one at port 80."""
    assert make_tunnel(urlsplit("http://p"), ETORO).entry == Target("p", 80, False)


# Time


def test_a_dripping_proxy_ends_at_the_deadline(raw_server: StartServer, waker: Waker) -> None:
    """The proxy's time is part of the one deadline."""
    proxy = raw_server(
        lambda peer: (peer.read_request(), peer.drip(b"HTTP/1.1 200 " + b"x" * 2000, pause=0.01))
    )
    with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError, match="the request to the proxy"):
        through(LOCAL, proxy, waker, seconds=3 * A_WHILE)


def test_a_target_that_does_not_answer_tls_in_the_tunnel_ends_at_the_deadline(
    raw_server: StartServer, waker: Waker, certificates: Certificates
) -> None:
    """It is called late, and not a failure of TLS."""
    proxy = raw_server(lambda peer: (peer.respond(ESTABLISHED), peer.wait_closed()))
    url = "wss://localhost:444/ws"
    tunnel = tunnel_to(url, proxy)
    with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError, match="the TLS handshake with local"):
        dial(url, waker, certificates.client, tunnel=tunnel, seconds=3 * A_WHILE)


def test_disconnect_ends_the_wait_for_a_proxy_at_once(
    raw_server: StartServer, waker: Waker
) -> None:
    """While the proxy thinks, ``disconnect()`` is obeyed at once."""
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        waker.stop()
        peer.wait_closed()

    proxy = raw_server(script)
    with Watchdog(AT_ONCE), pytest.raises(Interrupted):
        dial(LOCAL, waker, tunnel=tunnel_to(LOCAL, proxy))
    assert asked.is_set()


def test_a_tunnel_is_a_stream_like_any_other(raw_server: StartServer, waker: Waker) -> None:
    """Behind the proxy's answer, bytes come as from the target itself."""

    def script(peer: Peer) -> None:
        peer.respond(ESTABLISHED)
        peer.read_request()
        peer.send(b"answer")
        peer.wait_closed()

    proxy = raw_server(script)
    with dialled(LOCAL, waker, tunnel=tunnel_to(LOCAL, proxy)) as stream:
        stream.write(b"question\r\n\r\n")
        assert read_all(stream, 6) == b"answer"
