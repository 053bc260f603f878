"""Promises 11 and 12: order and a fixed number of threads; every method legal everywhere."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import EToroError, WsClient
from tests.support.clients import Ear
from tests.support.threads import Watchdog, run_in_thread

from .conftest import MakeClient, MakeSimulator


def own_threads() -> list[str]:
    names = (thread.name for thread in threading.enumerate())
    return sorted(n for n in names if n.startswith(("etoro-sync-reader", "etoro-sync-dispatcher")))


def test_promise_11_two_named_threads_whatever_happens(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Messages, handlers, queues and reconnects create no thread."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    names = own_threads()
    assert [name.rsplit("-", 1)[0] for name in names] == [
        "etoro-sync-dispatcher",
        "etoro-sync-reader",
    ]
    c.subscribe([18])
    queues = [c.queue("instrument:rate") for _ in range(10)]
    for n in range(300):
        sim.publish(18, Ask=str(n + 2), Bid="1")
    ear.wait_for("instrument:rate", 300)
    assert own_threads() == names
    sim.drop()
    ear.wait_for("reconnected")
    assert own_threads() == names
    assert all(q.received >= 300 for q in queues)
    c.disconnect()
    assert own_threads() == []


def test_promise_11_order_per_instrument_is_kept_in_callbacks_and_queues(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Rates, deltas and order events come as they were sent."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    q = c.queue("instrument:rate", instrument_ids=[19])
    c.connect()
    c.subscribe([18, 19, "private"])
    expected: list[tuple[str, int]] = []
    choice = random.Random(11)
    for n in range(400):
        if choice.random() < 0.2:
            sim.fill_order(order_id=n, instrument_id=18, units=1.0)
            expected.append(("private:event", n))
        else:
            sim.publish(choice.choice([18, 19]), Ask=str(n + 1), Bid="0.5")
            expected.append(("instrument:rate", n))
    ear.wait(lambda e: len(e.names("instrument:rate", "private:event")) == 400)
    heard = [
        (event, args[0].order_id if event == "private:event" else int(args[1].ask) - 1)
        for event, args in ear.heard
        if event in ("instrument:rate", "private:event")
    ]
    assert heard == expected
    queued = [int(q.get_nowait()[1].ask) for _ in range(q.qsize())]
    assert queued == sorted(queued)


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(EToroError):
        call()


EVERY_METHOD: dict[str, Callable[[WsClient], Any]] = {
    "on": lambda c: c.on("open", print),
    "once": lambda c: c.once("open", print),
    "off": lambda c: c.off("open", print),
    "remove_all_listeners": lambda c: c.remove_all_listeners("unknown"),
    "queue": lambda c: c.queue("open").close(),
    "stream": lambda c: next(iter(c.stream([55], timeout=5))),
    "subscribe": lambda c: c.subscribe([56]),
    "unsubscribe": lambda c: c.unsubscribe([56]),
    "wait_for": lambda c: refused(lambda: c.wait_for("unknown", timeout=0.01)),
    "connect": lambda c: refused(c.connect),
    "stats": lambda c: c.stats(),
    "state": lambda c: (c.state, c.is_connected, c.is_authenticated, c.generation),
    "views": lambda c: (c.last_pong_at, dict(c.rates), c.subscriptions, repr(c)),
}


@pytest.mark.parametrize(
    "event", ["open", "authenticated", "message", "instrument:rate", "private:event", "error"]
)
def test_promise_12_every_method_is_legal_in_every_callback(
    simulator: MakeSimulator, client: MakeClient, event: str
) -> None:
    """No deadlock and no refusal, under a watchdog."""
    sim = simulator()
    c = client(sim.url)
    problems: list[str] = []
    finished = threading.Event()

    def call_everything(*arguments: Any) -> None:
        for name, call in EVERY_METHOD.items():
            try:
                call(c)
            except Exception as exc:
                problems.append(f"{name}: {exc!r}")
        finished.set()

    with Watchdog(20):
        c.once(event, call_everything)
        c.connect()
        c.subscribe([18, "private"])
        sim.publish(18, Ask="2", Bid="1")
        sim.fill_order(instrument_id=18, units=1.0)
        sim.send_text("no json")
        assert finished.wait(15)
    assert problems == []


@pytest.mark.parametrize("event", ["open", "instrument:rate", "private:event"])
def test_promise_12_disconnect_and_connect_are_legal_in_a_callback(
    simulator: MakeSimulator, client: MakeClient, event: str
) -> None:
    """A callback may end the session that it runs in, and begin another one."""
    sim = simulator()
    c = client(sim.url)
    states: list[str] = []
    finished = threading.Event()

    def restart(*arguments: Any) -> None:
        c.disconnect()
        states.append(c.state.value)
        c.connect()
        states.append(c.state.value)
        finished.set()

    with Watchdog(20):
        c.once(event, restart)
        connected = run_in_thread(c.connect)
        connected.exception()
        if event != "open":
            c.subscribe([18, "private"])
            sim.publish(18, Ask="2", Bid="1")
            sim.fill_order(instrument_id=18, units=1.0)
        assert finished.wait(15)
    assert states == ["closed", "live"]


def test_promise_12_sixteen_threads_do_everything_at_once(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """16 threads subscribe, register and read under losses; it ends at what is wanted."""
    sim = simulator(rate=300)
    c = client(sim.url, request_timeout=5)
    c.connect()
    problems: list[str] = []

    def work(seed: int) -> None:
        choice = random.Random(seed)
        own = range(seed * 100, seed * 100 + 10)

        def handler(*arguments: Any) -> None:
            pass

        for _ in range(25):
            try:
                action = choice.randrange(6)
                if action == 0:
                    c.subscribe(choice.sample(own, 3), snapshot=choice.random() < 0.5, wait=False)
                elif action == 1:
                    c.unsubscribe(choice.sample(own, 3), wait=False)
                elif action == 2:
                    c.on("instrument:rate", handler, instrument_id=choice.choice(own))
                elif action == 3:
                    c.off("instrument:rate", handler)
                elif action == 4:
                    with c.queue("instrument:rate", instrument_ids=own, maxsize=5) as q:
                        q.empty()
                else:
                    dict(c.rates), c.stats(), c.subscriptions
                    if seed == 1:
                        sim.drop()
            except Exception as exc:
                problems.append(repr(exc))

    with Watchdog(25):
        workers = [run_in_thread(lambda seed=seed: work(seed)) for seed in range(1, 17)]
        for worker in workers:
            worker.result(20)
        c.subscribe([9999], wait=False)
        sim.wait_until(lambda s: s.subscribed == frozenset(c.subscriptions), timeout=10)
    assert problems == []
    assert c.stats().callback_errors == 0


def test_promise_12_no_lock_is_held_while_user_code_runs(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """While a callback hangs, other threads can register, subscribe, queue and read."""
    sim = simulator()
    c = client(sim.url)
    release, hanging = threading.Event(), threading.Event()

    @c.on("authenticated")
    def hang() -> None:
        hanging.set()
        release.wait(10)

    c.connect()
    assert hanging.wait(5)
    try:
        for name, call in EVERY_METHOD.items():
            worker = run_in_thread(lambda call=call: call(c))
            assert worker.exception(5) is None, name
    finally:
        release.set()
