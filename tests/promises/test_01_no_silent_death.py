"""Promise 1: any loss of data becomes a state change, an event or an exception, within a bound."""

from __future__ import annotations

import logging
import queue
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from etoro_sync import ClientState, EToroValidationError, EToroWebSocketError, WsClient
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope
from tests.support.frames import BINARY, CONTINUATION, PING, TEXT, frame
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.threads import on_each_record

FULL = {"Ask": "1.5", "Bid": "1.4", "Date": "2026-04-20T17:24:50.3Z", "PriceRateID": "1"}


def mute(peer: Peer) -> None:
    """Authenticate, then neither send nor answer anything, with the connection open."""
    peer.accept()
    peer.hold()


def test_promise_1_a_mute_server_is_replaced_within_interval_plus_timeout(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A half-open connection, which no system call reports, ends after the ping's deadline."""
    server = raw_server(mute)
    c = client(server.url, heartbeat_interval=0.2, heartbeat_timeout=0.2)
    ear = Ear(c)
    started = time.monotonic()
    c.connect()
    (code, reason), *_ = ear.wait_for("close")
    assert code == 1006
    assert "dead" in reason
    assert 0.3 < time.monotonic() - started < 3
    ear.wait_for("reconnecting")
    server.wait_connections(2)


def drip_a_frame(peer: Peer) -> None:
    """Begin a frame of a thousand bytes, and send it byte by byte, for ever too slowly."""
    peer.accept()
    peer.send_frame(TEXT, b"{", declared_length=1000)
    peer.drip(b" " * 900, pause=0.05)


def drip_fragments(peer: Peer) -> None:
    """Begin a message that never ends, with pings between its fragments."""
    peer.accept()
    peer.send_frame(TEXT, b"{", fin=False)
    piece = frame(CONTINUATION, b" ", fin=False) + frame(PING)
    peer.drip(piece * 900, len(piece), pause=0.05)


@pytest.mark.parametrize("script", [drip_a_frame, drip_fragments])
def test_promise_1_a_message_that_never_becomes_complete_ends_the_connection(
    raw_server: StartServer, client: MakeClient, script: Callable[[Peer], None]
) -> None:
    """Bytes that drip in are a sign of life, but nothing else can come before the message's end."""
    server = raw_server([script, live])
    c = client(server.url, heartbeat_interval=0.2, heartbeat_timeout=0.2)
    ear = Ear(c)
    started = time.monotonic()
    c.connect()
    ((code, reason),) = ear.wait_for("close")
    assert code == 1006
    assert "not complete" in reason
    assert 0.3 < time.monotonic() - started < 3
    ear.wait_for("reconnected")
    assert c.stats().bad_messages == 0


def test_promise_1_an_order_event_in_a_binary_message_is_delivered(
    raw_server: StartServer, client: MakeClient
) -> None:
    """And what is neither a keepalive nor JSON is told and counted."""

    def script(peer: Peer) -> None:
        peer.accept()
        for payload in (b"\0", envelope("private", {"OrderID": 7}).encode(), b"\0", b"\1\xff"):
            peer.send_frame(BINARY, payload)
        peer.serve()

    c = client(raw_server(script).url)
    ear = Ear(c)
    c.connect()
    (error,) = ear.wait_for("error")
    assert [event.order_id for event in ear.of("private:event")] == [7]
    assert isinstance(error, EToroValidationError)
    assert c.stats().bad_messages == 1
    assert c.state is ClientState.LIVE


def test_promise_1_a_server_that_answers_pings_only_is_stale(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A healthy connection without prices is told per instrument, once per silence."""
    sim = simulator()
    c = client(sim.url, stale_after=0.2, heartbeat_interval=0.05, heartbeat_timeout=5)
    ear = Ear(c)
    c.connect()
    c.subscribe([18, 19])
    sim.publish(18, **FULL)
    ear.wait(lambda e: {i for i, _ in e.of("stale")} == {18, 19})
    assert all(age >= 0.2 for _, age in ear.of("stale"))
    assert c.state is ClientState.LIVE
    sim.publish(18, **FULL)
    ear.wait(lambda e: [i for i, _ in e.of("stale")].count(18) == 2)
    assert [i for i, _ in ear.of("stale")].count(19) == 1


@pytest.mark.parametrize("listener", ["none", "other", "handler", "queue"])
def test_promise_1_silence_that_nobody_handles_is_logged(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture, listener: str
) -> None:
    """Of each instrument whose ``stale`` has neither a handler nor a queue; else it stays quiet."""
    c = client(simulator().url, stale_after=0.1)
    seen: queue.Queue[int] = queue.Queue()
    if listener == "other":
        c.on("stale", lambda instrument_id, age: None, instrument_id=19)
    elif listener == "handler":
        c.on("stale", lambda instrument_id, age: seen.put(instrument_id))
    elif listener == "queue":
        stale = c.queue("stale")
    with on_each_record(lambda: seen.put(18)):
        c.connect()
        c.subscribe([18], snapshot=True)
        first = stale.get(timeout=5)[0] if listener == "queue" else seen.get(timeout=5)
        c.disconnect()
    assert first == 18
    records = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    if listener in ("none", "other"):
        (text,) = records
        assert text.startswith("Silent for longer than stale_after: 1 instrument (first 18, for ")
    else:
        assert records == []


def test_promise_1_a_closed_market_is_not_stale(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Silence is what a closed market sounds like."""
    sim = simulator()
    c = client(sim.url, stale_after=0.1)
    ear = Ear(c)
    c.connect()
    sim.set_active(18, False)
    c.subscribe([18], snapshot=True)
    c.subscribe([19])
    ear.wait_for("stale")
    ear.wait(lambda e: len(e.of("stale")) >= 1)
    assert {i for i, _ in ear.of("stale")} == {19}


def test_promise_1_an_instrument_whose_market_has_opened_since_is_stale(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A market opens with one flag; what the snapshot of the night has said does not outlast it."""
    sim = simulator()
    sim.set_active(18, False)
    c = client(sim.url, stale_after=0.1)
    ear = Ear(c)
    c.connect()
    c.subscribe([18], snapshot=True)
    ear.wait_for("instrument:rate")
    assert c.rates[18].is_market_open is False
    sim.set_active(18, True)
    sim.publish(18, **FULL)
    assert ear.wait_for("stale")[0][0] == 18


@pytest.mark.parametrize("ending", ["reset", "fin", "close 1000", "close 1011", "close 4001"])
def test_promise_1_every_way_to_lose_a_connection_is_told_and_repaired(
    raw_server: StartServer, client: MakeClient, ending: str
) -> None:
    """Only disconnect() is final: a polite close by the server is a loss like any other."""

    def lose(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:18", FULL))
        if ending == "reset":
            peer.reset()
        elif ending == "fin":
            peer.shutdown_write()
        else:
            peer.send_close(int(ending.split()[1]), "bye")

    server = raw_server([lose, live])
    c = client(server.url)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected")
    expected = int(ending.split()[1]) if ending.startswith("close") else 1006
    assert [code for code, _ in ear.of("close")] == [expected]
    assert ear.names("instrument:rate", "close", "reconnecting", "reconnected") == [
        "instrument:rate",
        "close",
        "reconnecting",
        "reconnected",
    ]


def test_promise_1_a_server_that_accepts_but_acknowledges_nothing_is_replaced(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A session whose subscriptions are not confirmed never counts as live again."""

    def drop(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", FULL))
        peer.reset()

    def unconfirmed(peer: Peer) -> None:
        peer.accept()
        peer.read_json()
        peer.hold()

    server = raw_server([drop, unconfirmed])
    c = client(server.url, request_timeout=0.2, reconnect_attempts=2)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    ear.wait(lambda e: len(e.of("close")) == 3)
    assert "reconnected" not in ear.names()
    assert "No acknowledgement" in ear.of("close")[1][1]
    ear.wait(lambda e: c.state is ClientState.FAILED)


def fail(c: WsClient, sim: EToroSimulator) -> None:
    """Return once the client has failed."""
    sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()


def test_promise_1_leaving_the_block_raises_what_ended_the_client(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Also where nothing in it has noticed, or where that was caught."""
    sim = simulator()
    with pytest.raises(EToroWebSocketError) as caught, client(sim.url, reconnect_attempts=0) as c:
        fail(c, sim)
    assert c.state is ClientState.CLOSED
    assert caught.value is not core_of(c).lifecycle.failure_of(1)
    assert str(caught.value) == str(core_of(c).lifecycle.failure_of(1))


def test_promise_1_leaving_the_block_leaves_another_exception_alone(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Whatever is on its way says more about where the program was."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)

    def block() -> None:
        with c:
            fail(c, sim)
            raise KeyError("mine")

    with pytest.raises(KeyError) as caught:
        block()
    assert caught.value.__context__ is None
    assert c.state is ClientState.CLOSED


def test_promise_1_a_failure_that_the_block_has_dealt_with_is_not_raised_again(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """By disconnect(), or by a new connection, which then counts."""
    sim = simulator()
    with client(sim.url, reconnect_attempts=0) as c:
        fail(c, sim)
        c.disconnect()
    with client(sim.url, reconnect_attempts=0) as c:
        fail(c, sim)
        c.connect()

    def block() -> None:
        with client(sim.url, reconnect_attempts=0) as c:
            fail(c, sim)
            c.connect()
            fail(c, sim)

    with pytest.raises(EToroWebSocketError):
        block()


PROGRAM = """
import sys, time
from etoro_sync import ClientState, WsClient, WsClientOptions

options = WsClientOptions("key", "key", sys.argv[1], reconnect_attempts=0, proxy="")
with WsClient(options) as client:
    print("ready", flush=True)
    while client.state is not ClientState.FAILED:
        time.sleep(0.01)
"""


@pytest.mark.heavy
def test_promise_1_a_program_whose_client_failed_does_not_end_as_if_all_were_well(
    simulator: MakeSimulator,
) -> None:
    """Its exit status is what a service manager looks at."""
    sim = simulator()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, sim.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "ready\n"
    sim.drop()
    _, words = program.communicate(timeout=10)
    assert program.returncode == 1
    assert "EToroWebSocketError" in words
