"""The one thread of the callbacks: through several sessions, forks and finalizers."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import EToroWebSocketError
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator
from tests.delivery.tools import Bench
from tests.support.threads import Watchdog, join_stragglers


def test_promise_11_callbacks_of_two_sessions_run_one_at_a_time(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """What is left of a failed session is delivered before anything of the next one."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    seen: list[int] = []
    release, inside = threading.Event(), threading.Event()

    @c.on("private:event")
    def order(event: Any) -> None:
        inside.set()
        release.wait(10)
        seen.append(event.order_id)

    received = c.queue("private:event")
    c.connect()
    c.subscribe("private")
    for n in range(1, 4):
        sim.fill_order(order_id=n, instrument_id=1, units=1.0)
    for _ in range(3):
        received.get(timeout=5)
    assert inside.wait(5)
    sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()
    c.connect()
    again = c.queue("private:event")
    c.subscribe("private")
    sim.fill_order(order_id=101, instrument_id=1, units=1.0)
    again.get(timeout=5)
    release.set()
    deadline = time.monotonic() + 5
    while len(seen) < 4 and time.monotonic() < deadline:
        pass
    assert seen == [1, 2, 3, 101]


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


@pytest.mark.parametrize("inside", ["extend", "take"])
def test_promise_12_a_finalizer_that_disconnects_amid_the_lanes_does_not_deadlock(
    simulator: MakeSimulator,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    inside: str,
) -> None:
    """The collector may run it on either thread, under the lock; the rates are still accounted."""
    sim = simulator()
    c = client(sim.url, close_timeout=0.2)
    c.on("instrument:rate", lambda *arguments: None)
    c.connect()
    c.subscribe([18])
    lanes = core_of(c).sessions.dispatcher.lanes
    real, done = getattr(lanes, inside), threading.Event()

    def with_finalizer(*arguments: Any) -> Any:
        if not done.is_set() and (inside == "extend" or lanes.rates.ready):
            done.set()
            c.disconnect()
        return real(*arguments)

    with Watchdog(10):
        monkeypatch.setattr(lanes, inside, with_finalizer)
        sim.publish(18, Ask="2", Bid="1")
        assert done.wait(5)
        c.disconnect()
        for kind in ("reader", "dispatcher"):
            assert not join_stragglers(prefix=f"etoro-sync-{kind}")
    # What was being taken out when it stopped is not called any more, and counts as dropped. On
    # the reader's thread disconnect() does not wait, so what was being put in may be called.
    gone = (lanes.rates.delivered, lanes.rates.dropped)
    assert gone in ([(0, 1), (1, 0)] if inside == "extend" else [(0, 1)])
    assert (lanes.rates.received, len(lanes)) == (1, 0)


def test_states_that_callbacks_see_are_those_of_their_events(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """`authenticated` and `reconnected` are emitted when the client is live, not just before."""
    sim = simulator()
    c = client(sim.url)
    seen: list[tuple[str, str]] = []
    done = threading.Event()
    for event in ("authenticated", "reconnected"):
        c.on(event, lambda *a, event=event: seen.append((event, c.state.value)))
    c.on("reconnected", lambda gap: done.set())
    heard = threading.Event()
    c.once("authenticated", heard.set)
    c.connect()
    # A callback sees the state of the moment at which it runs, so that has to be awaited.
    assert heard.wait(5)
    sim.drop()
    assert done.wait(5)
    assert seen[0] == ("authenticated", "live")
    assert seen[-1] == ("reconnected", "live")
