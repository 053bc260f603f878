"""Loops and waits: what may be closed, shared, timed, and begun before the event."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroClosedError,
    EToroError,
    EToroQueueOverflowError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroValidationError,
    Feed,
    MarketStream,
    WsClient,
    WsClientOptions,
    WsFleet,
    WsInstrumentRate,
    WsPrivateEvent,
)
from etoro_sync.stream.core import core_of
from etoro_sync.synchronization import Monitor
from tests.conftest import MakeClient, MakeSimulator
from tests.support.interrupts import every_interrupt
from tests.support.threads import Watchdog, run_in_thread


@pytest.fixture(autouse=True)
def _watched() -> Any:
    with Watchdog(20):
        yield


def quiet() -> MarketStream:
    """Return a stream that brings nothing, until it is ended."""
    return MarketStream(lambda feed: feed.wait(1e6))


def on_demand() -> tuple[MarketStream, Callable[[int], None]]:
    """Return a stream, and what makes it bring an order event."""
    wanted: list[int] = []
    stirs = threading.Semaphore(0)

    def play(feed: Feed) -> None:
        while True:
            while not stirs.acquire(timeout=0.005):
                feed.wait(0)
            feed.emit("private:event", WsPrivateEvent(order_id=wanted.pop(0)))

    def order(number: int) -> None:
        wanted.append(number)
        stirs.release()

    return MarketStream(play), order


# expect() ----------------------------------------------------------------------------------------


def test_what_the_block_brings_about_is_not_missed() -> None:
    """Also where the event has come before the block is left."""
    stream, order = on_demand()
    seen = stream.queue("private:event")
    with stream:
        with stream.expect("private:event", timeout=5) as got:
            order(7)
            assert seen.get().order_id == 7
        assert got.value.order_id == 7


def test_on_the_streams_own_thread_the_block_does_not_begin() -> None:
    """What it does would be done, and could not be waited for."""
    acted: list[int] = []

    def play(feed: Feed) -> None:
        with stream.expect("open", timeout=1):
            acted.append(1)

    stream = MarketStream(play)
    stream.connect()
    with pytest.raises(EToroError, match=r"expect\(\) .*another thread"):
        stream.run_forever()
    assert acted == []


def test_several_events_are_for_queues() -> None:
    """Which is said where they are passed to something else."""
    stream, both = quiet(), ["private:event", "reconnected"]
    for call in (stream.expect, stream.wait_for, stream.on):
        with pytest.raises(EToroValidationError, match=r"Only queue\(\) takes several"):
            call(both)  # type: ignore[operator]


def test_only_what_matches_ends_the_wait() -> None:
    """The predicate gets the event's arguments."""
    stream, order = on_demand()
    with stream:
        with stream.expect("private:event", lambda event: event.order_id == 8, timeout=5) as got:
            order(7)
            order(8)
        assert got.value.order_id == 8


def test_the_event_can_be_waited_for_within_the_block() -> None:
    """The end of the block does not wait for another one."""
    stream, order = on_demand()
    with stream, stream.expect("private:event", timeout=5) as got:
        with pytest.raises(EToroError, match="has come yet"):
            _ = got.value
        order(7)
        assert got.wait() is got.wait() is got.value


def test_nothing_in_time_is_a_timeout_that_counts_from_the_end_of_the_block() -> None:
    """However long the block takes."""
    with quiet() as stream:
        expected = stream.expect("private:event", timeout=0.1)
        began = time.monotonic()
        with (
            pytest.raises(EToroTimeoutError, match=r"'private:event' came within 0\.1 s"),
            expected,
        ):
            time.sleep(0.1)
        assert time.monotonic() - began >= 0.2


def test_an_error_in_the_block_is_not_waited_over() -> None:
    """It leaves at once, as it is."""
    with quiet() as stream:
        expected = stream.expect("private:event")
        with pytest.raises(KeyError, match="mine"), expected:
            raise KeyError("mine")


def test_an_expectation_leaves_no_queue_behind() -> None:
    """Neither behind its block, nor where it never came to one."""
    stream, order = on_demand()
    with stream:
        with stream.expect("private:event", timeout=5):
            order(7)
        assert core_of(stream).registry.queues() == []
        abandoned = stream.expect("private:event").__enter__()
        assert len(core_of(stream).registry.queues()) == 1
        del abandoned
        gc.collect()
        assert core_of(stream).registry.queues() == []
    with pytest.raises(EToroClosedError), stream.expect("private:event"):
        pass
    assert core_of(stream).registry.queues() == []


