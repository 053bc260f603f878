"""Promise 2: a blocked call always ends: with data, a timeout, or what ended the client."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync import (
    EToroClosedError,
    EToroError,
    EToroTimeoutError,
    EToroWebSocketError,
    EventQueue,
    WsClient,
)
from etoro_sync import synchronization as monitor
from etoro_sync.delivery import queues
from etoro_sync.stream import core
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clocks import LeapingTime
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.threads import run_in_thread
from tests.support.timing import Stopwatch


def with_orders(c: WsClient) -> WsClient:
    """Subscribe to order events, without which a wait for one is refused."""
    c.subscribe("private", wait=False)
    return c


BLOCKING: dict[str, Callable[[WsClient], Any]] = {
    "get": lambda c: c.queue("private:event").get(),
    "iteration": lambda c: deque(c.queue("instrument:rate"), maxlen=0),
    "wait_for": lambda c: c.wait_for("private:event"),
    "run_forever": lambda c: c.run_forever(),
    "stream": lambda c: deque(c.stream([77]), maxlen=0),
    "several events": lambda c: c.queue(["private:event", "reconnected"]).get(),
    "iterate": lambda c: deque(c.queue("private:event").iterate(), maxlen=0),
    "expect": lambda c: c.expect("private:event").__enter__().wait(),
    "wait_for_order": lambda c: with_orders(c).wait_for_order(77),
    "order_updates": lambda c: next(with_orders(c).order_updates(77)),
}
#: Of these, those that return a value, and so cannot end without one.
WITH_A_VALUE = {"get", "wait_for", "several events", "expect", "wait_for_order", "order_updates"}


def wait_until_blocked(c: WsClient, call: str, sim_subscribed: Callable[[], bool]) -> None:
    """Wait until the other thread has registered its queue, or subscribed."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if call == "run_forever" or (core_of(c).registry.queues() and sim_subscribed()):
            return
    raise AssertionError("the call did not begin")


