"""Promises 11 and 12: order and a fixed number of threads; every method legal everywhere."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import ClientState, EToroError, EToroWebSocketError, WsClient
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.certificates import Certificates
from tests.support.clients import API_KEY, Ear
from tests.support.peer import Peer
from tests.support.threads import Watchdog, run_in_thread
from tests.support.timing import Stopwatch


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
    """Rates come as they were sent, and so do order events, which overtake waiting rates."""
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
    for event in ("instrument:rate", "private:event"):
        assert [each for each in heard if each[0] == event] == [
            e for e in expected if e[0] == event
        ]
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


WAITING: dict[str, Callable[[WsClient], Any]] = {
    "subscribe": lambda c: c.subscribe([56]),
    "unsubscribe": lambda c: c.unsubscribe([18]),
    "subscribe with a timeout": lambda c: c.subscribe([56], timeout=9),
    "stream": lambda c: next(iter(c.stream([55]))),
    "wait_for": lambda c: c.wait_for("unknown"),
    "wait_for with a timeout": lambda c: c.wait_for("unknown", timeout=9),
    "get": lambda c: c.queue("unknown").get(),
    "get with a timeout": lambda c: c.queue("unknown").get(timeout=9),
    "iteration": lambda c: next(iter(c.queue("unknown"))),
    "run_forever": lambda c: c.run_forever(),
    "connect": lambda c: c.connect(),
}
NOT_WAITING: dict[str, Callable[[WsClient], Any]] = {
    "subscribe": lambda c: c.subscribe([56], wait=False),
    "unsubscribe": lambda c: c.unsubscribe([18], wait=False),
    "get": lambda c: absent(lambda: c.queue("unknown").get(timeout=0)),
    "get_nowait": lambda c: absent(c.queue("unknown").get_nowait),
    "close a queue": lambda c: c.queue("unknown").close(),
    "stats": lambda c: c.stats(),
    "on": lambda c: c.on("open", print).off("open", print),
    "views": lambda c: (dict(c.rates), c.subscriptions, c.state, repr(c)),
}


def absent(call: Callable[[], Any]) -> None:
    with pytest.raises(queue.Empty):
        call()


@contextlib.contextmanager
def in_log_handler(call: Callable[[], Any]) -> Iterator[list[Any]]:
    """Make a call once, where the reader of the connection logs; collect what it raises."""
    outcomes: list[Any] = []
    begun, done = threading.Event(), threading.Event()

    class Calls(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            on_reader = threading.current_thread().name.startswith("etoro-sync-reader")
            if on_reader and not begun.is_set():
                begun.set()
                outcomes.append(outcome_of(call))
                done.set()

    handler = Calls()
    logger = logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    try:
        yield outcomes
        assert done.wait(5)
    finally:
        logger.removeHandler(handler)


def outcome_of(call: Callable[[], Any]) -> Any:
    """Return what a call raises, and that it took no time."""
    watch = Stopwatch()
    try:
        call()
    except Exception as exc:
        assert watch.seconds < 2
        return exc
    assert watch.seconds < 2
    return "returned"


@pytest.mark.parametrize("call", WAITING)
def test_promise_12_what_would_wait_for_the_reader_is_refused_on_its_thread(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """At once, with what to do instead; nothing is recorded, and the stream goes on."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    with Watchdog(20), in_log_handler(lambda: WAITING[call](c)) as outcomes:
        sim.send_text("no json")
        sim.publish(18, Ask="2", Bid="1")
        ear.wait_for("instrument:rate")
    (error,) = outcomes
    assert type(error) is EToroWebSocketError
    assert "stream's own thread that reads the connection" in str(error)
    assert ("wait=False" in str(error)) is ("subscribe" in call)
    assert c.subscriptions == ("instrument:18",)
    assert c.state is ClientState.LIVE


