"""Draws the bars of candles: a body from open to close, a line from low to high."""

import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..candles import Bar, Candles
from ..errors import EToroError
from .drawing import label_time, load_matplotlib
from .files import check_format, save

__all__ = ["plot_bars"]

#: Colours that stay apart for colour-blind readers, and in grey.
_RISE, _FALL = "#0072b2", "#d55e00"
_MOST_ROWS = 12

_Row = tuple[int, str]


def plot_bars(
    bars: Candles | Iterable[Bar],
    *,
    out: str | os.PathLike[str] | None = None,
    names: Mapping[int, str] | None = None,
) -> Any:
    """Draw bars as candlesticks, one row for each instrument and interval.

    Bars that a gap has touched, and those that were not complete, are pale: their high and low may
    be others. Of a bar that was revised, the last revision counts. Needs the extra ``plot``.

    :param bars: candles that keep bars (``Candles(source, keep=1000)``), or bars of your own.
    :param out: a file to write, whose ending decides the format; None writes none.
    :param names: instrument id -> the title of its row.
    :returns: a ``matplotlib.figure.Figure``.
    :raises EToroError: when there is no bar, the file cannot be written, or matplotlib is not
        installed.
    :raises EToroValidationError: for an ending that stands for no format.
    """
    matplotlib = load_matplotlib()
    if out is not None:
        check_format(Path(out), matplotlib)
    rows = _rows(bars.bars if isinstance(bars, Candles) else bars)
    if not rows:
        raise EToroError("There is no bar to draw. Candles keep bars with keep=1000, for instance.")
    shown = list(rows.items())[:_MOST_ROWS]
    figure = matplotlib.figure.Figure(figsize=(10, 1.2 + 2.2 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
    for ax, ((instrument_id, interval), of_row) in zip(axes, shown, strict=True):
        _draw(ax, of_row)
        name = (names or {}).get(instrument_id, f"instrument {instrument_id}")
        ax.set_title(f"{name}, {interval}, {of_row[0].price.replace('_', ' ')}", loc="left")
        label_time(ax, matplotlib, "UTC" if ax is axes[-1] else "")
    if out is not None:
        save(figure, Path(out))
    return figure


def _rows(bars: Iterable[Bar]) -> dict[_Row, list[Bar]]:
    """Return the bars of each row, in the order of time, each in its last revision."""
    last: dict[_Row, dict[Any, Bar]] = {}
    for bar in bars:
        of_row = last.setdefault((bar.instrument_id, bar.interval), {})
        known = of_row.get(bar.start)
        if known is None or bar.revision >= known.revision:
            of_row[bar.start] = bar
    return {row: [of_row[at] for at in sorted(of_row)] for row, of_row in sorted(last.items())}


def _draw(ax: Any, bars: list[Bar]) -> None:
    for rising, colour in ((True, _RISE), (False, _FALL)):
        for sure in (True, False):
            part = [
                bar
                for bar in bars
                if (bar.close >= bar.open) is rising and (bar.complete and not bar.gap) is sure
            ]
            _draw_part(ax, part, colour, 1.0 if sure else 0.35)
    ax.grid(alpha=0.3)
    ax.set_axisbelow(True)
    ax.set_ylabel("price")
    ax.yaxis.get_major_formatter().set_useOffset(False)
    ax.yaxis.get_major_formatter().set_scientific(False)


def _draw_part(ax: Any, bars: list[Bar], colour: str, alpha: float) -> None:
    """Draw bars of one colour; a body without height is a line, since matplotlib draws its edge."""
    if not bars:
        return
    width: timedelta = 0.7 * (bars[0].end - bars[0].start)
    middles = [bar.start + (bar.end - bar.start) / 2 for bar in bars]
    style = {"color": colour, "alpha": alpha}
    ax.vlines(middles, [bar.low for bar in bars], [bar.high for bar in bars], lw=1, **style)
    heights = [abs(bar.close - bar.open) for bar in bars]
    bottoms = [min(bar.open, bar.close) for bar in bars]
    ax.bar(middles, heights, width, bottoms, linewidth=1, edgecolor=colour, **style)
