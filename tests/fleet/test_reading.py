"""What reads a fleet: statistics, orders, tables, candles, and what keeps it alive."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from etoro_sync import (
    Candles,
    ClientState,
    Crossing,
    EToroClosedError,
    EToroTimeoutError,
    OrderStatus,
    OrderStore,
)
from etoro_sync.fleet.stats import merged, oldest
from etoro_sync.stats import Counters
from tests.conftest import MakeSimulator
from tests.support.clients import Ear, make_fleet
from tests.support.threads import join_stragglers, run_in_thread

from .conftest import MakeFleet
from .tools import bids, cut, instruments, publish

TOPICS = [*instruments(1, 2, 3, 4, 5, 6, 7), "private"]


def test_figures_are_those_of_all_connections(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """Sums, also of connections that have ended; ages are of the last message and the last byte."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe(TOPICS, snapshot=True)
    rates, calls = f.queue("instrument:rate"), threading.Semaphore(0)
    f.on("instrument:rate", lambda key, rate: calls.release())
    assert f.stats().connected_age is None
    f.connect()
    bids(rates, 7)
    sim.fill_order(1)
    with f.expect("private:event", timeout=10):
        sim.fill_order(2)
    for _ in range(7):
        assert calls.acquire(timeout=10)
    f.unsubscribe([1, 2, 3])
    sim.wait_until(lambda s: len(s.clients) == 2)
    stats = f.stats()
    assert (stats.rates, stats.messages, stats.private_events) == (7, 9, 2)
    assert (stats.connections, stats.connect_attempts, stats.reconnects) == (3, 3, 0)
    assert stats.bytes > 1000
    assert stats.callbacks >= 7
    assert stats.last_message_age is not None
    assert stats.last_byte_age is not None
    assert stats.connected_age is not None
    assert stats.reader_delay is not None
    assert stats.reader_delay < 5
    f.disconnect()
    assert f.stats().rates == 7
    assert f.stats().last_byte_age is None


def test_times_are_the_latest_and_silences_the_worst() -> None:
    """A connection that is silent must not hide behind one that speaks."""
    one, other = Counters(), Counters()
    one.rates, other.rates = 2, 3
    one.last_message_at, other.last_pong_at, other.connected_at = 5.0, 7.0, 9.0
    total = merged([one, other])
    assert (total.rates, total.last_message_at) == (5, 5.0)
    assert (total.last_pong_at, total.connected_at) == (7.0, 9.0)
    assert oldest([(1.0, 0.0), (None, 3.0), (2.0, None)]) == (2.0, 3.0)
    assert oldest([]) == (None, None)


def test_a_gap_of_another_connection_is_none_of_orders(
    simulator: MakeSimulator, fleet: MakeFleet, tmp_path: Path
) -> None:
    """No order event can have been lost; a gap of their own connection counts."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    with OrderStore(tmp_path / "orders.db").attach(f):
        f.subscribe(TOPICS)
        f.connect()
        sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
        with f.order_updates(5) as updates:
            cut(sim, "instrument:1")
            ear.wait_for("reconnected")
            sim.fill_order(5, status_id=OrderStatus.WAITING_FOR_MARKET)
            next(updates)
            assert updates.gaps == []
            cut(sim, "private")
            gaps = ear.wait_for("reconnected", 2)
            sim.fill_order(5)
            assert next(updates).status is OrderStatus.FILLED
            assert updates.gaps == [gap for gap in gaps if "private" in gap.topics]
        f.disconnect()
    with OrderStore(tmp_path / "orders.db") as store:
        assert [gap.generation for gap in store.gaps()] == [gap.generation for gap in updates.gaps]


def test_a_table_shows_whose_prices_are_old(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """Those of the lost connection, and no others, although all have different numbers."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe(TOPICS, snapshot=True)
    rates = f.queue("instrument:rate")
    f.connect()
    bids(rates, 7)
    table = f.live()
    cells = table.widget.get_state()["snapshot"]["rows"]
    assert {key for key, row in cells.items() if row["old"]} == set()
    ear = Ear(f)
    with sim.fault("refuse"):
        cut(sim, "instrument:4")
        ear.wait_for("reconnecting")
        table.update()
        cells = table.widget.get_state()["snapshot"]["rows"]
        assert {key for key, row in cells.items() if row["old"]} == {"4", "5", "6"}
    table.close()


