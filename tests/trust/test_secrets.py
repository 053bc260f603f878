"""No planted secret can be read off anything that a client raises, emits, logs or shows.

Each scenario is a server that makes trouble, and repeats the keys wherever it can. Looked at is
what an error tracker would collect: words, data, and the local variables of all frames.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import websocket

from etoro_sync import (
    EToroError,
    EToroValidationError,
    EToroWebSocketError,
    WsClient,
    WsClientOptions,
)
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.core import core_of
from etoro_sync.ws.protocol.control import ControlChannel
from etoro_sync.ws.session.controller import Controller
from etoro_sync.ws.transport.racing import Race
from etoro_sync.ws.transport.socket_stream import SocketStream
from tests.conftest import StartServer
from tests.support.certificates import Certificates
from tests.support.clients import API_KEY, USER_KEY, Ear, envelope, make_client
from tests.support.raw_server import TEXT, Peer, Refuser
from tests.trust.exposure import (
    PROXY_PASSWORD,
    PROXY_USER,
    Records,
    assert_client_hides,
    assert_hidden,
    exposed_by,
)

ECHO = f"{API_KEY} {USER_KEY}"
RATE = {"Ask": "2", "Bid": "1"}
Script = Callable[[Peer], object]


@pytest.fixture
def records() -> Iterator[Records]:
    with Records() as collected:
        yield collected


def run(client: WsClient, topics: list[Any]) -> list[Exception]:
    """Do what a program does; return the errors that it gets."""
    errors: list[Exception] = []
    with_queue = client.queue("private:event")
    steps: list[Callable[[], object]] = [
        client.connect,
        lambda: client.subscribe(topics, timeout=5),
        client.run_forever,
        lambda: with_queue.get(timeout=5),
    ]
    for step in steps:
        try:
            step()
        except Exception as error:
            errors.append(error)
    client.disconnect()
    return errors


def auth_payload(peer: Peer) -> dict[str, Any]:
    request = peer.read_json()
    assert request["data"] == {"userKey": USER_KEY, "apiKey": API_KEY}
    return request


# What a server can do before a connection is authenticated ---------------------------------------


def rejecting(peer: Peer) -> None:
    peer.handshake()
    request = auth_payload(peer)
    peer.reply(request, "InvalidKey", json.dumps(request))


def rejecting_with_odd_types(peer: Peer) -> None:
    peer.handshake()
    request = auth_payload(peer)
    peer.send_json(
        {"id": request["id"], "success": 0, "errorCode": [request], "errorMessage": request}
    )


def resetting(peer: Peer) -> None:
    peer.handshake()
    auth_payload(peer)
    peer.reset()


def closing(peer: Peer) -> None:
    peer.handshake()
    auth_payload(peer)
    peer.send_close(4001, ECHO)


def breaking_the_protocol(peer: Peer) -> None:
    peer.handshake()
    peer.send_frame(TEXT, json.dumps(auth_payload(peer)).encode(), mask=True)


def not_utf8(peer: Peer) -> None:
    peer.handshake()
    peer.send_frame(TEXT, json.dumps(auth_payload(peer)).encode() + b"\xff")


def babbling(peer: Peer) -> None:
    """Every kind of message that cannot be understood, then a refusal."""
    peer.handshake()
    request = auth_payload(peer)
    echo = json.dumps(request)
    for text in (echo[:-1], f"[{echo}]", json.dumps({"messages": request}), json.dumps(echo)):
        peer.send_text(text)
    for content in (request, [request], {**RATE, "Ask": echo}, {"Bid": request}):
        peer.send_text(envelope("instrument:18", content))
        peer.send_text(envelope("instrument:18", content, echo))
        peer.send_text(envelope("private", content, echo))
        peer.send_text(envelope(echo, content))
    peer.send_json({"messages": [echo, request, {"topic": request, "type": echo, "content": 1}]})
    peer.send_json({"success": False, "operation": echo, "errorCode": echo, "errorMessage": echo})
    peer.reply(request, "Forbidden", echo)


def answering(raw: str) -> Script:
    return lambda peer: (peer.respond(raw.encode()), peer.wait_closed())


HTTP = {
    "http error": f"HTTP/1.1 401 {ECHO}\r\nX-Echo: {ECHO}\r\nContent-Length: 40\r\n\r\n{ECHO}",
    "redirect": f"HTTP/1.1 302 Found\r\nLocation: wss://{API_KEY}@h/{USER_KEY}\r\n\r\n",
    "not http": f"{ECHO}\r\n\r\n",
    "bad status": f"HTTP/1.1 {API_KEY} {USER_KEY}\r\n\r\n",
    "bad header": f"HTTP/1.1 101 Switching Protocols\r\n{ECHO}\r\n\r\n",
    "bad accept": "HTTP/1.1 101 Go on\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {API_KEY}\r\nSec-WebSocket-Protocol: {USER_KEY}\r\n"
    f"Set-Cookie: {API_KEY}={USER_KEY}\r\n\r\n",
    "endless head": f"HTTP/1.1 101 {ECHO}" + "x" * 70_000,
    "cut head": f"HTTP/1.1 101 {ECHO}\r\nX-Echo: {ECHO}",
}
FIRST: dict[str, Script] = {
    "rejected": rejecting,
    "rejected with odd types": rejecting_with_odd_types,
    "reset": resetting,
    "closed": closing,
    "protocol broken": breaking_the_protocol,
    "not UTF-8": not_utf8,
    "babble": babbling,
    **{name: answering(raw) for name, raw in HTTP.items()},
}
FIRST["cut head"] = lambda peer: peer.respond(HTTP["cut head"].encode())


@pytest.mark.parametrize("script", FIRST.values(), ids=FIRST)
def test_a_first_connection_that_fails_shows_no_secret(
    raw_server: StartServer, records: Records, script: Script
) -> None:
    """Before authentication, whatever the server answers."""
    client = make_client(raw_server(script).url)
    ear = Ear(client)
    errors = run(client, [18])
    assert errors
    assert records.records
    assert_client_hides(client, ear, records, *errors)


@pytest.mark.parametrize("script", FIRST.values(), ids=FIRST)
def test_a_reconnect_that_fails_shows_no_secret(
    raw_server: StartServer, records: Records, script: Script
) -> None:
    """The server knows the keys from the first connection, and uses them against the second."""

    def good(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_close(1012, ECHO)

    client = make_client(raw_server([good, script]).url, reconnect_attempts=1)
    ear = Ear(client)
    errors = run(client, [18])
    assert errors
    assert records.records
    assert_client_hides(client, ear, records, *errors)
    assert ear.of("close")[0] == (1012, "*** ***")


def test_a_babbling_live_connection_shows_no_secret(
    raw_server: StartServer, records: Records
) -> None:
    """Answers to a subscription, strange messages and a refusal of nothing, all with the keys."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge("SubscribeFailed", ECHO)
        peer.send_text(f"not json {ECHO}")
        peer.send_json({"messages": [{"topic": "private", "type": ECHO, "content": ECHO}]})
        peer.send_text(envelope("instrument:18", {**RATE, "Ask": ECHO}))
        peer.send_json({"success": False, "errorCode": ECHO, "errorMessage": {"you": ECHO}})
        peer.send_close(1011, ECHO)

    client = make_client(raw_server(script).url, reconnect_attempts=0)
    ear = Ear(client)
    errors = run(client, [18])
    assert "SubscribeFailed" in str(errors[0])
    assert client.stats().bad_messages >= 3
    assert_client_hides(client, ear, records, *errors)


