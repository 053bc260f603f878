"""Promises 1, 2, 8 and 15 for a process that was stopped, and for a machine that slept."""

from __future__ import annotations

import json
import re
import select
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from etoro_sync import synchronization
from etoro_sync.stream import core
from etoro_sync.ws.session import (
    connection_loop,
    connector,
    controller,
    credentials,
    manager,
    reader,
)
from etoro_sync.ws.session.session import Session
from etoro_sync.ws.transport import dialer
from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.socket_stream import SocketStream
from tests.conftest import MakeClient, StartServer
from tests.support.certificates import Certificates
from tests.support.clients import Ear, envelope
from tests.support.clocks import LeapingTime
from tests.support.frames import PING, TEXT
from tests.support.peer import Peer
from tests.support.standstill import Program, needs_stop
from tests.support.timing import SCALE

pytestmark = pytest.mark.heavy

PRICE = {"Ask": "2", "Bid": "1"}
#: What a stopped program's timeouts are, and how long it is stopped then.
TIMEOUT, STOP = 2.0, 2.8

TICKING = """
client.on("stale", lambda instrument_id, age: tell("stale", instrument_id))
client.subscribe(range(1, 302))
rates = client.queue("instrument:rate")
client.connect()
seen = set()
while len(seen) < 300:
    seen.add(rates.get(timeout=20)[0])
tell("live")
for instrument_id, rate in rates:
    pass
"""

GAPS = """
client.on("private:event", lambda event: tell("order", event.order_id))
client.on("reconnected", lambda gap: tell("gap", gap.from_, gap.until))
client.subscribe(["private"])
client.connect()
client.run_forever()
"""


