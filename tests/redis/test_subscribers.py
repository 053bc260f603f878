"""Several subscribers of one feed, and a publisher as it is in use."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from typing import Any

import pytest
import redis

from etoro_sync import ClientState, MarketStream, WsGap
from etoro_sync.redis import Publisher, RedisClient
from tests.conftest import MakeClient, MakeSimulator
from tests.redis.writing import FeedWriter, rate_of
from tests.support.amounts import amount
from tests.support.live_stream import LiveStream
from tests.support.redis_server import RedisServer
from tests.support.threads import Watchdog, run_in_thread

pytestmark = [pytest.mark.heavy, pytest.mark.long_form]

#: Instruments; eToro has 12,684.
MANY = amount(2_000, 12_684)
BATCH = 250


class Writing:
    """Raises the asks of instruments by one at random, until it is told to stop."""

    def __init__(self, writer: FeedWriter) -> None:
        self.writer = writer
        self.asks = dict.fromkeys(range(1, MANY + 1), 0.0)
        self.stop = threading.Event()
        self.random = random.Random(7)

    def write(self, *ids: int) -> None:
        for key in ids:
            self.asks[key] += 1.0
        self.writer.rates(*(rate_of(key, self.asks[key]) for key in ids))

    def write_all(self) -> None:
        ids = list(self.asks)
        for start in range(0, MANY, BATCH):
            self.write(*ids[start : start + BATCH])

    def run(self) -> None:
        ids = list(self.asks)
        while not self.stop.is_set():
            self.write(*self.random.sample(ids, self.random.randint(1, 200)))


def test_late_joiners_are_exact_while_a_publisher_writes(
    server: RedisServer, raw: redis.Redis
) -> None:
    """No rate is missing behind the state, none comes twice, and the last ones are right."""
    writing = Writing(FeedWriter(raw))
    writing.write_all()
    seen: list[dict[int, list[float]]] = []
    streams: list[MarketStream] = []
    with Watchdog(60):
        thread = run_in_thread(writing.run)
        for _ in range(3):
            stream, asks = RedisClient(server.url), defaultdict[int, list[float]](list)
            rates = stream.queue("instrument:rate", maxsize=0)
            stream.connect()
            assert len(stream.rates) == MANY
            streams.append(stream)
            seen.append(asks)
            for _ in range(MANY + 500):
                key, rate = rates.get()
                asks[key].append(rate.ask)
            rates.close()
            for key, rate in rates:
                asks[key].append(rate.ask)
        writing.stop.set()
        thread.result()
        for stream in streams:
            while {key: rate.ask for key, rate in stream.rates.items()} != writing.asks:
                pass
            assert stream.stats().reconnects == 0
            stream.disconnect()
    for asks in seen:
        assert len(asks) == MANY
        for found in asks.values():
            assert found == [found[0] + n for n in range(len(found))]


def test_promise_3_one_that_is_slow_conflates_and_harms_nobody(
    server: RedisServer, raw: redis.Redis
) -> None:
    """Its callback gets the last value of each; the others and the writer do not wait."""
    writing = Writing(FeedWriter(raw))
    slow, quick = RedisClient(server.url), RedisClient(server.url)
    goes_on, last, done = threading.Event(), {}, threading.Event()

    @slow.on("instrument:rate")
    def note(instrument_id: int, rate: Any) -> None:
        goes_on.wait(20)
        last[instrument_id] = rate.ask
        if len(last) == 10 and set(last.values()) == {2_500.0}:
            done.set()

    rates = quick.queue("instrument:rate", maxsize=0)
    with Watchdog(25), slow, quick:
        for _ in range(2_500):
            writing.write(*range(1, 11))  # more than fits into the lane of the callbacks
        for _ in range(25_000):
            rates.get()
        assert quick.rates[10].ask == 2_500.0
        while slow.rates.get(10) is None or slow.rates[10].ask != 2_500.0:
            pass
        assert last == {}
        goes_on.set()
        assert done.wait(10)
        assert slow.stats().callbacks_conflated >= 4_000
        assert quick.stats().reconnects == slow.stats().reconnects == 0


SUBSCRIBER = """
import sys
from etoro_sync.redis import RedisClient