def test_bars_say_that_something_is_missing_of_the_lost_connection_alone(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Also when two are lost at a time, and the first to be back is not the last."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    candles = Candles(f, "1m", timer=None, grace=0.0)
    f.subscribe(instruments(*range(1, 10)))
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == 9)
    with candles.queue() as bars:
        ticks = f.queue("instrument:rate")

        def tick(time: str, *keys: int) -> None:
            for key in keys:
                sim.publish(key, stamp=False, Bid="5", Ask="6", Date=f"2026-03-16T{time}.0000000Z")
            # Also snapshots come.
            waiting = {*keys}
            while waiting:
                key, rate = ticks.get(timeout=10)
                waiting -= {key} if time in rate.date else set()

        def with_gap(count: int) -> set[int]:
            found = [bars.get(timeout=10) for _ in range(count)]
            assert {bar.instrument_id for bar in found} == {*range(1, 10)}
            return {bar.instrument_id for bar in found if bar.gap}

        tick("12:00:10", *range(1, 10))
        with sim.fault("refuse"):
            cut(sim, "instrument:4")
            cut(sim, "instrument:7")
            ear.wait_for("reconnecting", 2)
            tick("12:00:30", 1, 2, 3)
            # Bars of the lost ones are closed by the dates of the others.
            tick("12:01:10", 1, 2, 3)
            assert with_gap(9) == {4, 5, 6, 7, 8, 9}
        ear.wait_for("reconnected", 2)
        tick("12:01:50", *range(1, 10))
        tick("12:02:10", *range(1, 10))
        assert with_gap(9) == {4, 5, 6, 7, 8, 9}
        tick("12:03:10", *range(1, 10))
        assert with_gap(9) == set()


def test_promise_13_a_fleet_that_nobody_uses_is_collected(
    simulator: MakeSimulator, small: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connections end, and one warning says so where it had callbacks."""
    sim = simulator()
    f = make_fleet(sim.url)
    f.subscribe(TOPICS)
    f.on("error", lambda error: None)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    del f
    gc.collect()
    sim.wait_until(lambda s: s.clients == [])
    assert join_stragglers(prefix="etoro-sync") == []
    assert sum("nothing refers to it" in record.message for record in caplog.records) == 1


def test_a_queue_keeps_it_alive(simulator: MakeSimulator, small: None) -> None:
    """So that a function may make a fleet and return only a queue of it."""
    sim = simulator()

    def only_a_queue() -> object:
        f = make_fleet(sim.url)
        f.subscribe(TOPICS, snapshot=True)
        rates = f.queue("instrument:rate")
        f.connect()
        return rates

    rates = only_a_queue()
    gc.collect()
    assert {key for key, _ in bids(rates, 7)} == {*range(1, 8)}
    publish(sim, 7, 50)
    assert bids(rates, 1) == [(7, 50)]
    del rates
    gc.collect()
    sim.wait_until(lambda s: s.clients == [])
    assert join_stragglers(prefix="etoro-sync") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_a_closed_fleet(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """It uses none of the parent's connections, and neither ends nor reads them."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe(TOPICS)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    child = os.fork()
    if not child:
        code = 1
        try:
            f.disconnect()
            assert f.state is ClientState.CLOSED
            assert not f.is_connected
            with pytest.raises(EToroClosedError):
                f.subscribe([9])
            with pytest.raises(EToroClosedError):
                f.connections  # noqa: B018
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    f.subscribe([9])
    assert len(sim.clients) == 3


def test_promise_13_the_program_ends_with_a_fleet_that_is_connected(
    simulator: MakeSimulator, small: None
) -> None:
    """All connections at a time, as those of clients do."""
    from etoro_sync.ws.session import session as module

    sim = simulator()
    f = make_fleet(sim.url)
    f.subscribe(TOPICS)
    orders = f.queue("private:event")
    f.connect()
    waiting = run_in_thread(orders.get)
    module._end_all()
    assert isinstance(waiting.exception(), EToroClosedError)
    sim.wait_until(lambda s: s.clients == [])
    assert join_stragglers(prefix="etoro-sync") == []
    assert f.state is ClientState.CLOSED


def test_an_alert_is_across_a_gap_only_if_its_own_connection_was_lost(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """What the others go through does not concern its price."""
    sim = simulator()
    f = fleet(sim.url)
    ear, crossed, seen = Ear(f), threading.Semaphore(0), []

    def note(crossing: Crossing) -> None:
        seen.append(crossing)
        crossed.release()

    f.subscribe(TOPICS)
    f.alert(1, note, above=100, below=50)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    publish(sim, 1, 70)
    ear.wait_for("instrument:rate")
    cut(sim, "instrument:4")
    ear.wait_for("reconnected")
    publish(sim, 1, 100)
    assert crossed.acquire(timeout=10)
    with sim.fault("refuse"):
        cut(sim, "instrument:1")
        publish(sim, 1, 40)
    assert crossed.acquire(timeout=10)
    assert [(each.direction, each.across_gap) for each in seen] == [
        ("above", False),
        ("below", True),
    ]


def test_a_wait_for_an_order_in_an_outage_of_another_connection_has_no_gap(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """That of its own connection counts before it has ended."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    gaps = []
    with sim.fault("refuse"):
        for number, topic in enumerate(("instrument:1", "private"), 1):
            cut(sim, topic)
            ear.wait(lambda e, number=number: len(e.of("close")) >= number)
            with pytest.raises(EToroTimeoutError) as caught:
                f.wait_for_order(5, timeout=0)
            gaps.append([gap.topics for gap in caught.value.gaps])
    assert gaps == [[], [("private",)]]
