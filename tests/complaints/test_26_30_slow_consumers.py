"""Complaints 26 to 30: slow consumers that cost the stream, the memory, or the freshness."""

from __future__ import annotations

import gc
import itertools
import json
import logging
import queue
import threading
import time
import tracemalloc
from typing import Any

import pytest

from etoro_sync import EVENTS, ClientState, EToroQueueOverflowError, EventQueue, WsInstrumentRate
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope
from tests.support.frames import PING, PONG, TEXT, frame
from tests.support.peer import Peer
from tests.support.threads import Watchdog

PRICE = {"Ask": "2", "Bid": "1"}
POLICIES = ["conflate", "drop_oldest", "drop_newest", "raise"]


def accounted(q: EventQueue) -> bool:
    return q.delivered + q.dropped + q.conflated + q.qsize() == q.received


@pytest.mark.parametrize("overflow", POLICIES)
def test_complaint_26_a_queue_overflow_ends_the_stream(
    simulator: MakeSimulator, client: MakeClient, overflow: str
) -> None:
    """A consumer ten times too slow costs what its policy says, counted, and never the stream."""
    sim = simulator()
    c = client(sim.url)
    q = c.queue("instrument:rate", instrument_ids=range(1, 6), maxsize=20, overflow=overflow)
    marks = c.queue("instrument:delta", instrument_ids=[99])
    c.connect()
    c.subscribe([*range(1, 6), 99])
    seen: list[tuple[int, float]] = []
    lost = sent = 0

    def consume(most: int) -> int:
        missing = 0
        for _ in range(most):
            try:
                instrument_id, rate = q.get_nowait()
                seen.append((instrument_id, rate.ask))
            except EToroQueueOverflowError as exc:
                missing += exc.lost
        return missing

    for _ in range(40):
        for _ in range(100):
            sent += 1
            sim.publish(1 + sent % 5, Ask=str(sent + 1), Bid="1")
        sim.heartbeat(99)
        marks.get(timeout=5)
        assert q.qsize() <= 20
        lost += consume(10)
    while not q.empty():
        lost += consume(1)
    assert q.received == sent == 4000
    assert accounted(q)
    assert len(seen) == q.delivered
    assert q.delivered >= 300
    assert lost == (q.dropped if overflow == "raise" else 0)
    assert (q.conflated > 0) == (overflow == "conflate")
    for instrument_id in range(1, 6):
        asks = [ask for i, ask in seen if i == instrument_id]
        assert asks == sorted(set(asks))
        if overflow in ("conflate", "drop_oldest"):
            assert asks[-1] == c.rates[instrument_id].ask >= 4001 - 5
    assert (c.generation, c.state) == (1, ClientState.LIVE)


def eventful(peer: Peer) -> None:
    """Send six of everything, and vanish; the last connection stays."""
    peer.accept()
    peer.acknowledge()
    for n in range(6):
        peer.send_text(envelope("instrument:18", {"Ask": str(n + 2), "Bid": "1"}, "Snapshot"))
        peer.send_text(envelope("private", {"OrderID": n}, "Trading.New"))
        peer.send_text(envelope("news", {}, "News"))
        peer.send_text("no JSON")
    if peer.index < 6:
        peer.reset()
    else:
        peer.serve()


@pytest.mark.parametrize("maxsize", [1, 3])
def test_complaint_27_the_users_limit_is_ignored_on_one_path(
    raw_server: StartServer, client: MakeClient, maxsize: int
) -> None:
    """A queue of any event, with any policy, with a filter or without, keeps to its `maxsize`."""
    c = client(raw_server(eventful).url, stale_after=0.1)
    queues: list[EventQueue] = []
    for event, overflow in itertools.product(EVENTS, POLICIES):
        if overflow == "conflate" and event != "instrument:rate":
            continue
        limits: dict[str, Any] = {"maxsize": maxsize, "overflow": overflow}
        queues.append(c.queue(event, **limits))
        if event in ("instrument:rate", "instrument:delta"):
            queues.append(c.queue(event, instrument_ids=[18, 19], **limits))
        if event == "stale":
            queues.append(c.queue(event, instrument_ids=range(101, 110), **limits))
    stale = c.queue("stale")
    c.subscribe([18, *range(101, 107)], snapshot=True)
    c.connect()
    # The last that happens: seven silences on a connection that stays.
    for _ in range(7):
        stale.get(timeout=10)
    with pytest.raises(queue.Empty):
        # Whoever was named last was told to the queues one after the other.
        stale.get(timeout=0.05)
    for q in queues:
        assert q.received >= 6, q.event
        assert q.qsize() == maxsize, q.event
        assert accounted(q), q.event
        assert q.dropped + q.conflated == q.received - maxsize, q.event


