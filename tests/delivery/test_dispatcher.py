"""The callbacks' thread, without a connection."""

from __future__ import annotations

import functools
import itertools
import logging
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from etoro_sync import EVENTS, EToroQueueOverflowError
from etoro_sync.delivery import dispatcher as module
from etoro_sync.delivery.dispatcher import Dispatcher
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.stats import Counters
from etoro_sync.throttle import LogThrottle
from tests.support.clocks import FakeClock
from tests.support.dispatching import OneSession
from tests.support.threads import on_each_record


class Bench:
    """A dispatcher with its registry."""

    def __init__(self, bulk_size: int = 100) -> None:
        self.registry = Registry(EVENTS)
        self.counters = Counters()
        self.dispatcher = OneSession("etoro-sync-test", self.registry, self.counters, bulk_size)

    def on(self, event: str, function: Any, once: bool = False, id_: int | None = None) -> None:
        self.registry.add(event, Handler(function, id_, once))

    def end(self) -> None:
        self.dispatcher.stop()
        assert self.dispatcher.join(5)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.dispatcher.stop()


def test_orders_come_first_and_connection_events_in_their_place(bench: Bench) -> None:
    """A connection event stands between the rates that came before and after it."""
    heard: list[Any] = []
    bench.on("instrument:rate", lambda key, rate: heard.append(rate))
    bench.on("private:event", heard.append)
    bench.on("close", lambda code, reason: heard.append("close"))
    bench.dispatcher.extend([(1, "r1"), (1, "r2")])
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher.post("close", 1000, "")
    bench.dispatcher.extend([(1, "r3")])
    bench.dispatcher.post("private:event", "p2")
    done = threading.Event()
    bench.on("open", done.set)
    bench.dispatcher.post("open")
    bench.dispatcher.start()
    assert done.wait(5)
    assert heard == ["p1", "p2", "r1", "r2", "close", "r3"]


def test_once_is_called_once_even_if_two_events_wait(bench: Bench) -> None:
    """The second one finds the handler spent."""
    heard: list[str] = []
    bench.on("error", heard.append, once=True)
    bench.dispatcher.post("error", "a")
    bench.dispatcher.post("error", "b")
    bench.dispatcher.start()
    bench.end()
    assert heard == ["a"]
    assert not bench.registry.listeners("error").active


def test_a_handler_that_removes_another_one_during_an_event_is_obeyed(bench: Bench) -> None:
    """off() in a callback takes effect at once, and skips nobody else."""
    heard: list[str] = []

    def first() -> None:
        heard.append("first")
        bench.registry.remove("open", second)
        bench.registry.remove("open", first)

    def second() -> None:
        heard.append("second")

    bench.on("open", first)
    bench.on("open", second)
    bench.on("open", lambda: heard.append("third"))
    bench.dispatcher.post("open")
    bench.dispatcher.post("open")
    bench.dispatcher.start()
    bench.end()
    assert heard == ["first", "third", "third"]


def test_stop_delivers_order_events_and_drops_rates(bench: Bench) -> None:
    """What must not be lost is still delivered at the end."""
    heard: list[Any] = []
    bench.on("instrument:rate", lambda key, rate: heard.append(rate))
    bench.on("private:event", heard.append)
    bench.dispatcher.extend([(1, "r1")])
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher.stop()
    bench.dispatcher.extend([(1, "r2")])
    bench.dispatcher.start()
    assert bench.dispatcher.join(5)
    assert heard == ["p1"]
    assert bench.dispatcher.lanes.dropped == 1


def test_stop_during_a_batch_skips_its_rates(bench: Bench) -> None:
    """Rates that were taken already, but not delivered, are dropped too."""
    heard: list[Any] = []
    inside, go_on = threading.Event(), threading.Event()

    def slow(key: int, rate: str) -> None:
        heard.append(rate)
        inside.set()
        go_on.wait(5)

    bench.on("instrument:rate", slow)
    bench.on("private:event", heard.append)
    bench.dispatcher.extend([(1, f"r{n}") for n in range(5)])
    bench.dispatcher.start()
    assert inside.wait(5)
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher.stop()
    go_on.set()
    assert bench.dispatcher.join(5)
    assert heard == ["r0", "p1"]


def test_an_abandoned_thread_ends_after_its_callback(bench: Bench) -> None:
    """join() that gave up leaves nothing that goes on calling user code."""
    heard: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def slow(event: str) -> None:
        heard.append(event)
        inside.set()
        go_on.wait(5)

    bench.on("private:event", slow)
    bench.dispatcher.start()
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher.post("private:event", "p2")
    assert inside.wait(5)
    bench.dispatcher.stop()
    assert not bench.dispatcher.join(0.01)
    go_on.set()
    assert bench.dispatcher.join(5)
    assert heard == ["p1"]


