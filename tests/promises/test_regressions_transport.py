"""What attacks on keys, connections and the way to them have found; each stayed mended."""

from __future__ import annotations

import base64
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroAuthError,
    EToroValidationError,
    EToroWebSocketError,
    WsClient,
    WsClientOptions,
)
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.ws.core import core_of
from etoro_sync.ws.session import connector, reader
from etoro_sync.ws.session.backoff import Backoff
from etoro_sync.ws.session.commands import Commands
from etoro_sync.ws.session.connector import Connector
from etoro_sync.ws.session.controller import Controller
from etoro_sync.ws.session.credentials import Credentials
from etoro_sync.ws.session.reader import Reader
from etoro_sync.ws.session.session import Session
from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import MakeClient, StartServer
from tests.support.certificates import Certificates
from tests.support.clients import API_KEY, USER_KEY, Ear
from tests.support.raw_server import TEXT, Peer, Script
from tests.support.threads import run_in_thread
from tests.support.timing import MS
from tests.ws.transport.tools import BlackHole, resolve_to

# Errors of the user's own ------------------------------------------------------------------------


@types.coroutine
def pause(value: object) -> Generator[object, None, None]:
    yield value


def generator() -> Generator[object, None, None]:
    try:
        raise LookupError("the vault is locked")
    except LookupError as exc:
        yield exc
    yield "went on"


async def coroutine() -> None:
    try:
        raise LookupError("the vault is locked")
    except LookupError as exc:
        await pause(exc)
    await pause("went on")


async def async_generator() -> AsyncGenerator[object, None]:
    try:
        raise LookupError("the vault is locked")
    except LookupError as exc:
        yield exc
    yield "went on"


def step(suspended: Any) -> Any:
    """Let it go on to where it waits the next time; return what it hands out there."""
    if not isinstance(suspended, AsyncGenerator):
        return suspended.send(None)
    with pytest.raises(StopIteration) as stopped:
        suspended.asend(None).send(None)
    return stopped.value.value


@pytest.mark.parametrize("function", [generator, coroutine, async_generator])
def test_an_error_that_a_suspended_generator_has_caught_leaves_it_able_to_go_on(
    client: MakeClient, function: Callable[[], Any]
) -> None:
    """A function for a key may raise such an error again, and the generator is not the client's."""
    suspended = function()
    error = step(suspended)

    def key() -> str:
        raise error

    with pytest.raises(EToroAuthError, match="raised LookupError"):
        client("ws://127.0.0.1:9/ws", api_key=key).connect()
    assert step(suspended) == "went on"


def refused(make: Callable[..., WsClientOptions], handled: BaseException) -> None:
    """Make options in vain while an error is being handled."""
    try:
        raise handled
    except LookupError:
        make(api_key=" padded ")


MAKERS = pytest.mark.parametrize("make", [WsClientOptions, WsClientOptions.from_env])


@MAKERS
def test_options_that_are_refused_leave_the_error_alone_that_is_being_handled(
    make: Callable[..., WsClientOptions],
) -> None:
    """Its frames keep their local variables, for whoever looks at it later."""

    def fails() -> None:
        found = "what the program knew"
        raise LookupError(found)

    with pytest.raises(LookupError) as caught:
        fails()
    with pytest.raises(EToroValidationError):
        refused(make, caught.value)
    assert caught.traceback[-1].frame.f_locals["found"] == "what the program knew"


@MAKERS
def test_options_that_are_refused_leave_generators_alone(
    make: Callable[..., WsClientOptions],
) -> None:
    """One that has caught the error which is being handled goes on."""
    suspended = generator()
    with pytest.raises(EToroValidationError):
        refused(make, step(suspended))
    assert step(suspended) == "went on"


# Internal errors ---------------------------------------------------------------------------------


def live(peer: Peer) -> None:
    peer.handshake()
    peer.authenticate()
    peer.serve()


def until(lose: threading.Event) -> Script:
    """Serve a connection until the event is set, and end it then."""
    return lambda peer: (peer.handshake(), peer.authenticate(), peer.wait(lose))


