"""Pictures of candles."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import Candles, EToroError, EToroValidationError, Feed, MarketStream
from etoro_sync.candles import Bar
from etoro_sync.plotting import plot_bars
from tests.plotting.test_plot import BEGIN, price

BLUE, ORANGE = (0.0, 114 / 255, 178 / 255), (213 / 255, 94 / 255, 0.0)
START = datetime(2026, 3, 16, 22, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def bar(number: int, first: float, last: float, **changes: Any) -> Bar:
    """One minute from one price to another, with a line that is longer by one at both ends."""
    begin, end = START + number * MINUTE, START + (number + 1) * MINUTE
    low, high = min(first, last) - 1, max(first, last) + 1
    return replace(Bar(7, "1m", begin, end, first, high, low, last, 3), **changes)


def bodies(ax: Any) -> list[tuple[float, float, tuple[float, ...]]]:
    """Bottom, height and colour of each body, the pale ones with their alpha."""
    return [
        (round(each.get_y(), 6), round(each.get_height(), 6), each.get_facecolor())
        for each in sorted(ax.patches, key=lambda each: float(each.get_x()))
    ]


def test_a_bar_is_a_body_and_a_line() -> None:
    """Blue if the price rose or stayed, orange if it fell; the line is from low to high."""
    (ax,) = plot_bars([bar(0, 10, 12), bar(1, 12, 9), bar(2, 9, 9)]).axes
    assert bodies(ax) == [(10, 2, (*BLUE, 1.0)), (9, 3, (*ORANGE, 1.0)), (9, 0, (*BLUE, 1.0))]
    lines = [segment[:, 1].tolist() for each in ax.collections for segment in each.get_segments()]
    assert sorted(lines) == [[8, 10], [8, 13], [9, 13]]


def test_what_is_not_sure_is_pale() -> None:
    """Of a bar that a gap has touched, or that was not complete, high and low may be others."""
    (ax,) = plot_bars([bar(0, 1, 2, gap=True), bar(1, 1, 2, complete=False), bar(2, 1, 2)]).axes
    assert [colour[3] for _, _, colour in bodies(ax)] == [0.35, 0.35, 1.0]


def test_the_last_revision_is_drawn() -> None:
    """Whichever was emitted first."""
    (ax,) = plot_bars([bar(0, 1, 5, revision=1), bar(0, 1, 3)]).axes
    assert bodies(ax) == [(1, 4, (*BLUE, 1.0))]


def test_each_instrument_and_interval_has_a_row() -> None:
    """With its name, where there is one."""
    bars = [bar(0, 1, 2), bar(0, 1, 2, interval="5m"), bar(0, 1, 2, instrument_id=3)]
    figure = plot_bars(bars, names={7: "BTC"})
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == ["instrument 3, 1m, bid", "BTC, 1m, bid", "BTC, 5m, bid"]


def test_candles_are_drawn_with_the_bars_that_they_keep(tmp_path: Path) -> None:
    """And written to a file; without a bar, the error says how to keep some."""

    def play(feed: Feed) -> None:
        feed.texts([price(1, 10, 11), price(1, 12, 13)], BEGIN)

    stream = MarketStream(play)
    candles = Candles(stream, "1m", keep=10)
    with pytest.raises(EToroError, match="keep=1000"):
        plot_bars(candles)
    with stream:
        stream.run_forever()
    plot_bars(candles, out=tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(EToroValidationError, match=r"\.png"):
        plot_bars(candles, out=tmp_path / "bars.txt")