with RedisClient(sys.argv[1]) as stream:
    items = stream.queue(["instrument:rate", "close", "reconnected"])
    print("begun", flush=True)
    for event, *rest in items:
        if event == "instrument:rate":
            print("rate", rest[0], rest[1].ask, rest[1].generation, flush=True)
        else:
            print(event, getattr(rest[0], "generation", ""), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_promise_8_one_that_was_away_for_too_long_gets_a_gap_and_the_state(
    server: RedisServer, raw: redis.Redis
) -> None:
    """Its process was stopped while the stream was trimmed."""
    writer = FeedWriter(raw)
    writer.rates(rate_of(18, 1.0), rate_of(19, 1.0))
    command = [sys.executable, "-c", SUBSCRIBER, server.url]
    with (
        Watchdog(25),
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "begun\n"
            writer.rates(rate_of(18, 2.0))
            assert process.stdout.readline().split()[:3] == ["rate", "18", "2.0"]
            process.send_signal(signal.SIGSTOP)
            for n in range(300):
                writer.rates(rate_of(18, 3.0 + n))
            raw.xtrim(writer.keys.rates, maxlen=5, approximate=False)
            process.send_signal(signal.SIGCONT)
            lines = []
            while not (lines and lines[-1][:3] == ["rate", "18", "302.0"]):
                lines.append(process.stdout.readline().split())
        finally:
            process.kill()
    events = [line[0] for line in lines if line[0] != "rate"]
    assert events == ["close", "reconnected"]
    generation = next(line[1] for line in lines if line[0] == "reconnected")
    behind = lines[[line[0] for line in lines].index("reconnected") + 1 :]
    assert ["rate", "19", "1.0", generation] in behind
    assert behind[-1] == ["rate", "18", "302.0", generation]


def test_a_publisher_and_its_successor(
    server: RedisServer, simulator: MakeSimulator, client: MakeClient
) -> None:
    """Prices and orders of a connection; a takeover is a gap; the end of both is seen."""
    simulated = simulator(instruments={18: 5.0, 19: 6.0}, rate=200, order_interval=0.05)
    sources = [client(simulated.url) for _ in range(2)]
    for source in sources:
        source.subscribe([18, 19, "private"], snapshot=True)
        source.connect()
    stream = RedisClient(server.url)
    items = stream.queue(["close", "reconnected", "private:event"])
    rates = stream.queue("instrument:rate")
    with Watchdog(25), stream:
        assert stream.state is ClientState.RECONNECTING
        first = Publisher(sources[0], server.url, lease=0.5).start()
        assert {rates.get()[0] for _ in range(40)} == {18, 19}
        assert stream.state is ClientState.LIVE
        order = next(item for item in items if item[0] == "private:event")[1]
        assert order.order_id
        with Publisher(sources[1], server.url, lease=0.5) as second:
            first.close()
            gap = next(item for item in items if item[0] == "reconnected")[1]
            while rates.get()[1].generation < gap.generation:
                pass
            assert second.stats().role == "active"
        next(item for item in items if item[0] == "close")
        while stream.state is not ClientState.RECONNECTING:
            pass
    assert stream.stats().bad_messages == 0


def test_prices_are_fresh_when_all_connections_of_a_publisher_are_back(
    server: RedisServer,
) -> None:
    """One of several that is back is not enough; one that is closed in good order takes nothing."""
    source = LiveStream()
    source.connect()
    stream = RedisClient(server.url)
    items = stream.queue(["close", "reconnected"])
    with Watchdog(25), Publisher(source, server.url), stream:
        source.bring(rate_of(18, 1.0), rate_of(19, 1.0, 2))
        while stream.state is not ClientState.LIVE:
            pass
        source.lost()
        while stream.state is not ClientState.RECONNECTING:
            pass
        for reason in ("one", "two"):
            source.emit("close", 1006, reason)
        source.emit("reconnected", WsGap(1.0, 2.0, 3, ("instrument:18",)))
        assert [items.get()[0] for _ in range(3)] == ["close", "close", "reconnected"]
        assert stream.state is ClientState.RECONNECTING
        source.live()
        source.emit("reconnected", WsGap(1.0, 2.0, 4, ("instrument:19",)))
        assert items.get()[0] == "reconnected"
        assert stream.state is ClientState.LIVE
        source.emit("close", 1000, "no topics")
        assert items.get()[1] == 1000
        assert stream.state is ClientState.LIVE
    source.disconnect()
