"""Events are brought until they are acknowledged, in order, to one loop at a time."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import (
    EToroClosedError,
    EToroError,
    EToroTypeError,
    EToroValidationError,
    EToroWebSocketError,
    Feed,
    MarketStream,
    WsClient,
    WsPrivateEvent,
)
from etoro_sync.simulator import EToroSimulator
from etoro_sync.store import OrderStore, StoredEvent
from etoro_sync.stream.core import core_of
from tests.conftest import MakeClient
from tests.store.conftest import MakeStore
from tests.support.timing import MS

Connect = Callable[..., WsClient]
#: Seconds that anything here may take.
SOON = 10_000 * MS


def take(store: OrderStore, number: int) -> list[StoredEvent]:
    """So many pending events."""
    found = []
    for item in store.pending(SOON):
        found.append(item)
        if len(found) == number:
            return found
    raise AssertionError(f"only {len(found)} events")


def test_events_are_brought_until_they_are_acknowledged(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """An exception or a crash before that brings an event again, to the next program, too."""
    first = store()
    connected(first)
    for order_id in (7, 8, 9):
        sim.fill_order(order_id)
    brought = take(first, 3)
    assert [item.event.order_id for item in brought] == [7, 8, 9]
    assert [item.number for item in brought] == [1, 2, 3]
    assert all(item.event.message_id and item.stored_at for item in brought)
    first.acknowledge(brought[1])
    assert take(first, 2) == [brought[0], brought[2]]
    first.close()
    second = store()
    assert list(second.pending()) == [brought[0], brought[2]]
    second.acknowledge(*brought)
    assert list(second.pending()) == []
    acknowledged = [item.acknowledged_at for item in second.events()]
    assert acknowledged[0] == acknowledged[2] != acknowledged[1]
    assert second.stats().pending == 0


def test_a_handler_that_raises_gets_the_event_again(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """What it raises ends process(); what it has returned from is acknowledged."""
    orders = store()
    client = connected(orders)
    for order_id in (7, 8):
        sim.fill_order(order_id)
    handled: list[Any] = []

    def handle(item: StoredEvent) -> None:
        handled.append(item.event.order_id)
        if len(handled) == 2:
            raise ZeroDivisionError
        if len(handled) == 3:
            client.disconnect()

    with pytest.raises(ZeroDivisionError):
        orders.process(handle)
    orders.process(handle)  # ends with the client
    assert handled == [7, 8, 8]
    assert orders.stats().pending == 0


def test_a_loop_waits_for_events_and_ends_when_the_time_is_up(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """The time of each step; an event that comes while it waits wakes it."""
    orders = store()
    connected(orders)
    waiting = orders.pending(SOON)
    threading.Timer(50 * MS, sim.fill_order, [7]).start()
    assert next(waiting).event.order_id == 7
    waiting.close()  # type: ignore[attr-defined]  # a generator, to its users an iterator
    assert [item.number for item in orders.pending(50 * MS)] == [1]
    for bad in (-1, "1", float("nan")):
        with pytest.raises(EToroValidationError):
            orders.pending(bad)  # type: ignore[arg-type]


def test_another_process_brings_what_this_one_stores(
    store: MakeStore, connected: Connect, sim: EToroSimulator, path: Path
) -> None:
    """A store without a stream looks into the file; both may write."""
    orders = store()
    connected(orders)
    program = (
        "import sys; from etoro_sync.store import OrderStore\n"
        "with OrderStore(sys.argv[1]) as store:\n"
        "    print('ready', flush=True)\n"
        "    for item in store.pending(10):\n"
        "        store.acknowledge(item)\n"
        "        print(item.event.order_id, flush=True)\n"
        "        if item.event.order_id == 9: break\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    for order_id in (7, 8, 9):
        sim.fill_order(order_id)
    assert worker.communicate()[0].split() == ["7", "8", "9"]
    assert worker.returncode == 0
    assert orders.stats().pending == 0


def test_two_clients_of_an_account_store_each_event_once(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """Each with a store of its own on the same file; one of them may be gone for a while."""
    one, other = store(), store()
    first = connected(one)
    connected(other)
    for order_id in range(1, 51):
        if order_id == 30:
            first.wait_for_order(29, timeout=SOON)
            first.disconnect()
        sim.fill_order(order_id)
    assert [item.event.order_id for item in take(other, 50)] == list(range(1, 51))
    stats = [one.stats(), other.stats()]
    while sum(each.waiting for each in stats):
        stats = [one.stats(), other.stats()]
    assert [each.received for each in stats] == [29, 50]
    assert sum(each.stored for each in stats) == 50
    assert sum(each.repeated for each in stats) == 29


def test_a_loop_that_would_wait_in_vain_is_refused(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """Without the topic no order event comes, also if it is taken back while the loop waits."""
    orders = store()
    client = connected(orders)
    sim.fill_order(7)
    loop = orders.pending(None)
    assert next(loop).event.order_id == 7
    client.unsubscribe("private")
    with pytest.raises(EToroWebSocketError, match=r"'private' is not subscribed to\. Call"):
        next(loop)
    assert [item.event.order_id for item in orders.pending()] == [7]  # it does not wait
    client.subscribe("private")
    loop = orders.pending(None)
    next(loop)
    threading.Timer(50 * MS, client.unsubscribe, ["private"]).start()
    with pytest.raises(EToroWebSocketError, match="subscribe"):
        next(loop)


def test_a_loop_on_a_thread_of_the_client_is_refused(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """In a callback it would keep all others waiting; what waits in the file may be looked at."""
    orders = store()
    client = connected(orders)
    found: list[object] = []

    @client.on("private:event")
    def handle(event: WsPrivateEvent) -> None:
        found.append(list(orders.pending()))
        with pytest.raises(EToroWebSocketError, match="thread of your own"):
            orders.process(orders.acknowledge)
        found.append("refused")

    sim.fill_order(7)
    client.wait_for_order(7, timeout=SOON)
    client.disconnect()  # waits for the callback
    assert found[1:] == ["refused"]


def test_one_loop_at_a_time_takes_events(store: MakeStore, path: Path) -> None:
    """Neither a second loop of this process nor one of another may handle the same event."""
    orders = store()
    add(orders, 7, 8)
    loop = orders.pending()
    assert next(loop).event.order_id == 7
    for other in (orders, store()):
        with pytest.raises(EToroError, match="handled once"):
            next(other.pending())
    program = (
        "import sys; from etoro_sync.store import OrderStore\n"
        "with OrderStore(sys.argv[1]) as store: list(store.pending())"
    )
    worker = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert "handled once" in worker.stderr
    assert next(loop).event.order_id == 8
    del loop
    assert [len(list(each.pending())) for each in (other, orders, other)] == [2, 2, 2]


def add(store: OrderStore, *order_ids: int) -> None:
    """Store events of a stream of one's own."""

    def play(feed: Feed) -> None:
        for order_id in order_ids:
            feed.emit("private:event", WsPrivateEvent(order_id=order_id, status_id=3))

    stream = MarketStream(play)
    store.attach(stream)
    before = store.stats().stored
    with stream:
        stream.run_forever()
    assert len(list(store.pending(0.5))) >= len(order_ids)
    assert store.stats().stored == before + len(order_ids)


