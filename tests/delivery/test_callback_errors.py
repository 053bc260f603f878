"""Errors on the thread of the callbacks: theirs, and those that come between two of them."""

from __future__ import annotations

import functools
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest

from etoro_sync import ClientState, EToroError
from etoro_sync.delivery.lanes import Lanes
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator
from tests.delivery.tools import Bench
from tests.support.clients import API_KEY, Ear
from tests.support.interrupts import every_interrupt
from tests.support.threads import join_stragglers


def test_promise_3_an_error_outside_of_a_callback_costs_one_event_at_most(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever their thread is when it is raised: none comes twice, and they get the error."""
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


def test_promise_1_an_error_in_the_callbacks_thread_is_logged_and_emitted(
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
    """It fails, and waiting calls raise, instead of being live without callbacks."""
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


def test_promise_4_the_error_of_a_callback_that_cannot_be_named_is_emitted(
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


PRICE = {"Ask": "2", "Bid": "1"}


@dataclass
class Unhashable:
    """Equal by value, so without a hash; and its repr fails too."""

    calls: int = 0

    def __call__(self, *arguments: Any) -> None:
        self.calls += 1
        raise RuntimeError("boo")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_promise_4_a_callback_that_cannot_even_be_named_ends_nothing(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Hashing, comparing and printing a callback are user code too."""
    sim = simulator()
    c = client(sim.url)
    bad = Unhashable()
    c.on("instrument:rate", bad)
    ear = Ear(c)
    errors = c.queue("error")
    c.connect()
    c.subscribe([18])
    for _ in range(3):
        sim.publish(18, **PRICE)
    ear.wait_for("instrument:rate", 3)
    assert bad.calls == 3
    assert [str(errors.get(timeout=5)) for _ in range(3)] == ["boo"] * 3


def test_promise_14_a_partial_that_raises_does_not_show_its_arguments(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """They may be keys."""

    def fails(key: str) -> None:
        raise RuntimeError("boo")

    c = client(simulator().url)
    ear = Ear(c)
    c.on("open", functools.partial(fails, API_KEY))
    c.connect()
    ear.wait_for("error")
    assert "fails" in caplog.text
    assert API_KEY not in "".join(r.getMessage() for r in caplog.records)
