"""Topics on several connections: where they go, what they cost, and what is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from etoro_sync import (
    ClientState,
    EToroClosedError,
    EToroError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroValidationError,
    EToroWebSocketError,
    WsFleet,
)
from etoro_sync.fleet.client import FleetCore
from etoro_sync.ws.core import core_of
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.session.reader import Reader
from etoro_sync.ws.session.session import Session
from tests.conftest import MakeSimulator
from tests.support.clients import Ear, quick_options
from tests.support.threads import run_in_thread
from tests.support.timing import MS

from .conftest import MakeFleet
from .tools import allow, bids, generations, held, instruments, publish

#: Instruments that need three connections.
SEVEN = [20, 1, 2, 3, 4, 5, 6]


def readers() -> set[threading.Thread]:
    """Return the threads that read."""
    return {each for each in threading.enumerate() if each.name.startswith("etoro-sync-reader")}


def threads(prefix: str) -> int:
    return sum(thread.name.startswith(prefix) for thread in threading.enumerate())


def test_topics_are_spread_over_as_many_connections_as_they_need(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Each filled before the next, with one reader each, and one dispatcher for all."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    assert (len(f.connections), f.connections[0].topics) == (1, ())
    f.subscribe(SEVEN)
    f.subscribe("private")
    assert [set(one.topics) for one in f.connections] == [
        set(instruments(20, 1, 2)),
        set(instruments(3, 4, 5)),
        {*instruments(6), "private"},
    ]
    assert sorted(map(sorted, held(sim))) == sorted(sorted(one.topics) for one in f.connections)
    assert sorted(one.generation for one in f.connections) == [1, 2, 3]
    assert f.generation == 3
    assert (threads("etoro-sync-reader"), threads("etoro-sync-dispatcher")) == (3, 1)
    assert f.subscriptions == (*instruments(*SEVEN), "private")
    assert repr(f) == "<WsFleet live, 3 connections, 8 topics>"


def test_what_was_wanted_before_is_opened_by_connect(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """All at a time; the fleet is live when each of them is."""
    sim = simulator()
    f = fleet(sim.url)
    f.subscribe(SEVEN, snapshot=True)
    rates = f.queue("instrument:rate")
    f.connect()
    assert f.state is ClientState.LIVE
    assert f.is_connected
    assert f.is_authenticated
    assert {key for key, _ in (rates.get(timeout=10) for _ in SEVEN)} == {*SEVEN}
    assert sorted(map(len, held(sim))) == [1, 3, 3]
    assert sorted(f.rates) == sorted(SEVEN)
    assert len(f.rates) == 7
    assert 3 in f.rates
    assert f.rates[3].instrument_id == 3
    assert f.rates.get(99) is None
    with pytest.raises(KeyError):
        f.rates[99]


def test_places_are_freed_and_empty_connections_close(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """But the last stays open, and is the first to be used again."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    f.subscribe(SEVEN)
    f.unsubscribe(SEVEN[:3])
    sim.wait_until(lambda s: len(s.clients) == 2)
    f.subscribe([10, 11])
    assert sorted(map(sorted, held(sim))) == [instruments(10, 11, 6), instruments(3, 4, 5)]
    f.unsubscribe(f.subscriptions)
    sim.wait_until(lambda s: len(s.clients) == 1)
    assert (len(f.connections), f.state) == (1, ClientState.LIVE)
    f.subscribe([1])
    assert len(sim.clients) == 1
    assert held(sim) == [{"instrument:1"}]
    f.subscribe(range(2, 6))
    assert sorted(map(len, held(sim))) == [2, 3]
    assert f.stats().connections == 4


