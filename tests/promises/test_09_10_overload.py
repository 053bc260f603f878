"""Promises 9 and 10: under overload the last value stays exact and memory stays bounded."""

from __future__ import annotations

import threading
import tracemalloc

import pytest

from etoro_sync import EToroQueueOverflowError
from etoro_sync.models import WsInstrumentRate
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import envelope
from tests.support.peer import Peer


def flood(count: int, instruments: int = 3) -> str:
    """Return frames of one side at a time, so that only merging makes complete rates."""
    texts = []
    for n in range(count):
        side = {"Bid": str(n)} if n // instruments % 2 else {"Ask": str(n + 1)}
        texts.append(envelope(f"instrument:{n % instruments + 1}", side))
    return "\n".join(texts)


def flooding(texts: str, done: str) -> object:
    def script(peer: Peer) -> None:
        peer.accept()
        for text in texts.split("\n"):
            peer.send_text(text)
        peer.send_text(envelope("instrument:999", {"Ask": "2", "Bid": "1"}))
        peer.serve()

    return script


def test_promise_9_deltas_are_merged_before_anything_is_dropped(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A queue of three, unread while 3,000 one-sided messages come, ends at the exact state."""
    server = raw_server(flooding(flood(3000), "999"))
    c = client(server.url)
    q = c.queue("instrument:rate", instrument_ids=[1, 2, 3], maxsize=3)
    last = c.queue("instrument:rate", instrument_ids=[999])
    c.connect()
    last.get(timeout=10)
    waiting = dict(q.get_nowait() for _ in range(q.qsize()))
    # The last messages of instrument i: Ask i + 2995 in the last but one round, then Bid.
    for instrument_id in (1, 2, 3):
        rate = waiting[instrument_id]
        assert rate.bid == 2996 + instrument_id
        assert rate.ask == 2994 + instrument_id
        assert c.rates[instrument_id] == rate
    assert q.delivered + q.dropped + q.conflated + q.qsize() == q.received
    assert q.conflated == q.received - 3


def test_promise_9_order_events_travel_in_a_lossless_lane(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """While rates are shed for a hanging callback, every order event waits for it, in order."""
    sim = simulator()
    c = client(sim.url, callback_queue_size=10)
    release, hanging = threading.Event(), threading.Event()
    orders: list[int | None] = []
    rates: list[float] = []
    done = threading.Event()

    @c.on("open")
    def hang() -> None:
        hanging.set()
        release.wait(20)

    @c.on("private:event")
    def order(event: object) -> None:
        orders.append(event.order_id)  # type: ignore[attr-defined]
        if len(orders) == 200:
            done.set()

    c.on("instrument:rate", lambda instrument_id, rate: rates.append(rate.ask))
    received = c.queue("private:event")
    c.connect()
    c.subscribe([18, "private"])
    assert hanging.wait(5)
    try:
        for n in range(200):
            sim.publish(18, Ask=str(n + 2), Bid="1")
            sim.fill_order(order_id=n, instrument_id=18, units=1.0)
        assert [received.get(timeout=5).order_id for _ in range(200)] == list(range(200))
        stats = c.stats()
        assert stats.callbacks_conflated == 190
        assert stats.callbacks_dropped == stats.callbacks_lost == 0
    finally:
        release.set()
    assert done.wait(5)
    assert orders == list(range(200))
    c.disconnect()
    assert len(rates) <= 10
    assert rates[-1] == 201


def wait_past(seconds: float) -> None:
    """Return when so much time has passed as makes a waiting rate late."""
    threading.Event().wait(seconds * 1.1)


def test_promise_9_a_slow_callback_gets_no_superseded_price_that_is_late(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Then the newest of each instrument, in order; a queue beside it gets every one."""
    sim = simulator()
    c = client(sim.url, conflate_after=0.05)
    release, hanging, done = threading.Event(), threading.Event(), threading.Event()
    heard: list[tuple[int, float]] = []

    @c.on("instrument:rate")
    def slow(instrument_id: int, rate: WsInstrumentRate) -> None:
        heard.append((instrument_id, rate.ask))
        hanging.set()
        release.wait(20)
        if heard[-1] == (20, 109):
            done.set()

    every = c.queue("instrument:rate")
    c.connect()
    c.subscribe([18, 19, 20])
    for n in range(10):
        for key in (18, 19, 20):
            sim.publish(key, Ask=str(100 + n), Bid="1")
    assert [every.get(timeout=5)[1].ask for _ in range(30)] == [
        n for n in range(100, 110) for _ in "123"
    ]
    assert hanging.wait(5)
    wait_past(0.05)
    assert c.stats().callbacks_lag > 0.05
    release.set()
    assert done.wait(5)
    assert heard == [(18, 100), (18, 109), (19, 109), (20, 109)]
    assert c.stats().callbacks_conflated == 26
    assert (every.conflated, every.dropped) == (0, 0)


def test_promise_9_a_stream_that_lags_gets_no_superseded_price_that_is_late(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Unless its policy says that each rate counts."""
    sim = simulator()
    c = client(sim.url, conflate_after=0.05)
    c.connect()
    received = c.queue("instrument:rate")
    lagging, patient = c.stream([18]), c.stream([18], overflow="drop_oldest")
    for stream in (lagging, patient):
        next(stream)  # of the snapshot
    for n in range(10):
        sim.publish(18, Ask=str(100 + n), Bid="1")
    while received.get(timeout=5)[1].ask != 109:
        pass
    wait_past(0.05)
    assert next(lagging)[1].ask == 109
    assert [next(patient)[1].ask for _ in range(10)] == list(range(100, 110))


def test_promise_9_an_order_overtakes_the_prices_that_wait_for_a_callback(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """It comes as soon as the running callback returns; a connection event keeps its place."""
    sim = simulator()
    c = client(sim.url, conflate_after=None, reconnect_delay=0.0)
    release, hanging, done = threading.Event(), threading.Event(), threading.Event()
    heard: list[str] = []

    @c.on("instrument:rate")
    def slow(instrument_id: int, rate: WsInstrumentRate) -> None:
        heard.append("rate")
        hanging.set()
        release.wait(20)

    c.on("private:event", lambda event: heard.append("order"))
    c.on("close", lambda code, reason: heard.append("close"))
    c.on("reconnected", lambda gap: done.set())
    received, back = c.queue("private:event"), c.queue("reconnected")
    rates = c.queue("instrument:rate")
    c.connect()
    c.subscribe([18, "private"])
    for n in range(20):
        sim.publish(18, Ask=str(100 + n), Bid="1")
    while rates.get(timeout=5)[1].ask != 119:
        pass
    assert hanging.wait(5)
    sim.drop()
    back.get(timeout=5)
    sim.fill_order(instrument_id=18, units=1.0)
    assert received.get(timeout=5).generation == 2
    release.set()
    assert done.wait(5)
    assert heard[:22] == ["rate", "order", *["rate"] * 19, "close"]


def test_promise_9_a_consumer_that_lags_gets_the_last_rate_of_each_instrument(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Even of one that changed once, before a flood of others."""
    sim = simulator()
    c = client(sim.url, callback_queue_size=10)
    release, hanging, done = threading.Event(), threading.Event(), threading.Event()
    heard: dict[int, tuple[float, float]] = {}

    @c.on("open")
    def hang() -> None:
        hanging.set()
        release.wait(20)

    @c.on("instrument:rate")
    def rate(instrument_id: int, rate: WsInstrumentRate) -> None:
        heard[instrument_id] = (rate.bid, rate.ask)
        if rate.bid == 1000:
            done.set()

    q = c.queue("instrument:rate", maxsize=10)
    end = c.queue("instrument:rate", instrument_ids=[10])
    c.connect()
    assert hanging.wait(5)
    try:
        c.subscribe(range(1, 11))
        sim.publish(1, Ask="2", Bid="1")
        for number in range(2, 200):
            sim.publish(2 + number // 3 % 9, Ask=str(number + 1), Bid=str(number))
        sim.publish(10, Ask="1001", Bid="1000")
        while end.get(timeout=5)[1].bid != 1000:
            pass
        read = {id_: (rate.bid, rate.ask) for id_, rate in (q.get_nowait() for _ in range(10))}
        assert read == {id_: (rate.bid, rate.ask) for id_, rate in c.rates.items()}
        assert (len(read), read[1]) == (10, (1.0, 2.0))
    finally:
        release.set()
    assert done.wait(5)
    assert heard == read


@pytest.mark.parametrize("overflow", ["conflate", "drop_oldest", "drop_newest", "raise"])
def test_promise_10_every_queue_accounts_for_every_item(
    simulator: MakeSimulator, client: MakeClient, overflow: str
) -> None:
    """delivered + dropped + conflated + waiting = received, whatever gives way."""
    sim = simulator()
    c = client(sim.url)
    q = c.queue("instrument:rate", maxsize=5, overflow=overflow)
    end = c.queue("instrument:delta", instrument_ids=[99])
    c.connect()
    c.subscribe([1, 2, 99])

    def publish(first: int) -> None:
        for n in range(first, first + 20):
            sim.publish(1 + n % 2, Ask=str(n + 2), Bid="1")
        sim.heartbeat(99)
        end.get(timeout=5)

    publish(0)
    assert q.received == 20
    assert q.qsize() == 5
    got = [q.get(timeout=1)[1].ask for _ in range(3)]
    publish(20)
    lost = 0
    while True:
        try:
            got.append(q.get_nowait()[1].ask)
        except EToroQueueOverflowError as exc:
            lost += exc.lost
        except Exception:
            break
    assert q.received == 40
    assert q.delivered == len(got)
    assert q.delivered + q.dropped + q.conflated + q.qsize() == q.received
    if overflow == "raise":
        assert lost == q.dropped == 40 - len(got)
    if overflow == "conflate":
        assert q.dropped == 0
    if overflow in ("conflate", "drop_oldest"):
        # The last values of both instruments are exact.
        assert {40, 41} <= set(got[-2:])
    for parity in (0, 1):
        # Order is kept within an instrument.
        own = [ask for ask in got if ask % 2 == parity]
        assert own == sorted(own)


def test_promise_10_a_queue_that_overflows_says_where_and_goes_on(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The error stands at the place of the loss; what came before and after is delivered."""
    sim = simulator()
    c = client(sim.url)
    q = c.queue("private:event", maxsize=2)
    everything = c.queue("private:event")
    c.connect()
    c.subscribe("private")
    for n in range(5):
        sim.fill_order(order_id=n, instrument_id=18, units=1.0)
    for _ in range(5):
        everything.get(timeout=5)
    assert [q.get().order_id, q.get().order_id] == [0, 1]
    with pytest.raises(EToroQueueOverflowError, match="3 items of the queue of 'private:event'"):
        q.get()
    sim.fill_order(order_id=9, instrument_id=18, units=1.0)
    assert q.get(timeout=5).order_id == 9


def test_promise_10_memory_is_bounded_while_callbacks_hang(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Thousands of messages against a hanging callback do not grow with their number."""
    round_ = [envelope(f"instrument:{i}", {"Ask": "2", "Bid": "1"}) for i in range(1, 51)] * 10
    last = envelope("instrument:999", {"Ask": "2", "Bid": "1"})
    go = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        for _ in range(3):
            for text in round_:
                peer.send_text(text)
        peer.send_text(last)
        peer.wait(go)
        for _ in range(10):
            for text in round_:
                peer.send_text(text)
        peer.send_text(last)
        peer.serve()

    c = client(raw_server(script).url, callback_queue_size=500)
    release = threading.Event()
    c.on("open", lambda: release.wait(30))
    for event in ("instrument:rate", "instrument:delta", "message"):
        c.on(event, lambda *args: None)
    end = c.queue("instrument:rate", instrument_ids=[999])
    # Begun before all is full, so that what is replaced later counts on both sides.
    tracemalloc.start()
    c.connect()
    try:
        end.get(timeout=30)
        before = tracemalloc.get_traced_memory()[0]
        go.set()
        end.get(timeout=30)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert grown < 1_000_000
        stats = c.stats()
        assert stats.callbacks_waiting <= 1002
        assert stats.callbacks_dropped + stats.callbacks_conflated > 15_000
    finally:
        release.set()
