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
    WsClient,
)
from etoro_sync.ws.core import core_of
from tests.conftest import StartServer
from tests.support.peer import Peer
from tests.support.threads import run_in_thread

from .conftest import MakeClient, MakeSimulator

BLOCKING: dict[str, Callable[[WsClient], Any]] = {
    "get": lambda c: c.queue("private:event").get(),
    "iteration": lambda c: deque(c.queue("instrument:rate"), maxlen=0),
    "wait_for": lambda c: c.wait_for("private:event"),
    "run_forever": lambda c: c.run_forever(),
    "stream": lambda c: deque(c.stream([77]), maxlen=0),
}


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
    started = time.monotonic()
    c.disconnect()
    if call in ("get", "wait_for"):
        assert isinstance(blocked.exception(), EToroClosedError)
    else:
        # run_forever() returns, and a for loop simply ends.
        blocked.result()
    assert time.monotonic() - started < 2


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
        peer.handshake()
        peer.authenticate()
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
        peer.handshake()
        peer.authenticate()
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
    with pytest.raises(EToroTimeoutError, match="No matching 'open'"):
        c.wait_for("open", timeout=0.05)


def test_promise_2_connect_ends_with_its_timeout_and_the_client_can_be_used_again(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A server that never answers the handshake costs no more than the caller's patience."""

    def silent(peer: Peer) -> None:
        peer.read_request()
        peer.hold()

    def live(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.serve()

    server = raw_server([silent, live])
    c = client(server.url)
    started = time.monotonic()
    with pytest.raises(EToroTimeoutError, match=r"0\.2 s"):
        c.connect(timeout=0.2)
    assert time.monotonic() - started < 2
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