@pytest.mark.parametrize("call", [name for name in WAITING if name != "connect"])
def test_promise_12_what_waits_for_one_client_is_refused_on_the_readers_thread_of_another(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """It holds the handler's lock, for which the first one's reader may wait; both stood still."""
    sim, others = simulator(), simulator()
    c, other = client(sim.url), client(others.url)
    ear = Ear(other)
    for each in (c, other):
        each.connect()
        each.subscribe([18])
    with Watchdog(20), in_log_handler(lambda: WAITING[call](c)) as outcomes:
        others.send_text("no json")
        ear.wait_for("error")
    (error,) = outcomes
    assert type(error) is EToroWebSocketError
    assert "another client reads the connection" in str(error)
    assert c.subscriptions == ("instrument:18",)
    c.subscribe([19])  # legal elsewhere, as ever


@pytest.mark.parametrize("call", NOT_WAITING)
def test_promise_12_what_does_not_wait_is_legal_on_the_readers_thread(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """A logging handler may look at the client, and leave word."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    c.connect()
    c.subscribe([18, 19])
    with Watchdog(20), in_log_handler(lambda: NOT_WAITING[call](c)) as outcomes:
        sim.send_text("no json")
        sim.publish(19, Ask="2", Bid="1")
        ear.wait_for("instrument:rate")
    assert outcomes == ["returned"]


def test_promise_12_an_item_that_waits_can_be_read_on_the_readers_thread(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """get() does not wait for it."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    opened = c.queue("open")
    c.connect()
    with in_log_handler(opened.get) as outcomes:
        sim.send_text("no json")
        ear.wait_for("error")
    assert outcomes == ["returned"]
    assert opened.delivered == 1


@pytest.mark.parametrize("call", [name for name in WAITING if "subscribe" not in name])
def test_promise_12_what_would_wait_for_a_key_is_refused_where_the_key_is_read(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """A callable that waits for the client would make it wait for the key, and fail."""
    outcomes: list[Any] = []

    def key() -> str:
        outcomes.append(outcome_of(lambda: WAITING[call](c)))
        return API_KEY

    c = client(simulator().url, api_key=key)
    with Watchdog(20):
        c.connect()
    (error,) = outcomes
    assert type(error) is EToroWebSocketError
    assert "stream's own thread that reads the keys" in str(error)


@pytest.mark.parametrize("call", NOT_WAITING)
def test_promise_12_what_does_not_wait_is_legal_where_a_key_is_read(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """It records what is wanted, and looks."""
    outcomes: list[Any] = []

    def key() -> str:
        outcomes.append(outcome_of(lambda: NOT_WAITING[call](c)))
        return API_KEY

    c = client(simulator().url, api_key=key)
    with Watchdog(20):
        c.connect()
    assert outcomes == ["returned"]


@pytest.mark.parametrize("message", ["bad json", "lost connection"])
def test_promise_12_disconnect_on_the_readers_thread_waits_for_nothing(
    simulator: MakeSimulator, client: MakeClient, message: str
) -> None:
    """The session ends when the handler has returned; then the client can be connected anew."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)
    release, hanging = threading.Event(), threading.Event()

    @c.on("authenticated")
    def hang() -> None:
        hanging.set()
        release.wait(10)

    c.connect()
    c.subscribe([18])
    waiting = c.queue("private:event")
    reader = run_in_thread(waiting.get)
    ended = run_in_thread(c.run_forever)
    assert hanging.wait(5)
    with Watchdog(20), in_log_handler(c.disconnect) as outcomes:
        if message == "bad json":
            sim.send_text("no json")
        else:
            sim.drop()
        assert ended.exception() is None
    assert outcomes == ["returned"]
    assert c.state is ClientState.CLOSED
    assert c.subscriptions == ()
    assert "was disconnected" in str(reader.exception())
    release.set()
    sim.wait_until(lambda s: not s.clients)
    ear.wait_for("close")
    c.connect()
    assert c.state is ClientState.LIVE
    c.disconnect()
    assert own_threads() == []


def test_promise_12_disconnect_where_the_end_is_logged_is_the_users_end(
    raw_server: StartServer, client: MakeClient
) -> None:
    """The thread that reads is about to end then."""
    cut = threading.Event()

    def first(peer: Peer) -> None:
        peer.accept()
        peer.wait(cut)
        peer.reset()

    c = client(raw_server(first).url, reconnect_attempts=0)
    c.connect()
    orders = c.queue("private:event")
    waiting = run_in_thread(lambda: list(orders))
    with Watchdog(20), in_log_handler(c.disconnect) as outcomes:
        cut.set()
        assert waiting.exception() is None
    assert outcomes == ["returned"]
    c.disconnect()
    assert c.state is ClientState.CLOSED
    assert own_threads() == []


def test_promise_12_disconnect_where_a_key_is_read_ends_connect(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The reader does not wait for the key any longer."""
    outcomes: queue.Queue[Any] = queue.Queue()

    def key() -> str:
        outcomes.put(outcome_of(c.disconnect))
        return API_KEY

    c = client(simulator().url, api_key=key)
    with Watchdog(20), pytest.raises(EToroError, match=r"disconnect\(\) was called"):
        c.connect()
    assert outcomes.get(timeout=5) == "returned"
    assert c.state is ClientState.CLOSED


def test_promise_12_a_callback_of_tls_is_on_the_readers_thread(
    raw_server: StartServer, client: MakeClient, certificates: Certificates
) -> None:
    """What waits is refused there, too."""
    outcomes: list[Any] = []

    def script(peer: Peer) -> None:
        peer.accept()
        peer.serve()

    context = ssl.create_default_context(cadata=certificates.authority_pem().decode())
    context._msg_callback = lambda *arguments: (  # type: ignore[attr-defined]
        outcomes or outcomes.append(outcome_of(lambda: c.wait_for("open")))
    )
    c = client(raw_server(script, certificates.server).url, ssl_context=context)
    with Watchdog(20):
        c.connect()
    assert isinstance(outcomes[0], EToroWebSocketError)