@needs_stop
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_promise_1_a_process_that_was_stopped_takes_nothing_for_stale_that_went_on(
    raw_server: StartServer, certificates: Certificates, tls: bool
) -> None:
    """Of 300 instruments that tick meanwhile, and one that does not, it names that one alone."""

    def ticking(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        while True:
            for instrument_id in range(1, 301):
                peer.send_text(envelope(f"instrument:{instrument_id}", PRICE))
            peer.pause(0.1)

    server = raw_server(ticking, certificates.server if tls else None)
    authority = certificates.authority_pem().decode() if tls else ""
    with Program(server.url, TICKING, authority, stale_after=1.0) as program:
        assert program.told() == ["live"]
        with program.stopped(1.6):
            pass
        assert program.told() == ["stale", 301]
        server.peers[0].pause(0.5)  # more than a quarter of stale_after
        assert program.told_until_end() == []


@needs_stop
@pytest.mark.parametrize("end", ["reset", "close"])
def test_promise_8_a_gap_begins_before_the_process_was_stopped(
    raw_server: StartServer, end: str
) -> None:
    """The order events of that time lie in it, whether or not they could still be read."""
    stopped = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        if peer.index:
            peer.serve()
        peer.send_text(envelope("private", {"OrderID": 1}))
        peer.wait(stopped)
        peer.pause(0.3)
        peer.send_text(envelope("private", {"OrderID": 2}))
        peer.send_close(1000) if end == "close" else peer.reset()

    with Program(raw_server(script).url, GAPS) as program:
        assert program.told() == ["order", 1]
        with program.stopped(1.5) as before:
            stopped.set()
            sent_until = time.time() + 0.3
        told = program.told()
        if told == ["order", 2]:
            told = program.told()
        name, begins, ends = told
        assert name == "gap"
        assert begins <= before
        assert ends >= sent_until
        assert ends - begins >= 1.5
        # It was listening until then: a second, and what telling of the first order has taken.
        assert begins >= before - 1.5 * SCALE


def stand_still_and(program: list[Program], act: Callable[[], object]) -> None:
    """Do what the client waits for while its process is stopped for longer than it would wait."""
    with program[0].stopped(STOP):
        act()


def unread(what: str, program: list[Program], peer: Peer) -> None:
    """A server that does *what* while the client's process is stopped."""

    def now(step: str, act: Callable[[], object]) -> None:
        if step == what:
            stand_still_and(program, act)
        else:
            act()

    peer.read_request()
    accepted = f"Sec-WebSocket-Accept: {peer.accept_key()}"
    answer = f"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{accepted}\r\n\r\n"
    now("opening", lambda: peer.send(answer.encode()))
    request = peer.read_json()
    now("authentication", lambda: peer.reply(request))
    if what == "pong":
        ping, payload = peer.read_frame()
        assert ping == PING
        now("pong", lambda: peer.send_pong(payload))
    asked = peer.read_json()
    now("acknowledgement", lambda: peer.reply(asked))
    peer.send_text(envelope("instrument:18", PRICE))
    snapshot = envelope("instrument:18", {"Ask": "9", "Bid": "8"}, "Snapshot")
    now("snapshot", lambda: peer.send_text(snapshot))
    peer.serve()


UNREAD = """
timeout = options["request_timeout"]
client.on("close", lambda code, reason: tell("closed", reason))
client.connect(timeout=timeout)
rates = client.queue("instrument:rate")
while options["heartbeat_interval"] and not client.last_pong_at:
    time.sleep(0.01)
client.subscribe([18], snapshot=True, timeout=timeout)
tell("rate", rates.get(timeout=timeout)[1].ask, client.generation)
client.run_forever()
"""


@needs_stop
@pytest.mark.parametrize(
    "what", ["opening", "authentication", "acknowledgement", "snapshot", "pong"]
)
def test_promise_1_and_2_what_lies_unread_when_the_process_was_stopped_is_not_missing(
    raw_server: StartServer, what: str
) -> None:
    """Neither the reader nor the user's thread judges a deadline before it was read."""
    program: list[Program] = []
    server = raw_server(lambda peer: unread(what, program, peer))
    options: dict[str, Any] = dict.fromkeys(
        ("connect_timeout", "auth_timeout", "request_timeout", "heartbeat_timeout"), TIMEOUT
    )
    options["heartbeat_interval"] = 0.1 if what == "pong" else 0
    with Program(server.url, UNREAD, **options) as running:
        program.append(running)
        assert running.told() == ["rate", 9.0, 1]
        assert running.told_until_end() == []


# A clock that is moved


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> LeapingTime:
    """All clocks of a client's reader: a leap is a standstill of the process."""
    time = LeapingTime()
    time.slept = 1e6  # since the machine was started
    for module in (connection_loop, core, reader, controller, credentials, dialer):
        monkeypatch.setattr(module, "clocks", time)
    monkeypatch.setattr(connector, "Connection", partial(Connection, clock=time.monotonic))
    monkeypatch.setattr(dialer, "SocketStream", partial(SocketStream, clock=time.monotonic))
    monkeypatch.setattr(connection_loop, "_CLOCK_INTERVAL", 0.05)
    return time


def test_promise_2_a_standstill_before_connect_begins_to_wait_is_none_of_its_time(
    raw_server: StartServer, client: MakeClient, clock: LeapingTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may be stopped while it starts its threads; what has come meanwhile is unread."""
    for module in (manager, synchronization):
        monkeypatch.setattr(module, "clocks", clock)
    start = Session.start

    def stand_still_and_start(session: Session) -> None:
        clock.leap(100.0)
        start(session)

    monkeypatch.setattr(Session, "start", stand_still_and_start)
    server = raw_server(lambda peer: (peer.accept(), peer.serve()))
    c = client(server.url)
    c.connect(timeout=50.0)
    assert c.is_authenticated


class Standstill:
    """One around a read: behind one that found nothing, before the judgement that follows.

    Or before a read, behind the look at the clocks.
    """

    def __init__(
        self, clock: LeapingTime, monkeypatch: pytest.MonkeyPatch, before: bool = False
    ) -> None:
        self.due, self.over = threading.Event(), threading.Event()
        self._begun = threading.Event()
        receive = Connection.receive

        def stand_still(connection: Connection) -> list[str] | None:
            texts = None if before else receive(connection)
            if texts is None and self.due.is_set() and not self.over.is_set():
                self._begun.set()
                assert select.select([connection._stream._sock], [], [], 10)[0]
                clock.leap(100.0)
                self.over.set()
            return receive(connection) if before else texts

        monkeypatch.setattr(Connection, "receive", stand_still)

    def during(self, peer: Peer, act: Callable[[], object]) -> None:
        """Let the client stand still, and do what it is to find unread."""
        self.due.set()
        peer.wait(self._begun)
        act()


@pytest.mark.parametrize("what", ["acknowledgement", "snapshot", "tick", "tick before", "pong"])
def test_promise_1_what_was_read_last_is_all_that_is_judged(
    raw_server: StartServer,
    client: MakeClient,
    clock: LeapingTime,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """What comes while the process stands still, behind its last read, is not missing."""
    still, priced = Standstill(clock, monkeypatch, what == "tick before"), threading.Event()

    def script(peer: Peer) -> None:
        def now(step: str, act: Callable[[], object]) -> None:
            still.during(peer, act) if step in what else act()

        peer.accept()
        asked = peer.read_json()
        now("acknowledgement", lambda: peer.reply(asked))
        peer.send_text(envelope("instrument:18", PRICE))
        snapshot = envelope("instrument:18", {"Ask": "9", "Bid": "8"}, "Snapshot")
        now("snapshot", lambda: peer.send_text(snapshot))
        peer.wait(priced)
        now("tick", lambda: peer.send_text(envelope("instrument:18", {"Ask": "10"})))
        if what == "pong":
            opcode, payload = peer.read_frame()
            assert opcode == PING
            now("pong", lambda: peer.send_pong(payload))
        peer.serve()

    timeouts = {"heartbeat_timeout": 50, "request_timeout": 50}
    if what == "pong":
        timeouts["heartbeat_interval"] = 0.1
    else:
        timeouts |= {"heartbeat_interval": 0, "stale_after": 50}
    c = client(raw_server(script).url, **timeouts)
    c.on("instrument:rate", lambda *_: priced.set())
    ear = Ear(c)
    c.connect()
    c.subscribe([18, 19], snapshot=True)
    assert still.over.wait(10)
    ear.wait(
        lambda e: 19 in [key for key, _ in e.of("stale")] or what in ("acknowledgement", "pong")
    )
    ear.wait_for("instrument:rate", 2)
    c.subscribe([20])
    assert [rate.ask for _, rate in ear.of("instrument:rate")] == [9.0, 10.0]
    assert 18 not in [key for key, _ in ear.of("stale")]
    assert ear.names("close", "error") == []
    assert c.generation == 1


def asleep(peer: Peer) -> None:
    """Bring one price, and nothing more: a connection that is dead, and of which nobody says so."""
    peer.accept()
    peer.acknowledge()
    peer.send_text(envelope("instrument:18", PRICE))


def test_promise_8_an_hours_sleep_is_part_of_the_gap(
    raw_server: StartServer,
    client: MakeClient,
    clock: LeapingTime,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where somebody sets the wall clock meanwhile; one ping finds out that all is dead."""
    frames: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        asleep(peer)
        frames.extend(peer.read_frames() if peer.index == 0 else [])
        peer.serve()

    c = client(raw_server(script).url, heartbeat_interval=30, heartbeat_timeout=0.3)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    ear.wait_for("instrument:rate")
    clock.ahead = -7200.0
    clock.slept += 3600
    woken = time.monotonic()
    (_, reason), *_ = ear.wait_for("close")
    assert time.monotonic() - woken < 1.5 * SCALE
    (gap,) = ear.wait_for("reconnected")
    assert 3600 <= gap.seconds < 3605
    assert abs(gap.until - clock.wall_clock()) < 5
    assert re.search(r"no byte for 360\d\.\d s", reason)
    assert [opcode for opcode, _ in frames].count(PING) == 1
    (record,) = [r.getMessage() for r in caplog.records if "slept" in r.getMessage()]
    assert record.startswith("The machine slept for 3600")


@pytest.mark.parametrize("interval", [30, 0], ids=["keepalive", "no keepalive"])
def test_promise_1_a_connection_that_has_survived_a_sleep_goes_on(
    raw_server: StartServer,
    client: MakeClient,
    clock: LeapingTime,
    caplog: pytest.LogCaptureFixture,
    interval: int,
) -> None:
    """It is pinged once, or not at all; what was silent for so long is stale."""
    frames: list[int] = []

    def script(peer: Peer) -> None:
        asleep(peer)
        while len(frames) < 2:
            opcode, payload = peer.read_frame()
            frames.append(opcode)
            if opcode == PING:
                peer.send_pong(payload)
            else:
                peer.reply(json.loads(payload))
        peer.serve()

    c = client(raw_server(script).url, heartbeat_interval=interval, stale_after=1000)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    ear.wait_for("instrument:rate")
    clock.slept += 3600
    ((key, age),) = ear.wait_for("stale")
    assert key == 18
    assert 3600 <= age < 3605
    stats = c.stats()
    assert 3600 <= (stats.last_message_age or 0) < 3605
    assert 3600 <= (stats.connected_age or 0) < 3605
    c.subscribe([19])
    c.subscribe([20])
    assert frames == ([PING, TEXT] if interval else [TEXT, TEXT])
    (record,) = [r.getMessage() for r in caplog.records if "slept" in r.getMessage()]
    assert ("is pinged" in record) is bool(interval)
    assert ("heartbeat_interval=0" in record) is not bool(interval)
    assert c.generation == 1
    assert ear.names("close") == []


def test_promise_15_a_standstill_between_the_looks_at_two_clocks_is_no_sleep(
    raw_server: StartServer,
    client: MakeClient,
    clock: LeapingTime,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both have gone on meanwhile, though the second one alone shows it at first."""
    c = client(raw_server(lambda peer: (asleep(peer), peer.serve())).url)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    ear.wait_for("instrument:rate")
    over = threading.Event()
    uptime = clock.uptime

    def late() -> float:
        if threading.current_thread().name.startswith("etoro-sync-reader") and not over.is_set():
            over.set()
            clock.leap(100.0)
        return uptime()

    monkeypatch.setattr(clock, "uptime", late)
    assert over.wait(5)
    c.subscribe([19])
    assert "slept" not in caplog.text


def test_promise_8_a_sleep_in_an_outage_is_part_of_the_gap(
    raw_server: StartServer, client: MakeClient, clock: LeapingTime
) -> None:
    """Without a connection there is nothing to ping."""

    def script(peer: Peer) -> None:
        asleep(peer)
        peer.serve() if peer.index else peer.reset()

    c = client(raw_server(script).url)
    ear = Ear(c)
    slept = threading.Event()

    @c.on("reconnecting")
    def sleep(attempt: int, delay: float) -> None:
        clock.slept += 3600
        slept.set()

    open_ = connector.Connector.open
    c.subscribe([18])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            connector.Connector,
            "open",
            lambda *args: (c.generation and slept.wait(10), open_(*args))[1],
        )
        c.connect()
        (gap,) = ear.wait_for("reconnected")
    assert 3600 <= gap.seconds < 3605


def test_promise_8_a_gap_is_not_much_longer_than_the_truth(
    raw_server: StartServer, client: MakeClient
) -> None:
    """While messages come it begins with the last but one, and never behind what was sent last."""
    sent: list[float] = []

    def script(peer: Peer) -> None:
        asleep(peer)
        if peer.index:
            peer.serve()
        for _ in range(20):
            peer.pause(0.02)
            sent.append(time.time())
            peer.send_text(envelope("instrument:18", PRICE))
        peer.reset()

    c = client(raw_server(script).url)
    ear = Ear(c)
    c.subscribe([18])
    c.connect()
    (gap,) = ear.wait_for("reconnected")
    assert sent[-1] - 1.0 * SCALE < gap.from_ <= sent[-1]
