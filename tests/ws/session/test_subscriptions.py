"""Which calls and streams want a topic, and what a waiting call returns or raises."""

from __future__ import annotations

import contextlib
import gc
import time
import weakref
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from etoro_sync.lifecycle import Lifecycle
from etoro_sync.ws.core import core_of
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker
from etoro_sync.ws.session.subscriptions import Subscriptions
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, connect_and_run, envelope
from tests.support.frames import TEXT, frame
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.threads import Background, Watchdog, join_stragglers, run_in_thread


def test_promise_7_a_stream_that_ends_late_does_not_take_a_topic_from_a_newer_one(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The user has unsubscribed in between, so the topic belongs to the second stream alone."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    first = iter(c.stream([18]))
    next(first)
    c.unsubscribe([18])
    second = iter(c.stream([18]))
    next(second)
    first.close()  # type: ignore[attr-defined]
    c.subscribe([19])  # whatever was asked for before has been answered then
    assert c.subscriptions == ("instrument:18", "instrument:19")
    assert sim.subscribed == {"instrument:18", "instrument:19"}
    second.close()  # type: ignore[attr-defined]
    assert c.subscriptions == ("instrument:19",)


def test_promise_7_a_stream_that_begins_in_the_middle_of_a_subscribe_does_not_own_the_topic(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it ends, what the user has asked for stays wanted."""
    c = client("ws://127.0.0.1:9/ws")
    use, add = object(), core_of(c).tracker.add
    overtaking: list[Background[None]] = []

    def overtaken(topics: list[str], snapshot: bool = False) -> int:
        monkeypatch.undo()
        overtaking.append(run_in_thread(lambda: core_of(c).requests.hold(use, topics, None)))
        with contextlib.suppress(TimeoutError):
            overtaking[0].wait(0.05)
        return add(topics, snapshot)

    monkeypatch.setattr(core_of(c).tracker, "add", overtaken)
    c.subscribe([18])
    overtaking[0].result()
    core_of(c).requests.release(use)
    assert c.subscriptions == ("instrument:18",)


def test_promise_12_a_stream_that_is_collected_inside_the_tracker_does_not_deadlock(
    client: MakeClient,
) -> None:
    """The garbage collector ends a stream while its thread holds the tracker's lock."""
    c = client("ws://127.0.0.1:9/ws")
    use = object()
    core_of(c).requests.hold(use, ["instrument:18"], None)
    with Watchdog(5):
        with core_of(c).tracker.lock:
            other = run_in_thread(
                lambda: core_of(c).requests.hold(object(), ["instrument:19"], None)
            )
            with contextlib.suppress(TimeoutError):
                other.wait(0.05)
            core_of(c).requests.release(use)
        other.result()
    assert c.subscriptions == ("instrument:19",)


def test_promise_12_streams_that_are_collected_in_the_middle_of_a_change_do_not_deadlock(
    client: MakeClient,
) -> None:
    """The garbage collector may end a stream at any moment, also inside the client."""
    c = client("ws://127.0.0.1:9/ws")
    thresholds = gc.get_threshold()
    gc.set_threshold(5, 2, 2)
    try:
        with Watchdog(20):
            for n in range(60):
                # An outage that never ends: streams wait, and nothing is sent.
                core_of(c).lifecycle.state = ClientState.RECONNECTING
                waiting = run_in_thread(lambda: next(iter(c.stream([1]))))
                circle: list[Any] = [c.queue("instrument:rate", instrument_ids=[1, n + 2])]
                circle.append(circle)
                del circle
                c.on("instrument:rate", lambda *a: None, instrument_id=n + 1)
                c.off("instrument:rate", print)
                while (1,) not in list(core_of(c).registry._queue_ids.values()):
                    pass  # the stream's own queue
                c.disconnect()
                assert isinstance(waiting.exception(), StopIteration)
    finally:
        gc.set_threshold(*thresholds)


def test_promise_10_calls_in_an_outage_do_not_pile_up(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The restoration covers them, so they need not be kept."""
    sim = simulator()
    c = client(sim.url, reconnect_delay=30, reconnect_max_delay=30)
    ear = Ear(c)
    c.connect()
    c.subscribe([1])
    sim.drop()
    ear.wait_for("reconnecting")
    for n in range(20_000):
        c.subscribe([1 + n % 3], wait=False)
    assert core_of(c).sessions.present is not None
    with Watchdog(10):
        c.disconnect()
        assert not join_stragglers(prefix="etoro-sync-reader")


PRICE = {"Ask": "2", "Bid": "1"}


def test_an_unsubscription_in_an_outage_forgets_the_price(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A topic that is no longer wanted has no rate, also before the next connection."""
    sim = simulator()
    c = client(sim.url, reconnect_delay=30, reconnect_max_delay=30)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    sim.publish(18, **PRICE)
    ear.wait_for("instrument:rate")
    sim.drop()
    ear.wait_for("reconnecting")
    assert 18 in c.rates
    c.unsubscribe([18])
    deadline = time.monotonic() + 5
    while 18 in c.rates and time.monotonic() < deadline:
        pass
    assert 18 not in c.rates


def test_promise_7_one_refused_call_does_not_cost_the_topics_of_others(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Topics recorded before connect() share a frame; it is split to find the refused ones."""
    sim = simulator(max_topics=3)
    c = client(sim.url)
    ear = Ear(c)
    c.subscribe("private")
    c.subscribe([1])
    c.subscribe([2, 3, 4])
    c.connect()
    errors = ear.wait_for("error", 2)
    assert all(isinstance(error, EToroSubscriptionError) for error in errors)
    assert c.subscriptions == ("private", "instrument:1", "instrument:2")
    sim.wait_until(lambda s: s.subscribed == {"private", "instrument:1", "instrument:2"})


def test_promise_2_a_call_that_waits_hears_that_its_topics_were_refused_after_a_reconnect(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The restoration requests them then; the call must raise its refusal."""

    def script(peer: Peer) -> None:
        peer.accept()
        if peer.index == 0:
            peer.read_json()  # and then the connection is lost
            return
        peer.acknowledge("SubscribeFailed")
        peer.serve()

    c = client(raw_server(script).url)
    c.connect()
    with pytest.raises(EToroSubscriptionError) as refused:
        c.subscribe([18], timeout=5)
    assert refused.value.topics == ("instrument:18",)
    assert c.subscriptions == ()


def test_promise_5_a_restoration_that_is_refused_for_ever_ends_the_client(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Data on a connection that cannot restore its topics does not reset the count of attempts."""

    def first(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.reset()

    def refusing(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:5", PRICE))
        peer.acknowledge("SubscribeFailed", "no such topic")
        peer.serve()

    server = raw_server([first, refusing])
    c = client(server.url, reconnect_attempts=3)
    c.subscribe([999])
    with pytest.raises(EToroWebSocketError, match="no such topic"):
        connect_and_run(c)
    assert server.connections == 4


def test_a_missing_acknowledgement_is_noticed_while_data_flows(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Deadlines are also checked while there is always more to read."""

    def busy(peer: Peer) -> None:
        peer.accept()
        peer.read_json()
        # Faster than any reader: what it could read next is always there already.
        block = frame(TEXT, envelope("instrument:5", PRICE).encode()) * 5000
        while True:
            peer.send(block)

    c = client(raw_server([busy, live]).url, request_timeout=0.2)
    closes = c.queue("close")
    c.connect()
    c.subscribe([18], wait=False)
    code, reason = closes.get(timeout=15)
    assert code == 1006
    assert "No acknowledgement" in reason


def test_a_call_whose_caller_has_given_up_is_awaited_no_longer() -> None:
    """What eToro says of it later is then written to the log, for nobody raises it."""
    lifecycle, posted = Lifecycle(), list[Operation]()
    number = lifecycle.begin()
    assert number is not None
    lifecycle.advance(number, ClientState.LIVE)
    subscriptions = Subscriptions(WsSubscriptionTracker(), lifecycle, 0.01)
    subscriptions.post = posted.append
    with pytest.raises(EToroTimeoutError):
        subscriptions.subscribe(["instrument:18"], snapshot=False, wait=True, timeout=None)
    assert [operation.awaited for operation in posted] == [False]


def test_a_stream_that_ends_while_it_subscribes_waits_for_nothing_more() -> None:
    """And is awaited no longer; what it has asked for is taken back."""
    lifecycle, posted = Lifecycle(), list[Operation]()
    number = lifecycle.begin()
    assert number is not None
    lifecycle.advance(number, ClientState.LIVE)
    subscriptions, use = Subscriptions(WsSubscriptionTracker(), lifecycle, 1000.0), object()

    def post(operation: Operation) -> None:
        posted.append(operation)
        if operation.name == "Subscribe":  # the ticket is there already
            subscriptions.release(use)

    subscriptions.post = post
    subscriptions.hold(use, ["instrument:18"], None)
    assert [(each.name, each.awaited) for each in posted] == [
        ("Subscribe", False),
        ("Unsubscribe", False),
    ]


def test_nothing_is_kept_of_a_stream_that_has_ended() -> None:
    """A program may begin and end any number of them."""

    class Stream: ...

    use = Stream()
    gone = weakref.ref(use)
    subscriptions = Subscriptions(WsSubscriptionTracker(), Lifecycle(), 1.0)
    subscriptions.hold(use, ["instrument:18"], None)
    subscriptions.release(use)
    del use
    gc.collect()
    assert gone() is None
