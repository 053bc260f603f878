"""Bounds, counts and ends that a small change of the code could break, and no other test see."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from etoro_sync import EToroQueueOverflowError, EToroTimeoutError, EToroWebSocketError, WsClient
from etoro_sync.delivery import dispatcher
from etoro_sync.ws.core import core_of
from etoro_sync.ws.transport.socket_stream import SocketStream
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.amounts import amount
from tests.support.clients import Ear, connect_and_run, envelope
from tests.support.clocks import LeapingTime
from tests.support.frames import PING, TEXT, frame
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.timing import SCALE, Stopwatch

PRICE = {"Ask": "2", "Bid": "1"}


@pytest.mark.long_form
def test_promise_3_a_client_that_hears_nothing_sleeps(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the pings of a quiet connection the reader wakes a few times each, and no more."""
    waits, pings = [0], amount(4, 10)
    real = SocketStream.wait

    def counted(stream: SocketStream, deadline: float | None) -> None:
        waits[0] += 1
        real(stream, deadline)

    monkeypatch.setattr(SocketStream, "wait", counted)
    woken: list[int] = []
    done = threading.Event()

    def quiet(peer: Peer) -> None:
        peer.accept()
        for _ in range(pings):
            opcode, payload = peer.read_frame()
            assert opcode == PING
            woken.append(waits[0])
            peer.send_pong(payload)
        done.set()
        peer.serve()

    c = client(raw_server(quiet).url, heartbeat_interval=0.05, heartbeat_timeout=5)
    c.connect()
    assert done.wait(15)
    # The pong, the time of the next ping, and what a timer may wake too early.
    assert woken[-1] - woken[0] <= (pings - 1) * 8