def test_a_topic_stays_on_its_connection(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """Also when it is subscribed to again; others leave."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    f.subscribe(SEVEN)
    before = generations(f)
    f.unsubscribe([1, 4])
    f.subscribe([2, 3, 6], snapshot=True)
    assert generations(f) == {t: n for t, n in before.items() if t not in instruments(1, 4)}


def test_more_topics_than_fit_are_refused_before_anything_is_sent(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """As a whole, with what to do; what was there before goes on."""
    sim = simulator()
    f = fleet(sim.url, connections=2)
    f.connect()
    f.subscribe([1, 2])
    requests = len(sim.requests)
    with pytest.raises(EToroSubscriptionError, match="no room for 3 topics: connections=2"):
        f.subscribe(range(10, 17))
    assert len(sim.requests) == requests
    assert f.subscriptions == ("instrument:1", "instrument:2")
    f.subscribe(range(10, 14))
    assert sorted(map(len, held(sim))) == [3, 3]
    with pytest.raises(EToroSubscriptionError, match="no room for 1 topic"):
        next(iter(f.stream([99])))
    assert f.subscriptions == tuple(instruments(1, 2, 10, 11, 12, 13))


def test_a_server_that_takes_fewer_topics_is_believed(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """The rest goes to other connections within the same call, whose caller sees no error."""
    sim = simulator(max_topics=2)
    f = fleet(sim.url)
    errors = f.queue("error")
    f.connect()
    f.subscribe(SEVEN, snapshot=True)
    assert sorted(map(len, held(sim))) == [1, 2, 2, 2]
    assert {*f.subscriptions} == {*instruments(*SEVEN)} == {*sim.subscribed}
    assert errors.empty()
    f.subscribe("private")
    assert sorted(map(len, held(sim))) == [2, 2, 2, 2]
    rates = f.queue("instrument:rate")
    for number in SEVEN:
        publish(sim, number, 100 + number)
    assert sorted(bids(rates, 7)) == [(n, 100 + n) for n in sorted(SEVEN)]


def test_where_no_other_connection_is_allowed_the_refusal_is_raised(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """As a client of one connection raises it."""
    sim = simulator(max_topics=2)
    f = fleet(sim.url, connections=1)
    f.connect()
    with pytest.raises(EToroSubscriptionError, match="Too many subscriptions"):
        f.subscribe(SEVEN[:3])
    assert {*f.subscriptions} == {*sim.subscribed}
    f.unsubscribe(f.subscriptions)
    f.subscribe([7])
    assert sim.subscribed == {"instrument:7"}


def test_a_server_that_takes_nothing_is_not_asked_for_ever(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """A connection that takes no topic at all hands none on."""
    sim = simulator(max_topics=0)
    f = fleet(sim.url)
    f.connect()
    with pytest.raises(EToroSubscriptionError, match="Too many subscriptions"):
        f.subscribe(SEVEN[:3])
    assert f.subscriptions == ()
    allow(sim, 5)
    f.subscribe(SEVEN[:3])
    assert sim.subscribed == {*instruments(*SEVEN[:3])}


def test_a_refusal_costs_only_its_own_topics(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """Those on other connections stay wanted; the caller gets the error."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    f.subscribe(SEVEN[:3])
    # The frame, and then each topic: a new connection looks for the bad ones.
    sim.refuse("Subscribe", "SubscribeFailed", "No such topic", times=3)
    with pytest.raises(EToroSubscriptionError, match="No such topic"):
        f.subscribe([10, 11])
    f.subscribe([12])
    assert {*f.subscriptions} == {*instruments(20, 1, 2, 12)} == {*sim.subscribed}


def test_streams_hold_their_topics_on_any_connection(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """And release them; what subscribe() wants stays."""
    sim = simulator()
    f = fleet(sim.url)
    with f:
        f.subscribe(SEVEN[:2])
        with f.stream(SEVEN) as one, f.stream([5, 6]) as other:
            next(one)
            next(other)
            assert sorted(map(len, held(sim))) == [1, 3, 3]
        sim.wait_until(lambda s: s.subscribed == {*instruments(20, 1)} and len(s.clients) == 1)
        assert {*f.subscriptions} == {*instruments(20, 1)}


def test_who_does_not_wait_gets_the_topics_all_the_same(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Connections are opened in the background; empty ones close there."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    f.subscribe(SEVEN, wait=False)
    sim.wait_until(lambda s: len(s.subscribed) == 7)
    f.unsubscribe(SEVEN, wait=False)
    sim.wait_until(lambda s: not s.subscribed and len(s.clients) == 1)


def test_several_threads_subscribe_at_a_time(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """Each returns with its own topics; none is lost or doubled."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    calls = [
        run_in_thread(lambda first=first: f.subscribe(range(first, first + 4)))
        for first in range(1, 25, 4)
    ]
    for call in calls:
        call.result()
    assert {*f.subscriptions} == {*instruments(*range(1, 25))} == {*sim.subscribed}
    assert sum(map(len, held(sim))) == 24
    assert max(map(len, held(sim))) <= 3


def test_a_connection_that_cannot_be_opened_is_an_error_of_the_call(
    simulator: MakeSimulator,
    fleet: MakeFleet,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its topics are not wanted any more, and asked for again, they are had."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    f.subscribe(SEVEN[:2])

    def fail(self: Reader) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "start", fail)
        with pytest.raises(EToroWebSocketError, match="another connection for 2 topics"):
            f.subscribe([2, 3, 4])
        f.subscribe([5], wait=False)
    assert "another connection for 1 topic" in caplog.text
    assert {*f.subscriptions} == {*instruments(20, 1, 2)} == {*sim.subscribed}
    assert f.state is ClientState.LIVE
    f.subscribe([3, 4])
    assert sorted(map(len, held(sim))) == [2, 3]


def test_mistakes_are_named(fleet: MakeFleet) -> None:
    """The limit of connections; options as of a client."""
    wrong: Any
    for wrong in (0, -1, 1.5, "two", True):
        with pytest.raises(EToroValidationError, match="connections must be"):
            WsFleet(quick_options("ws://127.0.0.1:1/ws"), connections=wrong)
    with pytest.raises(EToroValidationError, match="options must be"):
        WsFleet(5)  # type: ignore[arg-type]
    f = fleet("ws://127.0.0.1:1/ws")
    with pytest.raises(EToroValidationError, match="topic"):
        f.subscribe("instruments:5")
    with pytest.raises(EToroError, match="cannot be recorded"):
        f.record("here")
    assert f.connections == ()
    assert repr(f) == "<WsFleet disconnected, 0 connections, 0 topics>"


def test_before_and_after_a_session_topics_are_only_recorded(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """And forgotten by disconnect(); places are free again at once."""
    sim = simulator()
    f = fleet(sim.url, connections=1)
    f.subscribe([1, 2, 3])
    f.unsubscribe([1, 2])
    f.subscribe([4, 5])
    with f:
        sim.wait_until(lambda s: s.subscribed == {*instruments(3, 4, 5)})
        with pytest.raises(EToroSubscriptionError, match="no room"):
            f.subscribe([6])
    assert f.subscriptions == ()
    assert dict(f.rates) == {}
    with f:
        f.subscribe([6, 7, 8])
        assert sim.subscribed == {*instruments(6, 7, 8)}


def test_a_refusal_after_the_caller_has_gone_is_logged(
    simulator: MakeSimulator, fleet: MakeFleet, caplog: pytest.LogCaptureFixture
) -> None:
    """As of a client of one connection: nobody else raises it."""
    sim = simulator()
    f = fleet(sim.url)
    errors = f.queue("error")
    f.connect()
    f.subscribe([1])
    sim.refuse("Subscribe", "SubscribeFailed", "No such topic")
    with sim._hub.changed, pytest.raises(EToroTimeoutError):
        # The server cannot answer meanwhile.
        f.subscribe([2], timeout=50 * MS)
    assert isinstance(errors.get(timeout=10), EToroSubscriptionError)
    assert "No such topic" in caplog.text


def test_a_call_for_too_many_takes_no_topic_over_from_a_stream(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """It has changed nothing, so the end of the stream unsubscribes its topics."""
    sim = simulator()
    f = fleet(sim.url, connections=1)
    with f:
        with f.stream([1, 2]) as rates:
            next(rates)
            with pytest.raises(EToroSubscriptionError, match="no room"):
                f.subscribe([1, 2, 3, 4])
        sim.wait_until(lambda s: not s.subscribed)


def test_refused_topics_take_no_places(simulator: MakeSimulator, fleet: MakeFleet) -> None:
    """Others have them at once."""
    sim = simulator()
    f = fleet(sim.url, connections=1)
    f.connect()
    sim.refuse("Subscribe", "SubscribeFailed", "No such topic")
    with pytest.raises(EToroSubscriptionError, match="No such topic"):
        f.subscribe([1, 2, 3])
    f.subscribe([4, 5, 6])
    assert sim.subscribed == {*instruments(4, 5, 6)}


def test_a_call_has_the_time_that_a_new_connection_takes(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Besides request_timeout, and only where one is being opened."""
    sim = simulator()
    f = fleet(sim.url, request_timeout=5.0, connect_timeout=7.0, auth_timeout=9.0)
    f.connect()
    f.subscribe([1, 2, 3])
    requests = core_of(f).requests
    with sim._hub.changed:  # the server answers nothing meanwhile
        f.subscribe([4], wait=False)
        assert requests._patience(instruments(1, 4)) == 5.0 + 7.0 + 9.0
        assert requests._patience(instruments(1, 2)) == 5.0
    f.subscribe([4])
    assert requests._patience(instruments(4)) == 5.0


def test_connections_that_come_and_go_leave_nothing(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """A place of one that has ended is used again, and the counters go on."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    f.subscribe([1, 2, 3])
    first = readers()
    for _ in range(10):
        f.subscribe([4])
        f.unsubscribe([4])
        sim.wait_until(lambda s: len(s.clients) == 1)
        for thread in readers() - first:
            thread.join(10)
    core = core_of(f)
    assert isinstance(core, FleetCore)
    assert len(core.fleet.parts.members) == 2
    assert f.stats().connections == 11
    assert f.generation == 11


def test_what_cannot_be_unsubscribed_keeps_its_place(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """eToro goes on sending it; asked again, it leaves."""
    sim = simulator()
    f = fleet(sim.url, connections=1)
    f.connect()
    f.subscribe([1, 2, 3])
    sim.refuse("Unsubscribe", "UnhandledException")
    with pytest.raises(EToroSubscriptionError):
        f.unsubscribe([1])
    with pytest.raises(EToroSubscriptionError, match="no room for 1 topic"):
        f.subscribe([4])
    f.unsubscribe([1])
    f.subscribe([4])
    assert sim.subscribed == {*instruments(2, 3, 4)}


def test_a_connection_closes_behind_all_calls(
    simulator: MakeSimulator, fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for it is not told that the fleet was disconnected."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    f.subscribe([1, 2, 3, 4])
    posted, post = threading.Semaphore(0), Session.post

    def post_and_count(self: Session, operation: Operation) -> None:
        post(self, operation)
        posted.release()

    monkeypatch.setattr(Session, "post", post_and_count)
    with sim._hub.changed:  # the server answers none of them meanwhile
        f.unsubscribe([1, 2, 3], wait=False)
        calls = [run_in_thread(lambda: f.unsubscribe([1, 2, 3])) for _ in range(3)]
        for _ in range(4):
            assert posted.acquire(timeout=10)
    for call in calls:
        call.result()
    sim.wait_until(lambda s: len(s.clients) == 1)
    assert sim.subscribed == {"instrument:4"}


def test_promise_2_a_call_that_waits_ends_with_the_fleet(
    simulator: MakeSimulator, fleet: MakeFleet
) -> None:
    """Whichever connection it waits for."""
    sim = simulator()
    f = fleet(sim.url)
    f.connect()
    ear = Ear(f)
    f.subscribe(SEVEN[:3])
    sim.ignore("Subscribe")
    call = run_in_thread(lambda: f.subscribe([3]))
    ear.wait_for("authenticated")
    f.disconnect()
    assert isinstance(call.exception(), EToroClosedError)