def test_complaint_27_the_limits_of_streams_and_callbacks_hold_too(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """`stream(maxsize=...)` and `callback_queue_size` bound what waits behind a busy consumer."""
    sim = simulator()
    c = client(sim.url, callback_queue_size=4)
    release, hanging = threading.Event(), threading.Event()
    heard: list[float] = []

    @c.on("instrument:rate")
    def hang(instrument_id: int, rate: WsInstrumentRate) -> None:
        heard.append(rate.ask)
        hanging.set()
        release.wait(10)

    c.connect()
    # It says whose delta is read, for the deltas come in the order of the rates.
    all_read = c.queue("instrument:delta", overflow="drop_oldest")
    stream = c.stream([18], maxsize=3, overflow="drop_oldest")
    first = next(stream)[1].ask
    assert hanging.wait(5)
    try:
        for n in range(20):
            sim.publish(18, Ask=str(n + 10_000), Bid="1")
        while all_read.get(timeout=5)[1].ask != 10_019:
            pass
        assert c.stats().callbacks_waiting <= 4
        assert [next(stream)[1].ask for _ in range(3)] == [10_017, 10_018, 10_019]
    finally:
        release.set()
        stream.close()  # type: ignore[attr-defined]
    sim.wait_until(lambda s: not s.subscribed)
    c.disconnect()
    assert heard[0] == first
    assert len(heard) <= 5


def test_complaint_28_prices_arrive_late_and_then_the_server_hangs_up(
    raw_server: StartServer, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A consumer that lags can see it: by its lag, sizes, counters, and one line in the log.

    The server cannot.
    """
    told = threading.Event()
    block = b"".join(
        frame(TEXT, envelope(f"instrument:{n % 7 + 1}", {"Ask": str(n + 2), "Bid": "1"}).encode())
        for n in range(7_000)
    )

    def impatient(peer: Peer) -> None:
        """Hang up on a client that does not take a megabyte in time."""
        peer.accept()
        peer.wait(told)
        peer.timeout = 5
        peer.send(block)
        peer.send_text(envelope("instrument:99", PRICE))
        peer.serve()

    # However long the megabyte takes, no rate is skipped for its age.
    url = raw_server(impatient, send_buffer=4096).url
    c = client(url, callback_queue_size=100, conflate_after=60.0)
    release, done, hanging = threading.Event(), threading.Event(), threading.Event()
    ages: list[float] = []
    last: dict[int, float] = {}

    @c.once("open")
    def hang() -> None:
        hanging.set()
        release.wait(20)

    @c.on("instrument:rate")
    def measure(instrument_id: int, rate: WsInstrumentRate) -> None:
        ages.append(time.time() - rate.received_at)
        last[instrument_id] = rate.ask
        if instrument_id == 99:
            done.set()

    q = c.queue("instrument:rate", instrument_ids=range(1, 8), maxsize=50)
    end = c.queue("instrument:rate", instrument_ids=[99])
    c.connect()
    assert hanging.wait(5)
    assert c.stats().callbacks_waiting <= 2
    told.set()
    _, final = end.get(timeout=20)
    # All is read, while the callback of `open` still hangs: what waits is few, and counted.
    all_read = time.time()
    stats = c.stats()
    assert stats.rates == 7_001
    assert 100 <= stats.callbacks_waiting <= 103
    assert stats.callbacks_conflated == 7_001 - 100 - stats.callbacks_dropped
    assert (q.qsize(), q.conflated) == (50, 6_950)
    # The age of what waits can be told at any time: it is when it was read from the socket.
    assert final.received_at <= all_read
    time.sleep(0.2)
    assert c.stats().callbacks_lag >= 0.2
    assert q.lag >= 0.2
    release.set()
    assert done.wait(5)
    assert len(ages) == 100
    assert min(ages) >= 0.2
    assert last == {n % 7 + 1: n + 2.0 for n in range(6_993, 7_000)} | {99: 2.0}
    assert c.generation == 1
    # Of thousands that gave way each consumer is warned of once, until the next minute.
    warnings = [r.getMessage().split(" ")[:2] for r in caplog.records if r.levelname == "WARNING"]
    assert sorted(warnings) == [["A", "queue"], ["The", "callbacks"]]


@pytest.mark.heavy
# Work for a whole processor, which the tests that run at the same time want as well.
@pytest.mark.timeout(90)
def test_complaint_29_memory_grows_for_days(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounds of messages, nonsense, errors and losses leave no more behind than the first two."""
    rounds = 7
    # The test run keeps what is logged.
    monkeypatch.setattr(logging.getLogger("etoro_sync"), "propagate", False)
    go = [threading.Event() for _ in range(rounds)]

    def one_round(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        number = peer.index
        peer.wait(go[min(number, rounds - 1)])
        texts = []
        # The first one is three times as long, and fills what is kept of the last thousand orders.
        for which in range((number + 2) * 400 if number else 0, (number + 3) * 400):
            texts += [
                envelope(f"instrument:{which % 50 + 1}", {"Ask": "2", "Bid": str(which + 1)}),
                envelope("private", {"OrderID": which}, f"Trading.New{which}"),
                envelope(f"topic {which}", {}, f"type {which}"),
                f"nonsense {which}",
                json.dumps({"success": False, "errorCode": f"Code{which}", "id": str(which)}),
            ]
        texts.append(envelope("instrument:99", PRICE))
        peer.send(b"".join(frame(TEXT, text.encode()) for text in texts))
        if number < rounds - 1:
            # Not a reset, which would take back what is still on its way.
            peer.send_close(1012)
        peer.serve()

    c = client(raw_server(one_round).url, callback_queue_size=10)
    queues = []
    for event in EVENTS:
        c.on(event, lambda *arguments, event=event: 1 / 0 if event == "private:event" else None)
        queues.append(c.queue(event, maxsize=5, overflow="drop_oldest"))
    ends = threading.Semaphore(0)
    c.on("instrument:rate", lambda *arguments: ends.release(), instrument_id=99)
    gaps = c.queue("reconnected")
    c.subscribe(range(1, 51))
    c.connect()

    def kept_after(number: int) -> int:
        go[number].set()
        # Callbacks run in order, so this one is the last of its round.
        assert ends.acquire(timeout=60)
        if number < rounds - 1:
            gaps.get(timeout=30)
        gc.collect()
        only = tracemalloc.Filter(True, "*/etoro_sync/*")
        return sum(t.size for t in tracemalloc.take_snapshot().filter_traces([only]).traces)

    tracemalloc.start()
    try:
        with Watchdog(80):
            sizes = [kept_after(number) for number in range(rounds)]
    finally:
        tracemalloc.stop()
    assert c.stats().bad_messages == (rounds + 2) * 400
    assert c.stats().reconnects == rounds - 1
    # What happens to wait, and what the last read has brought, differs: hence the least of three.
    # An object for each message of one kind would be 67 kB in three rounds.
    assert min(sizes[4:]) - min(sizes[1:4]) < 60_000, sizes


def test_complaint_30_work_in_a_callback_starves_keepalive(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A callback five times as slow as the ping timeout costs no ping, and no connection."""
    hanging, release = threading.Event(), threading.Event()
    answered: list[float] = []

    def strict(peer: Peer) -> None:
        """Ping all the time, and hang up as soon as an answer is late."""
        peer.accept()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.wait(hanging)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            peer.send_ping(b"%d" % len(answered))
            sent = time.monotonic()
            while (got := peer.read_frame(timeout=5)) != (PONG, b"%d" % len(answered)):
                # The client's own pings stay without an answer other than ours.
                assert got[0] == PING
            answered.append(time.monotonic() - sent)
            peer.pause(0.02)
        release.set()
        peer.serve()

    server = raw_server(strict)
    c = client(server.url, heartbeat_interval=0.1, heartbeat_timeout=0.1)

    @c.on("instrument:rate")
    def work(instrument_id: int, rate: WsInstrumentRate) -> None:
        hanging.set()
        release.wait(20)

    ear = Ear(c)
    c.connect()
    assert release.wait(20)
    ear.wait_for("instrument:rate")
    assert len(answered) >= 5
    # The time of a busy machine, and not the second for which the callback hung.
    assert sorted(answered)[len(answered) // 2] < 0.2
    assert (server.connections, c.generation) == (1, 1)
    assert "close" not in ear.names()
