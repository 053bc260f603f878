"""What attacks on the client have found; each stayed mended because of a test here."""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import logging
import os
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroClosedError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from etoro_sync.ws.core import core_of
from etoro_sync.ws.protocol.control import ControlChannel, Operation
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker
from etoro_sync.ws.session import session
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import API_KEY, Ear, connect_and_run, envelope, make_client
from tests.support.frames import TEXT, frame
from tests.support.peer import Peer
from tests.support.threads import Background, Watchdog, join_stragglers, run_in_thread

PRICE = {"Ask": "2", "Bid": "1"}


def live(peer: Peer) -> None:
    peer.handshake()
    peer.authenticate()
    peer.serve()


def test_promise_12_a_finalizer_that_changes_the_listeners_does_not_deadlock(
    client: MakeClient,
) -> None:
    """Handlers that go away run code of their users, which may call the client again."""
    c = client("ws://127.0.0.1:9/ws")

    class Listener:
        def on_rate(self, *arguments: Any) -> None: ...

        def __del__(self) -> None:
            c.off("close", print)
            c.queue("open").close()

    with Watchdog(10):
        for _ in range(3):
            c.on("instrument:rate", Listener().on_rate)
        c.remove_all_listeners()
        c.once("open", print)


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
    # What was being taken out when it stopped is told no more, and counts as dropped. On the
    # reader's thread disconnect() waits for nothing, so that what was being put in may be told.
    gone = (lanes.rates.delivered, lanes.rates.dropped)
    assert gone in ([(0, 1), (1, 0)] if inside == "extend" else [(0, 1)])
    assert (lanes.rates.received, len(lanes)) == (1, 0)


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