# What goes wrong on this side ---------------------------------------------------------------------


def test_a_failing_callback_shows_no_secret_but_its_own(
    raw_server: StartServer, records: Records
) -> None:
    """Its traceback begins in the callback: the frames above it hold what the server sent."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:18", RATE))
        peer.send_text(envelope("instrument:18", {**RATE, "Echo": ECHO}, ECHO))
        peer.send_text(envelope(ECHO, ECHO))
        peer.send_text(envelope("private", {"Echo": ECHO}))
        peer.wait(failed)
        peer.send_close(4000, ECHO)

    failed = threading.Event()
    client = make_client(raw_server(script).url, reconnect_attempts=0)
    ear = Ear(client)
    client.on("error", lambda error: len(ear.of("error")) >= 9 and failed.set())

    def fail(*arguments: object) -> None:
        raise LookupError("on purpose")

    for event in ("open", "message", "unknown", "private:event", "instrument:rate", "close"):
        client.on(event, fail)
    client.on("message", lambda *_: len(5))  # type: ignore[arg-type]  # raises TypeError
    errors = run(client, [18])
    failures = [e for e in ear.of("error") if isinstance(e, (LookupError, TypeError))]
    assert len(failures) >= 6
    assert all(e.__traceback__ for e in failures if isinstance(e, LookupError))
    assert_client_hides(client, ear, records, *errors)


@pytest.mark.parametrize("moment", ["authenticate", "reply", "write"])
def test_a_defect_of_the_library_shows_no_secret(
    raw_server: StartServer, records: Records, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Whatever is raised where it is not expected, with the keys in its words."""
    client = make_client(raw_server(rejecting).url)

    def defect(*arguments: object, **options: object) -> Any:
        raise RuntimeError(f"defect {ECHO}")

    owner = {"authenticate": ControlChannel, "reply": Controller, "write": SocketStream}[moment]
    name = {"authenticate": "authenticate", "reply": "on_reply", "write": "write"}[moment]
    if moment != "write":
        monkeypatch.setattr(owner, name, defect)
    else:
        usual = SocketStream.write
        calls = iter([usual])  # the opening handshake passes, the authentication does not
        monkeypatch.setattr(owner, name, lambda *a: next(calls, defect)(*a))
    ear = Ear(client)
    errors = run(client, [18])
    assert "Internal error" in str(errors[0])
    assert "defect ***" in str(errors[0])
    assert_client_hides(client, ear, records, *errors)


