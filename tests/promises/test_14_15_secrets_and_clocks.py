"""Promises 14 and 15: the keys stay secret, and only the monotonic clock drives timers."""

from __future__ import annotations

import errno
import logging
import queue
import socket
import ssl
import threading
import time
import traceback

import pytest
from freezegun import freeze_time

from etoro_sync import (
    EToroAuthError,
    EToroError,
    EToroTimeoutError,
    EToroValidationError,
    WsClientOptions,
)
from etoro_sync.ws.core import core_of
from etoro_sync.ws.transport.racing import Race
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.certificates import Certificates
from tests.support.clients import API_KEY, USER_KEY, Ear, make_client, quick_options
from tests.support.peer import Peer


def assert_no_key_in(*texts: object) -> None:
    for text in texts:
        assert API_KEY not in str(text)
        assert USER_KEY not in str(text)


def test_promise_14_no_key_reaches_logs_reprs_errors_or_stats(
    raw_server: StartServer, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Even from a server that repeats the keys wherever it can."""
    echo = f"{API_KEY} {USER_KEY}"

    def echoing(peer: Peer) -> None:
        peer.accept()
        peer.send_text(f"not json {echo}")
        peer.send_json({"messages": echo})
        peer.send_json({"success": False, "errorCode": echo, "errorMessage": echo})
        peer.acknowledge("SubscribeFailed", echo)
        peer.send_close(4001, echo)

    def refusing(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey", echo)
        peer.serve()

    caplog.set_level(logging.DEBUG)
    c = client(raw_server([echoing, refusing]).url)
    ear = Ear(c)
    c.connect()
    ear.wait_for("error", 3)  # those of messages: the end of the client would drop what waits
    with pytest.raises(EToroError) as refused:
        c.subscribe([18])
    with pytest.raises(EToroAuthError) as ended:
        c.run_forever()
    ear.wait(lambda e: len(e.of("error")) >= 5)
    texts = ["".join(traceback.format_exception(e)) for e in (refused.value, ended.value)]
    texts += ["".join(traceback.format_exception(error)) for error in ear.of("error")]
    texts += [repr(error.__dict__) for error in ear.of("error")]
    assert_no_key_in(*texts, ear.of("close"), caplog.text, repr(c), c.stats(), core_of(c).options)
    assert "***" in str(ear.of("close"))


def test_promise_14_options_mask_both_keys(client: MakeClient) -> None:
    """repr, and the error about a key in the wrong wrapping, show no key."""
    options = quick_options("wss://example.com/ws")
    assert_no_key_in(repr(options), str(options))
    assert "api_key='***'" in repr(options)
    with pytest.raises(EToroValidationError) as caught:
        WsClientOptions(api_key=f"{API_KEY}\n")
    assert caught.value.field == "api_key"
    assert_no_key_in(caught.value)


def test_promise_14_plain_ws_to_another_machine_is_refused_before_a_byte_is_sent() -> None:
    """Only loopback addresses may be reached without TLS."""
    with pytest.raises(EToroValidationError, match="wss://") as caught:
        make_client("ws://192.0.2.1/ws")
    assert caught.value.field == "ws_url"


def test_promise_14_tls_is_verified(raw_server: StartServer, certificates: Certificates) -> None:
    """A certificate that is not trusted, or another host's, is refused before the keys go out."""

    def never(peer: Peer) -> None:
        peer.handshake()

    for context, trust in (
        (certificates.server, None),
        (certificates.wrong_host, certificates.client),
        (certificates.expired, certificates.client),
    ):
        server = raw_server(never, tls=context)
        c = make_client(server.url, ssl_context=trust)
        with pytest.raises(EToroError, match="certificate"):
            c.connect()
        assert all(not peer.requests for peer in server.peers)


def lead_here(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Make every name lead to a port of this machine."""
    place = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [place])


def unverified(context: ssl.SSLContext) -> ssl.SSLContext:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_promise_14_a_context_that_stops_verifying_later_gets_no_keys(
    raw_server: StartServer,
    client: MakeClient,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is looked at before each connection; the client ends then, since waiting helps nothing."""
    lose = threading.Event()
    server = raw_server(
        lambda peer: (peer.accept(), peer.wait(lose)),
        certificates.wrong_host,
    )
    lead_here(monkeypatch, server.port)
    context = ssl.create_default_context(cadata=certificates.authority_pem().decode())
    c = client("wss://example.invalid/ws", ssl_context=context)
    c.connect()
    unverified(context)
    lose.set()
    with pytest.raises(EToroValidationError, match="verifies no certificate") as caught:
        c.run_forever()
    assert caught.value.field == "ssl_context"
    assert server.connections == 1 or not server.peers[1].requests


@pytest.mark.parametrize("allowed", [False, True])
def test_promise_14_a_default_context_that_a_program_has_replaced_gets_no_keys(
    raw_server: StartServer,
    client: MakeClient,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    allowed: bool,
) -> None:
    """``ssl.create_default_context = ssl._create_unverified_context`` is common advice."""
    server = raw_server(lambda peer: (peer.accept(), peer.serve()), certificates.untrusted)
    lead_here(monkeypatch, server.port)
    monkeypatch.setattr(ssl, "create_default_context", ssl._create_unverified_context)
    c = client("wss://example.invalid/ws", allow_unverified_tls=allowed)
    if allowed:
        c.connect()
        return
    with pytest.raises(EToroValidationError, match=r"What ssl.create_default_context\(\) returns"):
        c.connect()
    assert not any(peer.requests for peer in server.peers)


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxy"])
@pytest.mark.parametrize("verified", [False, True])
def test_promise_14_a_localhost_that_is_elsewhere_gets_no_keys_over_unverified_tls(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch, verified: bool, proxied: bool
) -> None:
    """A context that verifies nothing is for this machine, wherever its name leads."""
    context = ssl.create_default_context()
    c = client(
        "wss://localhost/ws",
        ssl_context=context if verified else unverified(context),
        proxy="http://192.0.2.1:1" if proxied else "",
    )
    place = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("192.0.2.1", 1))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [place])

    def no_way(*_: object) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(Race, "run", no_way)  # nothing leaves this machine
    words = "to a proxy over TLS that is not verified" if proxied else "resolves to another machine"
    with pytest.raises(EToroError) as caught:
        c.connect()
    assert (words in str(caught.value)) is not verified
    assert ("Network is unreachable" in str(caught.value)) is verified


