"""When a subscriber is live, and since when messages may be missing, without a Redis."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync import WsGap, clocks
from etoro_sync.redis.subscribing.freshness import Freshness
from etoro_sync.redis.subscribing.generations import Generations


class Noted:
    """A feed that notes what is called."""

    generation = 7

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))

    def take(self) -> list[Any]:
        taken, self.calls = self.calls, []
        return taken


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def fresh(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> Freshness:
    """Of a feed that is live."""
    monkeypatch.setattr(clocks, "wall_clock", lambda: 200.0)
    feed: Any = noted
    made = Freshness(feed, "main")
    made.topics = ("instrument:18", "private")
    made.note_lease(2000, 100.0)
    made.connected = True
    made.judge()
    assert noted.take() == [("live",)]
    return made


def test_a_gap_begins_when_the_publisher_was_last_seen(fresh: Freshness, noted: Noted) -> None:
    """It has renewed its lease then, and may have died a moment later."""
    fresh.note_lease(1500, 101.0)
    assert fresh.read_at == 100.5
    fresh.note_lease(-2, 103.0)
    fresh.lose()
    close, lost = noted.take()
    assert close[:3] == ("emit", "close", 1006)
    assert lost == ("lost",)
    fresh.note_lease(2000, 105.0)
    fresh.judge()
    gap = WsGap(100.5, 200.0, 7, ("instrument:18", "private"))
    assert noted.take() == [("live",), ("gap", gap)]


def test_a_state_is_shown_before_connect_returns_and_behind_a_gap(
    noted: Noted, fresh: Freshness
) -> None:
    """So that rates are there when they are asked for, and the gap comes first."""

    def show() -> None:
        noted.calls.append("shown")

    feed: Any = noted
    first = Freshness(feed, "main")
    first.judge(show)
    assert noted.take() == ["shown", ("lost",)]
    first.held = first.connected = True
    first.judge(show)
    assert noted.take() == ["shown", ("live",)]
    first.lose("gone.")
    noted.take()
    first.judge(show)
    live, gap, shown = noted.take()
    assert (live, gap[0], shown) == (("live",), "gap", "shown")


def test_a_lease_that_never_ends_counts_when_it_is_seen(fresh: Freshness) -> None:
    """As another tool may set it."""
    fresh.note_lease(-1, 150.0)
    assert fresh.read_at == 150.0
    assert fresh.held


def test_what_is_lost_is_reported_once(fresh: Freshness, noted: Noted) -> None:
    """One close for each loss, however many causes it has; its gap begins with the first."""
    fresh.lose("first.")
    fresh.read_at = 150.0
    fresh.lose("second.")
    assert [call[0] for call in noted.take()] == ["emit", "lost", "lost"]
    fresh.judge()
    assert noted.take()[1][1].from_ == 100.0


def test_a_publisher_that_leaves_without_a_word_is_closed(fresh: Freshness, noted: Noted) -> None:
    """It has said that it is not connected, and not why; and then it is gone."""
    fresh.connected = False
    fresh.judge()
    assert noted.take() == [("lost",)]
    fresh.lose()
    assert [call[:2] for call in noted.take()] == [("emit", "close"), ("lost",)]


def test_what_was_never_there_is_no_gap(noted: Noted) -> None:
    """A stream that has found no publisher yet has missed nothing that it had begun."""
    feed: Any = noted
    waiting = Freshness(feed, "main")
    waiting.lose("Redis is away.")
    waiting.note_lease(2000, 100.0)
    waiting.connected = True
    waiting.judge()
    assert noted.take() == [("lost",), ("live",)]


def test_an_outage_of_the_publisher_within_a_longer_gap(fresh: Freshness, noted: Noted) -> None:
    """Is part of it: one gap, from the earlier beginning."""
    fresh.connected = False
    fresh.judge()
    assert noted.take() == [("lost",)]
    fresh.read_at = 120.0
    fresh.lose("Redis is away.")
    fresh.end_outage(WsGap(90.0, 130.0, 7, ()))
    fresh.connected = True
    fresh.judge()
    assert [call for call in noted.take() if call[0] == "gap"] == [
        ("gap", WsGap(90.0, 200.0, 7, ("instrument:18", "private")))
    ]


def test_generations_rise_and_tell_connections_apart() -> None:
    """Also where the next publisher counts from one again, and a hostile one below it."""
    numbers = Generations()
    assert numbers.begin(0, []) == 1
    assert [numbers.of(theirs) for theirs in (1, 2, 0, -5)] == [1, 2, 1, 1]
    assert numbers.begin(2, [1, 3]) == 5
    assert numbers.open == {3, 5}
    numbers.add(4)
    assert numbers.open == {3, 4, 5}