def test_promise_8_a_gap_begins_with_the_first_loss(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A connection that brings data but is lost before it is restored does not shorten the gap."""
    lost = threading.Event()

    def first(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.reset()

    def unrestored(peer: Peer) -> None:
        peer.accept()
        peer.read_json()
        peer.wait(lost)
        peer.send_text(envelope("private", {"OrderID": 1}, "Trading.New"))
        peer.reset()

    c = client(raw_server([first, unrestored, live]).url)
    ear = Ear(c)
    c.subscribe([18, "private"])
    c.connect()
    ear.wait_for("close")
    told = time.time()
    lost.set()
    (gap,) = ear.wait_for("reconnected")
    assert len(ear.of("close")) == 2
    assert ear.of("private:event")[0].received_at >= told
    assert gap.from_ <= told


def test_promise_1_stale_is_told_within_its_bound(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The age that `stale` tells is 1.25 times `stale_after` at most, whenever silence begins."""

    def later(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        # The first look is at the authentication; the silence begins some tenths of a second later.
        for _ in range(3):
            opcode, payload = peer.read_frame()
            assert opcode == PING
            peer.send_pong(payload)
        peer.send_text(envelope("instrument:18", PRICE))
        peer.serve()

    server = raw_server(later)
    c = client(server.url, stale_after=1.6, heartbeat_interval=0.1, heartbeat_timeout=5)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    ((_, age),) = ear.wait_for("stale")
    assert "instrument:rate" in ear.names()
    # 2.0, and what a busy machine adds; looks that came once per limit would make it 2.9.
    assert 1.6 <= age < 2.6 * SCALE


def test_promise_1_only_what_was_acknowledged_is_stale(
    raw_server: StartServer, client: MakeClient
) -> None:
    """An instrument that the server sends without having been asked is not told as stale."""

    def generous(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:5", PRICE))
        peer.acknowledge()
        for _ in range(2):
            peer.send_text(envelope("instrument:18", PRICE))
            peer.acknowledge()
        peer.serve()

    c = client(raw_server(generous).url, stale_after=0.1)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    ear.wait_for("stale")
    c.subscribe([19])
    ear.wait(lambda e: [i for i, _ in e.of("stale")].count(18) == 2)
    assert 5 not in [i for i, _ in ear.of("stale")]


def test_promise_2_one_timeout_is_for_the_keys_and_the_connection_together(
    raw_server: StartServer, client: MakeClient
) -> None:
    """What reading the keys has taken is left no more for the opening handshake."""

    def mute(peer: Peer) -> None:
        peer.read_request()
        peer.wait_closed(5)

    def slow_key() -> str:
        threading.Event().wait(0.8)
        return "a-user-key"

    c = client(raw_server(mute).url, user_key=slow_key, connect_timeout=1.0)
    watch = Stopwatch()
    with pytest.raises(EToroTimeoutError, match="connect_timeout"):
        c.connect()
    assert watch.seconds < 1.5 * SCALE


@pytest.mark.parametrize("seconds", [265, 12, 2])
def test_promise_5_sessions_that_were_restored_use_up_no_attempts(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime, seconds: int
) -> None:
    """Without a message, and ended by the server every so often, however short they were."""
    restored = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        assert restored.acquire(timeout=5)
        peer.send_frame(2, b"\0")
        leap.leap(seconds)
        peer.send_close(1000)

    options = {"reconnect_attempts": 1, "reconnect_delay": 0.01, "heartbeat_interval": 0}
    c = client(raw_server(script).url, **options)
    ear = Ear(c)
    c.on("reconnected", lambda gap: restored.release())
    c.subscribe(["private"])
    c.connect()
    restored.release()
    ear.wait_for("reconnecting", 12)
    attempts, delays = zip(*ear.of("reconnecting")[:12], strict=True)
    assert set(attempts) == {1}
    # Short ones are no storm: the waits go on growing.
    assert (max(delays) > 0.01) == (seconds < 5)


def test_promise_1_while_data_flows_a_missing_acknowledgement_has_twice_the_time(
    raw_server: StartServer, client: MakeClient
) -> None:
    """On a stream that never pauses it is noticed within `2 * request_timeout`."""
    asked: list[Stopwatch] = []
    began: list[float] = []

    def busy(peer: Peer) -> None:
        peer.accept()
        peer.read_json()
        began.append(time.monotonic())
        asked.append(Stopwatch())
        block = frame(TEXT, envelope("instrument:5", PRICE).encode()) * 5000
        while True:
            peer.send(block)

    c = client(raw_server(busy).url, request_timeout=1.0, reconnect_attempts=0)
    took: list[float] = []
    told = threading.Event()
    c.on("close", lambda *_: (took.append(asked[0].seconds), told.set()))
    c.connect()
    c.subscribe([18], wait=False)
    assert told.wait(10)
    assert time.monotonic() - began[0] >= 1.0
    assert took[0] < 2.6 * SCALE


def test_promise_1_while_data_flows_an_instrument_that_is_silent_is_stale(
    raw_server: StartServer, client: MakeClient
) -> None:
    """On a stream that never pauses too, and those that go on are not."""

    def busy(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        block = frame(TEXT, envelope("instrument:5", PRICE).encode()) * 5000
        while True:
            peer.send(block)

    c = client(raw_server(busy).url, stale_after=0.4)
    stale = c.queue("stale")
    c.subscribe([5, 18])
    c.connect()
    assert stale.get(timeout=5)[0] == 18


def test_promise_1_an_answer_that_has_come_is_read_before_it_is_missed(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A reader that was held up for longer than a timeout looks for the answer first."""
    answered = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        request = peer.read_json()
        peer.send_text("no JSON")
        peer.wait(held)
        peer.reply(request)
        answered.set()
        peer.serve()

    held = threading.Event()

    class Slow(logging.Handler):
        """User code that holds the reader up until the answer is there, and overdue."""

        def emit(self, record: logging.LogRecord) -> None:
            if not held.is_set():
                began = time.monotonic()
                held.set()
                assert answered.wait(5)
                threading.Event().wait(began + 0.75 - time.monotonic())

    server = raw_server(script)
    c = client(server.url, request_timeout=0.5)
    c.connect()
    logger, handler = logging.getLogger("etoro_sync"), Slow(logging.WARNING)
    logger.addHandler(handler)
    try:
        c.subscribe([18], timeout=5)
    finally:
        logger.removeHandler(handler)
    assert (c.generation, server.connections) == (1, 1)


def test_promise_13_a_mute_server_and_a_hanging_callback_share_one_close_timeout(
    raw_server: StartServer, client: MakeClient
) -> None:
    """`disconnect()` waits for both together, and not for one after the other."""

    def mute(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    c = client(raw_server(mute).url, close_timeout=1.0)
    hanging, release = threading.Event(), threading.Event()
    c.on("authenticated", lambda: (hanging.set(), release.wait(20)))
    c.connect()
    assert hanging.wait(5)
    watch = Stopwatch()
    try:
        c.disconnect()
        assert watch.seconds < 1.6 * SCALE
    finally:
        release.set()


def test_promise_10_bytes_are_counted_through_all_connections(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A reconnect adds to `stats().bytes`, and does not begin it anew."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18, *range(100, 600)], snapshot=True)
    ear.wait_for("instrument:rate", 501)
    before = c.stats().bytes
    c.unsubscribe(range(100, 600))
    sim.drop()
    ear.wait_for("reconnected")
    ear.wait_for("instrument:rate", 502)
    assert c.stats().bytes > before


def test_promise_14_the_cause_of_giving_up_is_in_the_chain(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The last attempt's own error is the `__cause__` of the one that ends the client."""

    def first(peer: Peer) -> None:
        peer.accept()
        peer.reset()

    def unwilling(peer: Peer) -> None:
        peer.respond(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    c = client(raw_server([first, unwilling]).url, reconnect_attempts=2)
    with pytest.raises(EToroWebSocketError, match="Gave up") as caught:
        connect_and_run(c)
    chain: list[BaseException] = [caught.value]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    assert isinstance(chain[-1], EToroWebSocketError)
    assert "Gave up" not in str(chain[-1])


def test_promise_1_a_lost_connection_has_no_age(
    raw_server: StartServer, client: MakeClient
) -> None:
    """`stats().connected_age` is None between two connections."""

    def lose(peer: Peer) -> None:
        peer.accept()
        peer.reset()

    c = client(raw_server(lose).url, reconnect_delay=30.0, reconnect_max_delay=30.0)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnecting")
    assert c.stats().connected_age is None


def test_promise_10_a_session_that_is_over_is_let_go(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A client that connects again and again keeps nothing of its earlier sessions."""
    c = client(simulator().url)
    ear = Ear(c)
    c.connect()
    earlier = weakref.ref(core_of(c).sessions.present)
    c.disconnect()
    c.connect()
    # The new thread of the callbacks has waited for the old one, and needs it no more.
    ear.wait_for("authenticated", 2)
    gc.collect()
    assert earlier() is None


class OldCallback:
    """A callback of the first session that is still at work in the second."""

    def __init__(self, client: WsClient) -> None:
        self.hanging, self.release, self.second = (threading.Event() for _ in range(3))
        self.work: Callable[[], object] = lambda: None
        client.on("authenticated", self)
        client.connect()
        assert self.hanging.wait(5)
        client.disconnect(timeout=0.05)
        client.connect()

    def __call__(self) -> None:
        if self.hanging.is_set():
            self.second.set()
            return
        self.hanging.set()
        self.release.wait(10)
        self.work()


def test_promise_12_callbacks_of_two_sessions_never_run_at_the_same_time(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Those of the second wait for the one of the first that `disconnect()` did not wait for."""
    old = OldCallback(client(simulator().url))
    try:
        assert not old.second.wait(0.3)
    finally:
        old.release.set()
    assert old.second.wait(5)


def test_promise_12_an_old_callback_may_end_the_next_session(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """`disconnect()` in it does not wait for the new session's callbacks, which wait for it."""
    c = client(simulator().url, close_timeout=5.0)
    old = OldCallback(c)
    took: list[float] = []
    refused: list[str] = []
    done = threading.Event()

    def end() -> None:
        try:
            c.run_forever()
        except EToroWebSocketError as error:
            refused.append(str(error))
        watch = Stopwatch()
        c.disconnect()
        took.append(watch.seconds)
        done.set()

    old.work = end
    old.release.set()
    try:
        assert done.wait(8)
    finally:
        c.disconnect()
    assert took[0] < 2 * SCALE
    assert "in a callback" in refused[0]


def test_promise_10_a_queue_of_errors_hears_of_lost_order_events(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where callbacks have lost order events, queues of `error` are told as the callbacks are."""
    monkeypatch.setattr(dispatcher, "_LOSSLESS_SIZE", 3)
    hanging, release = threading.Event(), threading.Event()

    def flood(peer: Peer) -> None:
        peer.accept()
        peer.wait(hanging)
        for n in range(9):
            peer.send_text(envelope("private", {"OrderID": n}, "Trading.New"))
        peer.serve()

    c = client(raw_server(flood).url)
    c.on("authenticated", lambda: (hanging.set(), release.wait(10)))
    c.on("private:event", lambda event: None)
    orders, errors = c.queue("private:event"), c.queue("error")
    c.connect()
    try:
        assert [orders.get(timeout=5).order_id for _ in range(9)] == list(range(9))
    finally:
        release.set()
    error = errors.get(timeout=5)
    assert isinstance(error, EToroQueueOverflowError)
    assert error.lost == 6


def test_promise_15_the_last_pong_is_remembered_through_a_reconnect(
    raw_server: StartServer, client: MakeClient
) -> None:
    """`last_pong_at` goes back to 0.0 for no new connection."""
    ponged = threading.Event()

    def first(peer: Peer) -> None:
        peer.accept()
        for _ in range(2):  # the second shows that the first pong was read
            opcode, payload = peer.read_frame()
            assert opcode == PING
            peer.send_pong(payload)
        ponged.set()
        peer.send_close(1012)

    def busy(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.serve()

    server = raw_server([first, busy])
    c = client(server.url, heartbeat_interval=0.1, heartbeat_timeout=5, reconnect_attempts=1)
    # At the first rate of the new connection, which has had no pong yet.
    seen: list[float] = []
    heard = threading.Event()
    c.on("instrument:rate", lambda *_: (seen.append(c.last_pong_at), heard.set()))
    c.connect()
    assert ponged.wait(5)
    assert heard.wait(5)
    assert seen[0] > 0
