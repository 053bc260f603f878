"""One connection of several is lost, refused or silent: what the others do, and what is told."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroAuthError,
    EToroClosedError,
    EToroTimeoutError,
    EToroWebSocketError,
    WsGap,
)
from etoro_sync.fleet.connections import _moved
from etoro_sync.fleet.member import Member
from etoro_sync.fleet.session import FleetSession
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.session.reader import Reader
from tests.conftest import MakeSimulator, StartServer
from tests.support.amounts import amount
from tests.support.clients import Ear
from tests.support.peer import Peer
from tests.support.threads import (
    assert_no_new_descriptors,
    assert_no_new_threads,
    run_in_thread,
)
from tests.support.timing import MS, Stopwatch

from .conftest import MakeFleet
from .tools import allow, bids, cut, generations, held, instruments, publish

#: Three connections: the last one has the order events, too.
TOPICS = [*instruments(1, 2, 3, 4, 5, 6, 7), "private"]
#: Of a fleet whose failures are final at once.
ONE_ATTEMPT = {"reconnect_attempts": 1}


def test_promise_8_a_lost_connection_costs_only_its_own_topics(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """The others bring each message; the gap names the topics of the one, and no others."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS, snapshot=True)
    rates = f.queue("instrument:rate", instrument_ids=[1, 2, 3, 7])
    orders = f.queue("private:event")
    f.connect()
    bids(rates, 4)
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    before = generations(f)
    with sim.fault("refuse"):
        cut(sim, "instrument:4")
        ear.wait_for("close")
        assert f.state is ClientState.RECONNECTING
        assert f.is_connected
        for number in range(100):
            for key in (1, 2, 3, 7):
                publish(sim, key, 1000 + number)
            sim.fill_order(number + 1)
        came = bids(rates, 400)
    for key in (1, 2, 3, 7):
        assert [bid for k, bid in came if k == key] == [*range(1000, 1100)]
    assert [orders.get(timeout=10).order_id for _ in range(100)] == [*range(1, 101)]
    (gap,) = ear.wait_for("reconnected")
    assert isinstance(gap, WsGap)
    assert {*gap.topics} == {*instruments(4, 5, 6)}
    assert f.state is ClientState.LIVE
    after = generations(f)
    assert {t for t in before if before[t] != after[t]} == {*gap.topics}
    assert {after[t] for t in gap.topics} == {gap.generation} == {4}
    ear.wait(lambda ear: any(r.generation == 4 for _, r in ear.of("instrument:rate")))
    assert max(f.rates[key].generation for key in (4, 5, 6)) == 4
    assert f.rates[1].generation == before["instrument:1"]
    assert (ear.names("close"), ear.names("reconnected")) == (["close"], ["reconnected"])
    assert (f.stats().reconnects, f.stats().connections) == (1, 4)


