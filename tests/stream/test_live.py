"""A live source is played by a function, and waits for its readers as little as a connection."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroClosedError,
    EToroError,
    EToroTimeoutError,
    EToroWebSocketError,
    MarketStream,
    WsGap,
    WsInstrumentRate,
    WsPrivateEvent,
    synchronization,
)
from etoro_sync.delivery.registry import Registry
from etoro_sync.events import EVENTS
from etoro_sync.stats import Counters
from etoro_sync.stream.core import StreamCore, core_of, equip
from etoro_sync.stream.live import LiveFeed, LiveSource
from tests.support.threads import Watchdog, run_in_thread


@pytest.fixture(autouse=True)
def _no_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is woken, and does not find out by itself after a second."""
    monkeypatch.setattr(synchronization, "_SLICE", 60.0)


class Live(MarketStream):
    """What the library's own live streams do."""

    def __init__(self, play: Callable[[LiveFeed], None], ids: Any = None) -> None:
        registry, counters = Registry(EVENTS), Counters()
        source = LiveSource(play, registry, counters, "test", ids)
        equip(self, StreamCore(registry, counters, source))


def state_of(key: int, ask: float, generation: int = 1) -> tuple[int, dict[str, Any]]:
    rate = WsInstrumentRate(ask, 1.0, 0.0, "d", 5, instrument_id=key, generation=generation)
    return key, dict(vars(rate))


def own_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("etoro-sync")]


class Script:
    """A play function whose steps come from the test."""

    def __init__(self) -> None:
        self.steps: list[Callable[[LiveFeed], object]] = [lambda feed: feed.live()]
        self.more = threading.Semaphore(1)
        self.done = threading.Semaphore(0)

    def __call__(self, feed: LiveFeed) -> None:
        stopped = threading.Event()

        def stop() -> None:
            stopped.set()
            self.more.release()

        feed.on_stop(stop)
        while True:
            self.more.acquire()
            if stopped.is_set():
                feed.wait(0)
            self.steps.pop(0)(feed)
            self.done.release()

    def do(self, *steps: Callable[[LiveFeed], object]) -> None:
        """Let the source's thread take steps, and wait until it has."""
        for step in steps:
            self.steps.append(step)
            self.more.release()
            assert self.done.acquire(timeout=10)


@pytest.fixture
def script() -> Any:
    with Watchdog(20):
        yield Script()


def test_it_goes_on_without_listeners_and_past_full_queues(script: Script) -> None:
    """What is too much is conflated or dropped as a connection's, and counted."""
    with Live(script) as stream:
        assert script.done.acquire(timeout=10)
        script.do(lambda feed: feed.states([state_of(18, 2.0)]))
        assert stream.rates[18].ask == 2.0
        rates = stream.queue("instrument:rate", maxsize=2)
        oldest_go = stream.queue("instrument:rate", maxsize=2, overflow="drop_oldest")
        for n in range(5):
            script.do(lambda feed, n=n: feed.states([state_of(18 + n % 2, float(n))]))
        assert {(key, rate.ask) for key, rate in (rates.get(), rates.get())} == {
            (19, 3.0),
            (18, 4.0),
        }
        assert (rates.received, rates.delivered, rates.conflated) == (5, 2, 3)
        assert (oldest_go.dropped, oldest_go.qsize()) == (3, 2)
        assert stream.stats().rates == 6


def test_a_callback_that_hangs_does_not_stop_it(script: Script) -> None:
    """Its lane conflates, orders overtake, and the end is not put off."""
    hangs, goes_on, seen = threading.Event(), threading.Event(), []
    stream = Live(script)

    @stream.on("instrument:rate")
    def note(instrument_id: int, rate: Any) -> None:
        seen.append(rate.ask)
        hangs.set()
        goes_on.wait(10)

    stream.connect()
    assert script.done.acquire(timeout=10)
    script.do(lambda feed: feed.states([state_of(18, 1.0)]))
    assert hangs.wait(10)
    for n in range(40_000):
        if n % 1000 == 0:
            script.do(lambda feed, n=n: feed.states(state_of(18, float(n + i)) for i in range(999)))
    script.do(lambda feed: feed.emit("error", KeyError("mine")))
    assert stream.stats().callbacks_waiting <= 20_001
    failing = run_in_thread(stream.run_forever)

    def fail(feed: LiveFeed) -> None:
        raise OSError("gone")

    script.steps.append(fail)
    script.more.release()
    assert isinstance(failing.exception(), EToroError)
    assert stream.state is ClientState.FAILED
    goes_on.set()
    stream.disconnect()
    assert seen[0] == 1.0


