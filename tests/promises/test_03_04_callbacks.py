"""Promises 3 and 4: callbacks can stop nothing, and what they raise is never lost."""

from __future__ import annotations

import logging
import threading

import pytest

from etoro_sync import ClientState
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.amounts import amount
from tests.support.clients import Ear, envelope
from tests.support.peer import Peer


@pytest.mark.long_form
def test_promise_3_a_hanging_callback_stops_neither_keepalive_nor_queues(
    raw_server: StartServer, client: MakeClient
) -> None:
    """While a callback hangs, pings go out, answers are read and queues are fed."""
    pinged = threading.Event()
    hanging = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send_text(envelope("instrument:18", {"Ask": "2", "Bid": "1"}))
        peer.wait(hanging)
        peer.answer_pings = True
        for _ in range(amount(2, 5)):
            opcode, payload = peer.read_frame()
            assert opcode == 0x9
            peer.send_pong(payload)
        pinged.set()
        peer.send_text(envelope("instrument:18", {"Ask": "3"}))
        peer.serve()

    c = client(raw_server(script).url, heartbeat_interval=0.05, heartbeat_timeout=2)
    release = threading.Event()

    @c.on("instrument:rate")
    def hang(instrument_id: int, rate: object) -> None:
        hanging.set()
        release.wait(10)

    q = c.queue("instrument:rate")
    c.connect()
    try:
        assert pinged.wait(10)
        assert q.get(timeout=5)[1].ask == 2
        assert q.get(timeout=5)[1].ask == 3
        assert c.generation == 1
    finally:
        release.set()


def test_promise_3_a_hanging_callback_does_not_stop_recovery(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The connection is replaced while a callback still sleeps."""
    sim = simulator()
    c = client(sim.url)
    release, hanging = threading.Event(), threading.Event()

    @c.on("authenticated")
    def hang() -> None:
        hanging.set()
        release.wait(10)

    reconnected = c.queue("reconnected")
    c.connect()
    c.subscribe([18])
    assert hanging.wait(5)
    try:
        sim.drop()
        assert reconnected.get(timeout=5).topics == ("instrument:18",)
        assert c.state is ClientState.LIVE
    finally:
        release.set()


def test_promise_4_an_exception_in_a_callback_is_isolated_counted_logged_and_emitted(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 1000 rates the fifth raises: 1000 are delivered, on one connection, with one report."""
    sim = simulator()
    c = client(sim.url)
    seen: list[float] = []
    errors: list[Exception] = []
    done = threading.Event()

    @c.on("instrument:rate")
    def fifth_raises(instrument_id: int, rate: object) -> None:
        seen.append(rate.ask)  # type: ignore[attr-defined]
        if len(seen) == 1000:
            done.set()
        if len(seen) == 5:
            raise RuntimeError("the fifth")

    c.on("error", errors.append)
    c.connect()
    c.subscribe([18])
    for n in range(1000):
        sim.publish(18, Ask=str(n + 2), Bid="1")
    assert done.wait(10)
    assert seen == [float(n + 2) for n in range(1000)]
    c.disconnect()
    assert [str(error) for error in errors] == ["the fifth"]
    assert c.stats().callback_errors == 1
    assert c.generation == 1
    records = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(records) == 1
    assert "fifth_raises" in records[0].getMessage()
    assert records[0].exc_info is not None
    assert records[0].exc_info[0] is RuntimeError


def test_promise_4_an_exception_in_an_error_handler_is_logged_and_counted_only(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing error handler cannot call itself for ever."""
    sim = simulator()
    c = client(sim.url)
    calls: list[Exception] = []

    @c.on("error")
    def worse(error: Exception) -> None:
        calls.append(error)
        raise ValueError("and worse")

    @c.on("open")
    def bad() -> None:
        raise RuntimeError("bad")

    c.connect()
    c.disconnect()
    assert [str(error) for error in calls] == ["bad"]
    assert c.stats().callback_errors == 2
    assert "and worse" in caplog.text


def test_promise_4_even_exit_in_a_callback_ends_nothing(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """sys.exit() in a callback is reported like any other exception."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)

    @c.on("open")
    def leave() -> None:
        raise SystemExit(3)

    c.connect()
    (error,) = ear.wait_for("error")
    assert isinstance(error.__cause__, SystemExit)
    c.subscribe([18])
    sim.publish(18, Ask="2", Bid="1")
    ear.wait_for("instrument:rate")


def test_promise_4_a_flood_of_equal_exceptions_does_not_flood_the_log(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is counted and emitted; the log has the first with its traceback."""
    sim = simulator()
    c = client(sim.url)
    ear = Ear(c)

    @c.on("instrument:rate")
    def always(instrument_id: int, rate: object) -> None:
        raise KeyError(instrument_id)

    c.connect()
    c.subscribe([18])
    for n in range(50):
        sim.publish(18, Ask=str(n + 2), Bid="1")
    ear.wait_for("error", 50)
    assert c.stats().callback_errors == 50
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
