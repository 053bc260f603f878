"""Complaints 31 to 33: threads that stay, that multiply, or that trip over each other."""

from __future__ import annotations

import contextlib
import gc
import queue
import random
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from etoro_sync import (
    ClientState,
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroTimeoutError,
    EToroWebSocketError,
    WsClient,
    WsInstrumentRate,
)
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.core import core_of
from etoro_sync.ws.session import manager as sessions
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.amounts import amount
from tests.support.clients import envelope, make_client
from tests.support.frames import TEXT, frame
from tests.support.peer import Peer
from tests.support.raw_server import Refuser
from tests.support.threads import (
    Background,
    Watchdog,
    assert_no_new_descriptors,
    assert_no_new_threads,
    join_stragglers,
    run_in_thread,
)

PRICE = {"Ask": "2", "Bid": "1"}


class Places(NamedTuple):
    """Where a session can lead."""

    sim: EToroSimulator
    refusing: str
    silent: str


def polite(place: Places) -> None:
    with make_client(place.sim.url) as c:
        c.subscribe([18], wait=False)


def within_a_callback(place: Places) -> None:
    c = make_client(place.sim.url)
    c.on("authenticated", c.disconnect)
    # When the callback is faster than connect().
    with contextlib.suppress(EToroClosedError):
        c.connect()
    c.run_forever()
    c.disconnect()


def forgotten(place: Places) -> None:
    c = make_client(place.sim.url)
    c.connect()
    assert c.queue("open").empty()


def refused(place: Places) -> None:
    with pytest.raises(EToroWebSocketError, match="Cannot connect"):
        make_client(place.refusing).connect()


def rejected(place: Places) -> None:
    place.sim.refuse("Authenticate", "InvalidKey")
    with pytest.raises(EToroAuthError):
        make_client(place.sim.url).connect()


def impatient(place: Places) -> None:
    c = make_client(place.silent)
    with pytest.raises(EToroTimeoutError):
        c.connect(timeout=0.01)


def reconnecting(place: Places) -> None:
    """Close in the middle of a recovery."""
    c = make_client(place.sim.url)
    lost = threading.Event()
    c.on("close", lambda code, reason: lost.set())
    c.connect()
    place.sim.drop()
    assert lost.wait(5)
    c.disconnect()


def failed(place: Places) -> None:
    c = make_client(place.sim.url, reconnect_attempts=0)
    c.connect()
    place.sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()


def never_connected(place: Places) -> None:
    c = make_client(place.sim.url)
    opened = c.queue("open")
    c.subscribe([18])
    c.disconnect()
    opened.close()


LIVES: list[Callable[[Places], None]] = [
    polite,
    within_a_callback,
    forgotten,
    refused,
    rejected,
    impatient,
    reconnecting,
    failed,
    never_connected,
]


