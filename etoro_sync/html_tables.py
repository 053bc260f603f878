"""Tables in HTML for notebooks, and how prices are written in any table.

Everything is escaped, and short: names and texts come from the network, and may be hostile or huge.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from .numbers import decimals as count_decimals
from .text import shorten

__all__ = [
    "clock",
    "decimals",
    "fields_table",
    "html_or_none",
    "moment",
    "percent",
    "price",
    "rates_table",
    "stream_table",
    "table",
]

#: Significant digits that a float keeps of any number.
_DIGITS = 15
#: More decimals would leave no room for other columns.
_MOST_DECIMALS = 20
#: Characters of a cell.
_CELL = 80
#: Rows of a mapping of rates; a notebook keeps what it shows.
_ROWS = 50


def decimals(value: float) -> int:
    """Return with how many decimals to show a price: all that the feed sent, at least 2.

    Leading zeros are included: 0.000000012345 has twelve.
    """
    # A float keeps 15 digits of the price; further ones are rounding errors.
    return min(max(count_decimals(float(f"{value:.{_DIGITS}g}")), 2), _MOST_DECIMALS)


def price(value: float, digits: int) -> str:
    """Format a price with a fixed number of decimals."""
    text = f"{value:.{digits}f}"
    # A price that is too small for these decimals must not be shown as zero.
    return f"{value:.5g}" if value and not text.strip("-0.") else text


def clock(seconds: float) -> str:
    """Format a local time of day with milliseconds.

    :param seconds: since the epoch.
    """
    return moment(seconds).partition(" ")[2]


def moment(seconds: float, precision: str = "milliseconds") -> str:
    """Format a local date and time. Without the date, an old price would seem to be of today.

    :param seconds: since the epoch.
    :param precision: the last part of it.
    """
    return datetime.fromtimestamp(seconds).isoformat(" ", precision)


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    note: str = "",
    left: int = 1,
) -> str:
    """Return a table in HTML.

    :param headings: of the columns; none: no line of headings.
    :param rows: the cells of each row.
    :param title: stands above it.
    :param note: stands below it.
    :param left: this many columns are aligned to the left, as text; the others to the right.
    """

    def cells(tag: str, row: Sequence[Any]) -> str:
        style = ["left"] * left + ["right; white-space: nowrap"] * max(len(row) - left, 0)
        return "".join(
            f'<{tag} style="text-align: {side}">{_cell(cell)}</{tag}>'
            for cell, side in zip(row, style, strict=False)
        )

    head = f"<thead><tr>{cells('th', headings)}</tr></thead>" if headings else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    above = f"<div><strong>{_cell(title)}</strong></div>" if title else ""
    below = f"<div><small>{_cell(note, 300)}</small></div>" if note else ""
    style = "font-variant-numeric: tabular-nums"
    return f'{above}<table style="{style}">{head}<tbody>{body}</tbody></table>{below}'


def fields_table(title: str, values: Mapping[str, Any]) -> str:
    """Return a table of names and values. What is None or empty is left out."""
    rows = [(name, value) for name, value in values.items() if value not in (None, "", (), {})]
    return table((), rows, title=title, left=2)


def rates_table(rates: Mapping[int, Any], limit: int = _ROWS) -> str:
    """Return a table of the latest rates.

    :param limit: the most rows; how many are not shown stands below.
    """
    rows: list[tuple[Any, ...]] = []
    for instrument_id, rate in rates.items():
        if len(rows) == limit:
            break
        digits = max(decimals(rate.bid), decimals(rate.ask))
        sides = [price(value, digits) for value in (rate.bid, rate.ask, rate.spread)]
        rows.append((instrument_id, *sides, percent(rate.change), moment(rate.received_at)))
    hidden = len(rates) - len(rows)
    headings = ("instrument", "bid", "ask", "spread", "change", "received")
    note = f"{hidden} more are not shown." if hidden > 0 else "" if rows else "No rate has come."
    return table(headings, rows, title="rates", note=note)


def stream_table(title: str, values: Mapping[str, Any], rates: Mapping[int, Any]) -> str:
    """Return two tables: what a stream is doing, and the first of its rates."""
    return fields_table(title, values) + (rates_table(rates, 10) if rates else "")


def percent(fraction: float | None) -> str:
    """Format a change; an empty text while it is not known."""
    return "" if fraction is None else f"{fraction * 100:+.2f} %"


def html_or_none(make: Callable[[], str]) -> str | None:
    """Return what *make* returns, or None, with which a notebook shows the plain text instead.

    What displays an object must not raise: the object may have failed, or be half made.
    """
    try:
        return make()
    except Exception:
        return None


def _cell(value: Any, limit: int = _CELL) -> str:
    return escape(shorten(value, limit))
