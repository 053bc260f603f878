"""The benchmarks: their feed is what it says it is, and no message gets lost. Nothing is timed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks import feeds, lag, report, run, tables, targets
from benchmarks.feeds import Scenario
from benchmarks.processes import CLIENTS, FeedServer
from etoro_sync.ws.transport.frames import FrameParser

COUNT = 2000


def contents(frames: list[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield topic and content of each frame, as a client gets them."""
    for text in FrameParser(1 << 20).feed(b"".join(frames)):
        (message,) = json.loads(text)["messages"]
        yield message["topic"], json.loads(message["content"])


def shape(content: dict[str, Any]) -> str:
    prices = content.keys() & {"Ask", "Bid", "LastExecution"}
    names = {"Ask": "ask", "Bid": "bid", "LastExecution": "last"}
    return "full" if len(prices) == 3 else names[prices.pop()] if prices else "heartbeat"


@pytest.mark.parametrize("mix", feeds.MIXES)
def test_a_feed_has_the_shares_of_its_mix(mix: str) -> None:
    """The shapes come as often as the design says."""
    block = feeds.build(mix, COUNT, 100)
    found = Counter(shape(content) for _, content in contents(block.frames))
    assert found == {name: COUNT * share / 100 for name, share in feeds.MIXES[mix].items()}
    assert found == block.shapes
    assert block.price_changes == COUNT - found["heartbeat"]


def test_messages_are_as_long_as_recorded_ones() -> None:
    """Full messages, heartbeats and snapshots have recorded sizes."""
    full = feeds.build("full", 100, 10).frames
    universe = feeds.build("universe", 1000, 10).frames
    heartbeats = [
        frame
        for frame, (_, content) in zip(universe, contents(universe), strict=True)
        if shape(content) == "heartbeat"
    ]
    assert all(480 <= len(frame) <= 560 for frame in full)
    assert all(206 <= len(frame) <= 216 for frame in heartbeats)
    assert 992 <= len(feeds.snapshot(1001)) <= 1200


def test_all_values_are_text_and_all_instruments_take_part() -> None:
    """As on the wire, and evenly."""
    found = list(contents(feeds.build("liquid", COUNT, 100).frames))
    assert {type(value) for _, content in found for value in content.values()} == {str}
    assert Counter(topic for topic, _ in found) == {
        f"instrument:{number}": COUNT / 100 for number in range(1001, 1101)
    }


def test_a_feed_is_the_same_each_time() -> None:
    """Runs can be compared."""
    assert feeds.build("universe", 100, 10).frames == feeds.build("universe", 100, 10).frames


@pytest.mark.heavy
def test_every_price_change_is_delivered() -> None:
    """By callbacks and queues, with both JSON parsers."""
    with FeedServer() as server:
        for key, sink in (("speed", "callback"), ("plain", "callback"), ("speed", "queue")):
            scenario = Scenario("universe", COUNT, instruments=50)
            report = server.run(CLIENTS[key], scenario, "--sink", sink)
            assert report["feed"]["messages"] == COUNT
            assert report["delivered"] == report["feed"]["price_changes"] == COUNT * 41 // 100
            assert (report["conflated"], report["bad"]) == (0, 0)


@pytest.mark.heavy
def test_a_steady_feed_shows_the_age_of_each_price() -> None:
    """From sending to the callback."""
    with FeedServer() as server:
        scenario = Scenario("universe", 200, instruments=50, rate=2000)
        report = server.run(CLIENTS["speed"], scenario, "--mode", "latency")
    assert report["delivered"] == 82
    assert 0 < report["p50_us"] <= report["p99_us"] <= report["p999_us"]


@pytest.mark.heavy
def test_a_slow_consumer_accounts_for_each_rate_and_order() -> None:
    """Seen, skipped or still waiting; and orders beside them, until the connection ends."""
    scenario = Scenario("full", 200, 5, rate=400, act="drop", orders=4)
    for consumer in ("callback", "stream", "queue"):
        row = lag.run(({}, scenario, ("--consumer", consumer, "--work", "1", "--after", "0.1")))
        assert row["orders"] == 2
        assert 0 < row["seen"] <= 200 <= row["rates"]
        assert 0 < row["age_p50"] <= row["age_max"]
        assert row["close"] > 0


def test_a_missed_target_has_its_reason() -> None:
    """With the figures that it speaks of; a target that was met needs none."""
    latency = [
        {"key": key, "rate": 12_000, "cpu_share": share}
        for key, share in (("speed", 0.4), ("etoropy", 0.6), ("ceiling", 0.25))
    ]
    (reason,) = targets.reasons({"latency": latency})
    assert reason.startswith("CPU at 12,000/s")
    assert "takes 25% of a core where etoropy takes 60%" in reason
    latency[0]["cpu_share"] = 0.3
    assert targets.reasons({"latency": latency}) == []


def test_each_group_has_a_table_and_a_section() -> None:
    """What is measured is shown."""
    assert run.GROUPS.keys() == tables._MAKERS.keys() == report._SECTIONS.keys()


def test_a_target_is_met_or_not() -> None:
    """The table says so without a threshold of its own."""
    row = {"mix": "full", "sink": "callback", "price_changes": 10, "delivered": 10}
    results = {
        "throughput": [
            {**row, "key": "speed", "per_second": 400.0},
            {**row, "key": "plain", "per_second": 150.0},
            {**row, "key": "etoropy", "per_second": 100.0},
        ]
    }
    lines = [(measured, met) for _, _, measured, met in targets.targets(results)]
    assert lines == [("4.0 x", "yes"), ("1.5 x", "**no**"), ("100.0% (etoropy 100.0%)", "yes")]
