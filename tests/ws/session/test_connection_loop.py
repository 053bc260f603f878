"""The loop over one connection: what it asks for how often."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from etoro_sync import clocks
from etoro_sync.market.rate_book import RateBook
from etoro_sync.redaction import Redactor
from etoro_sync.stats import Counters
from etoro_sync.ws.protocol.control import ControlChannel
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker
from etoro_sync.ws.session.connection_loop import ConnectionLoop
from etoro_sync.ws.session.controller import Controller
from etoro_sync.ws.transport.keepalive import Keepalive
from tests.conftest import MakeClient, StartServer
from tests.support.clients import envelope, quick_options
from tests.support.clocks import LeapingTime
from tests.support.peer import Peer

PRICE = {"Ask": "2", "Bid": "1", "Date": "d", "PriceRateID": "1"}


def test_a_lone_message_sets_off_no_look_at_the_deadlines(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are judged when the next one is due, and not at each wake-up: reading puts them off."""
    looks: list[str] = []
    for owner, name in (
        (Keepalive, "judge"),
        (ControlChannel, "check_deadline"),
        (Controller, "check"),
    ):
        usual = getattr(owner, name)

        def counted(*arguments: object, name: str = name, usual: object = usual) -> object:
            looks.append(name)
            return usual(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, counted)
    goes_on, messages = threading.Semaphore(0), 50

    def one_by_one(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        for _ in range(messages):
            peer.send_text(envelope("instrument:18", PRICE))
            assert goes_on.acquire(timeout=5)
        peer.serve()

    c = client(raw_server(one_by_one).url)
    rates = c.queue("instrument:rate")
    c.subscribe([18])
    c.connect()
    for _ in range(messages):
        rates.get(timeout=5)
        goes_on.release()
    # At the beginning, for each reply, and once a second.
    for name in ("judge", "check_deadline", "check"):
        assert 1 <= looks.count(name) < messages / 2


class Still:
    """A connection on which nothing comes; it notes until when the loop would wait."""

    def __init__(self) -> None:
        self.is_sending = False
        self.checks = self.pings_soon = 0
        self.deadline = 0.0
        self.check_at = float("inf")

    def check(self, now: float) -> None:
        self.checks += 1

    def ping_soon(self, slept: float) -> bool:
        self.pings_soon += 1
        return True

    def next_check(self, now: float) -> float:
        return self.check_at

    def send_text(self, text: str) -> None: ...

    def wait(self, deadline: float) -> None:
        self.deadline = deadline


class Bench:
    """A loop that is idle, with nothing to judge for as long as possible."""

    def __init__(self) -> None:
        self.connection = Still()
        tracker = WsSubscriptionTracker()
        tracker.add(["instrument:18"])
        self.protocol = ControlChannel(tracker, 10.0, 0.2, str)
        self.protocol.authenticated = True
        nobody: Any = SimpleNamespace(out=None)
        self.controller = Controller(
            self.protocol, RateBook(), nobody, Counters(), lambda state: None, 0.0, False
        )
        self.commands = SimpleNamespace(
            waker=SimpleNamespace(stopping=False), operations=[], take=self.take
        )
        options = quick_options("ws://127.0.0.1:1/ws")
        loop: Any = ConnectionLoop(
            self.connection,  # type: ignore[arg-type]
            options,
            Redactor([]),
            self.controller,
            self.commands,  # type: ignore[arg-type]
            nobody,
            Counters(),
        )
        self.loop = loop
        self.idle()
        assert self.left == pytest.approx(1.0, abs=0.1)

    def idle(self) -> None:
        self.loop._idle()

    def take(self) -> list[Operation]:
        taken, self.commands.operations = self.commands.operations, []
        return taken

    @property
    def left(self) -> float:
        """Seconds that the loop would wait, since its last look at the clocks."""
        return float(self.connection.deadline - self.loop._now)


def test_a_request_that_was_sent_brings_the_next_look_closer() -> None:
    """A missing acknowledgement is found when it is due, and not at the next regular look."""
    bench = Bench()
    bench.commands.operations.append(Operation("Subscribe", ["instrument:18"], {}, awaited=True))
    bench.idle()
    assert 0.0 < bench.left < 0.5


def test_a_reply_brings_the_next_look_closer() -> None:
    """What was subscribed to may be silent, or its snapshot missing, sooner than anything else."""
    bench = Bench()
    bench.controller._next_stale_check = bench.loop._up + 0.1
    bench.idle()
    assert bench.left > 0.5  # nobody has said so
    bench.loop._on_reply({})
    bench.idle()
    assert bench.left == pytest.approx(0.1, abs=0.05)


def test_what_waits_to_be_sent_is_looked_at_each_time() -> None:
    """A peer that stops to read is found out in time."""
    bench = Bench()
    checks = bench.connection.checks
    bench.idle()
    assert bench.connection.checks == checks
    bench.connection.is_sending = True
    bench.idle()
    assert bench.connection.checks == checks + 1


def test_a_sleep_of_the_machine_is_looked_at_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the deadlines stands still in it, so none of them is over."""
    clock = LeapingTime()
    monkeypatch.setattr("etoro_sync.ws.session.connection_loop.clocks", clock)
    bench = Bench()
    checks = bench.connection.checks
    clock.slept += 3600.0
    bench.loop._read_clocks()
    bench.idle()
    assert (bench.connection.pings_soon, bench.connection.checks) == (1, checks + 1)
    assert bench.left == pytest.approx(clocks.TIME_TO_READ, abs=0.1)


def test_a_ping_is_due_in_time_also_while_nothing_is_taken_for_missing() -> None:
    """Behind a standstill answers are waited for; that the peer is asked does not wait."""
    bench = Bench()
    bench.loop._grace_until = bench.loop._now + clocks.TIME_TO_READ
    bench.connection.check_at = bench.loop._now + 0.1
    bench.loop._next_check = 0.0
    bench.idle()
    assert bench.left == pytest.approx(0.1, abs=0.05)
