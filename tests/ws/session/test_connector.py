"""What an attempt to connect needs, which addresses it tries, and what it leaves open."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from etoro_sync import EToroWebSocketError, WsClient, WsClientOptions
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, StartServer
from tests.support.certificates import Certificates
from tests.support.clients import API_KEY, USER_KEY, Ear
from tests.support.raw_server import TEXT, Peer, Script
from tests.support.scripts import live, until
from tests.support.timing import MS, Stopwatch
from tests.ws.transport.tools import BlackHole, resolve_to

_WITHOUT_DESCRIPTORS = """
import resource, sys, threading
from etoro_sync import WsClient, WsClientOptions

failed, back = threading.Semaphore(0), threading.Event()
options = WsClientOptions(
    "an api key", "a user key", sys.argv[1], reconnect_attempts=None, reconnect_delay=0.1,
    reconnect_max_delay=0.1, proxy=sys.argv[2],
)
client = WsClient(options)
client.on("error", lambda error: failed.release()).on("reconnected", lambda gap: back.set())
client.connect()
known = {*sys.modules}
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
# The first three are taken, and what is open above the limit stays open.
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
print("live", flush=True)
for _ in range(3):
    assert failed.acquire(timeout=10), client.state
print(client.state.value, sorted({*sys.modules} - known), flush=True)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
assert back.wait(10), client.state
print(client.state.value, sorted({*sys.modules} - known), flush=True)
client.disconnect()
"""


@pytest.mark.heavy
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of descriptors")
@pytest.mark.parametrize("way", ["address", "name", "HTTP proxy", "SOCKS proxy"])
def test_promise_5_a_process_without_descriptors_goes_on_trying(
    raw_server: StartServer, way: str
) -> None:
    """All that an attempt needs was imported before: each one fails, and none ends the client."""
    lose = threading.Event()

    def passed_on(script: Script) -> Script:
        def whole(peer: Peer) -> None:
            if way == "HTTP proxy":
                peer.respond(b"HTTP/1.1 200 OK\r\n\r\n")
            elif way == "SOCKS proxy":
                peer.read_bytes(3)
                peer.send(b"\5\0")
                peer.read_bytes(10)
                peer.send(b"\5\0\0\1" + bytes(6))
            script(peer)

        return whole

    server = raw_server([passed_on(until(lose)), passed_on(live)])
    url = f"ws://localhost:{server.port}/ws" if way == "name" else server.url
    scheme = {"HTTP proxy": "http", "SOCKS proxy": "socks5"}.get(way)
    proxy = f"{scheme}://127.0.0.1:{server.port}" if scheme else ""
    command = [sys.executable, "-c", _WITHOUT_DESCRIPTORS, url, proxy]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "live\n"
        lose.set()
        assert process.stdout.readlines() == ["reconnecting []\n", "live []\n"]
    assert process.returncode == 0


@pytest.mark.heavy
def test_what_an_attempt_needs_is_imported_by_connect_and_not_before() -> None:
    """The import of the package stays quick, and the first connection finds everything there."""
    code = """
import sys, etoro_sync
from etoro_sync.ws.session.connector import Connector
late = "etoro_sync.ws.transport.proxy"
print(late in sys.modules, "urllib.request" in sys.modules)
Connector(etoro_sync.WsClientOptions(), None, None, None)
print(late in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\nTrue\n"


def lead_to(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Make every name lead to these ports of this machine, in this order."""
    resolve_to(monkeypatch, *(("127.0.0.1", port) for port in ports))


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxy"])
@pytest.mark.parametrize("silent", ["in HTTP", "to the authentication"])
def test_promise_5_an_address_that_takes_the_connection_and_is_silent_is_not_tried_twice(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    silent: str,
    proxied: bool,
) -> None:
    """The next attempt begins at another address, which the name may have, too."""
    lose = threading.Event()

    def passed_on(script: Script) -> Script:
        """Lead the proxy's connection to this machine's server, too."""
        established = b"HTTP/1.1 200 OK\r\n\r\n"
        return lambda peer: (proxied and peer.respond(established), script(peer))

    def mute(peer: Peer) -> None:
        if silent != "in HTTP":
            peer.handshake()
        peer.wait_closed()

    before = raw_server(passed_on(until(lose)))
    bad, good = raw_server(passed_on(mute)), raw_server(passed_on(live))
    lead_to(monkeypatch, before.port)
    c = client(
        "ws://localhost/ws",
        proxy="http://localhost:1" if proxied else "",
        connect_timeout=700 * MS,
        auth_timeout=700 * MS,
        reconnect_attempts=2,
    )
    ear = Ear(c)
    c.connect()
    lead_to(monkeypatch, bad.port, good.port)
    lose.set()
    ear.wait_for("reconnected")
    assert (bad.connections, good.connections) == (1, 1)


@pytest.mark.parametrize("lost", ["TCP", "TLS"])
def test_promise_5_a_dead_address_costs_a_quarter_of_a_second_once(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    certificates: Certificates,
    lost: str,
) -> None:
    """Each connect() works, and what has worked is tried first, in the next session, too."""
    good = raw_server(live, certificates.server)
    with BlackHole() as hole:
        bad = raw_server(lambda peer: peer.wait_closed())
        lead_to(monkeypatch, hole.port if lost == "TCP" else bad.port, good.port)
        c = client("wss://localhost/ws", ssl_context=certificates.client)
        for _ in range(3):
            watch = Stopwatch()
            c.connect()
            assert watch.seconds < 3000 * MS
            c.disconnect()
        assert good.connections == 3
        assert bad.connections == (lost == "TLS")


@contextlib.contextmanager
def forked_child() -> Iterator[None]:
    """A forked copy of this process, which keeps all descriptors open and does nothing."""
    waits, ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ends)
            os.read(waits, 1)
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.close(ends)
        os.waitpid(pid, 0)
        os.close(waits)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_promise_13_a_forked_child_keeps_no_connection_open_that_the_client_has_given_up(
    raw_server: StartServer, client: MakeClient, certificates: Certificates, secure: bool
) -> None:
    """The server reads the end of the stream, and so ends the authenticated session."""
    go_on, ended = threading.Event(), threading.Event()

    def breaks_the_protocol(peer: Peer) -> None:
        peer.accept()
        peer.wait(go_on)
        peer.send_frame(TEXT, b"{}", mask=True)
        peer.wait_closed(timeout=5)
        ended.set()

    server = raw_server([breaks_the_protocol, live], tls=certificates.server if secure else None)
    c = client(server.url, ssl_context=certificates.client if secure else None)
    ear = Ear(c)
    c.connect()
    with forked_child():
        go_on.set()
        ear.wait_for("reconnected")
        assert ended.wait(5)


def test_promise_14_a_proxys_password_of_the_environment_that_is_no_utf8_is_sent_and_masked(
    raw_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy gets its bytes, and no reading of them appears in an error or a log."""
    proxy = raw_server(lambda peer: peer.respond(b"HTTP/1.1 407 Who are you\r\n\r\n"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://us\udce9r:p\udce9ssword@127.0.0.1:{proxy.port}")
    options = WsClientOptions(API_KEY, USER_KEY, "wss://example.invalid/ws")
    client = WsClient(options)
    with pytest.raises(EToroWebSocketError, match="refused with HTTP 407"):
        client.connect()
    encoded = (proxy.peers[0].header("Proxy-Authorization") or "").removeprefix("Basic ")
    assert base64.b64decode(encoded) == b"us\xe9r:p\xe9ssword"
    assert core_of(client).sessions.redactor("péssword p%E9ssword p\udce9ssword") == "*** *** ***"