def test_connect_waits_until_the_function_is_connected() -> None:
    """The state says so before and after, too."""
    goes_on, states = threading.Event(), []

    def play(feed: LiveFeed) -> None:
        states.append(stream.state)
        goes_on.wait(10)
        feed.live()
        feed.wait(1000)

    stream = Live(play)
    with Watchdog(20):
        connecting = run_in_thread(stream.connect)
        while not states:
            pass
        assert stream.state is ClientState.CONNECTING
        with pytest.raises(EToroWebSocketError, match="already"):
            stream.connect()
        goes_on.set()
        assert connecting.result() is None
        assert stream.state is ClientState.LIVE
        stream.disconnect()
    assert states == [ClientState.CONNECTING]


def test_connect_raises_what_the_function_has_raised_before() -> None:
    """And the stream can be connected again."""
    attempts = []

    def play(feed: LiveFeed) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise EToroWebSocketError("nobody listens there")
        feed.live()
        feed.wait(1000)

    stream = Live(play)
    with Watchdog(20):
        with pytest.raises(EToroWebSocketError, match="nobody listens there"):
            stream.connect()
        assert stream.state is ClientState.FAILED
        with stream:
            assert stream.state is ClientState.LIVE


def test_promise_2_connect_ends_in_time_or_by_disconnect() -> None:
    """Whatever the function waits for; its thread ends by the function's own way out."""
    inside = threading.Semaphore(0)

    def play(feed: LiveFeed) -> None:
        stopped = threading.Event()
        feed.on_stop(stopped.set)
        inside.release()
        stopped.wait(30)
        feed.wait(0)

    stream = Live(play)
    with Watchdog(20):
        with pytest.raises(EToroTimeoutError, match=r"did not finish in 0.01 s"):
            stream.connect(0.01)
        assert stream.state is ClientState.FAILED
        connecting = run_in_thread(stream.connect)
        for _ in range(2):
            assert inside.acquire(timeout=10)
        stream.disconnect()
        assert isinstance(connecting.exception(), EToroClosedError)
        while own_threads():
            pass


def test_a_lost_connection_is_a_state_and_the_next_a_generation(script: Script) -> None:
    """Old rates stay in view; the gap has the number of the new connection."""
    stream = Live(script)
    items = stream.queue(["instrument:rate", "close", "reconnected"])
    with stream:
        assert script.done.acquire(timeout=10)
        script.do(
            lambda feed: feed.new_connection(),
            lambda feed: feed.states([state_of(18, 1.0, feed.generation), state_of(19, 1.0)]),
            lambda feed: feed.emit("close", 1006, "gone"),
            lambda feed: feed.lost(),
        )
        assert stream.state is ClientState.RECONNECTING
        assert not core_of(stream).is_connected
        assert stream.stats().connected_age is None
        assert stream.rates[18].ask == 1.0
        script.do(
            lambda feed: feed.new_connection(["instrument:18"]),
            lambda feed: feed.emit("reconnected", WsGap(1.0, 2.0, feed.generation)),
            lambda feed: feed.live(),
        )
        assert stream.state is ClientState.LIVE
        assert set(stream.rates) == {18}
        script.do(lambda feed: feed.states([state_of(18, 3.0, feed.generation)]))
        found = [items.get() for _ in range(5)]
    assert [event for event, *_ in found] == [
        "instrument:rate",
        "instrument:rate",
        "close",
        "reconnected",
        "instrument:rate",
    ]
    assert found[3][1].generation == found[4][2].generation == found[0][2].generation + 1


