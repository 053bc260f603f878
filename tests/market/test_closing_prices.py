"""Closing prices of a snapshot, in whatever form the server sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.market.tools import Bench
from tests.support.clients import envelope

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
        "System.Collections.Generic.Dictionary`2[System.String,System.Object]",
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