def test_the_history_is_read_by_order_by_time_and_by_number(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """Without acknowledging anything, also by ids that SQLite has no integer for."""
    orders = store()
    connected(orders)
    for status in (11, 5, 3):
        sim.fill_order(7, status_id=status, RequestGuid="guid \ud800")
        sim.fill_order(2**63 + 1, status_id=status)
    items = take(orders, 6)
    assert [i.event.status_id for i in orders.events(7)] == [11, 5, 3]
    assert [i.event.status_id for i in orders.events(2**63 + 1)] == [11, 5, 3]
    assert [i.number for i in orders.events(request_guid="guid \ud800")] == [1, 3, 5]
    assert [i.number for i in orders.events(after=4)] == [5, 6]
    assert list(orders.events(since=items[2].event.received_at))[-4:] == items[2:]
    assert list(orders.events(8)) == []
    assert orders.stats().pending == 6
    for bad in ({"order_id": "7"}, {"since": "now"}, {"after": 1.5}, {"order_id": True}):
        with pytest.raises(EToroValidationError, match=next(iter(bad))):
            orders.events(**bad)  # type: ignore[arg-type]


def test_a_long_history_is_read_page_by_page(store: MakeStore) -> None:
    """It is whole and in order, also while events are added."""
    orders = store()
    add(orders, *range(1, 451))
    reading = orders.events()
    first = [next(reading).event.order_id for _ in range(10)]
    add(orders, 500)
    assert first + [item.event.order_id for item in reading] == [*range(1, 451), 500]


def test_a_store_goes_on_over_the_sessions_of_a_client(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """Disconnected and connected again, it needs no second attach(), which is allowed."""
    orders = store()
    client = connected(orders)
    for order_id in (7, 8, 9):
        sim.fill_order(order_id)
        client.wait_for_order(order_id, timeout=SOON)
        client.disconnect()
        assert [item.event.order_id for item in orders.pending(None)][-1] == order_id
        assert orders.attach(client) is orders
        client.connect()
        client.subscribe("private")
    assert orders.stats().stored == orders.stats().received == 3


def test_a_client_that_fails_ends_the_loop_with_its_error(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """After what it has brought; the store goes on, and so does the client when it connects."""
    orders = store()
    client = connected(orders, reconnect_attempts=0)
    sim.fill_order(7)
    client.wait_for_order(7, timeout=SOON)
    handled: list[StoredEvent] = []
    sim.disconnect()
    with pytest.raises(EToroError, match=r"reconnect|closed|lost"):
        orders.process(handled.append)
    assert [item.event.order_id for item in handled] == [7]
    client.connect()
    client.subscribe("private")
    sim.fill_order(8)
    assert [item.event.order_id for item in take(orders, 1)] == [8]


def test_a_closed_store_ends_its_loops_and_refuses_the_rest(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """close() wakes a loop in another thread, may be repeated, and leaves the client alone."""
    orders = store()
    client = connected(orders)
    ended: list[object] = []
    loop = threading.Thread(target=lambda: ended.append(list(orders.pending(None))))
    loop.start()
    registry = core_of(client).registry
    assert len(registry.queues()) == 2
    orders.close()
    orders.close()
    loop.join(SOON)
    assert ended == [[]]
    assert registry.queues() == []
    for call in (lambda: list(orders.events()), lambda: orders.attach(client), orders.gaps):
        with pytest.raises(EToroClosedError, match="Make a new OrderStore"):
            call()
    assert list(orders.pending()) == []
    assert orders.stats().pending == 0
    assert "closed" in repr(orders)
    sim.fill_order(7)
    assert client.wait_for_order(7, timeout=SOON)
    assert orders.stats().received == 0


def test_what_is_no_argument_is_refused(store: MakeStore, client: MakeClient) -> None:
    """By name, and with what is meant."""
    orders = store()
    with pytest.raises(EToroValidationError, match="NUL"):
        OrderStore("a\0b")
    for path in ("", ":memory:", 7, None, b"x"):
        with pytest.raises(EToroValidationError, match="survives"):
            OrderStore(path)  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match="WsClient"):
        orders.attach(7)  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match="StoredEvent"):
        orders.acknowledge(WsPrivateEvent())  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match="function"):
        orders.process(None)  # type: ignore[arg-type]
    with pytest.raises(EToroTypeError, match="same path"):
        pickle.dumps(orders)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends signals")
def test_ctrl_c_leaves_the_event_of_its_handler_pending(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """At whatever moment it comes, the store goes on, and nothing is acknowledged by it."""
    orders = store()
    connected(orders)
    main = threading.main_thread().ident or 0
    handled: list[int] = []
    finished: list[int] = []
    calls = {"running": False, "interrupts": 0}

    def interrupt(*_: object) -> None:
        if calls["running"]:  # and not in this test itself
            calls["running"] = False
            calls["interrupts"] += 1
            raise KeyboardInterrupt

    def handle(item: StoredEvent) -> None:
        handled.append(item.number)
        if item.number % 5 == 0 and handled.count(item.number) == 1:
            signal.pthread_kill(main, signal.SIGINT)
        finished.append(item.number)

    def keep_interrupting() -> None:
        # At random moments, within SQLite and between.
        while not ending.wait(3 * MS):
            signal.pthread_kill(main, signal.SIGINT)

    ending, thread = threading.Event(), threading.Thread(target=keep_interrupting)
    for order_id in range(1, 51):
        sim.fill_order(order_id)
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        thread.start()
        while not finished or finished[-1] < 50:
            try:
                calls["running"] = True
                orders.process(handle, timeout=20 * MS)
                calls["running"] = False
            except KeyboardInterrupt:
                pass
    finally:
        ending.set()
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert calls["interrupts"] >= 10
    assert sorted(set(finished)) == list(range(1, 51))
    orders.process(handle, timeout=0)  # the last one, if it was interrupted behind the handler
    assert orders.stats().pending == 0
    sim.fill_order(99)
    assert take(orders, 1)[0].event.order_id == 99


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_leaves_the_store_to_its_parent(
    store: MakeStore, connected: Connect, sim: EToroSimulator, path: Path
) -> None:
    """Calls raise there, close() does nothing, and the file stays whole when the child ends."""
    program = (
        "import os, sys\n"
        "from etoro_sync import EToroClosedError\n"
        "from etoro_sync.store import OrderStore\n"
        "from tests.support.clients import make_client\n"
        "client, store = make_client(sys.argv[1]), OrderStore(sys.argv[2])\n"
        "store.attach(client)\n"
        "client.connect()\n"
        "client.subscribe('private')\n"
        "if os.fork() == 0:\n"
        "    for call in (store.stats, store.pending, store.events, store.gaps):\n"
        "        try: call()\n"
        "        except EToroClosedError: continue\n"
        "        print('no error')\n"
        "    store.close()\n"
        "    sys.exit(0)\n"
        "assert os.wait()[1] == 0\n"
        "print('ended', flush=True)\n"
        "print([i.event.order_id for i in store.pending(10) if not store.acknowledge(i)\n"
        "       and (i.event.order_id < 8 or client.disconnect())])\n"
        "store.close()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, sim.url, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ended\n"
    sim.fill_order(7)
    sim.fill_order(8)
    assert parent.communicate() == ("[7]\n", "")
    assert [item.event.order_id for item in store().events()] == [7, 8]


def test_a_loop_keeps_its_store(tmp_path: Path, client: MakeClient, sim: EToroSimulator) -> None:
    """Else a program that has nothing but the loop would store nothing more."""
    live = client(sim.url)
    live.connect()
    loop = OrderStore(tmp_path / "orders.db").attach(live).pending(SOON)
    live.subscribe("private")
    gc.collect()
    sim.fill_order(7)
    assert next(loop).event.order_id == 7
    loop.close()  # type: ignore[attr-defined]  # it is a generator
    gc.collect()
