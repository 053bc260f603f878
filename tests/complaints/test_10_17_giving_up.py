"""Complaints 10 to 17: a reconnect that gives up, or that is never tried."""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import EVENTS, ClientState, EToroWebSocketError, WsClientOptions
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.ws.core import core_of
from etoro_sync.ws.session.backoff import Backoff
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.certificates import Certificates
from tests.support.clients import Ear, envelope
from tests.support.clocks import LeapingTime
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.threads import run_in_thread

PRICE = {"Ask": "2", "Bid": "1"}


def lost(peer: Peer) -> None:
    """Be live, bring one price, and vanish."""
    peer.accept()
    peer.send_text(envelope("instrument:18", PRICE))
    peer.reset()


def own_threads() -> list[threading.Thread]:
    names = ("etoro-sync-reader", "etoro-sync-dispatcher")
    return [thread for thread in threading.enumerate() if thread.name.startswith(names)]


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_complaint_10_an_exception_in_user_code_ends_recovery(
    raw_server: StartServer, client: MakeClient, kind: type[BaseException]
) -> None:
    """Handlers of all events that raise on each of 20 reconnects change nothing: it is live."""

    def eventful(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
        peer.send_text(envelope("private", {"OrderID": peer.index}, "Trading.New"))
        peer.send_text(envelope("news", {}, "News"))
        peer.send_text("no JSON")
        if peer.index < 20:
            peer.reset()
        else:
            peer.serve()

    server = raw_server(eventful)
    c = client(server.url, reconnect_delay=0.001, reconnect_max_delay=0.002, stale_after=0.05)
    raised: list[str] = []
    for event in EVENTS:

        def raising(*arguments: Any, event: str = event) -> None:
            raised.append(event)
            raise kind(event)

        c.on(event, raising)
    orders, gaps = c.queue("private:event"), c.queue("reconnected")
    stale = c.queue("stale")
    c.subscribe([18], snapshot=True)
    c.connect()
    threads = own_threads()
    assert [orders.get(timeout=5).order_id for _ in range(21)] == list(range(21))
    assert [gaps.get(timeout=5).generation for _ in range(20)] == list(range(2, 22))
    assert stale.get(timeout=5)[0] == 18
    assert c.state is ClientState.LIVE
    assert own_threads() == threads
    c.disconnect()
    # Whatever was emitted was tried, to the last one.
    assert set(raised) == set(EVENTS)
    assert raised.count("private:event") == raised.count("authenticated") == 21
    assert c.stats().callback_errors == len(raised)


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_complaint_10_the_death_of_the_reader_is_itself_noticed(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[BaseException],
) -> None:
    """A defect that ends the client is an error in every blocked call, not a silence."""

    def defect(self: FeedHandler, text: str) -> None:
        raise kind("a defect")

    c = client(raw_server(live).url)
    ear = Ear(c)
    c.connect()
    monkeypatch.setattr(FeedHandler, "on_text", defect)
    c.subscribe([18], wait=False)
    with pytest.raises(EToroWebSocketError, match="Internal error"):
        run_in_thread(c.run_forever).result()
    assert c.state is ClientState.FAILED
    assert "a defect" in caplog.text
    assert "Internal error" in str(ear.wait_for("error")[0])


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit])
def test_complaint_10_a_logging_handler_that_raises_ends_no_thread(
    simulator: MakeSimulator, client: MakeClient, kind: type[BaseException]
) -> None:
    """Logging runs user code on the client's own threads; what it raises is dropped there."""

    class Raising(logging.Handler):
        def handle(self, record: logging.LogRecord) -> bool:
            raise kind("of a logging handler")

    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.on("authenticated", lambda: 1 / 0)
    handler = Raising()
    logging.getLogger("etoro_sync").addHandler(handler)
    try:
        c.connect()
        c.subscribe([18])
        ear.wait_for("error")
        for loss in (1, 2, 3):
            sim.drop()
            ear.wait_for("reconnected", loss)
        sim.publish(18, **PRICE)
        ear.wait(lambda e: any(rate.ask == 2 for _, rate in e.of("instrument:rate")))
    finally:
        logging.getLogger("etoro_sync").removeHandler(handler)


def test_complaint_11_one_failed_attempt_ends_the_worker(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime
) -> None:
    """An outage of a minute, with every attempt refused, ends in recovery by the same threads."""
    server = raw_server([lost, live])
    c = client(
        server.url,
        reconnect_attempts=None,
        reconnect_delay=1.0,
        reconnect_max_delay=60.0,
        heartbeat_interval=0,
    )
    ear = Ear(c)
    # The first leap is the wait after the loss.
    leap.at(0.0, server.stop_listening)
    leap.at(60.0, server.start_listening)
    c.subscribe([18])
    c.connect()
    threads = own_threads()
    (gap,) = ear.wait_for("reconnected")
    assert 60 <= gap.seconds < 60 + 60
    attempts = [attempt for attempt, _ in ear.of("reconnecting")]
    assert attempts == [*range(1, len(attempts) + 1)]
    # All but the last were refused.
    assert len(ear.of("error")) == len(attempts) - 1 >= 2
    assert server.connections == 2
    assert own_threads() == threads
    assert c.state is ClientState.LIVE


