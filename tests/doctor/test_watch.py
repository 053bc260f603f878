"""Observed connections: pings, NUL keepalives and ends are measured, each on its own topics."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from etoro_sync import EToroWebSocketError
from etoro_sync.doctor import Report, Watched
from etoro_sync.doctor import watch as watching
from etoro_sync.doctor.deviations import Deviations
from etoro_sync.doctor.examination import Examination
from etoro_sync.doctor.link import Link
from etoro_sync.doctor.plan import Plan
from etoro_sync.doctor.privacy import Scrubber
from etoro_sync.doctor.watch import Watcher
from etoro_sync.redaction import Redactor
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.session.connector import Connector
from tests.doctor.tools import API_KEY, QUICK, USER_KEY, examined
from tests.support.clients import quick_options
from tests.support.timing import MS


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PING_EVERY", 10 * MS)
    monkeypatch.setattr(watching, "WAIT", 10 * MS)
    monkeypatch.setattr(watching, "_PERIOD", 10 * MS)


class Enough(Exception):
    """Raised by a test in place of Ctrl-C, when it has seen what it waits for."""


def observed(url: str, enough: Any, act: Any = lambda: None, **options: Any) -> Report:
    """Observe until *enough* of the two observations, then interrupt.

    :param act: called once, when both connections are open.
    """
    acted: list[object] = []

    def look(left: float, seen: list[Watched]) -> None:
        if not acted and all(each.connections for each in seen):
            acted.append(act())
        if acted and enough(*seen):
            raise Enough

    plan = Plan(seconds=0.02, rate_timeout=0.2, minutes=10_000 * MS / 60)
    wanted = quick_options(url, **{**QUICK, **options})
    examination = Examination(plan, wanted, on_watch=look)
    with pytest.raises(Enough):
        examination.run()
    assert examination.report.interrupted
    assert not examination.report.ok
    return examination.report


def test_pings_and_keepalives_are_measured_on_order_events_alone() -> None:
    """What nobody public knows: whether pings are answered there, and how often NULs come."""
    with EToroSimulator(rate=50, nul_interval=0.02) as simulator:
        report = observed(
            simulator.url,
            lambda private, prices: private.pongs >= 3 and private.nuls >= 3 and prices.pongs,
        )
        topics = {frozenset(each["data"]["topics"]) for each in _subscriptions(simulator)}
    private, prices = report.watched
    assert private.topics == ("private",)
    assert prices.topics == ("instrument:100000",)
    assert {frozenset(["private"]), frozenset(["instrument:100000"])} <= topics
    assert private.pings >= private.pongs >= 3
    assert private.round_trips is not None
    assert private.round_trips.least > 0
    assert private.nul_intervals is not None
    assert 0.01 < private.nul_intervals.median < 1
    assert "rates" not in private.counts
    assert prices.counts["snapshots"] == 1
    page = report.to_markdown()
    assert "private alone: 1 connection" in page
    assert "It was interrupted" in page


def _subscriptions(simulator: EToroSimulator) -> list[dict[str, Any]]:
    return [each for each in simulator.requests if each["operation"] == "Subscribe"]


def test_pings_that_stay_unanswered_are_told_from_a_dead_connection() -> None:
    """As a user has reported of order events alone: the connection goes on."""
    with EToroSimulator(rate=50, nul_interval=0.02) as simulator:
        report = observed(
            simulator.url,
            lambda private, prices: private.pings >= 3 and private.longest_silence >= 0.1,
            lambda: simulator.fault("mute"),
        )
    private, _ = report.watched
    assert private.pings - private.pongs >= 2
    assert private.ends == []


def test_ends_are_listed_and_the_connection_is_replaced() -> None:
    """With code, reason without the account's, and how long the connection was open."""
    with EToroSimulator(rate=50, nul_interval=0) as simulator:
        report = observed(
            simulator.url,
            lambda private, prices: private.connections >= 2 and prices.connections >= 2,
            lambda: simulator.disconnect(1012, "restart 1234567"),
        )
    for seen in report.watched:
        (end,) = seen.ends
        assert seen.ended == 1
        assert (end.code, end.seconds >= 0) == (1012, True)
        assert end.reason == "restart <number>"
        assert seen.seconds >= end.seconds
    (deviation,) = report.deviations
    assert (deviation.what, deviation.count) == ("1012", 2)