def fail_once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: BaseException) -> None:
    """Let the next call of a function raise, and those after it do what they always did."""
    usual = getattr(owner, name)

    def fails(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, usual)
        raise error

    monkeypatch.setattr(owner, name, fails)


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (Connector, "open", OSError(24, "Too many open files")),
        (FeedHandler, "on_texts", MemoryError()),
        (Controller, "on_reply", ValueError("a defect")),
    ],
    ids=["opening", "reading", "authenticating"],
)
def test_promise_5_an_internal_error_is_a_failed_attempt(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
    error: BaseException,
) -> None:
    """A live client logs it with its traceback, tells of it, and tries again."""
    lose = threading.Event()
    c = client(raw_server([until(lose), live]).url)
    ear = Ear(c)
    c.connect()
    fail_once(monkeypatch, owner, name, error)
    lose.set()
    ear.wait_for("reconnected")
    assert c.state is ClientState.LIVE
    told = [str(each) for each in ear.of("error")] + [reason for _, reason in ear.of("close")]
    assert any(repr(error) in each for each in told)
    (record,) = [each for each in caplog.records if "please report" in each.getMessage()]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert name in "".join(traceback.format_tb(record.exc_info[2]))


CLEANUPS = [
    (Connector, "mark_address_proven"),
    (Controller, "end"),
    (Connection, "dispose"),
    (SocketStream, "close"),
    (Controller, "lost"),
    (Publisher, "emit"),
    (reader, "forget_locals"),
]
WAITS = [
    (Backoff, "next"),
    (Reader, "_wait"),
    (Commands, "take"),
    (Controller, "submit"),
    (Waker, "wait"),
    (Controller, "begin"),
    (Credentials, "get"),
]


@pytest.mark.parametrize(
    "error", [AttributeError("a defect"), MemoryError()], ids=["defect", "memory"]
)
@pytest.mark.parametrize(
    ("owner", "name"), CLEANUPS + WAITS, ids=[name for _, name in CLEANUPS + WAITS]
)
def test_promise_5_what_fails_between_two_connections_does_not_end_the_client(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: Any,
    name: str,
    error: Exception,
) -> None:
    """While one is cleaned up, while the next is waited for and begun; the log tells of it."""
    lose = threading.Event()
    c = client(raw_server([until(lose), live]).url)
    ear = Ear(c)
    c.connect()
    usual = Backoff.next
    # On a busy machine a wait that chance has made short would be over before it has begun.
    monkeypatch.setattr(Backoff, "next", lambda *a, **kw: max(usual(*a, **kw) or 0.0, 0.1))
    fail_once(monkeypatch, owner, name, error)
    lose.set()
    ear.wait_for("reconnected")
    assert c.state is ClientState.LIVE
    assert [r for r in caplog.records if "please report" in r.getMessage()]


