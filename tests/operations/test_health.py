"""Whether a stream is healthy, told by real clients of the simulator."""

from __future__ import annotations

import gc
import socket
import threading
from typing import Any

import pytest

from etoro_sync import (
    EToroValidationError,
    Feed,
    MarketStream,
    WsClient,
    WsFleet,
    WsInstrumentRate,
    clocks,
)
from etoro_sync.operations import health
from etoro_sync.operations.health import Limits, watched
from etoro_sync.stats import WsStats
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import envelope, make_client, quick_options

from .conftest import Blocker, until

GENEROUS = Limits()


def live(simulator: Any, client: MakeClient, topics: list[Any], **options: Any) -> WsClient:
    made = client(simulator.url, **options)
    made.connect()
    if topics:
        made.subscribe(topics, snapshot=True)
        until(lambda: topics == ["private"] or made.stats().messages)
    return made


def test_a_client_is_healthy_from_live_to_its_end(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Every other state has a reason."""
    sim = simulator(instruments={18: 4800.0})
    made = client(sim.url)
    (one,) = watched(made)
    assert one.name == "default"
    assert one.health(GENEROUS).reason == "the client is disconnected"
    made.connect()
    made.subscribe([18], snapshot=True)
    until(lambda: made.stats().messages)
    told = one.health(GENEROUS)
    assert (told.healthy, told.state) == (True, "live")
    assert "last data came" in told.reason
    sim.stop()
    until(lambda: one.health(GENEROUS).state == "reconnecting")
    assert not one.health(GENEROUS).healthy
    made.disconnect()
    assert one.health(GENEROUS).state == "closed"
    assert not one.health(GENEROUS).healthy


def test_old_data_is_unhealthy_while_a_market_is_open(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Bytes and pongs go on, and are no data."""
    sim = simulator(instruments={18: 4800.0, 1001: 227.5}, nul_interval=0.02)
    made = live(sim, client, [18, 1001, "private"])
    (one,) = watched(made)
    strict = Limits(max_age=0.2)
    until(lambda: not one.health(strict).healthy)
    told = one.health(strict)
    assert told.state == "live"
    assert "at most 0.2 s" in told.reason
    assert one.health(GENEROUS).healthy
    age = made.stats().last_byte_age
    assert age is not None
    assert age < 0.2
    sim.heartbeat(18)
    until(lambda: one.health(strict).healthy)


def test_missing_data_is_no_fault_while_all_markets_are_closed(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """One open market is enough to expect data."""
    sim = simulator(instruments={18: 4800.0, 1001: 227.5}, nul_interval=0.02)
    made = live(sim, client, [18, 1001])
    (one,) = watched(made)
    strict = Limits(max_age=0.2)
    sim.set_active(18, False)
    until(lambda: not one.health(strict).healthy)
    sim.set_active(1001, False)
    until(lambda: "no market" in one.health(strict).reason)
    assert one.health(strict).healthy
    sim.set_active(18, True)
    until(lambda: "last data" in one.health(strict).reason)
    until(lambda: not one.health(strict).healthy)


@pytest.mark.parametrize("kind", [WsClient, WsFleet])
def test_a_market_that_was_closed_before_a_gap_may_be_open(
    kind: type[WsClient], simulator: MakeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the snapshot of the new connection, which may not come at all, has said more."""
    monkeypatch.setattr(health, "_SETTLING", 0.05)
    sim = simulator(instruments={18: 4800.0}, nul_interval=0.02)
    strict = Limits(max_age=0.1)
    with kind(quick_options(sim.url)) as made:
        (one,) = watched(made)
        made.subscribe([18], snapshot=True)
        sim.set_active(18, False)
        until(lambda: "no market" in one.health(strict).reason)
        with sim.fault("no_snapshot"):
            back = made.queue("reconnected")
            sim.drop()
            back.get(timeout=5)
            until(lambda: not one.health(strict).healthy)
            assert one.health(strict).reason.startswith("the last data came")
        made.subscribe([18], snapshot=True)
        sim.set_active(18, False)
        until(lambda: "no market" in one.health(strict).reason)


def test_the_connections_of_a_fleet_are_all_of_now(
    simulator: MakeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed market on an older connection of two is known to be closed, too."""
    monkeypatch.setattr("etoro_sync.fleet.tracker.PLACES", 1)
    sim = simulator(instruments={18: 4800.0, 28: 24600.0}, nul_interval=0.02)
    strict = Limits(max_age=0.1)
    with WsFleet(quick_options(sim.url)) as made:
        (one,) = watched(made)
        made.subscribe([18, 28], snapshot=True)
        assert len(made.connections) == 2
        sim.set_active(18, False)
        sim.set_active(28, False)
        until(lambda: "no market" in one.health(strict).reason)
        sim.set_active(18, True)
        until(lambda: not one.health(strict).healthy)


def test_an_instrument_of_which_nothing_has_come_may_be_open(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Without a snapshot nothing is known of its market; a moment after connecting is no fault."""
    sim = simulator(instruments={18: 4800.0}, nul_interval=0.02)
    made = client(sim.url)
    made.connect()
    made.subscribe([18])
    (one,) = watched(made)
    assert one.health(Limits(max_age=30)).healthy
    until(lambda: not one.health(Limits(max_age=0.2)).healthy)
    assert one.health(Limits(max_age=0.2)).reason.startswith("no data has come")


def test_on_private_alone_the_bytes_count(simulator: MakeSimulator, client: MakeClient) -> None:
    """Order events may be missing for days; the connection is never silent for long."""
    sim = simulator(nul_interval=0.02)
    made = live(sim, client, ["private"], heartbeat_interval=0)
    (one,) = watched(made)
    strict = Limits(max_age=0.05, max_silence=0.3)
    until(lambda: "no market" in one.health(strict).reason)
    assert one.health(strict).healthy
    with sim.fault("mute"):
        until(lambda: not one.health(strict).healthy)
        assert one.health(strict).state == "live"
        assert "no byte has come" in one.health(strict).reason
    until(lambda: one.health(strict).healthy)


def test_a_pong_is_a_byte(simulator: MakeSimulator, client: MakeClient) -> None:
    """What keeps a quiet connection is answered within the limit."""
    sim = simulator()
    made = live(sim, client, ["private"], heartbeat_interval=0.05)
    (one,) = watched(made)
    until(lambda: made.last_pong_at > 0)
    age = made.stats().last_byte_age
    assert age is not None
    assert age < 1
    late = set()
    while (made.stats().connected_age or 0.0) < 0.7:
        late.add(made.stats().reader_delay)
    assert late == {0.0}  # it takes a step every second, and is not late between two
    assert one.health(Limits(max_silence=1)).healthy


def test_a_reader_that_hangs_is_seen(
    simulator: MakeSimulator,
    client: MakeClient,
    blocker: Blocker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is alive, and takes no step: a thread that merely is there proves nothing."""
    monkeypatch.setattr(health, "HUNG", 0.1)
    sim = simulator(instruments={18: 4800.0})
    made = live(sim, client, [18])
    (one,) = watched(made)
    assert one.works
    sim.drop()
    assert blocker.blocks.wait(5)
    until(lambda: not one.works)
    delay = made.stats().reader_delay
    assert delay is not None
    assert delay > 0.1
    blocker.go_on.set()
    until(lambda: one.works and one.health(GENEROUS).healthy)


def test_a_reader_that_waits_to_reconnect_works(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the wait is, it is not late before its end."""
    monkeypatch.setattr(health, "HUNG", 0.1)
    sim = simulator()
    made = live(sim, client, ["private"], reconnect_delay=60, reconnect_max_delay=60)
    (one,) = watched(made)
    waits = made.queue("reconnecting")
    sim.stop()
    waits.get(timeout=5)
    for _ in range(100):
        assert made.stats().reader_delay == 0.0
    assert one.works


def test_a_name_that_takes_long_to_resolve_is_no_reader_that_hangs(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system asks its name servers one after the other, and cannot be interrupted."""
    monkeypatch.setattr(health, "HUNG", 0.1)
    asked, answer, resolve = threading.Event(), threading.Event(), socket.getaddrinfo

    def slow(*arguments: Any, **options: Any) -> Any:
        asked.set()
        answer.wait(10)
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    made = client(simulator().url, connect_timeout=0.05)
    (one,) = watched(made)
    thread = threading.Thread(target=lambda: made.connect(retry=True), name="connecting")
    thread.start()
    assert asked.wait(5)
    since = clocks.monotonic()
    until(lambda: clocks.monotonic() > since + 0.3)
    assert one.works
    assert made.stats().reader_delay == 0.0
    answer.set()
    thread.join(10)


def test_a_client_that_is_closing_is_not_late(simulator: MakeSimulator, client: MakeClient) -> None:
    """Its thread ends, as it should."""
    sim = simulator()
    made = live(sim, client, ["private"], close_timeout=0.3)
    seen = set()
    with sim.fault("mute"):
        thread = threading.Thread(target=made.disconnect, name="disconnecting")
        thread.start()
        while thread.is_alive():
            seen.add(made.stats().reader_delay)
        thread.join()
    assert seen <= {0.0, None}
    assert None in seen


def test_a_dead_thread_is_a_dead_stream() -> None:
    """Whatever the state says."""
    figures = WsStats(*[0] * 20, last_byte_age=0.1, reader_delay=float("inf"))
    assert health._silence(figures, 45.0) == "the thread that reads has died"


def test_a_client_that_is_gone_is_not_kept_alive(simulator: MakeSimulator) -> None:
    """Watching it does not keep it connected."""
    sim = simulator()
    made = make_client(sim.url)
    made.connect()
    (one,) = watched(made)
    del made
    gc.collect()
    sim.wait_until(lambda s: not s.clients, timeout=5)
    assert one.health(GENEROUS).state == "gone"
    assert not one.works


def test_any_source_can_be_watched() -> None:
    """One that is played has no connection: its state and its data decide."""
    over = threading.Event()

    def play(feed: Feed) -> None:
        feed.texts([envelope("instrument:18", {"Ask": "1.1", "Bid": "1.0"})])
        over.wait(10)

    with MarketStream(play) as stream:
        queue = stream.queue("instrument:rate")
        queue.get(timeout=5)
        (one,) = watched(stream)
        assert one.health(GENEROUS).healthy
        assert one.works
        assert stream.stats().last_byte_age is None
        until(lambda: not one.health(Limits(max_age=0.05)).healthy)
        over.set()


def test_several_have_names(client: MakeClient, simulator: MakeSimulator) -> None:
    """And what is no client is refused."""
    sim = simulator()
    a, b = client(sim.url), client(sim.url)
    assert [each.name for each in watched({"prices": a, "orders": b})] == ["prices", "orders"]
    for wrong in (None, {}, {"": a}, {1: a}, {"a": "b"}, [a], "abc"):
        with pytest.raises(EToroValidationError) as caught:
            watched(wrong)  # type: ignore[arg-type]
        assert caught.value.field == "streams"


def test_a_source_that_says_no_times_is_judged_without() -> None:
    """Rates that are merged already have none: what has come is all that is known."""
    over = threading.Event()

    def play(feed: Feed) -> None:
        feed.rates([(18, WsInstrumentRate(1.1, 1.0, None, "2026-01-02T15:00:01.0Z", 1))])
        over.wait(10)

    with MarketStream(play) as stream:
        stream.queue("instrument:rate").get(timeout=5)
        (one,) = watched(stream)
        assert one.health(Limits(max_age=0.001)).reason.startswith("data has come")
        over.set()


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"heartbeat_interval": 120.0}, 135.0),
        ({"heartbeat_interval": 5.0, "heartbeat_timeout": 1.0}, 11.0),
        ({"heartbeat_interval": 0}, 45.0),
        ({"heartbeat_timeout": 0}, 45.0),
    ],
)
def test_the_keepalive_of_a_client_limits_its_silence(
    options: dict[str, float], seconds: float, client: MakeClient
) -> None:
    """A client that pings rarely is not unhealthy between two pings."""
    assert health._longest_silence(client("ws://127.0.0.1:9/", **options)) == seconds


@pytest.mark.parametrize("value", [0, -1, float("nan"), "60", None, True])
@pytest.mark.parametrize("name", ["max_age", "max_silence"])
def test_limits_are_numbers(name: str, value: Any) -> None:
    """The error names the one that is wrong; None leaves the silence to the client."""
    if name == "max_silence" and value is None:
        assert Limits(max_silence=None).max_silence is None
        return
    with pytest.raises(EToroValidationError) as caught:
        Limits(**{name: value})
    assert caught.value.field == name