def test_complaint_11_the_default_attempts_outlast_a_minute() -> None:
    """Of 1000 clients with the default options, 15 at most give up within a minute."""
    default = WsClientOptions()
    lasted = []
    for seed in range(1000):
        backoff = Backoff(
            default.reconnect_delay,
            default.reconnect_max_delay,
            default.reconnect_attempts,
            random.Random(seed).uniform,
        )
        waits = iter(backoff.next, None)
        lasted.append(sum(wait for wait in waits if wait is not None))
    assert sum(seconds >= 60 for seconds in lasted) >= 985


#: How the server ends a connection -> the code that the client tells.
ENDS = {
    "1000": 1000,
    "1001": 1001,
    "1006": 1002,  # no endpoint may send it, so it is a violation of the protocol
    "1011": 1011,
    "1012": 1012,
    "1013": 1013,
    "4001": 4001,
    "no code": 1005,
    "RST": 1006,
    "FIN": 1006,
    "half-open": 1006,
}


@pytest.mark.parametrize("end", ENDS)
def test_complaint_12_a_lost_link_just_stops_the_feed(
    raw_server: StartServer, client: MakeClient, end: str
) -> None:
    """Whatever ends a connection, but for the user's own `disconnect()`, leads to the next one."""

    def ending(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        if end == "RST":
            peer.reset()
        elif end == "FIN":
            peer.shutdown_write()
            peer.wait_closed(5)
        elif end == "half-open":
            peer.hold()
        else:
            peer.send_close(int(end) if end.isdigit() else None)
            peer.wait_closed(5)

    server = raw_server([ending, ending, live])
    c = client(server.url, heartbeat_interval=0.1, heartbeat_timeout=0.1)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    gaps = ear.wait_for("reconnected", 2)
    assert [gap.topics for gap in gaps] == [("instrument:18",)] * 2
    assert [code for code, _ in ear.of("close")] == [ENDS[end]] * 2
    c.disconnect()
    assert server.connections == 3


def test_complaint_13_a_graceful_close_is_no_reason_to_reconnect(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A server that restarts says 1001 and is refusing for a while; the client comes back."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=None)
    ear = Ear(c)
    c.connect()
    c.subscribe([18], snapshot=True)
    sim.stop()
    ear.wait(lambda e: any(attempt >= 4 for attempt, _ in e.of("reconnecting")))
    sim.start()
    (gap,) = ear.wait_for("reconnected")
    assert gap.topics == ("instrument:18",)
    ear.wait(lambda e: any(rate.generation == 2 for _, rate in e.of("instrument:rate")))
    assert [code for code, _ in ear.of("close")] == [1001]


def test_complaint_14_a_stale_handle_makes_every_later_attempt_fail(
    raw_server: StartServer, client: MakeClient
) -> None:
    """What an old connection still sends, and its late `close` callback, do not touch the new."""
    new_is_up, old_has_spoken = threading.Event(), threading.Event()

    def old(peer: Peer) -> None:
        """Be mute until the client has left, and then speak all the same."""
        peer.accept()
        peer.wait(new_is_up)
        # Sooner or later it fails, for the client's end is closed.
        with contextlib.suppress(OSError):
            for _ in range(3):
                peer.send_text(envelope("instrument:18", {"Ask": "66", "Bid": "65"}))
                peer.send_close(1008, "of the old one")
        old_has_spoken.set()

    server = raw_server([old, live])
    c = client(server.url, heartbeat_interval=0.1, heartbeat_timeout=0.1)
    release, late = threading.Event(), threading.Event()

    @c.once("close")
    def delayed(code: int, reason: str) -> None:
        release.wait(10)
        late.set()

    ear = Ear(c)
    reconnected = c.queue("reconnected")
    c.connect()
    try:
        assert reconnected.get(timeout=5).generation == 2
        new_is_up.set()
        assert old_has_spoken.wait(5)
    finally:
        release.set()
    assert late.wait(5)
    c.subscribe([18])
    ear.wait_for("reconnected")
    assert (c.state, c.generation, server.connections) == (ClientState.LIVE, 2, 2)
    assert [code for code, _ in ear.of("close")] == [1006]
    assert ear.of("instrument:rate") == []


def read_some(peer: Peer) -> None:
    """Read the beginning of a TLS handshake."""
    peer._fill(None)


def answer_half_of_tls(peer: Peer) -> None:
    peer._fill(None)
    peer.send(b"\x16\x03\x03\x00\x7a\x02")
    peer.shutdown_write()


def acknowledge(count: int) -> Callable[[Peer], None]:
    """Return a step that answers so many requests, and leaves the next one open."""

    def step(peer: Peer) -> None:
        peer.accept()
        for _ in range(count):
            peer.acknowledge()
        peer.read_json()

    return step


#: Phase of a connection -> how far the server goes before the cut.
BEFORE_TLS: dict[str, Callable[[Peer], object]] = {
    "TCP": lambda peer: None,
    "TLS": read_some,
    "half of TLS": answer_half_of_tls,
}
IN_TLS: dict[str, Callable[[Peer], object]] = {
    "the request": lambda peer: peer.read_request(),
    "half of the 101": lambda peer: peer.respond(b"HTTP/1.1 101 Switch"),
    "a 502": lambda peer: peer.respond(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"),
    "the 101": lambda peer: peer.handshake(),
    "authentication": lambda peer: (peer.handshake(), peer.read_json()),
    "ack 1 of 3": acknowledge(0),
    "ack 2 of 3": acknowledge(1),
    "ack 3 of 3": acknowledge(2),
}


@pytest.mark.parametrize("phase", [*BEFORE_TLS, *IN_TLS])
def test_complaint_15_an_error_during_resubscribing_ends_the_reconnecting(
    raw_server: StartServer, client: MakeClient, certificates: Certificates, phase: str
) -> None:
    """A link that is cut in any phase of a reconnect leads back to the backoff, and to recovery."""
    many = [*range(1_000_000_000, 1_000_001_500), "private"]

    def first(peer: Peer) -> None:
        peer.start_tls(certificates.server)
        peer.accept()
        for _ in range(3):
            peer.acknowledge()
        peer.reset()

    def last(peer: Peer) -> None:
        peer.start_tls(certificates.server)
        live(peer)

    def cut(peer: Peer) -> None:
        if phase in BEFORE_TLS:
            BEFORE_TLS[phase](peer)
        else:
            assert peer.start_tls(certificates.server)
            IN_TLS[phase](peer)
        peer.reset()

    server = raw_server([first, cut, cut, cut, last])
    url = f"wss://localhost:{server.port}/ws"
    c = client(url, ssl_context=certificates.client, reconnect_attempts=4)
    ear = Ear(c)
    c.subscribe(many)
    c.connect()
    (gap,) = ear.wait_for("reconnected", timeout=15)
    assert len(gap.topics) == len(many)
    assert [attempt for attempt, _ in ear.of("reconnecting")] == [1, 2, 3, 4]
    assert server.connections == 5
    assert sum(len(r["data"]["topics"]) for r in server.peers[4].requests[1:]) == len(many)


def test_complaint_16_on_giving_up_the_client_returns_silently(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The end is raised, for one cause, from all that blocks, and emitted as `error` once."""
    cut = threading.Event()

    def until_told(peer: Peer) -> None:
        peer.accept()
        peer.wait(cut)
        peer.reset()

    def unwilling(peer: Peer) -> None:
        peer.respond(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    c = client(raw_server([until_told, unwilling]).url, reconnect_attempts=2)
    ear = Ear(c)
    c.connect()
    q = c.queue("private:event")
    blocked = [
        run_in_thread(q.get),
        run_in_thread(lambda: next(iter(q))),
        run_in_thread(lambda: c.wait_for("unknown")),
        run_in_thread(c.run_forever),
    ]
    while len(core_of(c).registry.queues()) < 2 or len(q._items._monitor._bells) < 2:
        assert not any(call.done() for call in blocked)
    cut.set()
    errors = [call.exception() for call in blocked]
    assert {type(error) for error in errors} == {EToroWebSocketError}
    assert len({str(error) for error in errors}) == 1
    assert "Gave up after 2 attempts" in str(errors[0])
    assert "HTTP 503" in str(errors[0])
    # The same cause, in exceptions of their own: a traceback belongs to one thread.
    assert len({id(error) for error in errors}) == 4
    (cause,) = {id(error.__cause__): error.__cause__ for error in errors if error}.values()
    assert isinstance(cause, EToroWebSocketError)
    assert "HTTP 503" in str(cause)
    assert "Gave up" not in str(cause)
    assert c.state is ClientState.FAILED
    c.disconnect()
    assert [str(e) for e in ear.of("error")].count(str(errors[0])) == 1
    with pytest.raises(EToroWebSocketError, match="503"):
        c.connect()


def test_complaint_17_a_failed_name_resolution_ends_the_client(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that cannot be resolved is looked up anew on each attempt, until it can be."""
    server = raw_server([lost, live])
    real, failures = socket.getaddrinfo, [0]

    def five_times(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "localhost" and c.generation == 1 and failures[0] < 5:
            failures[0] += 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(host, *arguments, **options)

    c = client(f"ws://localhost:{server.port}/ws", reconnect_attempts=6)
    ear = Ear(c)
    monkeypatch.setattr(socket, "getaddrinfo", five_times)
    c.connect()
    ear.wait_for("reconnected")
    errors = [str(error) for error in ear.of("error")]
    assert len(errors) == 5
    assert all("Cannot resolve localhost: Temporary failure" in error for error in errors)
    assert [attempt for attempt, _ in ear.of("reconnecting")] == [1, 2, 3, 4, 5, 6]
    assert c.state is ClientState.LIVE
