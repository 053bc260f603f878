"""Event times as whole numbers, and intervals. Pure.

A time is a number of ticks of 100 ns since 1970, UTC: what the seven digits of eToro's dates can
say. So comparisons are exact, and the bar of a time is found by one division.
"""

import re
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ..errors import EToroValidationError
from ..models.fields import parse_date
from ..text import show

__all__ = ["DAY", "SECOND", "Interval", "check_intervals", "moment", "ticks_of"]

SECOND = 10_000_000
DAY = 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def ticks_of(date: Any) -> int | None:
    """Return a date of the feed in ticks; None if it is none, or lies before 1970."""
    moment = parse_date(date) if isinstance(date, str) else None
    if moment is None or moment < _EPOCH:
        return None
    digits = date.removesuffix("Z").partition(".")[2]
    return (moment - _EPOCH) // _MICROSECOND * 10 + int(digits[6:7] or 0)


def moment(ticks: int) -> datetime:
    """Return a time in ticks as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=ticks // 10)


class Interval(NamedTuple):
    """The length of bars.

    :param name: as the user wrote it, such as ``"1m"``.
    :param ticks: its length.
    """

    name: str
    ticks: int


def check_intervals(values: Any) -> tuple[Interval, ...]:
    """Return one interval or several, the shortest first.

    :raises EToroValidationError: for anything but whole seconds to a day that divide a day evenly.
    """
    try:
        names = [values] if isinstance(values, str) else list(values)
    except TypeError:
        names = [values]
    found = {interval.ticks: interval for interval in map(_interval, names)}
    if not found:
        raise EToroValidationError("intervals is empty. Name one, such as '1m'.", "intervals")
    return tuple(found[ticks] for ticks in sorted(found))


def _interval(value: Any) -> Interval:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", value) if isinstance(value, str) else None
    ticks = int(match[1]) * _UNITS[match[2]] * SECOND if match else 0
    if match is None or DAY % ticks:
        raise EToroValidationError(
            "An interval is a number of s, m, h or d that divides a day evenly, such as '1s', "
            f"'5m', '4h' or '1d', not {show(value, 60)}.{_advice(value)}",
            "intervals",
        )
    return Interval(str.__str__(value), ticks)


def _advice(value: Any) -> str:
    word = value.strip().lower() if isinstance(value, str) else ""
    if word.endswith(("w", "wk", "week", "mo", "y")) or value == "1M":
        return " Bars of a week or more can be made from those of '1d'."
    if hasattr(value, "total_seconds"):
        return " Write the number of seconds, such as '60s'."
    short = re.sub(r"\s+", "", word)
    short = re.sub(r"(?<=[0-9])(sec|min|hour|day)[a-z]*$", lambda unit: unit[1][0], short)
    return f" Write {short!r}." if short != value and re.fullmatch(r"[0-9]+[smhd]", short) else ""