def test_rates_of_a_new_generation_replace_none_of_the_last(script: Script) -> None:
    """In a queue that is full, the oldest goes."""
    stream = Live(script)
    rates = stream.queue("instrument:rate", maxsize=1)
    with stream:
        assert script.done.acquire(timeout=10)
        script.do(
            lambda feed: feed.states([state_of(18, 1.0)]),
            lambda feed: feed.states([state_of(18, 2.0)]),
            lambda feed: feed.new_connection(None, 7),
            lambda feed: feed.states([state_of(18, 3.0, feed.generation)]),
        )
        assert (rates.conflated, rates.dropped) == (1, 1)
        assert rates.get()[1].generation == 7


def test_a_function_that_is_late_hears_of_the_end(script: Script) -> None:
    """It would wait for something that nobody ends any more."""
    inside, goes_on, after = threading.Event(), threading.Event(), []

    def play(feed: LiveFeed) -> None:
        feed.live()
        inside.set()
        goes_on.wait(10)
        feed.on_stop(lambda: None)
        after.append("not interrupted")

    stream = Live(play)
    stream.connect()
    assert inside.wait(10)
    stream.disconnect(0.01)
    goes_on.set()
    while own_threads():
        pass
    assert after == []


def test_what_cannot_be_understood_is_counted_and_emitted(script: Script) -> None:
    """A hundred errors of each read; the others are counted."""
    stream = Live(script)
    errors = stream.queue("error")
    with stream:
        assert script.done.acquire(timeout=10)
        for _ in range(2):
            script.do(
                *[lambda feed: feed.bad("row", "somewhere", ValueError("no row"))] * 150,
                lambda feed: feed.next_read(),
            )
        assert (errors.qsize(), stream.stats().bad_messages) == (200, 300)
        assert "somewhere" in str(errors.get())


def test_it_brings_what_it_was_made_for(script: Script) -> None:
    """So that a call which waits for another instrument can say that it never comes."""
    source = core_of(Live(script, [18])).source
    assert [source.brings(t) for t in ("instrument:18", "instrument:19", "private")] == [
        True,
        False,
        True,
    ]
    assert core_of(Live(script)).source.brings("instrument:19")


def test_promise_13_a_stream_that_is_not_used_is_collected(script: Script) -> None:
    """And its threads end."""
    stream = Live(script)
    stream.connect()
    del stream
    while own_threads():
        gc.collect()


def test_orders_may_be_missing_while_it_is_lost_and_between_two_sessions(script: Script) -> None:
    """A wait for one says so; the gap that the function emits ends that."""
    stream = Live(script)
    states = core_of(stream).order_states

    def is_open() -> bool:
        return states.open_gap(1, 0.0, 0.0) is not None

    with stream:
        assert script.done.acquire(timeout=10)
        assert not is_open()
        script.do(lambda feed: feed.order(WsPrivateEvent(order_id=7)), lambda feed: feed.lost())
        with pytest.raises(EToroTimeoutError) as caught:
            stream.wait_for_order(7, timeout=0)
        (gap,) = caught.value.gaps
        assert gap.topics == ("private",)
        script.do(lambda feed: feed.live())
        assert is_open()
        script.do(lambda feed: feed.gap(WsGap(1.0, 2.0, 0, ("private",))))
        assert not is_open()
    script.steps.append(lambda feed: feed.lost())
    script.more.release()
    with stream:
        assert script.done.acquire(timeout=10)
        assert is_open()
        script.do(lambda feed: feed.new_connection(), lambda feed: feed.live())
        assert not is_open()
        with pytest.raises(EToroTimeoutError) as caught:
            stream.wait_for_order(7, timeout=0)
        assert [gap.topics for gap in caught.value.gaps] == [("private",)]


def test_a_source_that_was_never_live_has_lost_no_orders(script: Script) -> None:
    """What came before the first session is nothing that it knows of."""
    script.steps[:] = [lambda feed: feed.lost()]
    stream = Live(script)
    with stream:
        assert script.done.acquire(timeout=10)
        script.do(lambda feed: feed.live())
        with pytest.raises(EToroTimeoutError) as caught:
            stream.wait_for_order(7, timeout=0)
        assert caught.value.gaps == ()
