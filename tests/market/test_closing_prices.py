"""Closing prices and flags: in whatever form the server sends them, and as they were recorded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import WsInstrumentRate
from tests.market.tools import Bench, Feed
from tests.support.clients import envelope

LITERAL = "System.Collections.Generic.Dictionary`2[System.String,System.Object]"
CLOSES = {"Daily": 4788.7, "Weekly": 4700.0, "Monthly": 4500.5}


def rate_after(*contents: tuple[str, dict[str, Any]]) -> Any:
    """Return the rate that is shown behind these messages of instrument 18."""
    bench = Bench().listen("instrument:rate")
    for type_, content in contents:
        bench.take(envelope("instrument:18", content, type_))
    return bench.got("instrument:rate")[-1][1]


def snapshot(closing: Any) -> tuple[str, dict[str, Any]]:
    price = {"Ask": "4810", "Bid": "4800", "Date": "2026-01-01T00:00:00Z", "PriceRateID": "1"}
    return "Snapshot", {**price, "ClosingPrices": closing}


@pytest.mark.parametrize(
    "sent", [json.dumps(CLOSES), CLOSES, json.dumps({k: str(v) for k, v in CLOSES.items()})]
)
def test_closing_prices_are_read_in_any_form(sent: Any) -> None:
    """JSON in a string, as eToro sends it; JSON itself; and numbers as text."""
    rate = rate_after(snapshot(sent))
    assert (rate.daily_close, rate.weekly_close, rate.monthly_close) == (4788.7, 4700.0, 4500.5)
    assert rate.change == pytest.approx(4800 / 4788.7 - 1)


@pytest.mark.parametrize(
    "sent",
    [
        LITERAL,
        "",
        "[]",
        "7",
        "null",
        {"Daily": "soon"},
        {"Daily": 0},
        {"Daily": None},
    ],
)
def test_what_is_no_closing_price_leaves_the_rate_as_it_is(sent: Any) -> None:
    """The server sends the name of a type now and then."""
    rate = rate_after(snapshot(sent))
    assert (rate.bid, rate.daily_close, rate.change) == (4800.0, None, None)


def test_a_bad_closing_price_costs_no_other() -> None:
    """An instrument that is new this month has none of the last one."""
    rate = rate_after(snapshot(json.dumps({**CLOSES, "Weekly": "soon", "Monthly": None})))
    assert (rate.daily_close, rate.weekly_close, rate.monthly_close) == (4788.7, None, None)


def test_a_closing_price_stays_until_the_next_snapshot() -> None:
    """Deltas do not carry it."""
    delta = ("Trading.Instrument.Rate", {"Bid": "4900", "Date": "d", "PriceRateID": "2"})
    rate = rate_after(snapshot(json.dumps(CLOSES)), delta)
    assert (rate.bid, rate.daily_close) == (4900.0, 4788.7)
    assert rate.change == pytest.approx(4900 / 4788.7 - 1)


@pytest.mark.parametrize("sent", [LITERAL, "{}", None])
def test_a_snapshot_without_closing_prices_keeps_none_of_an_earlier_day(sent: Any) -> None:
    """A close that is unknown now must not look like that of the last day."""
    rate = rate_after(snapshot(json.dumps(CLOSES)), snapshot(sent))
    assert (rate.daily_close, rate.weekly_close, rate.monthly_close) == (None, None, None)
    assert rate.change is None
    assert "closes" in rate.changed


RECORDED = Path(__file__).parents[3] / "shared" / "recorded"
PAGE = Path(__file__).parents[2] / "docs" / "prices.md"
needs_recordings = pytest.mark.skipif(
    not RECORDED.exists(), reason=f"no recorded frames in {RECORDED}"
)


def messages(pattern: str) -> Iterator[dict[str, Any]]:
    """Return the recorded messages of the files whose names match."""
    for path in sorted(RECORDED.glob(pattern)):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                frame = json.loads(line)
                yield from json.loads(frame.get("text", line))["messages"]


def rates_of(pattern: str, instrument_id: int = 18) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Return the type and the content of each message, and what users see behind it."""
    topic = f"instrument:{instrument_id}"
    feed = Feed((topic,))
    for message in messages(pattern):
        if message["topic"] == topic:
            content = json.loads(message["content"])
            feed.send(content, message["type"], topic)
            instrument = feed.book.latest.get(instrument_id)
            rate = None if instrument is None else WsInstrumentRate(**instrument.visible)
            yield message["type"], content, rate
    assert not feed.reports


@needs_recordings
def test_recorded_snapshots_have_the_closes_that_the_page_tells() -> None:
    """20 of March with a .NET type, without an error; one of April with prices."""
    march = [rate for kind, _, rate in rates_of("*bitcoin*") if kind == "Snapshot"]
    assert {(rate.closes, rate.change) for rate in march} == {((), None)}
    kind, content, rate = next(rates_of("*received*"))
    assert kind == "Snapshot"
    assert (rate.daily_close, rate.weekly_close, rate.monthly_close) == (4788.7, 4745.12, 4668.67)
    assert f"{rate.change:.2%}" == "0.40%"
    official = float(content["OfficialClosingPrice"])
    assert f"{rate.bid / official - 1:.2%}" == "-0.76%"
    page = PAGE.read_text(encoding="utf-8")
    for told in (f"{rate.bid:.2f}", f"{official:.2f}", f"{rate.daily_close:.2f}"):
        assert told in page
    every = [message for message in messages("*.gz") if message["type"] == "Snapshot"]
    broken = [message for message in every if "System.Collections" in message["content"]]
    assert (len(every), len(broken)) == (21, 20)
    assert f"{sum(1 for _ in messages('*.gz')):,} messages" in page


@needs_recordings
def test_recorded_snapshots_have_the_flags_that_the_page_tells() -> None:
    """Two of them say nothing, and the reason has no public meaning."""
    seen = {
        (rate.is_instrument_active, rate.is_market_open, rate.availability_reason)
        for pattern in ("*bitcoin*", "*received*")
        for number in (18, 28, 100000)
        for kind, _, rate in rates_of(pattern, number)
        if kind == "Snapshot"
    }
    assert seen == {(True, True, 2), (False, False, 4), (False, False, 6)}
    for message in messages("*.gz"):
        if message["type"] == "Snapshot":
            content = json.loads(message["content"])
            assert content["IsExchangeOpen"] == "false"
            assert (content["AllowBuy"], content["AllowSell"]) == ("true", "true")


@needs_recordings
@pytest.mark.parametrize(("instrument_id", "seconds"), [(18, 60), (28, 80)])
def test_at_the_recorded_opening_the_market_s_flag_is_late(
    instrument_id: int, seconds: int
) -> None:
    """Prices come, and the instrument is active, while is_market_open is still False."""
    late = []
    for _, content, rate in rates_of("*2026-03-16*", instrument_id):
        if rate.is_instrument_active and not rate.is_market_open and "Bid" in content:
            late.append(datetime.fromisoformat(rate.date[:19]))
    assert (late[-1] - late[0]).total_seconds() == pytest.approx(seconds, abs=1)
    assert rate.is_market_open
    changes = [
        set(json.loads(message["content"]))
        for message in messages("*.gz")
        if message["type"] == "Trading.Instrument.Active"
    ]
    both = {"IsInstrumentActive", "AvailabilityReason"}
    assert sorted(changes, key=len) == [{"IsInstrumentActive"}, both, both, both]