def test_live_is_when_all_are(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """Two that are lost at a time: the first to be back does not end it."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    with sim.fault("refuse"):
        cut(sim, "instrument:1")
        cut(sim, "instrument:4")
        ear.wait_for("reconnecting", 4)
        assert f.state is ClientState.RECONNECTING
        assert (f.is_connected, f.is_authenticated) == (True, False)
        assert [one.state for one in f.connections].count(ClientState.LIVE) == 1
    gaps = ear.wait_for("reconnected", 2)
    assert sorted(sorted(gap.topics) for gap in gaps) == [
        instruments(1, 2, 3),
        instruments(4, 5, 6),
    ]
    assert f.state is ClientState.LIVE
    assert f.is_authenticated


def test_topics_of_a_lost_connection_may_be_unsubscribed(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """It closes then, and the fleet is live without it."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    with sim.fault("refuse"):
        cut(sim, "instrument:4")
        ear.wait_for("reconnecting", 2)
        f.unsubscribe([4, 5, 6])
        sim.wait_until(lambda s: len(s.clients) == 2)
    wait_for_state(f, ClientState.LIVE)
    assert len(f.connections) == 2
    f.subscribe([8, 9])
    assert {*sim.subscribed} == {*f.subscriptions}


def wait_for_state(f: Any, state: ClientState) -> None:
    """Block until the fleet is in a state, which another thread sets."""
    lifecycle = f.__dict__["__etoro_sync__"].lifecycle
    assert lifecycle._monitor.wait(lambda: lifecycle.state is state, None)


def test_a_connection_that_takes_fewer_topics_after_a_loss_hands_the_rest_on(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Each topic is in one gap; the prices come from the new place, and the old one has none."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS, snapshot=True)
    rates = f.queue("instrument:rate")
    f.connect()
    bids(rates, 7)
    allow(sim, 2)
    cut(sim, "instrument:4")
    ear.wait(lambda ear: sum(len(gap.topics) for gap in ear.of("reconnected")) == 3)
    gaps = ear.of("reconnected")
    assert sorted(topic for gap in gaps for topic in gap.topics) == instruments(4, 5, 6)
    assert {gap.generation for gap in gaps} == {generations(f)[t] for t in instruments(4, 5, 6)}
    assert sorted(map(len, held(sim))) == [1, 2, 2, 3]
    assert {*f.subscriptions} == {*TOPICS} == {*sim.subscribed}
    assert ear.of("error") == []
    for key in range(1, 8):
        publish(sim, key, 5000 + key)
    found: dict[int, int] = {}
    while sorted(found.values()) != [5000 + key for key in range(1, 8)]:
        found.update(bids(rates, 1))
    assert sorted(f.rates) == [*range(1, 8)]
    wait_for_state(f, ClientState.LIVE)


def test_until_topics_that_were_handed_on_are_there_the_fleet_is_not_live(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Their connection is being opened, and nothing of them comes meanwhile."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe([1, 2, 3])
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == 3)
    allow(sim, 2)
    # The first is the lost connection's, the second that of the new one.
    with sim.fault("late_answer", operation="Authenticate", delay=1000 * MS, skip=1):
        cut(sim, "instrument:1")
        ear.wait_for("reconnected")
        assert f.state is ClientState.RECONNECTING
        gaps = ear.wait_for("reconnected", 2)
    assert sorted(topic for gap in gaps for topic in gap.topics) == instruments(1, 2, 3)
    wait_for_state(f, ClientState.LIVE)


def test_where_no_thread_is_left_for_what_is_handed_on_the_fleet_ends(
    simulator: MakeSimulator, fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else those topics would stay silent, and nobody would be told."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe([1, 2, 3])
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == 3)
    allow(sim, 2)

    def fail(self: Reader) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Reader, "start", fail)
    cut(sim, "instrument:1")
    with pytest.raises(EToroWebSocketError, match="Cannot open another connection"):
        f.run_forever()
    sim.wait_until(lambda s: s.clients == [])


def test_what_is_handed_on_is_tried_again_where_nobody_waits() -> None:
    """A part of a restoration has no caller who could; one of a call has, and is awaited."""
    restoring = Operation("Subscribe", ["a", "private"], {"a": False}, restoring=True, version=3)
    moved = _moved([restoring], ["a", "private"], {"a": 5.0, "private": 5.0})
    assert (moved.recorded, moved.awaited, moved.version) == (True, False, 3)
    assert moved.snapshot == {"a": True}
    call = Operation("Subscribe", ["a"], {"a": True})
    assert _moved([restoring, call], ["a"], {}).awaited
    moved = _moved([call], ["a"], {})
    assert (moved.recorded, moved.awaited, moved.snapshot) == (False, True, {"a": True})


def test_a_loss_while_topics_are_added_is_no_end(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """A connection that cannot be opened at first is tried again, and the call may time out."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.connect()
    f.subscribe([1, 2, 3])
    with sim.fault("refuse"):
        with pytest.raises(EToroTimeoutError, match="stays recorded"):
            f.subscribe([4], timeout=200 * MS)
        ear.wait_for("reconnecting")
        wait_for_state(f, ClientState.RECONNECTING)
    sim.wait_until(lambda s: len(s.subscribed) == 4)
    wait_for_state(f, ClientState.LIVE)


# -- ends ------------------------------------------------------------------------------------------


def test_promise_6_rejected_credentials_end_the_fleet_once(
    simulator: MakeSimulator, fleet: MakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    """connect() raises it; one event, no thread that goes on, and a queue that raises it, too."""
    sim = simulator(api_key="another")
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS)
    rates = f.queue("instrument:rate")
    with assert_no_new_threads(), pytest.raises(EToroAuthError, match="InvalidKey"):
        f.connect()
    assert f.state is ClientState.FAILED
    with pytest.raises(EToroAuthError):
        rates.get(timeout=10)
    f.disconnect()
    assert [type(error) for error in ear.of("error")] == [EToroAuthError]
    assert [r for r in caplog.records if "ended" in r.message] == []
    assert sim.subscribed == frozenset()


def test_of_connections_that_fail_at_the_same_moment_one_is_told_of(
    simulator: MakeSimulator, fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one event and one error, whichever thread comes first."""
    all_failed, is_first = threading.Barrier(3), FleetSession.is_first_failure

    def together(self: FleetSession, member: Member) -> bool:
        all_failed.wait(10)
        return is_first(self, member)

    monkeypatch.setattr(FleetSession, "is_first_failure", together)
    sim = simulator(api_key="another")
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS)
    with pytest.raises(EToroAuthError):
        f.connect()
    f.disconnect()
    assert [type(error) for error in ear.of("error")] == [EToroAuthError]


def test_promise_6_credentials_that_are_rejected_later_end_it_once_too(
    simulator: MakeSimulator, fleet: MakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    """Of one connection, or of all at a time; run_forever() raises, and connections end."""
    sim = simulator()
    f = fleet(sim.url)
    ear = Ear(f)
    f.subscribe(TOPICS)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    running = run_in_thread(f.run_forever)
    sim.refuse("Authenticate", "InvalidKey", times=3)
    with assert_no_new_threads():
        for topic in ("instrument:1", "instrument:4", "private"):
            cut(sim, topic)
        assert isinstance(running.exception(), EToroAuthError)
        sim.wait_until(lambda s: s.clients == [])
    assert f.state is ClientState.FAILED
    assert [type(error) for error in ear.of("error")] == [EToroAuthError]
    assert sum("The fleet ended" in record.message for record in caplog.records) <= 1


def test_one_that_gives_up_ends_the_others(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """A fleet with a part of its topics would be silent about the rest; so it fails."""
    sim = simulator()
    f = fleet(sim.url, **ONE_ATTEMPT)
    f.subscribe(TOPICS)
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    with sim.fault("refuse"):
        cut(sim, "instrument:4")
        with pytest.raises(EToroWebSocketError, match="Gave up"):
            f.run_forever()
        sim.wait_until(lambda s: s.clients == [])
    # It can be connected again, with what was wanted, and with snapshots, as after a gap.
    ear = Ear(f)
    f.connect()
    ear.wait(lambda ear: {key for key, _ in ear.of("instrument:rate")} == {*range(1, 8)})
    assert {*sim.subscribed} == {*TOPICS}


def test_a_fleet_that_has_failed_is_connected_again_at_once(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Its other connections may end still; they are waited for, and all topics are there again."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe(TOPICS)
    f.connect()
    for _ in range(5):
        sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
        sim.refuse("Authenticate", "InvalidKey")
        cut(sim, "instrument:4")
        with pytest.raises(EToroAuthError):
            f.run_forever()
        f.connect()
    sim.wait_until(lambda s: sorted(map(len, held(s))) == [2, 3, 3])


def deaf(peer: Peer) -> None:
    peer.accept()
    peer.acknowledge()
    peer.hold()


def test_promise_13_disconnect_is_bounded_with_all_peers_silent(
    raw_server: StartServer, fleet: MakeFleet
) -> None:
    """They are asked to end at a time, and waited for together: six cost no more than one."""
    f = fleet(raw_server([deaf] * 6).url, close_timeout=0.4)
    ear = Ear(f)
    f.subscribe(range(1, 18))
    f.connect()
    watch = Stopwatch()
    f.disconnect()
    assert watch.seconds < 1.0
    assert f.state is ClientState.CLOSED
    assert ear.of("close") == [(1006, "the server did not answer the close in time")] * 6


def test_a_callback_may_disconnect(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """All connections end; what waited for the fleet ends, too."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe(TOPICS)
    f.once("private:event", lambda event: f.disconnect())
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    sim.fill_order(1)
    assert f.run_forever(timeout=10)
    sim.wait_until(lambda s: s.clients == [])
    assert f.state is ClientState.CLOSED


def test_a_reader_thread_may_disconnect(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """A handler of the log runs there, and must not wait for its own thread."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe(TOPICS)
    orders = f.queue("private:event")
    f.connect()
    sim.wait_until(lambda s: len(s.subscribed) == len(TOPICS))
    with assert_no_new_threads():
        ended = threading.Event()

        class Disconnecting(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "etoro-sync-reader" in threading.current_thread().name:
                    f.disconnect()
                    ended.set()

        handler = Disconnecting()
        logging.getLogger("etoro_sync").addHandler(handler)
        try:
            cut(sim, "instrument:4")
            assert ended.wait(10)
        finally:
            logging.getLogger("etoro_sync").removeHandler(handler)
        with pytest.raises(EToroClosedError):
            orders.get(timeout=10)
        wait_for_state(f, ClientState.CLOSED)
    assert f.subscriptions == ()
    sim.wait_until(lambda s: s.clients == [])
    f.connect()
    assert len(sim.clients) == 1


@pytest.mark.long_form
def test_promise_13_connecting_again_and_again_leaves_nothing(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Neither a thread nor a descriptor, whichever way a session ends."""
    sim = simulator()
    f = fleet(sim.url)
    with f:  # what is made once
        f.subscribe(TOPICS)
    sim.wait_until(lambda s: s.clients == [])
    with assert_no_new_descriptors(), assert_no_new_threads():
        for turn in range(amount(8, 200)):
            f.subscribe(TOPICS)
            f.connect()
            if turn % 2:
                f.unsubscribe([1, 2, 3, 4])
            if turn % 4 == 3:
                sim.wait_until(lambda s: "private" in s.subscribed)
                sim.refuse("Authenticate", "InvalidKey")
                cut(sim, "private")
                with pytest.raises(EToroAuthError):
                    f.run_forever()
            f.disconnect()
        sim.wait_until(lambda s: s.clients == [])
