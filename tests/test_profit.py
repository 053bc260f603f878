"""The recipe for profit and loss: figures worked out by hand, and none where one would be wrong."""

from __future__ import annotations

import math
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from etoro_sync import WsClient, WsClientOptions, WsInstrumentRate
from etoro_sync.simulator import EToroSimulator
from tests.support.timing import MS

ROOT = Path(__file__).parents[1]
EXAMPLE = runpy.run_path(str(ROOT / "examples" / "profit.py"))
Position, profit, doubt, lines = (EXAMPLE[n] for n in ("Position", "profit", "doubt", "lines"))
LONG, SHORT = Position(18, True, 2.0, 100.0), Position(18, False, 2.0, 100.0)


def rate(bid: float, ask: float, **more: Any) -> WsInstrumentRate:
    known = {"conversion_rate_bid": 1.0, "conversion_rate_ask": 1.0, "generation": 1}
    return WsInstrumentRate(**{"bid": bid, "ask": ask, "instrument_id": 18, **known, **more})


@pytest.mark.parametrize(
    ("position", "money"),
    [(LONG, 2.0), (SHORT, -8.0)],  # (101 - 100) x 2 at the bid; (100 - 104) x 2 at the ask
)
def test_a_position_is_closed_at_the_side_that_is_traded(position: Any, money: float) -> None:
    """Long positions are sold, short ones are bought back."""
    assert profit(position, rate(101.0, 104.0)) == money


def test_a_short_position_wins_when_the_price_falls() -> None:
    """(100 - 95.5) x 2."""
    assert profit(SHORT, rate(95.0, 95.5)) == 9.0
    assert profit(LONG, rate(95.0, 95.5)) == -10.0


@pytest.mark.parametrize(("position", "money"), [(LONG, 1.0), (SHORT, -6.0)])
def test_it_is_converted_at_the_same_side(position: Any, money: float) -> None:
    """(101 - 100) x 2 x 0.5; (100 - 104) x 2 x 0.75."""
    converted = rate(101.0, 104.0, conversion_rate_bid=0.5, conversion_rate_ask=0.75)
    assert profit(position, converted) == money


def test_a_profit_in_yen_is_small_in_dollars() -> None:
    """(149.80 - 149.50) x 10,000 yen = 3,000 yen, at 0.00668 dollars each."""
    yen = rate(149.80, 149.82, conversion_rate_bid=0.00668, conversion_rate_ask=0.00669)
    assert profit(Position(5, True, 10_000.0, 149.50), yen) == pytest.approx(20.04)


@pytest.mark.parametrize("unknown", [None, 0.0, -1.0, math.nan, math.inf])
def test_without_a_conversion_rate_there_is_no_figure(unknown: float | None) -> None:
    """Only the side that is needed counts."""
    no_bid = rate(101.0, 104.0, conversion_rate_bid=unknown)
    assert (profit(LONG, no_bid), profit(SHORT, no_bid)) == (None, -8.0)
    no_ask = rate(101.0, 104.0, conversion_rate_ask=unknown)
    assert (profit(LONG, no_ask), profit(SHORT, no_ask)) == (2.0, None)


def test_without_a_rate_there_is_no_figure() -> None:
    """Its market may be closed, or eToro may not have answered yet."""
    assert profit(LONG, None) is None


@pytest.mark.parametrize(
    ("found", "note"),
    [
        ({}, ""),
        ({"generation": 0}, "from before a gap"),
        ({"is_market_open": False}, "market closed"),
        ({"is_instrument_active": False}, "market closed"),
        ({"instrument_id": 7}, "no message for a while"),
    ],
)
def test_an_old_figure_says_why(found: dict[str, Any], note: str) -> None:
    """Unlike a missing one it may be shown."""
    client = SimpleNamespace(state=EXAMPLE["ClientState"].LIVE, generation=1)
    assert doubt(client, rate(1.0, 2.0, **found), {7}) == note
    client.state = EXAMPLE["ClientState"].RECONNECTING
    assert doubt(client, rate(1.0, 2.0, **found), {7}) == "from before a gap"


@pytest.fixture
def simulator() -> Iterator[EToroSimulator]:
    with EToroSimulator({100000: 66500.0, 1001: 227.5, 5: 149.8}, rate=0) as new:
        yield new


def test_a_gap_is_marked_until_the_next_snapshot(simulator: EToroSimulator) -> None:
    """The sum says how many positions are in it, and how many of them may be old."""
    names = {100000: "Bitcoin", 1001: "Apple"}
    options = WsClientOptions("a", "b", simulator.url, reconnect_delay=10 * MS)
    with WsClient(options) as client:
        rates = client.queue("instrument:rate")
        client.subscribe([100000, 1001], snapshot=True)
        for _ in range(2):
            rates.get(timeout=5)
        bitcoin, apple, yen, total = lines(client, names, ())
        assert bitcoin.startswith("Bitcoin    long ")
        assert bitcoin.endswith(" USD")
        assert apple.endswith(" USD")
        assert yen.startswith("5 ")
        assert yen.endswith(" unknown")
        assert total.startswith("2 of 3 positions: ")
        simulator.fault("refuse")
        lost, back = client.queue("reconnecting"), client.queue("reconnected")
        simulator.drop()
        lost.get(timeout=5)
        bitcoin, apple, yen, total = lines(client, names, ())
        assert bitcoin.endswith(" USD  from before a gap")
        assert total.startswith("2 of 3 positions, 2 may be old: ")
        simulator.heal()
        for _ in range(2):
            rates.get(timeout=5)
        back.get(timeout=5)
        assert not any("gap" in line for line in lines(client, names, ()))


def test_the_page_shows_the_function_of_the_example() -> None:
    """A correction of one is one of the other."""
    source = (ROOT / "examples" / "profit.py").read_text(encoding="utf-8")
    function = source[source.index("def profit(") : source.index("def doubt(")].strip()
    assert function in (ROOT / "docs" / "profit.md").read_text(encoding="utf-8")
