"""Small pictures of prices in the live table."""

from __future__ import annotations

import pytest

from etoro_sync.cli.sparks import WIDTH, PriceHistory, sparkline
from etoro_sync.cli.table_contents import TableContents
from tests.cli.events import rate
from tests.cli.test_table import _text


@pytest.mark.parametrize(
    ("prices", "line"),
    [
        ([1.0, 2.0, 8.0], "▁▂█"),
        ([5.0, 5.0], "▄▄"),
        ([None, 1.0, 2.0], " ▁█"),
        ([float("nan"), 1.0, 2.0], " ▁█"),
        ([None, None], ""),
        ([], ""),
    ],
)
def test_each_price_has_a_height(prices: list[float | None], line: str) -> None:
    """Between the lowest and the highest; nothing where nothing is known."""
    assert sparkline(prices) == line


def test_a_price_stands_until_the_next_one() -> None:
    """The feed sends changes: each character shows the last price of its three seconds."""
    history = PriceHistory()
    history.add(1.0, 30.0)
    history.add(3.0, 31.0)
    history.add(2.0, 39.5)
    assert history.line(41.9) == " " * (WIDTH - 4) + "███▁"
    assert history.line(48.0) == " " * (WIDTH - 7) + "███▁▁▁▁"
    # Later than a minute, the last price alone is left.
    assert history.line(1000.0) == "▄" * WIDTH


def test_the_table_has_a_picture_on_request() -> None:
    """In a column of its own, which is the first that a narrow terminal leaves out."""
    pictures = {}
    for sparks in (False, True):
        contents = TableContents((7,), "somewhere", private=False, now=0.0, sparks=sparks)
        contents.add("instrument:rate", (7, rate(1.0, 2.0)), 3.0)
        contents.add("instrument:rate", (7, rate(2.0, 3.0)), 6.0)
        pictures[sparks] = _text(contents, 8.0, width=120)
    assert "▁█" in pictures[True]
    assert "last minute" in pictures[True]
    assert "█" not in pictures[False]
    assert "last minute" not in pictures[False]
    assert "█" not in _text(contents, 8.0, width=60)