def test_promise_1_an_end_that_cannot_be_told_at_first_is_told_all_the_same(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last thing that the reader does must not fail for want of memory."""
    lose = threading.Event()
    c = client(raw_server(until(lose)).url, reconnect_attempts=0)
    c.connect()
    fail_once(monkeypatch, Session, "fail", MemoryError())
    lose.set()
    with pytest.raises(EToroWebSocketError, match="The connection ended"):
        run_in_thread(c.run_forever).result()
    assert c.state is ClientState.FAILED


def test_promise_1_a_reader_that_fails_before_it_has_begun_is_noticed(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As wherever else it fails."""
    fail_once(monkeypatch, reader, "block_sigpipe", MemoryError())
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync: MemoryError"):
        client("ws://127.0.0.1:9/ws").connect()


def test_promise_5_where_no_wait_is_possible_attempts_are_still_spaced(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that stays out makes no client knock without a pause; disconnect() ends it as ever."""
    lose = threading.Event()
    server = raw_server([until(lose), lambda peer: peer.close()])
    c = client(server.url, reconnect_attempts=None, reconnect_delay=30, reconnect_max_delay=30)
    c.connect()

    def fails(*arguments: object) -> None:
        raise MemoryError

    slept = threading.Semaphore(0)
    monkeypatch.setattr(Backoff, "next", lambda *_, **__: 1000.0)
    monkeypatch.setattr(Waker, "wait", fails)
    usual = Commands.poll_until
    monkeypatch.setattr(
        Commands, "poll_until", lambda commands, until: (slept.release(), usual(commands, until))
    )
    lose.set()
    assert slept.acquire(timeout=5)
    started = time.monotonic()
    c.disconnect()
    assert time.monotonic() - started < 1
    assert server.connections == 1


def test_promise_5_an_internal_error_of_the_first_attempt_is_raised(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is every other reason why connect() fails."""
    fail_once(monkeypatch, Connector, "open", ValueError("a defect"))
    c = client("ws://127.0.0.1:9/ws")
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync: ValueError"):
        c.connect()
    assert c.stats().connect_attempts == 1


def test_promise_13_an_internal_error_leaves_no_connection_open(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it comes between the handshake and the first word on the connection."""
    closed: list[SocketStream] = []
    usual = SocketStream.close
    monkeypatch.setattr(
        SocketStream, "close", lambda stream: (closed.append(stream), usual(stream))
    )
    fail_once(monkeypatch, connector, "Connection", MemoryError())
    c = client(raw_server(lambda peer: (peer.handshake(), peer.wait_closed())).url)
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync: MemoryError"):
        c.connect()
    assert len(closed) == 1


def test_promise_5_an_internal_error_that_repeats_counts_and_is_logged_once_a_minute(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It uses up the attempts like anything else, and does not fill the log."""
    lose = threading.Event()

    def defect(*arguments: object) -> Any:
        raise ValueError("a defect")

    c = client(raw_server(until(lose)).url)
    c.connect()
    monkeypatch.setattr(Connector, "open", defect)
    lose.set()
    with pytest.raises(EToroWebSocketError, match=r"Gave up after 10 attempts.*a defect"):
        run_in_thread(c.run_forever).result()
    assert c.stats().connect_attempts == 11
    assert caplog.text.count("please report") == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", [MemoryError, SystemExit])
def test_promise_1_a_death_of_the_reader_of_which_nothing_can_be_told_is_noticed(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[BaseException],
) -> None:
    """Also where the words for it fail: it is an error, and no end that the user wished for."""
    lose = threading.Event()

    def fails(*arguments: object) -> Any:
        raise kind

    c = client(raw_server(until(lose)).url)
    c.connect()
    monkeypatch.setattr(Reader, "_pause", fails)
    monkeypatch.setattr(reader, "forget_locals", fails)
    lose.set()
    with pytest.raises(EToroWebSocketError, match="Internal error of etoro_sync"):
        run_in_thread(c.run_forever).result()
    assert c.state is ClientState.FAILED


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


# Functions for keys ------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs pthread_sigmask()")
@pytest.mark.parametrize("blocked", [False, True])
def test_a_function_for_a_key_blocks_the_signals_that_its_program_does(
    raw_server: StartServer, client: MakeClient, blocked: bool
) -> None:
    """SIGPIPE is as in the thread that called connect(), also for processes that it starts."""
    seen: list[set[int]] = []

    def key() -> str:
        seen.append({*signal.pthread_sigmask(signal.SIG_BLOCK, [])})
        return API_KEY

    c = client(raw_server(live).url, api_key=key)

    def connect() -> set[int]:
        how = signal.SIG_BLOCK if blocked else signal.SIG_UNBLOCK
        signal.pthread_sigmask(how, [signal.SIGPIPE])
        c.connect()
        return {*signal.pthread_sigmask(signal.SIG_BLOCK, [])}

    assert seen == [run_in_thread(connect).result()]
    assert (signal.SIGPIPE in seen[0]) is blocked


# The end of a connection -------------------------------------------------------------------------


@contextlib.contextmanager
def forked_child() -> Iterator[None]:
    """A copy of this process, which does nothing and keeps what is open open."""
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
    """The server reads the end of the stream, and forgets who was authenticated on it."""
    go_on, ended = threading.Event(), threading.Event()

    def breaks_the_protocol(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
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


# Addresses ---------------------------------------------------------------------------------------


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
        """Lead to the server that a proxy leads to, which is its own, too."""
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
            started = time.monotonic()
            c.connect()
            assert time.monotonic() - started < 3000 * MS
            c.disconnect()
        assert good.connections == 3
        assert bad.connections == (lost == "TLS")


# Proxies -----------------------------------------------------------------------------------------


def test_promise_14_a_proxys_password_of_the_environment_that_is_no_utf8_is_sent_and_masked(
    raw_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy gets its bytes, and what a server makes of them is shown to nobody."""
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
