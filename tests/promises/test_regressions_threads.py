"""What attacks on the client's threads, locks and ends have found; each stayed mended."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from etoro_sync import EVENTS, ClientState, EToroClosedError, EToroError, EToroValidationError
from etoro_sync.delivery.lanes import Lanes
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.stats import Counters
from etoro_sync.ws.core import Core, core_of
from etoro_sync.ws.session import session
from etoro_sync.ws.session.commands import Commands
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import Ear, make_client
from tests.support.dispatching import OneSession
from tests.support.interrupts import every_interrupt
from tests.support.threads import (
    Watchdog,
    join_stragglers,
    run_in_thread,
)


class Bench:
    """A dispatcher whose thread is the test's own: :meth:`run` returns when all is told."""

    def __init__(self) -> None:
        self.registry = Registry(EVENTS)
        self.failures: list[EToroError] = []
        self.dispatcher = OneSession(
            "etoro-sync-test",
            self.registry,
            Counters(),
            100,
            on_failure=self.failures.append,
        )

    def on(self, event: str, function: Callable[..., Any], once: bool = False) -> None:
        self.registry.add(event, Handler(function, None, once))

    def run(self) -> None:
        self.dispatcher.stop()
        self.dispatcher._run()


def test_promise_3_an_error_outside_of_a_callback_costs_one_event_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever their thread is when it is raised: none comes twice, and they hear of the error."""
    caplog.set_level(logging.CRITICAL)
    heard: list[int] = []
    errors: list[Exception] = []
    failures: list[EToroError] = []

    def run() -> None:
        bench = Bench()
        for each in (heard, errors, failures):
            each.clear()
        for once in (True, False, True, False):
            # A function of C: in one of Python it would be an error of the callback.
            bench.on("private:event", heard.append, once)
            bench.on("open", dict, once)
        bench.on("error", errors.append)
        for n in range(3):
            bench.dispatcher.post("private:event", n)
        bench.dispatcher.post("open")
        bench.dispatcher.post("private:event", 3)
        bench.run()
        failures.extend(bench.failures)

    run()
    whole = Counter(heard)
    assert whole == {0: 4, 1: 2, 2: 2, 3: 2}
    assert failures == []
    places = 0
    for where, outcome in every_interrupt(run):
        # But for the beginning.
        if "_step" not in where:
            continue
        places += 1
        assert outcome is None, where
        assert heard == sorted(heard), where
        # Who is called once may be called for the next one then.
        assert len([n for n in whole if heard.count(n) < min(whole[n], 2)]) <= 1, where
        assert 6 <= len(heard) <= 10, where
        assert errors, where
        assert failures == [], where
    assert places > 50


@pytest.mark.parametrize("late", [True, False])
def test_promise_3_an_error_between_two_events_costs_one_at_most_and_none_comes_twice(
    monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """Just before one, or just behind it, where CPython 3.10 looks for it when a call returns."""
    bench = Bench()
    heard: list[int] = []
    bench.on("private:event", heard.append)
    for n in range(3):
        bench.dispatcher.post("private:event", n)
    callbacks = bench.dispatcher._callbacks
    real = callbacks.call

    def call(event: str, calls: Any) -> None:
        if late:
            real(event, calls)
        monkeypatch.setattr(callbacks, "call", real)
        raise MemoryError

    monkeypatch.setattr(callbacks, "call", call)
    bench.run()
    assert heard == ([0, 1, 2] if late else [1, 2])
    assert bench.failures == []


def test_promise_1_an_error_in_the_callbacks_thread_is_logged_and_told(
    simulator: MakeSimulator,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With its traceback, to callbacks and queues; the callbacks go on."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    errors = c.queue("error")
    c.connect()
    c.subscribe(["private"])
    real = Lanes.take

    def no_memory(*arguments: Any) -> Any:
        monkeypatch.setattr(Lanes, "take", real)
        raise MemoryError

    monkeypatch.setattr(Lanes, "take", no_memory)
    sim.fill_order()
    sim.fill_order()
    assert len(ear.wait_for("private:event", 2)) == 2
    assert isinstance(ear.wait_for("error")[0].__cause__, MemoryError)
    assert "outside of them" in str(errors.get(timeout=5))
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[0] is MemoryError
    assert c.state is ClientState.LIVE


def test_promise_1_callbacks_that_cannot_go_on_end_the_client(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails, as whoever waits is told, instead of being live without callbacks."""
    c = client(simulator().url)
    told: list[Exception] = []
    c.on("error", told.append)
    c.connect()
    waiting = c.queue("unknown")

    def no_memory(*arguments: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(Lanes, "take", no_memory)
    core_of(c).sessions.dispatcher._bell.ring()
    with pytest.raises(EToroError, match="cannot go on"):
        c.run_forever()
    with pytest.raises(EToroError, match="cannot go on"):
        waiting.get(timeout=5)
    assert c.state is ClientState.FAILED
    assert len(told) == 101
    for kind in ("reader", "dispatcher"):
        assert not join_stragglers(prefix=f"etoro-sync-{kind}")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("end", [lambda: None, sys.exit])
def test_promise_13_a_child_that_is_forked_in_a_callback_runs_no_other(
    end: Callable[[], None],
) -> None:
    """Neither those behind it nor those of further events, whether it returns or exits."""
    bench = Bench()
    parent = os.getpid()
    reading, writing = os.pipe()

    def fork(n: int) -> None:
        if n == 0:
            child = os.fork()
            if child == 0:
                end()
            else:
                os.waitpid(child, 0)

    bench.on("private:event", fork)
    bench.on("private:event", lambda n: os.write(writing, b"P" if os.getpid() == parent else b"C"))
    for n in range(3):
        bench.dispatcher.post("private:event", n)
    try:
        # In the child this thread is all there is, and its end is the child's.
        thread = threading.Thread(target=bench.run)
        thread.start()
        thread.join()
        assert os.read(reading, 100) == b"PPP"
    finally:
        os.close(reading)
        os.close(writing)


def test_promise_12_a_signal_handler_that_disconnects_inside_a_queue_ends(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the client fails, and its reader waits for the lock of that queue."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0, close_timeout=0.05)
    c.connect()
    waiting = c.queue("unknown")
    real = waiting._items._buffer.pop

    def interrupted(now: float) -> Any:
        monkeypatch.setattr(waiting._items._buffer, "pop", real)
        sim.drop()
        while c.state is not ClientState.FAILED:
            pass
        c.disconnect()
        return real(now)

    with Watchdog(10):
        monkeypatch.setattr(waiting._items._buffer, "pop", interrupted)
        waiting._items.feed(["an item"])
        assert waiting.get() == "an item"
        with pytest.raises(EToroError):
            waiting.get()
    assert c.state is ClientState.CLOSED
    assert not join_stragglers(prefix="etoro-sync-reader")


def test_promise_12_no_lock_of_the_client_is_taken_under_another(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever disconnects while another thread connects, fails or disconnects, holding any lock."""
    c = client(simulator().url)
    sessions = core_of(c).sessions
    locks = [sessions._lock, core_of(c).lifecycle._monitor.lock, core_of(c).tracker.lock]
    nested: list[str] = []

    def watch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def watched(*arguments: Any) -> Any:
            if any(lock._is_owned() for lock in locks):  # type: ignore[attr-defined]
                nested.append(name)
            return real(*arguments)

        monkeypatch.setattr(owner, name, watched)

    for name in ("begin", "closing", "closed", "failed", "settle"):
        watch(core_of(c).lifecycle, name)
    watch(core_of(c).requests, "clear")
    watch(core_of(c).registry, "end_queues")
    watch(core_of(c).book, "clear")
    c.connect()
    c.disconnect()
    monkeypatch.setattr(Commands, "__init__", no_descriptors)
    with pytest.raises(EToroError):
        c.connect()
    assert nested == []


def no_descriptors(*arguments: Any) -> None:
    raise OSError("Too many open files")


def test_promise_12_a_disconnect_that_is_overtaken_leaves_the_new_session_alone(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its wishes and its queues, wherever the late one is held up."""
    c = client(simulator().url)
    c.connect()
    overtaken, go_on = threading.Event(), threading.Event()
    real = core_of(c).lifecycle.settle

    def late(*arguments: Any) -> bool:
        if not overtaken.is_set():
            overtaken.set()
            go_on.wait(5)
        return real(*arguments)

    monkeypatch.setattr(core_of(c).lifecycle, "settle", late)
    ending = run_in_thread(c.disconnect)
    assert overtaken.wait(5)
    c.disconnect()
    c.connect()
    rates = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    go_on.set()
    ending.result()
    assert c.state is ClientState.LIVE
    assert c.subscriptions == ("instrument:18",)
    assert rates.get(timeout=5)[0] == 18
    assert core_of(c).registry.queues() == [rates._items]


def test_promise_12_a_connect_that_is_overtaken_ends_what_it_has_made(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By disconnect() and connect() in another thread, while it makes its session."""
    c = client(simulator().url)
    real = Commands.__init__
    made, go_on = threading.Event(), threading.Event()
    boxes: list[Commands] = []

    def slow(box: Commands, *arguments: Any) -> None:
        real(box, *arguments)
        boxes.append(box)
        monkeypatch.setattr(Commands, "__init__", real)
        made.set()
        go_on.wait(5)

    monkeypatch.setattr(Commands, "__init__", slow)
    connecting = run_in_thread(c.connect)
    assert made.wait(5)
    c.disconnect()
    c.connect()
    go_on.set()
    assert isinstance(connecting.exception(), EToroClosedError)
    assert boxes[0].waker.fileno() == -1
    assert c.state is ClientState.LIVE
    assert c.is_authenticated


def test_promise_2_run_forever_returns_when_disconnect_comes_at_its_beginning(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its looks at the state."""
    c = client(simulator().url)
    c.connect()
    monkeypatch.setattr(Core, "state", property(look_and_disconnect))
    c.run_forever()
    monkeypatch.undo()
    assert c.state is ClientState.CLOSED


def look_and_disconnect(core: Core) -> ClientState:
    state = core.lifecycle.state
    core.sessions.disconnect(None)
    return state


def test_promise_2_the_end_of_the_program_wakes_whoever_waits(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """As disconnect() does, so that no exit handler and no daemon thread waits for ever."""
    c = client(simulator().url)
    c.connect()
    waiting = run_in_thread(c.queue("unknown").get)
    running = run_in_thread(c.run_forever)
    session._end_all()
    assert c.state is ClientState.CLOSED
    error = waiting.exception()
    assert isinstance(error, EToroClosedError)
    assert str(error) == "The program ends."
    assert running.exception() is None


def test_promise_2_the_end_of_the_program_wakes_also_where_the_reader_hangs(
    client: MakeClient,
) -> None:
    """In a name resolution, say; its thread is a daemon and holds nobody up."""
    release = threading.Event()
    c = client("ws://127.0.0.1:9/ws", close_timeout=0.05)
    waiting = c.queue("unknown")

    def hang(*arguments: Any) -> None:
        release.wait(5)

    core_of(c).sessions._begin()[1].reader.__dict__["_session"] = hang
    present = core_of(c).sessions.present
    assert present is not None
    present.start()
    session._end_all()
    try:
        assert c.state is ClientState.CLOSED
        with pytest.raises(EToroClosedError, match="program ends"):
            waiting.get(timeout=5)
    finally:
        release.set()


def test_promise_13_the_end_of_the_program_stands_a_client_that_connects_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A daemon thread may change the list of sessions while it is read."""

    class Changing(list[Any]):
        looks = 0

        def __iter__(self) -> Iterator[Any]:
            self.looks += 1
            if self.looks < 3:
                raise RuntimeError("Set changed size during iteration")
            return super().__iter__()

    changing = Changing()
    monkeypatch.setattr(session, "_sessions", changing)
    session._end_all()
    assert changing.looks == 3


@pytest.mark.parametrize("listening", [True, False])
def test_promise_1_a_client_that_is_collected_says_so(
    simulator: MakeSimulator, caplog: pytest.LogCaptureFixture, listening: bool
) -> None:
    """In the log, if its callbacks would have heard: they are not told otherwise."""
    c = make_client(simulator().url)
    if listening:
        c.on("private:event", print)
    c.connect()
    del c
    gc.collect()
    assert not join_stragglers(prefix="etoro-sync-reader")
    warned = ["Keep a reference" in r.getMessage() for r in caplog.records if r.levelno > 20]
    assert warned == [True] * listening


def test_promise_1_a_loop_over_the_queue_of_a_client_that_was_collected_does_not_end_in_silence(
    simulator: MakeSimulator,
) -> None:
    """As it would if the user had closed the client; should anything ever read such a queue."""
    c = make_client(simulator().url)
    c.connect()
    items = c.queue("unknown")._items
    core_of(c).registry.add_queue(items, None)
    del c
    with pytest.raises(EToroClosedError, match="nothing referred to it any more"):
        list(items)


def dispatchers() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("etoro-sync-dispatcher")]


def test_promise_11_a_callback_that_does_not_return_costs_one_thread_for_all_sessions(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """However often the client is disconnected and connected under it."""
    c = client(simulator().url, close_timeout=0.01)
    inside, release = threading.Event(), threading.Event()

    def hang() -> None:
        inside.set()
        release.wait(20)

    c.once("authenticated", hang)
    c.on("close", lambda *arguments: None)
    c.connect()
    assert inside.wait(5)
    try:
        for _ in range(20):
            c.disconnect()
            c.connect()
            # Those that have lost what they had may be on their way out.
            while len(dispatchers()) > 2:
                pass
        c.disconnect()
        while len(dispatchers()) > 1:
            pass
        assert c.stats().callbacks_lost > 0
    finally:
        release.set()
    assert not join_stragglers(prefix="etoro-sync-dispatcher")


def test_promise_12_a_handler_that_cannot_be_compared_keeps_no_other_from_going(
    client: MakeClient,
) -> None:
    """Nor itself, when it is the very one."""

    class Odd:
        def __call__(self) -> None: ...

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("incomparable")

        __hash__ = None  # type: ignore[assignment]

    c = client("ws://127.0.0.1:9/ws")
    odd = Odd()
    c.on("open", odd)
    c.on("open", print)
    c.off("open", print)
    (left,) = core_of(c).registry.listeners("open").handlers
    assert left.function is odd
    c.off("open", odd)
    assert not core_of(c).registry.listeners("open").active


def generator(*arguments: Any) -> Iterator[None]:
    yield


async def async_generator(*arguments: Any) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("function", [generator, async_generator])
def test_promise_3_functions_that_would_never_run_are_refused_as_handlers(
    client: MakeClient, function: Callable[..., Any]
) -> None:
    """Calling one makes a generator, which nobody asks for anything."""
    c = client("ws://127.0.0.1:9/ws")
    for register in (c.on, c.once):
        with pytest.raises(EToroValidationError, match="must not be a"):
            register("open", function)


class Program:
    """Its methods raise."""

    def first(self, event: Any) -> None:
        raise ValueError("first")

    def second(self, event: Any) -> None:
        raise ValueError("second")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("incomparable")

    __hash__ = None  # type: ignore[assignment]


def test_promise_4_a_method_is_one_callback_however_often_it_is_registered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each access to it is another object; it uses up no place of another callback's error."""
    bench = Bench()
    one, other = Program(), Program()
    for _ in range(400):
        bench.on("private:event", one.first)
    for method in (one.second, other.first):
        bench.on("private:event", method)
    bench.dispatcher.post("private:event", 1)
    bench.run()
    logged = [r.getMessage().split(" for ")[0] for r in caplog.records]
    assert logged == [
        "The callback Program.first",
        "The callback Program.second",
        "The callback Program.first",
    ]
    assert all(r.exc_info for r in caplog.records)


def test_promise_4_the_error_of_a_callback_that_cannot_be_named_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its attributes may be user code, too."""

    class Odd:
        def __call__(self, event: Any) -> None:
            raise ValueError("boo")

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    bench = Bench()
    told: list[Exception] = []
    bench.on("private:event", Odd())
    bench.on("error", told.append)
    bench.dispatcher.post("private:event", 1)
    bench.run()
    assert [str(error) for error in told] == ["boo"]
    assert "Odd for 'private:event' raised ValueError" in caplog.text


@pytest.mark.parametrize("again", [True, False])
def test_promise_8_a_reader_that_comes_back_late_closes_nothing_of_the_next_session(
    simulator: MakeSimulator, client: MakeClient, again: bool
) -> None:
    """disconnect() did not wait for it; its connection's end is no news in the new session."""
    inside, release = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "cannot be understood" in record.getMessage():
                inside.set()
                release.wait(5)

    handler = Slow()
    logger = logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    try:
        sim = simulator()
        c = client(sim.url, close_timeout=0.01)
        c.connect()
        late = core_of(c).sessions.present
        assert late is not None
        sim.send_text("no JSON")
        assert inside.wait(5)
        c.disconnect()
        if again:
            c.connect()
        closes = c.queue("close")
        release.set()
        assert late.reader.join(5)
    finally:
        release.set()
        logger.removeHandler(handler)
    assert closes.empty()
    assert (c.state is ClientState.LIVE) == again
    assert (c.stats().connected_age is not None) == again