@pytest.mark.parametrize("call", BLOCKING)
def test_promise_2_disconnect_wakes_every_blocked_call(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """Closing in one thread ends the waiting in another, at once."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    blocked = run_in_thread(lambda: BLOCKING[call](c))
    wait_until_blocked(c, call, lambda: call != "stream" or "instrument:77" in sim.subscribed)
    watch = Stopwatch()
    c.disconnect()
    if call in WITH_A_VALUE:
        assert isinstance(blocked.exception(), EToroClosedError)
    else:
        # run_forever() returns, and a for loop simply ends.
        blocked.result()
    assert watch.seconds < 2


@pytest.mark.parametrize("call", BLOCKING)
def test_promise_2_a_failed_client_raises_its_error_from_every_blocked_call(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """What ended the client is raised everywhere, each time as an exception of its own."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    c.connect()
    blocked = run_in_thread(lambda: BLOCKING[call](c))
    wait_until_blocked(c, call, lambda: call != "stream" or "instrument:77" in sim.subscribed)
    sim.drop()
    error = blocked.exception()
    assert isinstance(error, EToroWebSocketError)
    assert not isinstance(error, EToroClosedError)
    with pytest.raises(EToroWebSocketError) as late:
        c.run_forever()
    assert str(late.value) == str(error)
    assert late.value is not error


def test_promise_2_subscribe_ends_with_a_timeout_when_nothing_is_acknowledged(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The caller waits as long as he said; the topic stays wanted."""

    def deaf(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    c = client(raw_server(deaf).url)
    c.connect()
    with pytest.raises(EToroTimeoutError, match=r"not acknowledged within 0\.1 s") as caught:
        c.subscribe([18], timeout=0.1)
    assert isinstance(caught.value, TimeoutError)
    assert c.subscriptions == ("instrument:18",)


def test_promise_2_subscribe_ends_when_the_client_is_disconnected(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A caller that waits for an acknowledgement is told that the client was closed."""

    def deaf(peer: Peer) -> None:
        peer.accept()
        peer.read_json()
        asked.append(True)
        peer.hold()

    asked: list[bool] = []
    c = client(raw_server(deaf).url, request_timeout=20)
    c.connect()
    blocked = run_in_thread(lambda: c.subscribe([18]))
    deadline = time.monotonic() + 5
    while not asked and time.monotonic() < deadline:
        pass
    c.disconnect()
    assert isinstance(blocked.exception(), EToroClosedError)


def test_promise_2_get_keeps_to_its_timeout_as_the_standard_library_does(
    client: MakeClient, simulator: MakeSimulator
) -> None:
    """queue.Empty after the timeout, at once without blocking, ValueError for a negative one."""
    c = client(simulator().url)
    q = c.queue("private:event")
    with pytest.raises(queue.Empty):
        q.get(timeout=0.05)
    with pytest.raises(queue.Empty):
        q.get_nowait()
    with pytest.raises(ValueError, match="0 or more"):
        q.get(timeout=-1)
    c.connect()
    with pytest.raises(EToroTimeoutError, match=r"No matching 'open'.*the stream is live"):
        c.wait_for("open", timeout=0.05)


def test_promise_2_connect_ends_with_its_timeout_and_the_client_can_be_used_again(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A server that never answers the handshake costs no more than the caller's patience."""

    def silent(peer: Peer) -> None:
        peer.read_request()
        peer.hold()

    server = raw_server([silent, live])
    c = client(server.url)
    watch = Stopwatch()
    with pytest.raises(EToroTimeoutError, match=r"0\.2 s"):
        c.connect(timeout=0.2)
    assert watch.seconds < 2
    c.connect()
    assert c.is_authenticated


def test_promise_2_items_that_wait_are_delivered_before_the_end(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """An order event that was received is not lost because the client ended."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    q = c.queue("private:event")
    c.connect()
    c.subscribe("private")
    sim.fill_order(order_id=1, instrument_id=18, units=1.0)
    sim.fill_order(order_id=2, instrument_id=18, units=1.0)
    c.wait_for("private:event", lambda event: event.order_id == 2, 5) if q.qsize() < 2 else None
    sim.drop()
    with pytest.raises(EToroError):
        c.run_forever()
    assert [q.get().order_id, q.get().order_id] == [1, 2]
    with pytest.raises(EToroWebSocketError):
        q.get()


NOBODY: dict[str, Callable[[EventQueue], Any]] = {
    "get": lambda q: q.get(),
    "iteration": lambda q: next(iter(q)),
    "get with a timeout": lambda q: q.get(timeout=30),
    "get again and again": lambda q: poll(q),
}


def poll(q: EventQueue) -> Any:
    while True:
        try:
            return q.get(timeout=0.01)
        except queue.Empty:
            pass


def warnings_of(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    texts = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    return [text for text in texts if words in text]


@pytest.mark.parametrize("closed", [False, True], ids=["never connected", "closed"])
@pytest.mark.parametrize("call", NOBODY)
def test_promise_2_who_waits_for_a_client_that_nobody_has_connected_is_told(
    simulator: MakeSimulator,
    client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    closed: bool,
) -> None:
    """Once, in the log, after five seconds: a queue may be read before connect()."""
    assert queues._PATIENCE == 5.0
    monkeypatch.setattr(queues, "_PATIENCE", 0.05)
    c = client(simulator().url)
    if closed:
        c.connect()
        c.disconnect()
    opened = c.queue("open")
    waiting = run_in_thread(lambda: NOBODY[call](opened))
    while not warnings_of(caplog, "waits for 'open'"):
        assert not waiting.done()
    (text,) = warnings_of(caplog, "waits for 'open'")
    assert ("is closed" if closed else "is disconnected") in text
    assert "until connect() is called" in text
    c.connect()
    assert waiting.result() == ()
    assert len(warnings_of(caplog, "waits for 'open'")) == 1


def test_promise_2_who_waits_for_a_client_that_is_connected_is_not_told_so(
    simulator: MakeSimulator,
    client: MakeClient,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor one who reads a queue for a while before it is; a timeout is kept to the point."""
    monkeypatch.setattr(queues, "_PATIENCE", 0.05)
    c = client(simulator().url)
    unknown = c.queue("unknown")
    with pytest.raises(queue.Empty):
        unknown.get(timeout=0.01)
    c.connect()
    with pytest.raises(queue.Empty):
        unknown.get(timeout=0.2)
    assert warnings_of(caplog, "waits for") == []


def test_promise_2_subscribing_where_nothing_can_come_is_told(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Behind the with block, and after a failure; not before connect(), where it is usual."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    c.subscribe([18])
    assert warnings_of(caplog, "subscribe()") == []
    with c:
        c.subscribe([19])
    assert warnings_of(caplog, "subscribe()") == []
    c.subscribe([18])
    words = "the client is closed: nothing will come until connect()"
    assert len(warnings_of(caplog, words)) == 1
    c.connect()
    assert c.subscriptions == ("instrument:18",)
    sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()
    c.unsubscribe([18])
    c.subscribe([20], wait=False)
    assert len(warnings_of(caplog, "the client has failed: nothing will come until")) == 1
    assert c.subscriptions == ("instrument:20",)


@pytest.mark.parametrize("call", BLOCKING)
def test_promise_2_nothing_blocks_on_a_client_that_was_closed(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """But a queue that is made then: it waits for the next connect()."""
    c = client(simulator().url)
    c.connect()
    c.disconnect()
    if call == "run_forever":
        c.run_forever()
    elif call in ("wait_for", "stream", "expect", "wait_for_order"):
        with pytest.raises(EToroClosedError, match="Call connect"):
            BLOCKING[call](c)
    else:
        blocked = run_in_thread(lambda: BLOCKING[call](c))
        wait_until_blocked(c, call, lambda: True)
        c.connect()
        c.disconnect()
        if call in WITH_A_VALUE:
            assert isinstance(blocked.exception(), EToroClosedError)
        else:
            blocked.result()


def test_promise_2_wait_for_goes_on_when_the_process_stood_still(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also past the first event that does not match: the one that does lies unread, perhaps."""
    clock = LeapingTime()
    for module in (core, monitor, queues):
        monkeypatch.setattr(module, "clocks", clock)
    sim = simulator()
    c = client(sim.url)
    c.connect()
    c.subscribe([18, 19])
    waiting = run_in_thread(
        lambda: c.wait_for("instrument:rate", lambda key, rate: key == 19, timeout=0.5)
    )
    listening = core_of(c).registry.listeners("instrument:rate")
    while not listening.queues:
        assert not waiting.done()
    bells = listening.queues[0]._monitor._bells
    while not (first := bells[:]):
        assert not waiting.done()
    clock.leap(100.0)
    sim.publish(18, Ask="2", Bid="1")
    while bells[:] in ([], first):
        assert not waiting.done()
    sim.publish(19, Ask="2", Bid="1")
    assert waiting.result()[0] == 19
