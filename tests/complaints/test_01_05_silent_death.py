"""Complaints 1 to 5: the stream is alive but mute, and nobody is told."""

from __future__ import annotations

import threading
import time

from etoro_sync import ClientState
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope
from tests.support.frames import PING
from tests.support.peer import Peer
from tests.support.timing import MS

PRICE = {"Ask": "2", "Bid": "1"}


def test_complaint_01_ticks_stop_without_any_event(
    raw_server: StartServer, client: MakeClient
) -> None:
    """When data stops, `stale` tells it after `stale_after`, and a dead link is then replaced."""

    def mute_after_a_price(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
        if peer.index == 0:
            peer.hold()
        peer.serve()

    server = raw_server(mute_after_a_price)
    c = client(server.url, stale_after=0.1, heartbeat_interval=0.4, heartbeat_timeout=0.2)
    ear = Ear(c)
    c.subscribe([18], snapshot=True)
    c.connect()
    ear.wait_for("instrument:rate")
    started = time.monotonic()
    ((instrument_id, age),) = ear.wait_for("stale")
    assert instrument_id == 18
    assert 0.1 <= age < 2000 * MS
    ear.wait_for("instrument:rate", 2)
    # 0.6 s of silence, at most 0.05 s of backoff, and what a busy machine adds.
    assert time.monotonic() - started < 3000 * MS
    told = ear.names("instrument:rate", "stale", "close", "reconnecting", "reconnected")
    expected = ["instrument:rate", "stale", "close", "reconnecting", "reconnected"]
    assert told[:6] == [*expected, "instrument:rate"]
    assert c.generation == 2


def test_complaint_02_the_watchdog_is_armed_before_the_first_pong(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A server that never answers a ping gets one, and is left after interval plus timeout."""
    seen: list[list[int]] = []
    lasted: list[float] = []
    answered = threading.Event()

    def deaf(peer: Peer) -> None:
        peer.accept()
        opened = time.monotonic()
        seen.append([opcode for opcode, _ in peer.read_frames()])
        lasted.append(time.monotonic() - opened)

    def answering(peer: Peer) -> None:
        peer.accept()
        for _ in range(4):
            opcode, payload = peer.read_frame()
            assert opcode == PING
            peer.send_pong(payload)
        answered.set()
        peer.serve()

    server = raw_server([deaf, deaf, deaf, answering])
    c = client(server.url, heartbeat_interval=0.15, heartbeat_timeout=0.1)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected", 3)
    assert seen == [[PING]] * 3
    assert all(0.2 < seconds < 1500 * MS for seconds in lasted), lasted
    # The timers of the three do not count against the one that answers.
    assert answered.wait(5)
    assert c.last_pong_at > 0
    assert c.generation == 4
    assert ear.names("close") == ["close"] * 3


def test_complaint_03_pongs_arrive_but_data_does_not(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Silence of an open market is `stale` on a healthy link; silence of a closed one is nothing.

    Neither makes the client reconnect.
    """
    sim = simulator()
    sim.set_active(19, False)
    c = client(sim.url, stale_after=0.1, heartbeat_interval=0.05, heartbeat_timeout=5)
    ear = Ear(c)
    c.connect()
    c.subscribe([18, 19], snapshot=True)
    ear.wait_for("stale")
    # 18 again and again, as the yardstick: 19 had as many chances to be called stale.
    for count in (2, 3):
        sim.publish(18, **PRICE)
        ear.wait_for("stale", count)
    assert [instrument_id for instrument_id, _ in ear.of("stale")] == [18] * 3
    assert c.last_pong_at > 0
    assert c.state is ClientState.LIVE
    assert (c.generation, sim.connections) == (1, 1)
    assert ear.names("close", "reconnecting", "error") == []


def test_complaint_04_one_instrument_stops_while_the_others_go_on(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """`stale` names the one that is silent, its `received_at` stands still, `stats()` is fresh."""
    sim = simulator()
    c = client(sim.url, stale_after=0.5)
    rates = c.queue("instrument:rate")
    stale = c.queue("stale")
    c.connect()
    c.subscribe([18, 19, 20], snapshot=True)
    for _ in range(3):
        rates.get(timeout=5)
    frozen_at = c.rates[18].received_at
    began = time.monotonic()
    done = threading.Event()

    def others() -> None:
        while not done.is_set() and time.monotonic() - began < 20:
            sim.publish(19, **PRICE)
            sim.heartbeat(20)
            done.wait(0.02)

    feeding = threading.Thread(target=others)
    feeding.start()
    try:
        instrument_id, age = stale.get(timeout=5)
        assert (instrument_id, age >= 0.5) == (18, True)
        # As many checks again as it took to find the one.
        for _ in range(20):
            rates.get(timeout=5)
        assert c.rates[18].received_at == frozen_at
        assert c.rates[19].received_at > frozen_at + 0.3
        last = c.stats().last_message_age
        assert last is not None
        assert last < time.monotonic() - began
    finally:
        done.set()
        feeding.join()
    assert [i for i, _ in (stale.get_nowait() for _ in range(stale.qsize()))] == []


def test_complaint_05_the_session_is_up_again_but_no_events_come(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A session counts as restored when its topics are acknowledged, and is replaced otherwise."""
    asked, answer = threading.Event(), threading.Event()

    def first(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.reset()

    def forgetful(peer: Peer) -> None:
        """Take the request, and send prices of others, but no acknowledgement."""
        peer.accept()
        peer.read_json()
        asked.set()
        peer.send_text(envelope("instrument:5", PRICE))
        peer.wait_closed(5)

    def live(peer: Peer) -> None:
        peer.accept()
        request = peer.read_json()
        peer.wait(answer)
        peer.reply(request)
        peer.serve()

    server = raw_server([first, forgetful, forgetful, live])
    c = client(server.url, request_timeout=0.3)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    assert asked.wait(5)
    assert c.is_authenticated
    assert c.state is ClientState.RECONNECTING
    server.wait_connections(4)
    ear.wait_for("authenticated", 4)
    # Authenticated on the fourth, and still not restored.
    assert c.state is ClientState.RECONNECTING
    assert "reconnected" not in ear.names()
    answer.set()
    (gap,) = ear.wait_for("reconnected")
    assert gap.topics == ("instrument:18",)
    assert c.state is ClientState.LIVE
    assert ["No acknowledgement" in reason for _, reason in ear.of("close")] == [False, True, True]
