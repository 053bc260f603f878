"""Draws histories: bid and ask as steps, gaps as breaks, closed markets shaded."""

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ..errors import EToroError
from ..extras import advice
from .history import History, thinned

__all__ = ["draw", "draw_history", "label_time", "load_matplotlib"]

#: Colours that stay apart for colour-blind readers, and in grey.
_BID, _ASK, _CLOSED = "#0072b2", "#d55e00", "#999999"
#: More points than a picture has columns bring nothing, and take long to draw.
_MOST_POINTS = 8_000


def load_matplotlib() -> Any:
    """Return the package, without ``pyplot``, which would want a screen and keep each figure.

    :raises EToroError: when it is not installed, with what to install.
    """
    try:
        import matplotlib
        import matplotlib.dates
        import matplotlib.figure
        import matplotlib.ticker
    except ImportError as exc:
        raise EToroError(
            f"Pictures need matplotlib, which is not installed: {advice('matplotlib', 'plot')}"
        ) from exc
    return matplotlib


def draw(histories: Mapping[int, History], names: Mapping[int, str], end: float) -> Any:
    """Return a figure with one row for each instrument.

    :param histories: instrument id -> what is shown; at least one.
    :param names: instrument id -> its title; the id where it is missing.
    :param end: where the axes of time end, in seconds since the epoch.
    """
    matplotlib = load_matplotlib()
    rows = len(histories)
    figure = matplotlib.figure.Figure(figsize=(10, 1.2 + 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    for ax, (instrument_id, history) in zip(axes, histories.items(), strict=True):
        draw_history(ax, history, end)
        ax.set_title(names.get(instrument_id, f"instrument {instrument_id}"), loc="left")
    label_time(axes[-1], matplotlib, "received, UTC")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3, frameon=False)
    return figure


def draw_history(ax: Any, history: History, end: float) -> None:
    """Draw one instrument onto axes of matplotlib."""
    points = thinned(history.points, _MOST_POINTS)
    if points and points[-1][0] < end:
        points = [*points, (end, *points[-1][1:])]  # a price stays until the next one
    times = [_utc(at) for at, _, _ in points]
    for side, label, colour in ((2, "ask", _ASK), (1, "bid", _BID)):
        prices = [point[side] for point in points]
        ax.plot(times, prices, drawstyle="steps-post", label=label, color=colour, linewidth=1.2)
    label = "market closed"
    for begin, until in history.closed:
        ax.axvspan(_utc(begin), _utc(until or end), color=_CLOSED, alpha=0.25, label=label, lw=0)
        label = "_"  # once in the legend
    ax.margins(x=0)
    ax.grid(alpha=0.3)
    ax.set_ylabel("price")
    # 67000.5, and not 5e-1 above +6.7e4.
    ax.yaxis.get_major_formatter().set_useOffset(False)
    ax.yaxis.get_major_formatter().set_scientific(False)


def label_time(ax: Any, matplotlib: Any, label: str) -> None:
    """Label an axis of time."""
    locator = matplotlib.dates.AutoDateLocator(tz=timezone.utc, maxticks=8)
    ax.xaxis.set_major_locator(locator)
    formatter = matplotlib.dates.ConciseDateFormatter(locator, tz=timezone.utc)
    # Seconds stand behind hours and minutes; alone, "05" could be anything.
    formatter.formats[5] = formatter.zero_formats[5] = "%H:%M:%S"
    ax.xaxis.set_major_formatter(formatter)
    ax.set_xlabel(label)


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