def test_a_full_lossless_lane_is_logged_and_is_an_error_event_at_its_place(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory is bounded even here; the loss is an error event, at the place of the loss."""
    monkeypatch.setattr(module, "_LOSSLESS_SIZE", 3)
    bench = Bench()
    heard: list[Any] = []
    bench.on("private:event", heard.append)
    bench.on("error", heard.append)
    for n in range(5):
        bench.dispatcher.post("private:event", n)
    assert "is lost" in caplog.text
    bench.dispatcher.start()
    bench.end()
    assert heard[:3] == [0, 1, 2]
    (error,) = heard[3:]
    assert isinstance(error, EToroQueueOverflowError)
    assert error.lost == 2
    assert bench.dispatcher.lanes.lost == 2


def test_callbacks_that_fall_behind_are_warned_of_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When rates begin to give way, and not before; what gives way is counted in the record."""
    clock = FakeClock()
    monkeypatch.setattr(module, "LogThrottle", lambda: LogThrottle(clock=clock))
    bench = Bench(bulk_size=3)
    bench.dispatcher.extend([(1, "a"), (2, "a"), (3, "a")])
    assert caplog.records == []
    for _ in range(10):
        bench.dispatcher.extend([(1, "b")])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "callbacks are too slow: " in record.getMessage()
    assert "waiting: 3 events;" in record.getMessage()
    clock.advance(61)
    bench.dispatcher.extend([(1, "c"), (4, "c")])
    assert "skipped for newer ones until now: 11 rates; dropped: 1 event." in caplog.text
    assert len(caplog.records) == 2


def test_no_lock_is_held_while_falling_behind_is_logged() -> None:
    """A log handler is user code: it may wait for a thread that uses the client."""
    bench = Bench(bulk_size=1)
    bench.on("open", lambda: None)
    with on_each_record(lambda: bench.dispatcher.post("open")) as outcomes:
        bench.dispatcher.extend([(1, "a"), (2, "a")])
    assert outcomes == [None]


def test_an_event_without_a_listener_is_not_kept(bench: Bench) -> None:
    """An event without listeners takes no room."""
    bench.dispatcher.post("private:event", 1)
    assert len(bench.dispatcher.lanes) == 0


def test_an_instrument_filter_applies_to_callbacks(bench: Bench) -> None:
    """Only the handlers of that instrument, and those without a filter, are called."""
    heard: list[str] = []
    bench.on("stale", lambda key, age: heard.append("all"))
    bench.on("stale", lambda key, age: heard.append("18"), id_=18)
    bench.dispatcher.post("stale", 18, 1.0)
    bench.dispatcher.post("stale", 19, 1.0)
    bench.dispatcher.start()
    bench.end()
    assert heard == ["all", "18", "all"]


class Sessions:
    """A client's dispatcher, whose first session has a callback that does not return."""

    def __init__(self) -> None:
        self.registry = Registry(EVENTS)
        self.heard: list[Any] = []
        self.current: list[bool] = []
        self.inside, self.go_on = threading.Event(), threading.Event()
        self.registry.add("private:event", Handler(self._hear, None, False))
        self.dispatcher = Dispatcher("etoro-sync-test", self.registry, Counters(), 10)
        self.begin(1)
        self.dispatcher.post(1, "private:event", "hangs")
        assert self.inside.wait(5)

    def _hear(self, event: Any) -> None:
        if event == "hangs":
            self.inside.set()
            self.go_on.wait(5)
            self.current.append(self.dispatcher.is_current)
        self.heard.append(event)

    def begin(self, number: int) -> None:
        self.dispatcher.open(number, lambda error: None)
        self.dispatcher.start(number)

    def threads(self) -> int:
        return sum(thread.name == "etoro-sync-test" for thread in threading.enumerate())

    def end(self, number: int) -> None:
        self.go_on.set()
        self.dispatcher.stop(number)
        assert self.dispatcher.join(number, 5)


@pytest.fixture
def sessions() -> Iterator[Sessions]:
    made = Sessions()
    yield made
    made.end(made.dispatcher._session)


def test_a_session_that_ends_behind_an_older_callback_loses_its_events_and_says_so(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    """Once nobody waits any longer."""
    dispatcher = sessions.dispatcher
    dispatcher.stop(1)
    sessions.begin(2)
    for n in range(3):
        dispatcher.post(2, "private:event", n)
    dispatcher.stop(2)
    assert not dispatcher.join(2, 0.01)
    dispatcher.post(2, "private:event", "late")
    assert (dispatcher.lanes.lost, len(dispatcher.lanes)) == (4, 0)
    assert "Lost for them: 3 order or connection events." in caplog.text
    sessions.end(2)
    assert sessions.heard == ["hangs"]


def test_sessions_behind_an_older_callback_have_no_thread_of_their_own(sessions: Sessions) -> None:
    """However many come and go: a callback that hangs costs one thread."""
    for number in range(2, 6):
        sessions.dispatcher.stop(number - 1)
        sessions.begin(number)
        assert sessions.threads() == 1
    sessions.dispatcher.extend(5, [(1, "rate")])
    sessions.dispatcher.stop(5)
    assert sessions.dispatcher.lanes.dropped == 1


def test_events_behind_an_older_callback_are_delivered_if_that_returns_in_time(
    sessions: Sessions,
) -> None:
    """Also that of sessions which nobody has given up, each before that of the next."""
    for number in (2, 3):
        sessions.dispatcher.stop(number - 1)
        sessions.begin(number)
        sessions.dispatcher.post(number, "private:event", number)
    sessions.end(3)
    assert sessions.heard == ["hangs", 2, 3]
    assert sessions.threads() == 0


def test_a_session_behind_one_that_was_given_up_gets_its_own_events(sessions: Sessions) -> None:
    """Nothing of the one that was given up; neither rates that were taken in that one."""
    rates: list[Any] = []
    sessions.registry.add("instrument:rate", Handler(lambda *rate: rates.append(rate), None, False))
    dispatcher = sessions.dispatcher
    dispatcher.extend(1, [(1, "old")])
    dispatcher.post(1, "private:event", "lost")
    dispatcher.stop(1)
    assert not dispatcher.join(1, 0.01)
    sessions.begin(2)
    dispatcher.extend(1, [(1, "late")])
    dispatcher.post(1, "private:event", "late")
    dispatcher.extend(2, [(1, "new")])
    dispatcher.post(2, "private:event", 2)
    done = threading.Event()
    sessions.registry.add("open", Handler(done.set, None, False))
    dispatcher.post(2, "open")
    sessions.go_on.set()
    assert done.wait(5)
    assert (sessions.heard, rates) == (["hangs", 2], [(1, "new")])


def test_rates_that_were_taken_in_a_session_are_not_called_out_in_the_next(bench: Bench) -> None:
    """The first one's callback ends the session, and begins another."""
    heard: list[Any] = []

    def once(key: int, rate: str) -> None:
        heard.append(rate)
        if rate == "a":
            bench.dispatcher.stop()
            bench.dispatcher.open(2, lambda error: None)
            Dispatcher.extend(bench.dispatcher, 2, [(1, "c")])
            Dispatcher.post(bench.dispatcher, 2, "open")

    done = threading.Event()
    bench.on("instrument:rate", once)
    bench.on("open", done.set)
    bench.dispatcher.extend([(1, "a"), (1, "b")])
    bench.dispatcher.start()
    assert done.wait(5)
    Dispatcher.stop(bench.dispatcher, 2)
    assert Dispatcher.join(bench.dispatcher, 2, 5)
    assert heard == ["a", "c"]


def test_an_overtaken_session_changes_nothing(sessions: Sessions) -> None:
    """Neither its beginning nor its end, whenever its thread comes to it."""
    dispatcher = sessions.dispatcher
    dispatcher.stop(1)
    sessions.begin(3)
    sessions.begin(2)
    dispatcher.stop(2)
    assert dispatcher.join(2, 0.01)
    dispatcher.extend(3, [(1, "rate")])
    dispatcher.post(3, "private:event", 3)
    assert len(dispatcher.lanes) == 2
    sessions.end(3)
    assert sessions.heard == ["hangs", 3]


def test_a_callback_is_a_callback_also_for_later_sessions(sessions: Sessions) -> None:
    """So that it may disconnect them without waiting for itself."""
    sessions.dispatcher.stop(1)
    sessions.begin(2)
    assert not sessions.dispatcher.is_current
    sessions.end(2)
    assert sessions.current == [True]


def test_each_session_has_a_thread_that_ends_with_it(bench: Bench) -> None:
    """The dispatcher stays, and what it has counted."""
    heard: list[Any] = []
    bench.on("private:event", heard.append)
    for number in range(1, 4):
        bench.dispatcher.open(number, lambda error: None)
        Dispatcher.start(bench.dispatcher, number)
        Dispatcher.post(bench.dispatcher, number, "private:event", number)
        Dispatcher.stop(bench.dispatcher, number)
        assert Dispatcher.join(bench.dispatcher, number, 5)
        assert not bench.dispatcher._thread.is_alive()
    assert heard == [1, 2, 3]
    assert bench.dispatcher.lanes.orders.delivered == 3


def test_a_session_that_begins_while_the_thread_comes_to_its_end_gets_another_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the old one still runs: it calls out nothing any more."""

    def begin_the_next(error: Exception) -> None:
        assert known.wait(5)
        monkeypatch.undo()
        bench.dispatcher.open(2, lambda error: None)
        Dispatcher.start(bench.dispatcher, 2)

    def fail() -> bool:
        raise MemoryError

    heard, done, known = [], threading.Event(), threading.Event()
    bench.on("private:event", heard.append)
    bench.on("open", done.set)
    bench.dispatcher._on_failure = begin_the_next
    monkeypatch.setattr(bench.dispatcher, "_step", fail)
    bench.dispatcher.start()
    old = bench.dispatcher._thread
    known.set()  # the next session's would be found otherwise, before it is started
    old.join(5)
    Dispatcher.post(bench.dispatcher, 2, "private:event", 2)
    Dispatcher.post(bench.dispatcher, 2, "open")
    assert done.wait(5)
    assert heard == [2]
    Dispatcher.stop(bench.dispatcher, 2)
    assert Dispatcher.join(bench.dispatcher, 2, 5)


def test_a_hanging_callback_that_cannot_be_named_does_not_break_join(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """Its attributes may be user code, too."""
    inside, go_on = threading.Event(), threading.Event()

    class Odd:
        def __call__(self, event: str) -> None:
            inside.set()
            go_on.wait(5)

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    bench.on("private:event", Odd())
    bench.dispatcher.start()
    bench.dispatcher.post("private:event", "p1")
    assert inside.wait(5)
    bench.dispatcher.stop()
    assert not bench.dispatcher.join(0.01)
    assert "Odd, which is still running" in caplog.text
    go_on.set()
    assert bench.dispatcher.join(5)


class SlowBench(Bench):
    """Rates whose callback takes a fake second each; run on the test's own thread."""

    def __init__(self, work: float = 1.0, conflate_after: float | None = 3.0) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.heard: list[Any] = []
        self.work = work
        self.dispatcher = OneSession(
            "etoro-sync-test",
            self.registry,
            self.counters,
            100,
            conflate_after=conflate_after,
            clock=self.clock,
        )
        self.on("instrument:rate", self.slow)
        for event in ("private:event", "open"):
            self.on(event, lambda *arguments, event=event: self.heard.append(event))

    def slow(self, key: int, rate: Any) -> None:
        self.heard.append(rate)
        self.clock.advance(self.work)

    def run(self) -> list[Any]:
        """Call out everything that waits."""
        while self.dispatcher.lanes.ready:
            assert self.dispatcher._step()
            if self.dispatcher._taken:
                self.dispatcher._call_taken()
        return self.heard


def test_a_slow_callback_gets_no_superseded_rate_older_than_it_allows() -> None:
    """Whatever was taken together with the first one; what is skipped is counted."""
    bench = SlowBench()
    bench.dispatcher.extend([(n % 2, n) for n in range(20)])
    # Four within the three seconds that are allowed; then the newest of each instrument.
    assert bench.run() == [0, 1, 2, 3, 18, 19]
    assert bench.dispatcher.lanes.rates.conflated == 14


def test_without_conflation_by_age_a_slow_callback_gets_every_rate() -> None:
    """For those who ask for it, while there is room."""
    bench = SlowBench(conflate_after=None)
    bench.dispatcher.extend([(n % 2, n) for n in range(20)])
    assert bench.run() == list(range(20))


def test_a_callback_that_keeps_up_gets_every_rate() -> None:
    """Its rates are never old, however many there are."""
    bench = SlowBench(work=0.001)
    for n in range(0, 500, 5):
        bench.dispatcher.extend([(1, n + i) for i in range(5)])
        bench.run()
    assert bench.heard == list(range(500))


def test_an_order_overtakes_between_two_callbacks_of_one_rate(bench: Bench) -> None:
    """It comes as soon as the running callback returns."""
    heard: list[Any] = []

    def first(key: int, rate: str) -> None:
        heard.append(rate)
        if rate == "r1":
            bench.dispatcher.post("private:event", "p1")
            bench.dispatcher.post("private:event", "p2")

    bench.on("instrument:rate", first)
    bench.on("instrument:rate", lambda key, rate: heard.append(rate + " again"))
    bench.on("private:event", heard.append)
    bench.on("private:event", lambda event: heard.append(event + " again"))
    bench.dispatcher.extend([(1, "r1"), (1, "r2")])
    done = threading.Event()
    bench.on("open", done.set)
    bench.dispatcher.post("open")
    bench.dispatcher.start()
    assert done.wait(5)
    orders = ["p1", "p1 again", "p2", "p2 again"]
    assert heard == ["r1", *orders, "r1 again", "r2", "r2 again"]


def test_a_rate_that_waited_for_an_order_is_judged_anew() -> None:
    """Also if it was taken before: the order's callback may have taken long."""
    bench = SlowBench()
    bench.on("private:event", lambda event: bench.clock.advance(60))
    bench.dispatcher.extend([(1, "a"), (2, "a"), (1, "b")])
    assert bench.dispatcher._step()
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher._call_taken()
    assert bench.heard == ["private:event"]
    assert bench.run() == ["private:event", "a", "b"]
    assert bench.dispatcher.lanes.rates.conflated == 1


def test_a_rate_that_one_callback_has_had_is_not_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error between its callbacks, and a slow order then, let none have it twice."""
    bench = SlowBench()
    callbacks = bench.dispatcher._callbacks
    next_order, errors = callbacks._next_order, [MemoryError()]

    def fails_once() -> Any:
        if errors:
            raise errors.pop()
        return next_order()

    monkeypatch.setattr(callbacks, "_next_order", fails_once)
    post = functools.partial(bench.dispatcher.post, "private:event")
    bench.on("instrument:rate", lambda key, rate: post("p1"), once=True)
    bench.on("instrument:rate", lambda key, rate: bench.heard.append(rate + " again"))
    bench.on("private:event", lambda event: bench.clock.advance(60 if event == "p2" else 0))
    bench.on("error", lambda error: post("p2"))
    bench.dispatcher.extend([(1, "a"), (1, "b")])
    assert bench.run() == ["a", *["private:event"] * 2, "a again", "b", "b again"]


def test_an_order_that_comes_during_another_one_waits_for_it(bench: Bench) -> None:
    """Each callback gets the orders in turn, also when one raises and the error is emitted."""
    heard: list[Any] = []

    def first(event: str) -> None:
        heard.append(event)
        if event == "p1":
            bench.dispatcher.post("private:event", "p2")
            raise ValueError

    bench.on("private:event", first)
    bench.on("private:event", lambda event: heard.append(event + " again"))
    bench.on("error", lambda error: heard.append("error"))
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher.start()
    bench.end()
    assert heard == ["p1", "error", "p1 again", "p2", "p2 again"]


def test_a_lag_is_logged_by_its_age_and_stands_in_the_figures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once a minute, with what to do; the running callback counts, too."""
    bench = SlowBench()
    assert bench.dispatcher.lag() == 0.0
    bench.dispatcher.extend([(1, "0")])
    bench.clock.advance(2.5)
    bench.dispatcher._step()
    assert caplog.records == []  # so late may a rate be that is not skipped
    bench.dispatcher._call_taken()
    bench.dispatcher.extend([(1, "a"), (2, "b")])
    bench.clock.advance(3.5)
    assert bench.dispatcher.lag() == 3.5
    bench.dispatcher._step()
    (record,) = caplog.records
    assert "they are 3.5 s behind" in record.getMessage()
    assert "Make the callback return sooner" in record.getMessage()
    bench.clock.advance(10)
    assert bench.dispatcher.lag() == 13.5
    bench.run()
    assert len(caplog.records) == 1


def test_a_callback_that_hangs_is_logged_when_more_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its own thread cannot do it."""
    bench = SlowBench()
    bench.dispatcher.post("open")
    bench.dispatcher._step()
    bench.clock.advance(60)
    assert caplog.records == []
    bench.dispatcher.post("private:event", "p1")
    assert "they are 60.0 s behind" in caplog.text


def test_an_order_callback_that_hangs_is_logged_and_stands_in_the_figures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing else is being called out then, and what waits behind it gets old."""
    bench = SlowBench()
    seen: list[float] = []

    def hangs(event: str) -> None:
        bench.clock.advance(60)
        seen.append(bench.dispatcher.lag())
        bench.dispatcher.extend([(1, "a")])

    bench.on("private:event", hangs)
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher._step()
    assert seen == [60.0]
    (record,) = caplog.records
    assert "they are 60.0 s behind" in record.getMessage()
    assert record.getMessage().endswith("<locals>.hangs.")
    bench.dispatcher._call_taken()
    bench.clock.advance(5)
    assert bench.dispatcher.lag() == 0.0


def test_a_rate_that_was_called_out_is_no_lag_of_the_order_behind_it() -> None:
    """Its age counts until its callbacks have returned."""
    bench = SlowBench(work=50.0)
    seen: list[float] = []
    bench.on("private:event", lambda event: seen.append(bench.dispatcher.lag()))
    bench.dispatcher.extend([(1, "a")])
    bench.run()
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher._callbacks.call_orders()
    assert seen == [0.0]


def test_what_waits_behind_a_callback_of_an_earlier_session_is_logged(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    """The new session's events wait until that callback returns."""
    dispatcher = sessions.dispatcher
    dispatcher.stop(1)
    sessions.begin(2)
    began = dispatcher._order_came
    assert began is not None
    clock = dispatcher._clock = FakeClock(began)
    dispatcher.post(2, "private:event", "p1")
    clock.advance(60)
    assert dispatcher.lag() == pytest.approx(60.0)
    dispatcher.post(2, "private:event", "p2")
    assert "they are 60.0 s behind; waiting: 2 events" in caplog.text


def test_once_the_thread_has_ended_there_is_no_lag(bench: Bench) -> None:
    """Nobody is to get anything any more, also if nobody waited for the last callback."""
    inside, go_on = threading.Event(), threading.Event()

    def hangs() -> None:
        inside.set()
        go_on.wait(5)

    clock = bench.dispatcher._clock = FakeClock()
    bench.on("open", hangs)
    bench.dispatcher.start()
    bench.dispatcher.post("open")
    assert inside.wait(5)
    bench.dispatcher.post("open")
    bench.dispatcher.stop()
    assert not bench.dispatcher.join(0)
    clock.advance(60)
    assert bench.dispatcher.lag() == 60.0
    go_on.set()
    bench.dispatcher._thread.join(5)
    assert bench.dispatcher.lag() == 0.0


@pytest.mark.parametrize("event", ["instrument:rate", "message"])
def test_what_a_stopped_session_has_taken_and_not_called_out_counts_as_dropped(
    event: str, bench: Bench
) -> None:
    """So that each event is delivered, conflated or dropped in the end."""
    heard: list[Any] = []

    def stops(*arguments: Any) -> None:
        heard.append(arguments)
        bench.dispatcher.stop()

    bench.on(event, stops)
    rates = [(1, n) for n in range(5)] if event == "instrument:rate" else []
    others = [(0, event, (n,)) for n in range(5)] if not rates else []
    bench.dispatcher.extend(rates, others)
    bench.dispatcher.start()
    assert bench.dispatcher.join(5)
    lanes = bench.dispatcher.lanes
    assert len(heard) == 1
    lane = lanes.rates if rates else lanes.others
    assert (lane.received, lane.delivered, lane.dropped, len(lane)) == (5, 1, 4, 0)


@pytest.mark.parametrize("crowded", [False, True])
def test_a_finalizer_that_disconnects_while_rates_are_put_back_loses_no_count(
    crowded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The garbage collector may run it in the midst of any change of a container."""
    bench = SlowBench()
    rates = bench.dispatcher.lanes.rates
    put_back = rates.put_back

    def interrupted(entries: Any) -> None:
        if crowded:
            rates._to_backlog()

        def stops_on_its_way() -> Iterator[Any]:
            late = list(reversed(entries))
            yield from late[:2]
            bench.dispatcher.stop()
            yield from late[2:]

        put_back(Reversed(stops_on_its_way(), len(entries)))

    monkeypatch.setattr(rates, "put_back", interrupted)
    bench.dispatcher.extend([(n, n) for n in range(10)])
    bench.dispatcher._step()
    bench.dispatcher._step()
    assert (rates.received, rates.delivered, rates.dropped, len(rates)) == (10, 1, 9, 0)


class Reversed:
    """What ``reversed()`` is to be called with, as a sequence that runs code on its way."""

    def __init__(self, items: Iterator[Any], length: int) -> None:
        self._items = items
        self._length = length

    def __reversed__(self) -> Iterator[Any]:
        return self._items

    def __len__(self) -> int:
        return self._length


def test_an_error_while_rates_are_put_back_loses_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as memory that is out: they are called out later, once."""
    monkeypatch.setattr(module, "_HOLD", 0.0)
    heard: list[Any] = []
    bench.on("instrument:rate", lambda key, rate: heard.append(rate))
    lanes = bench.dispatcher.lanes
    put_back, errors = lanes.put_back, [MemoryError(), MemoryError()]

    def fails_at_first(event: str, rest: Any, over: bool) -> None:
        if errors:
            raise errors.pop()
        put_back(event, rest, over)

    monkeypatch.setattr(lanes, "put_back", fails_at_first)
    bench.dispatcher.extend([(n, n) for n in range(20)])
    done = threading.Event()
    bench.on("open", done.set)
    bench.dispatcher.post("open")
    bench.dispatcher.start()
    assert done.wait(5)
    assert heard == list(range(20))
    assert (lanes.rates.delivered, len(lanes.rates), errors) == (20, 0, [])


def test_a_connection_event_waits_for_one_rate_of_each_instrument_at_most() -> None:
    """Beside those that are not late; and for none that one of the next connection supersedes."""
    for after_it, expected in (([], [8, 9]), ([10, 11, 12, 13], [])):
        bench = SlowBench()
        bench.dispatcher.extend([(n % 2, n) for n in range(10)])
        bench.dispatcher.post("open")
        bench.dispatcher.extend([(n % 2, n) for n in after_it])
        assert bench.run() == [0, 1, 2, 3, *expected, "open", *after_it[-2:]]


def test_orders_come_once_each_in_order_whatever_their_callbacks_do(bench: Bench) -> None:
    """They raise, emit, take themselves off, register others, and end the session."""
    heard: list[Any] = []

    def hostile(event: int) -> None:
        heard.append(event)
        if event == 1:
            bench.dispatcher.post("private:event", 4)
            bench.registry.remove("instrument:rate", on_rate)
        if event == 2:
            bench.on("private:event", lambda event: heard.append(f"late {event}"), once=True)
            raise SystemExit
        if event == 3:
            bench.dispatcher.stop()
            raise KeyboardInterrupt

    def on_rate(key: int, rate: str) -> None:
        heard.append(rate)
        for n in (1, 2, 3):
            bench.dispatcher.post("private:event", n)

    bench.on("instrument:rate", lambda key, rate: heard.append("first"), once=True)
    bench.on("instrument:rate", on_rate)
    bench.on("instrument:rate", lambda key, rate: heard.append("last"))
    bench.on("private:event", hostile)
    bench.on("private:event", lambda event: heard.append("once"), once=True)
    bench.on("error", lambda error: heard.append("error"))
    bench.dispatcher.extend([(1, "r1"), (1, "r2")])
    bench.dispatcher.start()
    assert bench.dispatcher.join(5)
    orders = [1, "once", 2, "error", 3, "error", "late 3", 4]
    assert heard == ["first", "r1", *orders, "last"]
    assert bench.dispatcher.lanes.orders.delivered == 4


def test_an_error_between_callbacks_costs_one_order_at_most(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None comes twice, the order stays, and for each error there is an "error" event."""
    callbacks = bench.dispatcher._callbacks
    call, next_order = callbacks.call, callbacks._next_order
    faults = itertools.cycle([0, 1, 1, 0, 1, 0, 0, 1, 0])
    raised = 0

    def maybe_fail() -> None:
        nonlocal raised
        if next(faults):
            raised += 1
            raise MemoryError

    def faulty_call(event: str, calls: Any, *rest: Any) -> Any:
        if event == "private:event":
            maybe_fail()
        result = call(event, calls, *rest)
        if event == "private:event":
            maybe_fail()
        return result

    def faulty_next_order() -> Any:
        maybe_fail()
        return next_order()

    monkeypatch.setattr(callbacks, "call", faulty_call)
    monkeypatch.setattr(callbacks, "_next_order", faulty_next_order)
    heard: list[Any] = []
    errors: list[Any] = []
    bench.on("private:event", heard.append)
    bench.on("error", errors.append)
    bench.on("instrument:rate", lambda key, rate: bench.dispatcher.post("private:event", rate))
    bench.dispatcher.extend([(1, n) for n in range(20)])
    done = threading.Event()
    bench.on("open", done.set)
    bench.dispatcher.post("open")
    bench.dispatcher.start()
    assert done.wait(5)
    bench.end()
    assert heard == sorted(set(heard))
    assert len(errors) == raised
    assert 20 - len(heard) <= raised
    assert bench.dispatcher.lanes.orders.delivered == 20


@pytest.mark.parametrize(
    ("conflate_after", "heard"),
    [(0.0, [18, 19]), (1e6, list(range(20))), (None, list(range(20)))],
)
def test_conflation_by_age_from_never_to_always(
    conflate_after: float | None, heard: list[int]
) -> None:
    """0 leaves the newest of each instrument; None, and a very long time, leave all."""
    bench = SlowBench(conflate_after=conflate_after)
    bench.dispatcher.extend([(n % 2, n) for n in range(20)])
    bench.clock.advance(0.001)
    assert bench.run() == heard


class Hammer:
    """Callbacks that dawdle, raise, come and go, beside a thread that feeds them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.registry = Registry(EVENTS)
        self.dispatcher = OneSession(
            "etoro-sync-test", self.registry, Counters(), 50, conflate_after=0.002
        )
        self.rates: list[tuple[int, int]] = []
        self.orders: list[int] = []
        self.marks: list[None] = []
        for event, function in (
            ("instrument:rate", self.on_rate),
            ("private:event", self.on_order),
            ("open", lambda: self.marks.append(None)),
        ):
            self.registry.add(event, Handler(function, None, False))

    def on_rate(self, key: int, number: int) -> None:
        self.rates.append((key, number))
        chance = self.random.random()
        if chance < 0.1:
            time.sleep(0.004)
        elif chance < 0.2:
            self.registry.add("private:event", Handler(lambda event: 1 / 0, None, True))
        elif chance < 0.3:
            raise SystemExit

    def on_order(self, number: int) -> None:
        self.orders.append(number)
        if number % 5 == 0:
            time.sleep(0.002)

    def feed(self, reads: int) -> tuple[int, int, dict[int, int]]:
        """Do what the reader does; return how many orders and marks, and the last rates."""
        orders, marks, number = 0, 0, 0
        last: dict[int, int] = {}
        for read in range(reads):
            batch = []
            for _ in range(self.random.randrange(12)):
                number += 1
                batch.append((self.random.randrange(8), number))
            last.update(batch)
            self.dispatcher.extend(batch)
            if read % 4 == 0:
                self.dispatcher.post("private:event", orders)
                orders += 1
            if read % 25 == 0:
                self.dispatcher.post("open")
                marks += 1
            if read % 10 == 0:
                time.sleep(0.001)
        return orders, marks, last


@pytest.mark.parametrize("seed", range(5))
def test_whatever_callbacks_do_orders_are_whole_and_rates_in_order(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each order comes once, and each instrument's rates come in order, up to the last."""
    monkeypatch.setattr(logging.getLogger("etoro_sync"), "disabled", True)
    hammer = Hammer(seed)
    dispatcher, rates = hammer.dispatcher, hammer.dispatcher.lanes.rates
    dispatcher.start()
    orders, marks, last = hammer.feed(400)
    done = threading.Event()
    hammer.registry.add("close", Handler(done.set, None, False))
    dispatcher.post("close")
    assert done.wait(20)
    dispatcher.stop()
    assert dispatcher.join(5)
    assert hammer.orders == list(range(orders))
    for key in range(8):
        numbers = [number for other, number in hammer.rates if other == key]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == last[key]
    assert len(hammer.marks) == marks
    assert rates.delivered == len(hammer.rates)
    assert rates.delivered + rates.dropped + rates.conflated == rates.received


def test_an_order_behind_one_that_an_error_has_cost_is_not_forgotten(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although nothing else comes behind it."""
    callbacks = bench.dispatcher._callbacks
    call, errors = callbacks.call, [MemoryError()]

    def fails_once(event: str, calls: Any, *rest: Any) -> Any:
        if event == "private:event" and errors:
            raise errors.pop()
        return call(event, calls, *rest)

    monkeypatch.setattr(callbacks, "call", fails_once)
    heard: list[str] = []
    told = threading.Event()
    bench.on("private:event", lambda event: (heard.append(event), told.set()))
    bench.dispatcher.post("private:event", "p1")
    bench.dispatcher.post("private:event", "p2")
    bench.dispatcher.start()
    assert told.wait(5)
    assert heard == ["p2"]


def test_a_message_that_was_taken_when_the_session_ended_counts_as_dropped() -> None:
    """It is not called out any more."""
    bench = SlowBench()
    bench.on("message", bench.heard.append)
    bench.dispatcher.extend([], [(0, "message", ("m",))])
    assert bench.dispatcher._step()
    bench.dispatcher.stop()
    bench.dispatcher._call_taken()
    others = bench.dispatcher.lanes.others
    assert (bench.heard, others.received, others.delivered, others.dropped) == ([], 1, 0, 1)
