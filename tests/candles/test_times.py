"""Dates as whole numbers, and the lengths of bars."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from etoro_sync import Candles, EToroValidationError
from etoro_sync.candles.times import SECOND, check_intervals, moment, ticks_of
from tests.candles.tools import NOON, stream_of, written


@pytest.mark.parametrize("rest", ["", ".2", ".21", ".2168235", ".0000001", ".9999999"])
def test_a_date_keeps_all_of_its_digits(rest: str) -> None:
    """Seven at most, as eToro sends."""
    fraction = int(rest[1:].ljust(7, "0")) if rest else 0
    assert ticks_of(f"2026-03-16T12:00:00{rest}Z") == NOON // 100 + fraction
    assert written(NOON + fraction * 100) == f"2026-03-16T12:00:00{rest}Z"


@pytest.mark.parametrize("date", [None, 5, "", "Z", "2026-03-16", "1969-12-31T23:59:59Z"])
def test_what_is_no_date_has_no_time(date: Any) -> None:
    """Nor has one before 1970, which some servers write for none."""
    assert ticks_of(date) is None


def test_a_time_is_a_datetime_again() -> None:
    """In UTC."""
    assert moment(NOON // 100).isoformat() == "2026-03-16T12:00:00+00:00"


def test_intervals_divide_a_day() -> None:
    """The shortest comes first, each once."""
    found = check_intervals(["1d", "90s", "1s", "8h", "60s", "1m"])
    assert [(one.name, one.ticks // SECOND) for one in found] == [
        ("1s", 1),
        ("1m", 60),
        ("90s", 90),
        ("8h", 28800),
        ("1d", 86400),
    ]
    assert check_intervals("24h") == (("24h", 86400 * SECOND),)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("7m", ""),
        ("2d", ""),
        ("0m", ""),
        ("-1m", ""),
        ("1.5h", ""),
        ("1w", "'1d'"),
        ("1M", "'1d'"),
        ("1 m", "'1m'"),
        ("5min", "'5m'"),
        ("1H", "'1h'"),
        ("", ""),
        (60, ""),
        (timedelta(minutes=1), "'60s'"),
        (None, ""),
        (["1m", "7m"], ""),
        ([], ""),
        ("1m\n", "'1m'"),
        ("\u0661m", ""),
        ("9" * 100 + "s", ""),
    ],
)
def test_other_intervals_are_refused_with_what_to_write(value: Any, advice: str) -> None:
    """A week or a month begins on no boundary of days that all agree upon."""
    with pytest.raises(EToroValidationError) as caught:
        Candles(stream_of([]), value)
    assert caught.value.field == "intervals"
    assert advice in str(caught.value)
