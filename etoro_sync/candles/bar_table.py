"""Bars as a table of pandas or polars."""

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from operator import attrgetter
from typing import Any

from .. import data_frames
from ..columns import Column, Table
from .bar import Bar

__all__ = ["to_frame", "to_polars"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def _time(name: str) -> Column:
    def value(bar: Bar) -> int:
        moment: datetime = getattr(bar, name)
        return (moment - _EPOCH) // _MICROSECOND * 1000

    return Column(name, "time", value)


def _columns(*kinds: tuple[str, str]) -> Iterable[Column]:
    return (Column(name, kind, attrgetter(name)) for kind, name in kinds)


_BARS = Table(
    "bars",
    (
        *_columns(("key", "instrument_id"), ("word", "interval")),
        _time("start"),
        _time("end"),
        *_columns(
            ("number", "open"),
            ("number", "high"),
            ("number", "low"),
            ("number", "close"),
            ("whole", "ticks"),
            ("flag", "complete"),
            ("flag", "first"),
            ("flag", "gap"),
            ("whole", "revision"),
            ("word", "price"),
        ),
    ),
)


def to_frame(bars: Iterable[Bar]) -> Any:
    """Return bars as a pandas DataFrame, one row each, in their order.

    The columns are those of :meth:`Bar.to_row`: times in UTC, prices as float64, counts as int64,
    flags as boolean; ``instrument_id``, ``interval`` and ``price`` are categories. Without any bar
    they are the same.

    :param bars: such as ``list(candles)``.
    :raises EToroError: when pandas is not installed (extra ``pandas``).
    """
    return data_frames.to_pandas(_BARS, bars)


def to_polars(bars: Iterable[Bar]) -> Any:
    """Return bars as a polars DataFrame, as :func:`to_frame` does.

    A category of polars is a text, and so is ``instrument_id``.

    :param bars: such as ``list(candles)``.
    :raises EToroError: when polars is not installed (extra ``polars``).
    """
    return data_frames.to_polars(_BARS, bars)
