"""How far the clocks may be apart, from a header of whole seconds and from dates of prices."""

from __future__ import annotations

import pytest

from etoro_sync.doctor.clock import Difference, difference, header_time

NOON = 1_700_000_000.0


def test_the_header_bounds_the_difference_by_a_second_and_the_way() -> None:
    """Its second has begun up to a second before."""
    found = difference(NOON, NOON + 0.4, NOON + 0.5, None)
    assert found is not None
    assert (found.least, found.most) == (pytest.approx(-0.6), pytest.approx(0.5))
    assert found.beyond == 0.0


def test_prices_narrow_it() -> None:
    """The fastest price has travelled for a while, at most two seconds."""
    found = difference(NOON, NOON + 0.4, NOON + 0.9, 0.2)
    assert found is not None
    assert found.most == pytest.approx(0.2)
    assert str(found) == "between -0.6 and +0.2 s"


def test_prices_decide_where_the_header_contradicts_them() -> None:
    """A cache has written it."""
    found = difference(NOON - 3600, NOON, NOON, 0.2)
    assert found is not None
    assert found.beyond == 0.0


@pytest.mark.parametrize(("offset", "beyond"), [(60.0, 59.0), (-60.0, -60.0)])
def test_a_difference_that_is_certain(offset: float, beyond: float) -> None:
    """At least so much, in the direction of its sign."""
    found = difference(NOON, NOON + offset, NOON + offset, None)
    assert found is not None
    assert found.beyond == pytest.approx(beyond)


def test_nothing_has_a_date() -> None:
    """Then nothing is said."""
    assert difference(None, NOON, NOON, None) is None
    assert Difference(-1, 1).beyond == 0.0


@pytest.mark.parametrize(
    ("text", "time"),
    [("Tue, 14 Nov 2023 22:13:20 GMT", NOON), ("", None), ("soon", None), ("1 2 3", None)],
)
def test_dates_of_headers(text: str, time: float | None) -> None:
    """Anything else is no date."""
    assert header_time(text) == time