def test_a_service_that_is_down_is_tried_again() -> None:
    """Each failure is listed, and nothing is raised."""
    with EToroSimulator(rate=50, nul_interval=0) as simulator:

        def fall() -> None:
            simulator.fault("refuse")
            simulator.drop()

        report = observed(
            simulator.url, lambda private, prices: len(private.failures) >= 2 and prices.ends, fall
        )
    assert "Cannot connect" in report.watched[0].failures[0]
    assert report.watched[0].failed == len(report.watched[0].failures)
    page = report.to_markdown()
    assert "no close frame (The connection ended" in page
    assert "Cannot connect" in page
    assert report.watched[0].ends[0].code == 1006


def test_refused_topics_end_the_observation() -> None:
    """Another attempt would be refused, too; the report is there at once."""
    with EToroSimulator(rate=50, nul_interval=0) as simulator:
        # Behind the two of the steps.
        simulator.fault("reject", operation="Subscribe", code="Forbidden", skip=2)
        report = examined(simulator.url, {"minutes": 60.0})
    assert report.ok, str(report.failure)
    assert [len(each.failures) for each in report.watched] == [1, 1]


def test_keys_that_are_revoked_end_the_observation() -> None:
    """No further attempt with refused keys."""
    with EToroSimulator(rate=50, nul_interval=0, api_key=API_KEY, user_key=USER_KEY) as simulator:
        simulator.fault("reject", operation="Authenticate", code="InvalidKey", skip=1)
        report = examined(simulator.url, {"minutes": 60.0})
        assert simulator.connections == 3
    assert all("InvalidKey" in each.failures[0] for each in report.watched)


def test_nothing_is_observed_after_a_failure(service: EToroSimulator) -> None:
    """The failure comes first."""
    service.fault("reject", operation="Subscribe", code="Forbidden")
    report = examined(service.url, {"minutes": 60.0})
    assert report.failure is not None
    assert report.watched == []


@pytest.mark.parametrize(
    ("wait", "lasted", "following"),
    [(0, 0, 5), (5, 0, 10), (40, 0, 60), (60, 59, 60), (60, 60, 5), (0, 600, 5)],
)
def test_waits_between_connections(
    wait: float, lasted: float, following: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is not hammered, and a connection that has lasted is replaced soon."""
    monkeypatch.setattr(watching, "WAIT", 5.0)
    assert watching.next_wait(wait, lasted) == following


class LostLink:
    """A connection that was open for five seconds, and has ended."""

    age = 5.0
    closed_with = (1000, "")

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: None

    def read(self, *arguments: Any) -> bool:
        raise ConnectionFailed(EToroWebSocketError("It has ended."))


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    """One that is not started, and has a link as above."""
    redactor = Redactor([])
    scrubber = Scrubber(redactor)
    options = quick_options("ws://127.0.0.1:1/ws", **QUICK)
    made = Watcher(("private",), options, redactor, scrubber, Deviations(scrubber, lambda: 0.0))
    yield made
    made.join()


def test_seconds_of_all_connections_are_added(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an observation says rests on all of them."""
    monkeypatch.setattr(Connector, "reach", lambda *arguments: (None, None))
    monkeypatch.setattr(Link, "open", lambda *arguments: LostLink())
    assert [watcher._observe(), watcher._observe()] == [5.0, 5.0]
    assert (watcher.seen.connections, watcher.seen.ended, watcher.seen.seconds) == (2, 2, 10.0)
    assert [(end.code, end.seconds) for end in watcher.seen.ends] == [(1000, 5.0)] * 2


def test_a_service_that_asks_to_wait_is_obeyed(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Retry-After, where that is longer than the doctor's own wait."""
    pauses: list[float] = []

    def fail(watcher: Watcher) -> float:
        raise ConnectionFailed(EToroWebSocketError("Too many."), slow=True, retry_after=77.0)

    def pause(watcher: Watcher, seconds: float) -> None:
        pauses.append(seconds)
        watcher.stop()

    monkeypatch.setattr(Watcher, "_observe", fail)
    monkeypatch.setattr(Watcher, "_pause", pause)
    watcher._run()
    assert pauses == [77.0]
    assert watcher.seen.failures == ["Too many."]


def test_the_observation_ends_by_itself(service: EToroSimulator) -> None:
    """After the minutes, with all connections closed and all threads ended."""
    report = examined(service.url, {"minutes": 100 * MS / 60, "private": False})
    assert report.ok, str(report.failure)
    (prices,) = report.watched
    assert prices.connections == 1
    assert prices.ends == []
    service.wait_until(lambda sim: not sim.clients)
    assert not [each for each in threading.enumerate() if "doctor" in each.name]
