"""Promise 13: Ctrl-C is clean wherever it comes, also for those who go on after it."""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import ClientState, EToroClosedError, EToroError, EventQueue, WsClient
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator
from tests.support.interrupts import every_interrupt, locks_held
from tests.support.threads import join_stragglers
from tests.support.timing import MS

#: Calls of a connected client, which block or take a while.
CALLS: dict[str, Callable[[WsClient], Any]] = {
    "run_forever": lambda c: c.run_forever(),
    "wait_for": lambda c: c.wait_for("private:event"),
    "stream": lambda c: list(c.stream([55])),
    "expect": lambda c: c.expect("private:event").__enter__().wait(),
    "wait_for_order": lambda c: c.wait_for_order(77),
    "order_updates": lambda c: list(c.order_updates(77)),
    "subscribe": lambda c: (c.unsubscribe([18], wait=False), c.subscribe([18])),
    "unsubscribe": lambda c: (c.subscribe([18], wait=False), c.unsubscribe([18])),
    "disconnect": lambda c: c.disconnect(),
}
#: These are refused without the topic of orders.
OF_ORDERS = {"wait_for_order", "order_updates"}


def connect(c: WsClient, name: str) -> None:
    """Connect for a call."""
    c.connect()
    if name in OF_ORDERS:
        c.subscribe("private")


def assert_over(c: WsClient, waiting: EventQueue, where: str) -> None:
    """Assert that *c*, and whatever belongs to it, has come to its end."""
    assert c.state in (ClientState.CLOSED, ClientState.FAILED), where
    assert not join_stragglers(prefix="etoro-sync-reader"), where
    with pytest.raises(EToroError):
        waiting.get(timeout=1)


@pytest.mark.parametrize("name", CALLS)
def test_promise_13_ctrl_c_is_clean_wherever_it_comes(
    simulator: MakeSimulator, client: MakeClient, name: str
) -> None:
    """It ends the call as KeyboardInterrupt and leaves no lock held; the client goes on, or ends.

    A thread that waits for it meanwhile hears of its end.
    """
    c = client(simulator().url)
    connect(c, name)
    waiting = c.queue("unknown")
    places = 0
    for where, outcome in every_interrupt(lambda: CALLS[name](c)):
        places += 1
        assert type(outcome) is KeyboardInterrupt, where
        assert locks_held(c) == 0, where
        if name in ("disconnect", "run_forever"):
            if c.state is not ClientState.LIVE:  # where the call had begun
                assert_over(c, waiting, where)
            c.disconnect()
            assert c.state is ClientState.CLOSED, where
            assert not join_stragglers(prefix="etoro-sync-reader"), where
            with pytest.raises(EToroClosedError):
                waiting.get(timeout=1)
            connect(c, name)
            waiting = c.queue("unknown")
        assert c.state is ClientState.LIVE, where
        del outcome  # its traceback holds the generator of a stream
        wanted = ("private",) if name in OF_ORDERS else ()
        assert c.subscriptions == wanted or name in ("subscribe", "unsubscribe"), where
        assert core_of(c).registry.queues() == [waiting._items], where
    assert places > 10


@pytest.mark.parametrize("backlog", [0, 3])
def test_promise_13_ctrl_c_in_get_cannot_hold_up_the_reader(
    simulator: MakeSimulator, client: MakeClient, backlog: int
) -> None:
    """Whoever goes on after it, as in a notebook, has a stream that goes on, too."""
    sim = simulator()
    c = client(sim.url)
    rates = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    c.connect()
    rates.get(timeout=5)

    def read() -> None:
        while True:
            rates.get()

    places = 0
    rates._items.feed([None] * backlog)
    for where, outcome in every_interrupt(read):
        places += 1
        assert type(outcome) is KeyboardInterrupt, where
        assert locks_held(rates) == 0, where
        while rates.qsize():
            rates.get()
        sim.publish(18, Bid=1.0 + places / 1000)
        assert rates.get(timeout=5)[1].bid == 1.0 + places / 1000
        rates._items.feed([None] * backlog)
    assert places > 5


def test_promise_13_ctrl_c_while_a_queue_is_made_or_closed_can_be_made_good(
    client: MakeClient,
) -> None:
    """Closing it again, and disconnect(), find what was left half done."""
    c = client("ws://127.0.0.1:9/ws")

    def make_and_close() -> None:
        with c.queue("instrument:rate", instrument_ids=[18, 19]):
            pass

    places = 0
    for where, outcome in every_interrupt(make_and_close):
        places += 1
        assert type(outcome) is KeyboardInterrupt, where
        for left in core_of(c).registry.queues():
            left.close()
        c.disconnect()
        assert core_of(c).registry.queues() == [], where
        assert core_of(c).registry.listeners("instrument:rate").queues_by_id == {}, where
        assert not core_of(c).registry.listeners("instrument:rate").active, where
    assert places > 10


# Of sockets that are closed by being forgotten: their maker was interrupted.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_promise_13_ctrl_c_in_connect_is_clean_wherever_it_comes(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The client is over, and can connect again.

    But when the call was done but for its return, the client is connected, as just behind it.
    """
    c = client(simulator().url)
    waiting = c.queue("unknown")
    places = sessions = 0
    for where, outcome in every_interrupt(c.connect):
        places += 1
        assert type(outcome) is KeyboardInterrupt, where
        assert locks_held(c) == 0, where
        returning = re.fullmatch(r"return  in connect:\d+( < connect:\d+)?", where)
        if returning and c.state is ClientState.LIVE:
            assert c.is_authenticated, where
        elif core_of(c).lifecycle.session > sessions:  # where the call had begun
            assert_over(c, waiting, where)
        sessions = core_of(c).lifecycle.session
        c.disconnect()
        assert c.state is ClientState.CLOSED, where
        del outcome
        waiting = c.queue("unknown")
    gc.collect()  # in here, where it is expected
    assert places > 10
    assert sessions > 10
    c.disconnect()
    c.connect()
    assert c.state is ClientState.LIVE


def test_promise_13_ctrl_c_while_the_reader_begins_is_no_internal_error(
    simulator: MakeSimulator,
    client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thread.start() waits for the thread, which goes on when Ctrl-C ends the wait.

    It may end as a RuntimeError of CPython's Condition, and is a KeyboardInterrupt all the same.
    """
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("etoro-sync-reader"):
            try:
                raise KeyboardInterrupt
            finally:
                raise RuntimeError("cannot release un-acquired lock")

    c = client(simulator().url)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        for _ in range(20):
            with pytest.raises(KeyboardInterrupt):
                c.connect()
            assert not join_stragglers(prefix="etoro-sync-reader", grace=5000 * MS)
            c.disconnect()
    assert "Internal error" not in caplog.text
    c.connect()
    assert c.state is ClientState.LIVE