def test_a_disconnect_in_mid_authentication_shows_no_secret(
    raw_server: StartServer, records: Records
) -> None:
    """connect() ends with an error in one thread, while another disconnects."""
    asked = threading.Event()

    def silent(peer: Peer) -> None:
        peer.handshake()
        auth_payload(peer)
        asked.set()
        peer.wait_closed()

    client = make_client(raw_server(silent).url, close_timeout=0.05)
    ear = Ear(client)

    def disconnect() -> None:
        assert asked.wait(5)
        client.disconnect()

    thread = threading.Thread(target=disconnect)
    thread.start()
    with pytest.raises(EToroError) as caught:
        client.connect()
    thread.join()
    assert_client_hides(client, ear, records, caught.value)


@pytest.mark.parametrize("option", ["auth_timeout", "timeout"])
def test_a_timeout_of_the_authentication_shows_no_secret(
    raw_server: StartServer, records: Records, option: str
) -> None:
    """The server takes the keys and is silent."""

    def silent(peer: Peer) -> None:
        peer.handshake()
        auth_payload(peer)
        peer.wait_closed()

    patience = {"auth_timeout": 0.1} if option == "auth_timeout" else {}
    client = make_client(raw_server(silent).url, **patience)
    ear = Ear(client)
    with pytest.raises(EToroError) as caught:
        client.connect(timeout=None if patience else 0.3)
    client.disconnect()
    assert_client_hides(client, ear, records, caught.value)


# TLS and proxies ----------------------------------------------------------------------------------


def test_a_certificate_that_is_refused_shows_no_secret(
    raw_server: StartServer, records: Records, certificates: Certificates
) -> None:
    """The keys were not sent, and the error of the TLS handshake does not have them either."""
    client = make_client(raw_server(rejecting, tls=certificates.wrong_host).url)
    ear = Ear(client)
    errors = run(client, [18])
    assert "certificate" in str(errors[0])
    assert_client_hides(client, ear, records, *errors)


def echo_of_request(peer: Peer) -> None:
    request = peer.read_request()
    peer.send(f"HTTP/1.1 407 {PROXY_PASSWORD}\r\nX-Echo: {request!r}\r\n\r\n{request}".encode())


PROXIES: dict[str, Script] = {
    "refuses": echo_of_request,
    "is no proxy": lambda peer: peer.send((peer.read_request() + "\r\n\r\n").encode()),
    "leaves": lambda peer: (peer.read_request(), peer.close()),
    "resets": lambda peer: (peer.read_request(), peer.reset()),
    "is silent": lambda peer: (peer.read_request(), peer.wait_closed()),
    "talks": lambda peer: peer.respond(b"HTTP/1.1 200 OK\r\n\r\n" + PROXY_PASSWORD.encode()),
    "is the server": lambda peer: (
        peer.respond(b"HTTP/1.1 200 OK\r\n\r\n"),
        peer.wait_closed(),
    ),
}