def test_complaint_31_close_leaves_a_thread_behind() -> None:
    """200 sessions, ended in nine ways, leave no thread and no descriptor that was not there."""
    # The servers are stopped inside the checks, so that nothing of theirs counts.
    with (
        Watchdog(25),
        assert_no_new_threads(),
        assert_no_new_descriptors(),
        EToroSimulator(rate=0, nul_interval=0) as sim,
        Refuser() as refuser,
        # The kernel accepts for it, and nobody answers.
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        places = Places(sim, refuser.url, f"ws://127.0.0.1:{silent.getsockname()[1]}/ws")
        one = make_client(sim.url)
        for n in range(200):
            LIVES[n % len(LIVES)](places)
            # And one client for all sessions, beside those that have one each.
            if n % 4 == 0:
                one.connect()
                one.disconnect()
        del one
        gc.collect()
        sim.wait_until(lambda s: not s.clients)


def test_complaint_31_a_session_that_begins_while_another_thread_disconnects_is_not_left(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a `connect()` and a `disconnect()` cross, no thread survives that nobody can end."""
    c = client(simulator().url)
    real = sessions.Session
    crossing: list[Background[None]] = []

    def slow_session(*arguments: Any) -> Any:
        """Let disconnect() go as far as it can before there is a session to close."""
        session = real(*arguments)
        crossing.append(run_in_thread(c.disconnect))
        with contextlib.suppress(TimeoutError):
            crossing[0].wait(0.2)
        return session

    monkeypatch.setattr(sessions, "Session", slow_session)
    with pytest.raises(EToroClosedError):
        c.connect()
    crossing[0].result()
    assert c.state is ClientState.CLOSED
    assert join_stragglers(prefix="etoro-sync-reader") == []
    assert join_stragglers(prefix="etoro-sync-dispatcher") == []


def test_complaint_31_a_late_disconnect_does_not_end_the_next_session_untold(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `disconnect()` that is overtaken by a `connect()` either ends the new session, or not.

    There is no third: a client that says it is live is live.
    """
    sim = simulator()
    c = client(sim.url)
    c.connect()
    c.disconnect()
    real = core_of(c).lifecycle.closing
    crossing: list[Background[None]] = []

    def overtaken(session: int) -> int:
        number = real(session)
        crossing.append(run_in_thread(c.connect))
        with contextlib.suppress(TimeoutError):
            crossing[0].wait(0.2)
        return number

    with monkeypatch.context() as patch:
        patch.setattr(core_of(c).lifecycle, "closing", overtaken)
        c.disconnect()
    crossing[0].wait()
    assert c.state is ClientState.LIVE
    rates = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    assert rates.get(timeout=5)[0] == 18


@pytest.mark.parametrize("trouble", ["reset", "name"])
def test_complaint_31_trouble_just_before_tls_leaves_no_descriptor(trouble: str) -> None:
    """A peer that leaves between two steps of the client, or a bad name, costs no descriptor."""

    class Unsuspecting(socket.socket):
        """Does not know yet that its peer has left."""

        def getpeername(self) -> Any:
            return ("127.0.0.1", 1)

    with (
        assert_no_new_descriptors(),
        contextlib.closing(Waker()) as waker,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        sock = Unsuspecting(socket.AF_INET, socket.SOCK_STREAM)
        sock.connect(listener.getsockname())
        peer, _ = listener.accept()
        if trouble == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()
            select.select([sock], [], [], 5)
        stream = SocketStream(sock, waker)
        with pytest.raises((OSError, ValueError)) as caught:
            stream.secure(
                ssl.create_default_context(), "localhost" if trouble == "reset" else "a..b"
            )
        stream.close()
        peer.close()
        # Whoever keeps the error keeps what its traceback refers to.
        assert caught.value.__traceback__ is not None


@pytest.mark.long_form
@pytest.mark.heavy
def test_complaint_32_a_thread_per_message(raw_server: StartServer, client: MakeClient) -> None:
    """A flood of messages for a slow handler: no further thread, and order in every instrument."""
    instruments, count = 10, amount(30_000, 100_000)
    blocks = [
        b"".join(
            frame(
                TEXT,
                envelope(
                    f"instrument:{n % instruments + 1}", {"Ask": str(n + 2), "Bid": "1"}
                ).encode(),
            )
            for n in range(start, start + 10_000)
        )
        for start in range(0, count, 10_000)
    ]

    def flood(peer: Peer) -> None:
        peer.accept()
        for block in blocks:
            peer.send(block)
        peer.send_text(envelope("instrument:99", PRICE))
        peer.serve()

    c = client(raw_server(flood).url, callback_queue_size=100)
    threads: set[int] = set()
    asks: dict[int, list[float]] = {}
    overlapping, finished = threading.Lock(), threading.Event()

    @c.on("instrument:rate")
    def slow(instrument_id: int, rate: WsInstrumentRate) -> None:
        assert overlapping.acquire(blocking=False)
        threads.add(threading.get_ident())
        counts.add(threading.active_count())
        asks.setdefault(instrument_id, []).append(rate.ask)
        release.wait(0.001)
        overlapping.release()
        if instrument_id == 99:
            finished.set()

    counts: set[int] = set()
    release = threading.Event()
    q = c.queue("instrument:rate", maxsize=0)
    c.connect()
    assert finished.wait(25)
    assert c.stats().messages == count + 1
    assert c.stats().callback_errors == 0
    assert len(threads) == len(counts) == 1
    for instrument_id in range(1, instruments + 1):
        assert asks[instrument_id] == sorted(set(asks[instrument_id]))
        # The last one is among those that a slow handler sees.
        assert asks[instrument_id][-1] == count - instruments + 1 + instrument_id
    assert [rate.ask for i, rate in (q.get() for _ in range(count)) if i == 3] == [
        n + 2.0 for n in range(2, count, instruments)
    ]


Action = Callable[[random.Random], Any]


def all_actions(c: WsClient, sim: EToroSimulator) -> dict[str, Action]:
    """Return what a thread can do with a client; the last two end a session or a connection."""

    def handler(*arguments: Any) -> None:
        c.subscribe([7], wait=False)

    def read(choice: random.Random) -> None:
        with c.queue("instrument:rate", maxsize=5) as q, contextlib.suppress(queue.Empty):
            q.get(timeout=0.005)

    def stream(choice: random.Random) -> None:
        # Of instruments that no other thread unsubscribes from: else it would wait for ever.
        for _ in c.stream([choice.randint(60, 80)], timeout=0.2):
            return

    return {
        "subscribe": lambda r: c.subscribe(r.sample(range(1, 50), 3), wait=False),
        "and wait": lambda r: c.subscribe(r.sample(range(1, 50), 3), True, timeout=0.1),
        "unsubscribe": lambda r: c.unsubscribe(r.sample(range(1, 50), 3), wait=False),
        "on": lambda r: c.on("instrument:rate", handler, instrument_id=r.randint(1, 50)),
        "once": lambda r: c.once("instrument:delta", handler),
        "off": lambda r: c.off("instrument:rate", handler),
        "remove_all": lambda r: c.remove_all_listeners("instrument:delta"),
        "queue": read,
        "stream": stream,
        "wait_for": lambda r: c.wait_for("instrument:rate", timeout=0.005),
        "look": lambda r: (dict(c.rates.items()), c.stats(), c.subscriptions, repr(c), c.state),
        "connect": lambda r: c.connect(timeout=2),
        "disconnect": lambda r: (c.disconnect(), c.connect(timeout=2)),
        "lose": lambda r: sim.drop(),
    }


@pytest.mark.long_form
@pytest.mark.heavy
def test_complaint_33_sixteen_threads_under_faults(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """16 threads call everything, `connect` and `disconnect` too, under losses: nothing breaks.

    What is raised is an `EToroError`, every call ends, and the client works afterwards.
    """
    sim = simulator(rate=500)
    c = client(sim.url, close_timeout=0.2, request_timeout=2, reconnect_delay=0.001)
    actions = all_actions(c, sim)
    # Ends are rarer than what they interrupt.
    weights = [10] * (len(actions) - 2) + [1, 1]
    done: set[str] = set()

    def work(seed: int) -> None:
        choice = random.Random(seed)
        while sim.connections < amount(20, 60) or done != set(actions):
            name = choice.choices(list(actions), weights)[0]
            with contextlib.suppress(EToroError):
                actions[name](choice)
                done.add(name)

    with Watchdog(20):
        workers = [run_in_thread(lambda seed=seed: work(seed)) for seed in range(16)]
        for worker in workers:
            worker.result(20)
        assert done == set(actions)
        c.disconnect()
        c.remove_all_listeners()
        assert core_of(c).registry.queues() == []
        c.connect()
        c.subscribe([18, 19], snapshot=True)
        sim.wait_until(lambda s: s.subscribed == frozenset(c.subscriptions))
        assert {"instrument:18", "instrument:19"} <= set(c.subscriptions)
        assert c.wait_for("instrument:rate", timeout=5)
    assert c.state is ClientState.LIVE
    assert c.stats().callback_errors == 0


def test_complaint_33_reading_while_others_write(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Every view can be looped over while the reader and other threads change what it shows."""

    def churning(peer: Peer) -> None:
        peer.accept()
        n = 0
        while True:
            n += 1
            peer.send(
                b"".join(
                    frame(TEXT, envelope(f"instrument:{n * 50 + k}", PRICE).encode())
                    for k in range(50)
                )
            )

    c = client(raw_server(churning).url)
    c.connect()
    done = threading.Event()

    def register() -> None:
        n = 0
        while not done.is_set():
            n += 1
            c.queue("instrument:rate", instrument_ids=[n]).close()
            c.subscribe([n % 50 + 1], wait=False)
            c.unsubscribe([n % 50 + 2], wait=False)

    registering = run_in_thread(register)
    try:
        while len(c.rates) < 2_000:
            for instrument_id, rate in c.rates.items():
                assert (instrument_id, rate.ask) == (instrument_id, 2.0)
            sum(rate.bid for rate in c.rates.values())
            list(c.rates), c.subscriptions, c.stats(), repr(c)
    finally:
        done.set()
        registering.result()