# stream() ----------------------------------------------------------------------------------------


def test_a_loop_can_be_ended_from_any_thread(simulator: MakeSimulator, client: MakeClient) -> None:
    """It unsubscribes, as when it is left."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    rates = c.stream([18])
    assert next(rates)[0] == 18
    looping = run_in_thread(lambda: list(rates))
    rates.close()
    rates.close()
    looping.result()
    assert list(rates) == []
    sim.wait_until(lambda s: not s.subscribed)
    assert c.subscriptions == ()


def test_several_threads_share_a_loop(simulator: MakeSimulator, client: MakeClient) -> None:
    """One subscribes; each rate goes to one of them."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    rates = c.stream([18])
    taken: list[int] = []

    def take() -> None:
        for _, rate in rates:
            taken.append(int(rate.bid))
            if len(taken) >= 20:
                rates.close()

    workers = [run_in_thread(take) for _ in range(3)]
    sim.wait_until(lambda s: "instrument:18" in s.subscribed)
    for number in range(100, 140):
        sim.publish(18, Bid=str(number), Ask=str(number + 1))
    for worker in workers:
        worker.result()
    numbers = [n for n in taken if n >= 100]
    assert sorted(set(numbers)) == sorted(numbers)
    assert len(taken) >= 20


@pytest.mark.parametrize("kind", [WsClient, WsFleet])
def test_a_loop_that_is_closed_while_it_subscribes_ends_at_once(
    simulator: MakeSimulator, kind: type[WsClient]
) -> None:
    """It waits for no acknowledgement, which may never come, and leaves no topic behind."""
    sim = simulator()
    with kind(WsClientOptions("api", "user", sim.url, request_timeout=1000.0)) as c:
        c.subscribe([19])
        sim.ignore("Subscribe")
        rates = c.stream([18])
        looping = [run_in_thread(lambda: list(rates)) for _ in range(2)]
        sim.wait_until(lambda s: "instrument:18" in str(s.requests))
        rates.close()
        assert [each.result() for each in looping] == [[], []]
        assert c.subscriptions == ("instrument:19",)


@pytest.mark.parametrize("kind", [WsClient, WsFleet])
def test_an_error_of_a_loop_is_raised_in_all_threads_that_share_it(
    simulator: MakeSimulator, kind: type[WsClient]
) -> None:
    """To none of them may it seem that nothing more was to come, now or later."""
    sim = simulator()
    with kind(WsClientOptions("api", "user", sim.url)) as c:
        c.subscribe([19])
        sim.refuse("Subscribe", "InvalidTopics", "none of yours")
        rates = c.stream([18])
        for looping in [run_in_thread(lambda: list(rates)) for _ in range(3)]:
            with pytest.raises(EToroSubscriptionError, match="none of yours"):
                looping.result()
        with pytest.raises(EToroSubscriptionError, match="none of yours"):
            next(rates)
        assert c.subscriptions == ("instrument:19",)
    idle = quiet().stream(18)
    for _ in range(2):
        with pytest.raises(EToroClosedError, match="not connected"):
            next(idle)