def test_promise_14_tls_with_a_private_authority_works(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """An ssl_context of the user's decides whom to trust."""
    sim = simulator(tls=True)
    c = client(sim.url, ssl_context=sim.client_ssl_context())
    q = c.queue("instrument:rate")
    c.connect()
    c.subscribe([18], snapshot=True)
    assert q.get(timeout=5)[0] == 18


def test_promise_14_redirects_are_refused(raw_server: StartServer, client: MakeClient) -> None:
    """The keys never travel to where a server points."""
    elsewhere = raw_server(lambda peer: peer.handshake())

    def redirect(peer: Peer) -> None:
        peer.respond(
            f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n".encode()
        )

    c = client(raw_server(redirect).url)
    with pytest.raises(EToroError, match="Redirects are not followed"):
        c.connect()
    assert elsewhere.connections == 0


def test_promise_15_no_timeout_stands_still_while_a_test_has_frozen_the_time(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Each ends as if nothing were frozen, with a client that was made before or in there."""

    def silent(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    server = raw_server([silent, silent, lambda peer: peer.hold()])
    before = client(server.url)
    before.connect()
    items = before.queue("instrument:rate")
    with freeze_time("2026-01-01"):
        for c in (before, client(server.url, heartbeat_interval=0.1, heartbeat_timeout=0.1)):
            if c is not before:
                lost = c.queue("close")
                c.connect()
            with pytest.raises(queue.Empty):
                items.get(timeout=0.05)
            with pytest.raises(EToroTimeoutError):
                c.wait_for("private:event", timeout=0.05)
            with pytest.raises(EToroTimeoutError):
                c.subscribe([18], timeout=0.05)
        assert lost.get(timeout=5)[0] == 1006  # keepalive
        with pytest.raises(EToroTimeoutError):
            client(server.url).connect(timeout=0.05)
        with pytest.raises(EToroError):
            client(server.url, connect_timeout=0.05).connect()
        before.disconnect()
        c.disconnect()


def test_promise_15_frozen_time_is_what_users_see_of_the_wall_clock(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """So that a test may compare it with its own; the feed of the simulator flows all the same."""
    with freeze_time("2026-01-01") as frozen:
        c = client(simulator(rate=200).url)
        c.connect()
        rates = c.queue("instrument:rate")
        c.subscribe([18], snapshot=True)
        assert [rates.get(timeout=5)[1].received_at for _ in range(5)] == [time.time()] * 5
        frozen.tick(3600)
        while (received_at := rates.get(timeout=5)[1].received_at) != time.time():
            assert received_at == time.time() - 3600
        c.disconnect()


@pytest.mark.parametrize("step", [3600.0, -3600.0, 1e9])
def test_promise_15_a_step_of_the_wall_clock_changes_nothing(
    simulator: MakeSimulator,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    step: float,
) -> None:
    """Keepalive, staleness, timeouts and reconnects go by the monotonic clock."""
    sim = simulator()
    c = client(sim.url, heartbeat_interval=5, heartbeat_timeout=5, stale_after=30)
    ear = Ear(c)
    c.connect()
    c.subscribe([18], snapshot=True)
    ear.wait_for("instrument:rate")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    c.subscribe([19], snapshot=True)
    ear.wait_for("instrument:rate", 2)
    assert ear.names("close", "stale", "reconnecting", "error") == []
    sim.drop()
    (gap,) = ear.wait_for("reconnected")
    assert 0 <= gap.seconds < 5
    assert abs(gap.until - time.time()) < 5
    c.disconnect()
    assert ear.names("close") == ["close", "close"]