@pytest.mark.parametrize("call", ["wait_for", "get", "stream"])
def test_promise_2_a_call_that_begins_after_the_failure_ends_too(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """A loop that waits again and again must not miss the end between two calls."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    c.connect()
    sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()
    begin = {
        "wait_for": lambda: c.wait_for("open"),
        "get": lambda: c.queue("open").get(),
        "stream": lambda: deque(c.stream([1])),
    }[call]
    error = run_in_thread(begin).exception()
    assert isinstance(error, EToroWebSocketError)
    assert "reset" in str(error)
    c.disconnect()
    if call != "get":
        assert isinstance(run_in_thread(begin).exception(), EToroClosedError)


def test_promise_2_a_queue_made_while_disconnect_is_at_work_ends(
    raw_server: StartServer, client: MakeClient
) -> None:
    """It is not in the list of those that disconnect() has ended already."""

    def deaf(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.hold()

    c = client(raw_server(deaf).url, close_timeout=0.5)
    c.connect()
    ending = run_in_thread(c.disconnect)
    while c.state is not ClientState.CLOSING:
        pass
    assert isinstance(run_in_thread(lambda: c.wait_for("open")).exception(), EToroClosedError)
    ending.result()


def test_promise_2_a_queue_goes_on_whose_client_was_dropped(simulator: MakeSimulator) -> None:
    """Whoever keeps only the queue keeps the client."""
    sim = simulator()

    def queue_only() -> Any:
        c = make_client(sim.url)
        c.connect()
        return c.queue("close")

    reader = run_in_thread(queue_only().get)
    gc.collect()
    sim.drop()
    assert reader.result()[0] == 1006
    sim.wait_until(lambda s: not s.clients)


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


def test_promise_1_a_logging_filter_that_raises_ends_nothing(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Neither the reader, which logs a loss, nor the callbacks."""

    def spoil(record: logging.LogRecord) -> bool:
        raise RuntimeError("filter")

    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    logger = logging.getLogger("etoro_sync")
    logger.addFilter(spoil)
    try:
        sim.drop()
        ear.wait_for("reconnected")
    finally:
        logger.removeFilter(spoil)


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


def test_promise_9_an_order_event_behind_a_failing_reply_is_delivered(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Both may have come in one read."""

    def first(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        peer.reset()

    def second(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        request = peer.read_json()
        refusal = (
            f'{{"id":"{request["id"]}","success":false,"operation":"Subscribe",'
            '"errorCode":"UnhandledException"}'
        )
        order = envelope("private", {"OrderID": 7}, "Trading.New")
        peer.send(frame(TEXT, refusal.encode()) + frame(TEXT, order.encode()))
        peer.serve()

    c = client(raw_server([first, second, live]).url)
    q = c.queue("private:event")
    c.subscribe("private")
    c.connect()
    assert q.get(timeout=5).order_id == 7


def test_promise_5_a_restoration_that_is_refused_for_ever_ends_the_client(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Data on a connection that cannot restore its topics earns no new start of the counter."""

    def first(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        peer.reset()

    def refusing(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.send_text(envelope("instrument:5", PRICE))
        peer.acknowledge("SubscribeFailed", "no such topic")
        peer.serve()

    server = raw_server([first, refusing])
    c = client(server.url, reconnect_attempts=3)
    c.subscribe([999])
    with pytest.raises(EToroWebSocketError, match="no such topic"):
        connect_and_run(c)
    assert server.connections == 4


def test_promise_10_wishes_in_an_outage_do_not_pile_up(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The restoration covers them; the end does not have to go through them."""
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


def test_promise_7_one_refused_call_does_not_cost_the_topics_of_others(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Recorded before connect(), they share a frame; what is bad is found out."""
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


def test_promise_8_connecting_again_after_a_failure_begins_with_snapshots(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """What was wanted is wanted still, and has seen a gap."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    c.connect()
    c.subscribe([18])
    sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()
    ear = Ear(c)
    c.connect()
    ear.wait(lambda e: any(d.is_snapshot for _, d in e.of("instrument:delta")))
    assert c.generation == 2


def test_promise_8_a_duplicate_that_brings_no_snapshot_holds_nothing_back(
    raw_server: StartServer, client: MakeClient
) -> None:
    """eToro has said that it sends none, so the deltas are all there is."""

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge("TopicAlreadySubscribed")
        peer.send_text(envelope("instrument:18", PRICE))
        peer.serve()

    c = client(raw_server(script).url)
    q = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    c.connect()
    assert q.get(timeout=5)[1].ask == 2


def test_promise_9_a_price_that_was_held_back_for_a_snapshot_is_told_if_none_comes(
    raw_server: StartServer, client: MakeClient
) -> None:
    """It came while eToro was asked for the snapshot, and may be the last one for long."""

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        again = peer.read_json()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.reply(again, "TopicAlreadySubscribed")
        peer.serve()

    c = client(raw_server(script).url)
    q = c.queue("instrument:rate")
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    c.subscribe([18], snapshot=True)
    assert q.get(timeout=5)[1].ask == 2
    assert ear.wait_for("instrument:rate")[0][1] == c.rates[18]
    assert c.stats().rates == 1


def test_promise_13_ctrl_c_inside_disconnect_leaves_a_client_that_is_closed(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that can be connected again."""
    c = client(raw_server(live).url)
    c.connect()

    def interrupted(self: object, timeout: float) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("etoro_sync.ws.session.reader.Reader.join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            c.disconnect()
    assert c.state is ClientState.CLOSED
    c.connect()


@pytest.mark.parametrize("timeout", [float("inf"), 1e10])
def test_promise_13_disconnect_takes_any_timeout(
    raw_server: StartServer, client: MakeClient, timeout: float
) -> None:
    """Also one that no clock of the system can hold."""
    c = client(raw_server(live).url)
    c.connect()
    c.disconnect(timeout=timeout)
    assert c.state is ClientState.CLOSED


def test_promise_13_a_slow_callback_adds_nothing_to_the_bound_of_disconnect(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """close_timeout and a tenth of a second, whatever still runs."""
    sim = simulator()
    c = client(sim.url, close_timeout=0.2)
    release, inside = threading.Event(), threading.Event()

    @c.on("authenticated")
    def slow() -> None:
        inside.set()
        release.wait(10)

    c.connect()
    assert inside.wait(5)
    started = time.monotonic()
    c.disconnect()
    elapsed = time.monotonic() - started
    release.set()
    # The bound is 0.3 s; the rest is for a busy machine.
    assert elapsed < 0.8


def test_promise_13_the_end_of_the_program_has_one_deadline_for_all_clients(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Ten clients whose callbacks hang cost no more than one."""
    sim = simulator()
    release = threading.Event()
    clients = [client(sim.url) for _ in range(6)]
    for c in clients:
        c.on("authenticated", lambda: release.wait(20))
        c.connect()
    started = time.monotonic()
    session._end_all()
    elapsed = time.monotonic() - started
    release.set()
    assert elapsed < 3


def test_states_that_callbacks_see_are_those_of_their_events(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """`authenticated` and `reconnected` are heard when the client is live, not just before."""
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


def test_an_unsubscription_in_an_outage_forgets_the_price(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """What is no longer wanted is not shown until the next connection either."""
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


def test_a_missing_acknowledgement_is_noticed_while_data_flows(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A busy stream never falls idle, and its deadlines count all the same."""

    def busy(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.read_json()
        # Faster than any reader: what it could read next is always there already.
        block = frame(TEXT, envelope("instrument:5", PRICE).encode()) * 5000
        while True:
            peer.send(block)

    c = client(raw_server([busy, live]).url, request_timeout=0.2)
    ear = Ear(c)
    c.connect()
    c.subscribe([18], wait=False)
    (code, reason), *_ = ear.wait_for("close")
    assert code == 1006
    assert "No acknowledgement" in reason


def test_a_sessions_end_is_forgotten_by_the_module(simulator: MakeSimulator) -> None:
    """The list for the interpreter's exit does not grow."""
    before = len(session._sessions)
    c = make_client(simulator().url)
    c.connect()
    assert len(session._sessions) == before + 1
    c.disconnect()
    assert len(session._sessions) == before


def test_promise_13_the_collector_in_a_forked_child_does_not_end_the_parents_session(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is collected there leaves the threads, which are the parent's, alone."""
    c = client(simulator().url)
    c.connect()
    assert core_of(c).sessions.present is not None
    own = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: own + 1)
        core_of(c).sessions.present.abandon()
    c.subscribe([18])
    assert c.state is ClientState.LIVE


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


@pytest.mark.parametrize("call", ["wait_for", "stream"])
def test_promise_2_a_call_that_disconnect_overtakes_at_its_beginning_ends(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """It has found the client at work, but has no queue yet that disconnect() could end."""
    c = client(simulator().url)
    c.connect()
    add = core_of(c).registry.add_queue

    def overtaken(queue: Any, ids: Any) -> None:
        c.disconnect()
        add(queue, ids)

    monkeypatch.setattr(core_of(c).registry, "add_queue", overtaken)
    calls = {"wait_for": lambda: c.wait_for("unknown"), "stream": lambda: next(iter(c.stream(18)))}
    waiting = run_in_thread(calls[call])
    try:
        assert isinstance(waiting.exception(timeout=2), EToroClosedError)
    finally:
        for left in core_of(c).registry.queues():
            left.close()


@pytest.mark.parametrize("blocks", ["a bad message", "a bad Ask", "a queue that is full"])
def test_promise_8_a_reader_that_comes_back_late_changes_no_price_of_the_next_session(
    raw_server: StartServer, client: MakeClient, blocks: str
) -> None:
    """A log handler has held it up for longer than disconnect() waits, in the middle of a read."""
    inside, release = threading.Event(), threading.Event()

    class Blocks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if blocks.split()[-1] in record.getMessage() or "JSON" in record.getMessage():
                inside.set()
                release.wait(10)

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", {"Ask": "20", "Bid": "10"}, "Snapshot"))
        if peer.index == 0:
            order = envelope("private", {"OrderID": 1}, "Trading.New")
            first = {
                "a bad message": ["no JSON"],
                "a bad Ask": [envelope("instrument:18", {"Ask": "x", "Bid": "1"})],
                "a queue that is full": [order, order, order],
            }
            texts = [*first[blocks], envelope("instrument:18", {"Ask": "2", "Bid": "1"})]
            peer.send(b"".join(frame(TEXT, text.encode()) for text in texts))
            peer.hold()
        peer.serve()

    c = client(raw_server(script).url, close_timeout=0.05)
    handler, logger = Blocks(), logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    try:
        full = c.queue("private:event", maxsize=1)
        c.connect()
        c.subscribe([18], snapshot=True)
        assert inside.wait(5)
        assert core_of(c).sessions.present is not None
        late = core_of(c).sessions.present.reader._thread
        c.disconnect()
        assert late.is_alive()
        rates = c.queue("instrument:rate")
        c.connect()
        c.subscribe([18], snapshot=True)
        assert rates.get(timeout=5)[1].bid == 10
        release.set()
        late.join(5)
    finally:
        release.set()
        logger.removeHandler(handler)
    assert c.rates[18].bid == 10
    assert rates.empty()
    assert full.qsize() == (1 if blocks == "a queue that is full" else 0)


def test_promise_8_a_look_up_that_comes_back_late_leaves_the_next_session_its_prices(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of a connect() that timed out ends when another session has its states."""
    real, calls, release, late = socket.getaddrinfo, [0], threading.Event(), threading.Event()

    def slow_at_first(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            release.wait(10)
        return real(*arguments, **options)

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
        late.wait(10)
        peer.send_text(envelope("instrument:18", {"Bid": "1.5"}))
        peer.serve()

    monkeypatch.setattr(socket, "getaddrinfo", slow_at_first)
    c = client(raw_server(script).url)
    try:
        with pytest.raises(EToroTimeoutError):
            c.connect(timeout=0.05)
        assert core_of(c).sessions.present is not None
        first = core_of(c).sessions.present.reader._thread
        c.connect()
        rates = c.queue("instrument:rate")
        c.subscribe([18], snapshot=True)
        assert rates.get(timeout=5)[1].bid == 1
        assert first.is_alive()
        release.set()
        first.join(5)
        assert not first.is_alive()
    finally:
        release.set()
        late.set()
    rate = rates.get(timeout=5)[1]
    assert (rate.ask, rate.bid) == (2, 1.5)


def test_promise_8_news_before_the_authentication_is_not_mixed_with_the_lost_connection(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Its other side may have changed meanwhile."""

    def script(peer: Peer) -> None:
        peer.handshake()
        if peer.index == 1:
            peer.send_text(envelope("instrument:18", {"Bid": "10"}))
        peer.authenticate()
        peer.acknowledge()
        if peer.index == 0:
            peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
            return
        peer.send_text(envelope("instrument:18", {"Ask": "20", "Bid": "10"}, "Snapshot"))
        peer.serve()

    c = client(raw_server(script).url)
    ear = Ear(c)
    c.subscribe([18], snapshot=True)
    c.connect()
    ear.wait_for("instrument:rate", 2)
    found = [(rate.generation, rate.ask, rate.bid) for _, rate in ear.of("instrument:rate")]
    assert found == [(1, 2, 1), (2, 20, 10)]


def test_promise_9_a_refused_request_for_a_snapshot_holds_no_price_back(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Another call wants the same topic without one, and that call is accepted."""
    second = threading.Event()

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        refused = peer.read_json()
        assert second.wait(5)
        peer.reply(refused, "SubscribeFailed")
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.serve()

    c = client(raw_server(script).url)
    rates = c.queue("instrument:rate")
    c.connect()
    c.subscribe([18], snapshot=True, wait=False)
    c.subscribe([18], wait=False)
    second.set()
    assert rates.get(timeout=5)[1].bid == 1


def test_promise_2_a_call_that_waits_hears_that_its_topics_were_refused_after_a_reconnect(
    raw_server: StartServer, client: MakeClient
) -> None:
    """They are asked for by the restoration then; the call must not return as if all were well."""

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
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


@pytest.mark.parametrize("moment", ["before", "after"])
def test_promise_7_no_snapshot_is_left_to_a_restoration_that_is_refused_it(moment: str) -> None:
    """A call that came before or after the refusal, while others are restored, asks for itself."""
    tracker, ids = WsSubscriptionTracker(), iter("1234567")
    tracker.add(["private", "instrument:18"], True)
    protocol = ControlChannel(tracker, 10.0, 10.0, str, new_id=lambda: next(ids))

    def answer(number: int, code: str = "") -> dict[str, Any]:
        protocol.on_reply({"id": str(number), "success": not code, "errorCode": code})
        if number == 1:
            protocol.restore(with_snapshots=False)
        request = protocol.next_request(0.0)
        return json.loads(request[0])["data"] if request else {}

    def subscribe() -> None:
        version = tracker.add(["private"], True)
        protocol.submit(Operation("Subscribe", ["private"], {"private": True}, version=version))

    protocol.authenticate("k", "u", 0.0)
    assert answer(1) == {"topics": ["private"], "snapshot": True}
    if moment == "before":
        subscribe()
    assert answer(2, "SubscribeFailed") == {"topics": ["instrument:18"], "snapshot": True}
    if moment == "after":
        subscribe()
    assert answer(3) == {"topics": ["private"], "snapshot": True}