def test_a_loop_ends_when_the_client_is_closed_while_it_subscribes(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """As it does later on: that is no error."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    sim.ignore("Subscribe")
    looping = run_in_thread(lambda: list(c.stream([18], timeout=1000.0)))
    sim.wait_until(lambda s: "instrument:18" in str(s.requests))
    c.disconnect()
    assert looping.result() == []


def test_a_loop_that_is_closed_just_before_it_subscribes_leaves_no_topic_behind(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closing thread had nothing to unsubscribe yet."""
    c = client(simulator().url)
    c.connect()
    rates, source = c.stream([18]), core_of(c).source
    hold = source.hold

    def late(*arguments: Any) -> None:
        rates.close()
        hold(*arguments)

    monkeypatch.setattr(source, "hold", late)
    assert list(rates) == []
    assert c.subscriptions == ()


def test_a_loop_that_an_error_has_ended_wants_its_topics_no_longer(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Also while somebody still has it."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    sim.ignore("Subscribe")
    rates = c.stream([18], timeout=0.05)
    with pytest.raises(EToroTimeoutError):
        next(rates)
    assert c.subscriptions == ()


def test_a_loop_goes_on_behind_the_place_where_rates_are_missing(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The error says how many, once."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    rates = c.stream([18], overflow="raise", maxsize=2)
    assert next(rates)[0] == 18
    seen = c.queue("instrument:rate")
    for number in range(100, 105):
        sim.publish(18, Bid=str(number), Ask=str(number + 1))
    assert [seen.get(timeout=5)[1].bid for _ in range(5)][-1] == 104.0
    assert [next(rates)[1].bid for _ in range(2)] == [100.0, 101.0]
    with pytest.raises(EToroQueueOverflowError, match="3 items"):
        next(rates)
    sim.publish(18, Bid="105", Ask="106")
    assert next(rates)[1].bid == 105.0


def test_a_loop_with_other_work_gets_none_when_nothing_comes() -> None:
    """And goes on."""
    with quiet() as stream:
        rates = stream.stream([18], item_timeout=0.01)
        assert [next(rates), next(rates)] == [None, None]
        rates.close()
        assert list(rates) == []


def test_a_loop_that_is_left_unsubscribes_when_nobody_has_it_any_more(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Without close(), as with a generator."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    for instrument_id, _ in c.stream(18):
        assert instrument_id == 18
        break
    gc.collect()
    sim.wait_until(lambda s: not s.subscribed)
    assert c.subscriptions == ()


def test_a_loop_that_was_closed_before_it_began_subscribes_to_nothing(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Closed is closed."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    with c.stream(18) as rates:
        pass
    assert list(rates) == []
    assert c.subscriptions == ()


def test_a_loop_that_is_slow_makes_a_played_source_wait() -> None:
    """Nothing is lost, whatever the size."""

    def play(feed: Feed) -> None:
        feed.rates([(18, WsInstrumentRate(ask=n + 1.0, bid=float(n))) for n in range(1, 6)])

    stream = MarketStream(play)
    rates = stream.stream([18], overflow="raise", maxsize=2)
    with stream:
        assert next(rates)[1].bid == 1.0
        assert [rate.bid for _, rate in rates] == [2.0, 3.0, 4.0, 5.0]


def test_a_full_queue_of_several_events_makes_a_played_source_wait() -> None:
    """As one of a single event does."""
    waiting: list[int] = []

    def play(feed: Feed) -> None:
        for n in range(1, 51):
            waiting.append(events.qsize())
            feed.rates([(18, WsInstrumentRate(ask=n + 1.0, bid=float(n)))])

    stream = MarketStream(play)
    events = stream.queue(["instrument:rate", "private:event"], maxsize=3)
    with stream:
        while events.qsize() < 3:
            time.sleep(0.001)
        assert [rate.bid for _, _, rate in events] == [float(n) for n in range(1, 51)]
    assert max(waiting) == 3


# queues ------------------------------------------------------------------------------------------


def test_a_queue_can_be_iterated_with_a_timeout() -> None:
    """None stands for a step in which nothing came; the end is as ever."""
    stream, order = on_demand()
    seen = stream.queue("private:event")
    with stream:
        order(7)
        items = seen.iterate(timeout=0.05)
        found = [next(items), next(items)]
        assert [getattr(each, "order_id", None) for each in found] == [7, None]
        stream.disconnect()
        assert list(items) == []
    with pytest.raises(EToroValidationError):
        seen.iterate(timeout=-1)


@pytest.mark.parametrize("event", ["private:event", ["private:event", "open"]])
def test_an_iteration_with_a_timeout_raises_what_has_ended_the_stream(event: Any) -> None:
    """It must not seem to be its end."""

    def play(feed: Feed) -> None:
        raise ValueError("broken")

    stream = MarketStream(play)
    items = stream.queue(event).iterate(timeout=5)
    stream.connect()
    with pytest.raises(EToroError, match="broken"):
        list(items)


# run_forever() and connect() ---------------------------------------------------------------------


def test_run_forever_may_be_limited() -> None:
    """The stream goes on; what has ended is known by the answer."""
    with quiet() as stream:
        assert stream.run_forever(timeout=0.01) is False
        assert stream.state is ClientState.LIVE
    assert stream.run_forever(timeout=0.01) is True
    with pytest.raises(EToroValidationError):
        stream.run_forever(timeout="soon")  # type: ignore[arg-type]


def test_a_failure_as_the_time_of_run_forever_is_up_is_raised(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not logged, because a call waits that is to raise it; so that call has to."""
    time_is_up = threading.Event()

    def play(feed: Feed) -> None:
        while not time_is_up.is_set():
            feed.wait(0.001)
        raise ValueError("just then")

    real = Monitor.wait

    def wait(self: Monitor, ready: Callable[[], bool], deadline: float | None) -> bool:
        done = real(self, ready, deadline)
        if not done and threading.get_ident() == me:
            time_is_up.set()
            assert real(self, lambda: stream.state is ClientState.FAILED, None)
        return done

    stream, me = MarketStream(play), threading.get_ident()
    stream.connect()
    monkeypatch.setattr(Monitor, "wait", wait)
    with pytest.raises(EToroError, match="just then"):
        stream.run_forever(timeout=0.01)
    assert time_is_up.is_set()
    assert "just then" not in caplog.text


def test_a_loop_that_is_closed_before_it_begins_subscribes_to_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is over, and its first step does nothing more."""
    held: list[Any] = []
    with quiet() as stream:
        monkeypatch.setattr(
            core_of(stream).source, "hold", lambda *arguments: held.append(arguments)
        )
        loop = stream.stream(18)
        loop.close()
        assert list(loop) == []
    assert held == []


def test_in_a_forked_child_no_wait_begins_for_a_lock_whose_thread_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """fork() copies a lock as it is, and no thread that could release it."""
    with quiet() as stream:
        core, loop = core_of(stream), stream.stream(18)
        items = stream.queue("open").iterate(timeout=5)
        expected, alert = stream.expect("open"), stream.alert(18, lambda crossing: None, above=5)
        with core.registry._lock, monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            with pytest.raises(EToroClosedError):
                next(loop)
            with pytest.raises(EToroClosedError):
                next(items)
            with pytest.raises(EToroClosedError):
                expected.__enter__()
            alert.cancel()


def test_an_expectation_is_for_one_block() -> None:
    """Else the second block would end at once, with the value of the first."""
    stream, order = on_demand()
    with stream:
        expected = stream.expect("private:event", timeout=5)
        with expected:
            order(7)
        with pytest.raises(EToroError, match="one with block"), expected:
            order(8)
        with pytest.raises(EToroError, match="with block"):
            stream.expect("private:event").wait()
        assert expected.value.order_id == 7


@pytest.mark.parametrize(
    "wait",
    [
        lambda stream: stream.wait_for("private:event", timeout=0.001),
        lambda stream: (
            stream.expect("private:event", timeout=0.001).__enter__().__exit__(*[None] * 3)
        ),
        lambda stream: stream.wait_for_order(7, timeout=0.001),
    ],
)
def test_no_ctrl_c_is_lost_in_a_wait_that_ends_in_time(wait: Callable[[MarketStream], Any]) -> None:
    """CPython drops what is raised in a finalizer, so none runs."""

    def waits() -> None:
        with contextlib.suppress(EToroTimeoutError):
            wait(stream)

    with quiet() as stream:
        for where, outcome in every_interrupt(waits):
            assert type(outcome) is KeyboardInterrupt, where
            del outcome
            assert core_of(stream).registry.queues() == [], where


def test_a_wait_ends_in_time_though_events_come_faster_than_they_are_looked_at() -> None:
    """What came in time is looked at, and nothing that comes later."""
    looked: list[float] = []

    def play(feed: Feed) -> None:
        for n in range(1, 400):
            feed.rates([(18, WsInstrumentRate(ask=n + 1.0, bid=float(n)))])
            feed.wait(0.005)
        feed.wait(1e6)

    def slow(instrument_id: int, rate: WsInstrumentRate) -> bool:
        looked.append(rate.bid)
        time.sleep(0.02)
        return False

    with MarketStream(play) as stream, pytest.raises(EToroTimeoutError):
        stream.wait_for("instrument:rate", slow, timeout=0.2)
    assert len(looked) < 300