@pytest.mark.parametrize("source", ["option", "environment"])
@pytest.mark.parametrize("script", PROXIES.values(), ids=PROXIES)
def test_a_proxy_that_fails_does_not_show_its_password(
    raw_server: StartServer,
    records: Records,
    monkeypatch: pytest.MonkeyPatch,
    script: Script,
    source: str,
) -> None:
    """Neither as it was given, nor as it is sent."""
    server = raw_server(script)
    url = proxy_url(f"127.0.0.1:{server.port}")
    monkeypatch.setenv("https_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    client = make_client(
        "wss://example.invalid/ws",
        proxy=url if source == "option" else None,
        connect_timeout=0.3 if "wait_closed" in script.__code__.co_names else 10.0,
    )
    ear = Ear(client)
    errors = run(client, [18])
    assert server.connections == 1
    assert_client_hides(client, ear, records, *errors)


def test_a_proxy_password_of_the_environment_is_masked_in_what_a_server_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that was given as an option is; both as it is meant and as the URL spells it."""
    with Refuser() as refuser:
        url = proxy_url(f"127.0.0.1:{refuser.port}")
        monkeypatch.setenv("https_proxy", url)
        monkeypatch.delenv("no_proxy", raising=False)
        options = WsClientOptions(API_KEY, USER_KEY, "wss://example.invalid/ws")
        client = WsClient(options)
        with pytest.raises(EToroWebSocketError):
            client.connect()
    spelled = quote(PROXY_PASSWORD, safe="")
    redact = core_of(client).sessions.redactor
    assert redact(f"one {PROXY_PASSWORD} two {spelled}") == "one *** two ***"


def proxy_url(place: str) -> str:
    return f"http://{PROXY_USER}:{quote(PROXY_PASSWORD, safe='')}@{place}"


@pytest.mark.parametrize(
    "url", ["http://{}@h:x", "socks4://{}@h:1", "http://{}@[h:1", "http://{}@"]
)
def test_an_unusable_proxy_does_not_show_its_password(
    records: Records, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """From the option it is refused at once, from the environment when it is needed."""
    bad = url.format(f"{PROXY_USER}:{quote(PROXY_PASSWORD, safe='')}")
    with pytest.raises(EToroValidationError) as refused:
        make_client("wss://example.invalid/ws", proxy=bad)
    assert_hidden(exposed_by(refused.value))
    monkeypatch.setenv("https_proxy", bad)
    monkeypatch.delenv("no_proxy", raising=False)
    client = make_client("wss://example.invalid/ws", proxy=None)
    ear = Ear(client)
    assert_client_hides(client, ear, records, *run(client, [18]))


@pytest.mark.parametrize("separator", "/?#")
def test_a_proxy_password_that_is_not_escaped_is_not_shown_as_a_port(
    monkeypatch: pytest.MonkeyPatch, separator: str
) -> None:
    """Half of such a password looks like a port, which errors would name."""
    url = f"http://127.0.0.1:47{separator}11@proxy.invalid:3128"
    with pytest.raises(EToroValidationError, match="proxy must look like"):
        make_client("wss://example.invalid/ws", proxy=url)
    monkeypatch.setenv("https_proxy", url)
    monkeypatch.delenv("no_proxy", raising=False)
    client = make_client("wss://example.invalid/ws", proxy=None)
    with pytest.raises(EToroWebSocketError) as caught:
        client.connect()
    assert "47" not in str(caught.value)


def test_a_server_that_is_not_there_shows_no_secret(records: Records) -> None:
    """Refused connections and names that do not exist."""
    with Refuser() as refuser:
        for url in (refuser.url, "wss://example.invalid/ws"):
            client = make_client(url)
            ear = Ear(client)
            assert_client_hides(client, ear, records, *run(client, [18]))


# Options ------------------------------------------------------------------------------------------

KEYS = {"api_key": API_KEY, "user_key": USER_KEY, "proxy": proxy_url("h:1")}
BAD: list[dict[str, Any]] = [
    {"reconnect_delay": -1},
    {"no_such_option": 1},
    {"api_key": f"{API_KEY}\n"},
    {"api_key": API_KEY.encode()},
    {"user_key": [USER_KEY]},
    {"ws_url": f"ws://{API_KEY}@example.com/{USER_KEY}"},
    {"ws_url": f"http://{API_KEY}/{USER_KEY}"},
    {"auth_timeout": API_KEY},
    {"ssl_context": USER_KEY},
    {"proxy": API_KEY},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_options_that_are_refused_show_no_secret(
    monkeypatch: pytest.MonkeyPatch, bad: dict[str, Any]
) -> None:
    """Not even in the frame of the constructor, which has them as its arguments."""
    with pytest.raises((EToroValidationError, TypeError)) as caught:
        WsClientOptions(**{**KEYS, **bad})
    assert_hidden(exposed_by(caught.value))
    monkeypatch.setenv("ETORO_API_KEY", API_KEY)
    monkeypatch.setenv("ETORO_USER_KEY", USER_KEY)
    with pytest.raises(EToroValidationError) as caught_too:
        WsClientOptions.from_env(**bad)
    assert_hidden(exposed_by(caught_too.value))


def test_options_keep_their_secrets_to_themselves() -> None:
    """Copied, converted or looked into, they show a mask, and work as before."""
    options = WsClientOptions(**KEYS)
    copies = [options, copy.deepcopy(options), pickle.loads(pickle.dumps(options))]
    copies.append(dataclasses.replace(options, reconnect_delay=2.0))
    for each in copies:
        views = [each, vars(each), dataclasses.asdict(each), dataclasses.astuple(each)]
        assert_hidden(*map(repr, views))
        assert (each.api_key, each.user_key, each.proxy) == tuple(KEYS.values())
        assert json.loads(json.dumps({"key": each.api_key})) == {"key": API_KEY}
    assert "api_key=''" in repr(WsClientOptions())
    assert repr(vars(WsClientOptions())["api_key"]) == "''"


# Where the keys go --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "192.0.2.1",
        "example.com",
        "[2001:db8::1]",
        "[::ffff:192.0.2.1]",
        "0.0.0.0",
        "localhost.example.com",
        "user@127.0.0.1",
        "127.0.0.1@example.com",
        "2130706433",
    ],
)
def test_plain_ws_to_another_machine_never_opens_a_socket(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """It is refused before there is anything that could connect."""

    def never(*arguments: object, **options: object) -> Any:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", never)
    monkeypatch.setattr(socket, "getaddrinfo", never)
    with pytest.raises(EToroValidationError) as caught:
        make_client(f"ws://{host}/ws")
    assert caught.value.field == "ws_url"


def test_a_localhost_that_is_elsewhere_gets_no_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that calls another machine localhost does not lead the keys there."""

    def never(*arguments: object) -> Any:
        raise AssertionError("connected")

    elsewhere = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: elsewhere)
    monkeypatch.setattr(Race, "run", never)
    client = make_client("ws://localhost/ws")
    with pytest.raises(EToroWebSocketError, match="localhost resolves to another machine"):
        client.connect()


def test_the_simulator_shows_no_secret(records: Records) -> None:
    """Its log and the library's under it, at DEBUG, and what it remembers of requests."""
    with EToroSimulator(rate=0) as simulator:
        client = make_client(simulator.url)
        ear = Ear(client)
        client.connect()
        client.subscribe([18])
        client.disconnect()
        assert simulator.requests
        assert_hidden(repr(simulator.requests), repr(vars(simulator)))
    assert_client_hides(client, ear, records)


def test_websocket_clients_trace_shows_the_request_but_no_key(
    raw_server: StartServer, records: Records
) -> None:
    """What it would print of frames is not printed, for it neither sends nor receives them."""

    def script(peer: Peer) -> None:
        peer.handshake(extra_headers=[("X-Echo", ECHO)])
        peer.authenticate()
        peer.serve()

    client = make_client(raw_server(script).url)
    client.connect()
    client.disconnect()
    assert websocket.isEnabledForDebug()
    assert "X-Echo: *** ***" in records.exposed()
    assert_hidden(records.exposed())
