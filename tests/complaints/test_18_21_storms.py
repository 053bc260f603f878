"""Complaints 18 to 21: reconnects that multiply, spin, or hammer a server that has said no."""

from __future__ import annotations

import itertools
import logging
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Callable

import pytest

from etoro_sync import ClientState, EToroAuthError
from etoro_sync.ws.session.backoff import Backoff
from tests.conftest import MakeClient, StartServer
from tests.support.clients import Ear, connect_and_run, envelope
from tests.support.clocks import LeapingTime
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.threads import join_stragglers

PRICE = {"Ask": "2", "Bid": "1"}
#: The options' defaults, but for keepalive, whose clock does not leap.
PATIENT = {
    "reconnect_attempts": None,
    "reconnect_delay": 1.0,
    "reconnect_max_delay": 60.0,
    "heartbeat_interval": 0,
}


def until_lost(peer: Peer) -> None:
    """Be live with one price, and vanish."""
    peer.accept()
    peer.send_text(envelope("instrument:18", PRICE))
    peer.reset()


def accept_then_drop(peer: Peer) -> None:
    peer.accept()
    peer.reset()


def too_many(peer: Peer) -> None:
    peer.handshake()
    peer.authenticate("TooManyRequests")
    peer.wait_closed(5)


FAULTS: dict[str, Callable[[Peer], object]] = {
    "reset": lambda peer: peer.reset(),
    "end of stream": lambda peer: peer.finish(),
    "503": lambda peer: peer.respond(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
    "no HTTP": lambda peer: peer.respond(b"220 smtp.example.com ESMTP\r\n\r\n"),
    "mute in the handshake": lambda peer: (peer.read_request(), peer.wait_closed(5)),
    "mute before the answer": lambda peer: (peer.handshake(), peer.wait_closed(5)),
    "mute": lambda peer: (peer.accept(), peer.wait_closed(5)),
    "too many": too_many,
    "accepted, then dropped": accept_then_drop,
    "close 1013": lambda peer: (peer.accept(), peer.send_close(1013)),
}


def test_complaint_18_each_failed_attempt_triggers_another_one(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Under random faults, and calls of other threads, there is never more than one connection."""
    choice = random.Random(18)
    plan = [name for name in FAULTS for _ in range(3)]
    choice.shuffle(plan)
    ended: defaultdict[int, threading.Event] = defaultdict(threading.Event)
    overlapping: list[int] = []

    def one_at_a_time(peer: Peer) -> None:
        if peer.index and not ended[peer.index - 1].wait(3):
            overlapping.append(peer.index)
        try:
            if peer.index == 0:
                until_lost(peer)
            elif peer.index <= len(plan):
                FAULTS[plan[peer.index - 1]](peer)
            else:
                live(peer)
        finally:
            # Of a mute peer only the client's own leaving ends the script.
            ended[peer.index].set()

    server = raw_server(one_at_a_time)
    c = client(
        server.url,
        reconnect_attempts=None,
        reconnect_delay=0.002,
        reconnect_max_delay=0.01,
        connect_timeout=0.1,
        auth_timeout=0.1,
        heartbeat_interval=0.05,
        heartbeat_timeout=0.05,
    )
    ear = Ear(c)
    # A user who tries to help.
    c.on("close", lambda code, reason: c.subscribe([18], wait=False))
    c.on("reconnecting", lambda attempt, delay: c.subscribe([19], wait=False))
    c.connect()
    server.wait_connections(len(plan) + 2, timeout=20)
    # Sessions before the last one may have been restored, too: they had nothing to restore.
    ear.wait(lambda e: any("instrument:18" in gap.topics for gap in e.of("reconnected")))
    assert overlapping == []
    # A busy machine may miss a deadline of 50 ms, and connect once more than planned.
    assert c.state in (ClientState.LIVE, ClientState.RECONNECTING)
    c.disconnect()
    assert server.connections >= len(plan) + 2
    # One connection for each attempt, but for one that disconnect() has ended.
    assert 0 <= c.stats().connect_attempts - server.connections <= 1


class Depths(logging.Handler):
    """Notes how deep the stack of the reader's thread is whenever it logs."""

    def __init__(self) -> None:
        super().__init__()
        self.depths: list[int] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "Reconnecting in" in record.getMessage():
            depth, frame = 0, sys._getframe()
            while frame.f_back is not None:
                depth, frame = depth + 1, frame.f_back
            self.depths.append(depth)


def test_complaint_19_an_endless_loop_of_connects_that_recurses(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime
) -> None:
    """Ten minutes of connections that are dropped at once: few attempts, no recursion, recovery."""

    def dropping(peer: Peer) -> None:
        if peer.index and leap.leapt < 600:
            accept_then_drop(peer)
        elif peer.index:
            live(peer)
        else:
            until_lost(peer)

    server = raw_server(dropping)
    c = client(server.url, **PATIENT)
    ear = Ear(c)
    depths = Depths()
    logging.getLogger("etoro_sync").addHandler(depths)
    try:
        c.subscribe([18])
        c.connect()
        # The topic is acknowledged on the last connection only.
        (gap,) = ear.wait_for("reconnected")
    finally:
        logging.getLogger("etoro_sync").removeHandler(depths)
    waits = [seconds for _, seconds in ear.of("reconnecting")]
    # The cap allows ten at least; half of it, the average, some twenty, after six quick ones.
    assert 10 <= len(waits) <= 50
    assert 600 <= sum(waits) < 600 + 60
    assert all(wait <= min(2**n, 60) for n, wait in enumerate(waits))
    assert server.connections == len(waits) + 1 == c.generation
    assert len(depths.depths) == len(waits)
    assert len(set(depths.depths)) == 1
    assert gap.seconds >= 600
    assert gap.topics == ("instrument:18",)


def test_complaint_19_a_stale_ping_is_not_held_against_the_next_connection(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Each connection has a ping clock of its own, which begins when it opens."""
    survived = threading.Event()

    def answering(peer: Peer) -> None:
        peer.accept()
        for _ in range(5):
            opcode, payload = peer.read_frame()
            assert opcode == 0x9
            peer.send_pong(payload)
        survived.set()
        peer.serve()

    def mute(peer: Peer) -> None:
        peer.accept()
        peer.wait_closed(5)

    server = raw_server([mute, answering])
    c = client(server.url, heartbeat_interval=0.1, heartbeat_timeout=0.1)
    c.connect()
    assert survived.wait(5)
    assert server.connections == 2


def test_complaint_20_no_backoff_and_the_storm_feeds_itself(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime
) -> None:
    """A server that accepts and drops gets twelve attempts at most in the first minute."""

    def dropping(peer: Peer) -> None:
        until_lost(peer) if peer.index == 0 else accept_then_drop(peer)

    c = client(raw_server(dropping).url, **PATIENT)
    over = threading.Event()
    leap.at(60.0, over.set)
    ear = Ear(c)
    c.connect()
    assert over.wait(5)
    c.disconnect()
    waits = [seconds for _, seconds in ear.of("reconnecting")]
    in_a_minute = 0
    while sum(waits[:in_a_minute]) < 60:
        in_a_minute += 1
    assert 3 <= in_a_minute <= 12


def test_complaint_20_two_clients_that_throw_each_other_out(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime
) -> None:
    """Sessions that bring a price and end at once cost no attempt, but each wait is longer."""
    c = client(raw_server(until_lost).url, **{**PATIENT, "reconnect_attempts": 3})
    over = threading.Event()
    leap.at(300.0, over.set)
    ear = Ear(c)
    c.connect()
    assert over.wait(5)
    c.disconnect()
    heard = ear.of("reconnecting")
    assert all(wait <= min(2**n, 60) for n, (_, wait) in enumerate(heard))
    ends = itertools.accumulate(wait for _, wait in heard)
    heard = [one for one, end in zip(heard, ends, strict=True) if end < 300]
    # Five minutes have room for ten such waits and, at their average of half a minute, for twenty.
    assert 5 <= len(heard) <= 25
    assert {attempt for attempt, _ in heard} == {1}


def test_complaint_20_after_a_session_that_lasted_the_waits_begin_anew(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime
) -> None:
    """Some seconds with data are enough, so that an unsteady line is not punished for ever."""
    heard_price = threading.Event()

    def lasting(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:19", PRICE))
        assert heard_price.wait(5)
        leap.leap(6.0)
        peer.reset()

    server = raw_server([*[until_lost] * 8, lasting, live])
    c = client(server.url, **PATIENT)
    c.on("instrument:rate", lambda *_: heard_price.set(), instrument_id=19)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnecting", 9)
    waits = [wait for _, wait in ear.of("reconnecting")]
    assert max(waits[:8]) > 1
    assert waits[8] <= 1


@pytest.mark.parametrize("lane", ["TooManyRequests", "429", "503"])
def test_complaint_20_a_server_that_asks_for_patience_gets_it(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime, lane: str
) -> None:
    """After TooManyRequests, or HTTP 429, each wait is half the cap at least; else it grows."""

    def refuse(peer: Peer) -> None:
        if lane == "TooManyRequests":
            too_many(peer)
        else:
            peer.respond(f"HTTP/1.1 {lane} No\r\nContent-Length: 0\r\n\r\n".encode())

    c = client(raw_server([until_lost, refuse, refuse, refuse, live]).url, **PATIENT)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected")
    waits = [seconds for _, seconds in ear.of("reconnecting")]
    assert len(waits) == 4
    if lane == "503":
        assert all(wait <= 2**n for n, wait in enumerate(waits))
    else:
        assert waits[0] <= 1
        assert all(30 <= wait <= 60 for wait in waits[1:])


@pytest.mark.parametrize("header", ["300", "Wed, 21 Oct 2015 07:33:00 GMT"])
@pytest.mark.parametrize("status", [429, 503])
def test_complaint_20_a_server_that_says_when_to_come_back_is_obeyed(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime, status: int, header: str
) -> None:
    """Its Retry-After is the least that is waited, which ``reconnecting`` tells."""
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    refusal = f"HTTP/1.1 {status} No\r\nDate: {date}\r\nRetry-After: {header}\r\n\r\n"
    scripts = [until_lost, lambda peer: peer.respond(refusal.encode()), live]
    c = client(raw_server(scripts).url, **PATIENT)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected")
    waits = [seconds for _, seconds in ear.of("reconnecting")]
    assert waits[0] <= 1
    assert 300 <= waits[1] <= 301
    assert leap.leapt >= 300
    assert "asks to wait for 300 s" in str(ear.of("error")[0])


def test_complaint_20_a_hundred_clients_do_not_come_back_at_once() -> None:
    """Full jitter: the third wait of a hundred clients fills the whole range, evenly enough."""
    waits = []
    for seed in range(100):
        backoff = Backoff(1.0, 60.0, None, random.Random(seed).uniform)
        backoff.next(), backoff.next()
        waits.append(backoff.next() or 0.0)
    quarters = [sum(n <= wait < n + 1 for wait in waits) for n in range(4)]
    assert sum(quarters) == 100
    assert all(15 <= count <= 35 for count in quarters), quarters


def test_complaint_20_a_session_that_restores_nothing_earns_no_new_start(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The counter of attempts goes on through sessions that restore nothing, and then anew."""

    def restored(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.reset()

    server = raw_server([restored, *[accept_then_drop] * 3, restored, live])
    c = client(server.url)
    ear = Ear(c)
    c.subscribe(["private"])
    c.connect()
    server.wait_connections(6)
    ear.wait_for("reconnected", 2)
    assert [attempt for attempt, _ in ear.of("reconnecting")] == [1, 2, 3, 4, 1]


@pytest.mark.parametrize("code", ["Unauthorized", "InvalidKey"])
@pytest.mark.parametrize("when", ["at first", "later"])
def test_complaint_21_rejected_credentials_are_redialled_for_ever(
    raw_server: StartServer, client: MakeClient, code: str, when: str
) -> None:
    """A rejection is one attempt, an `EToroAuthError` with the code, and the end of the threads."""

    def reject(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate(code)
        peer.wait_closed(5)

    server = raw_server([until_lost, reject] if when == "later" else reject)
    c = client(server.url, reconnect_attempts=None)
    ear = Ear(c)
    with pytest.raises(EToroAuthError) as caught:
        connect_and_run(c)
    assert caught.value.error_code == code
    assert c.state is ClientState.FAILED
    # Nobody is left who could dial again.
    assert join_stragglers(prefix="etoro-sync-") == []
    assert server.connections == (2 if when == "later" else 1)
    assert ear.names("reconnecting") == ["reconnecting"] * (when == "later")
