"""Numbers are taken of any type that is one, and become Python's own."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
from itertools import count
from typing import Any

import pytest

from etoro_sync.numbers import flag, real, whole
from tests.support.foreign import Float, Int, bool_


class Instrument(enum.IntEnum):
    """Ids by name, as tidy programs have them."""

    BITCOIN = 100000


class Broken:
    """Looks like a number, and raises."""

    def __index__(self) -> int:
        raise RuntimeError

    def __float__(self) -> float:
        raise RuntimeError


@pytest.mark.parametrize("value", [18, Int(18)], ids=count())
def test_a_whole_number_becomes_an_int(value: Any) -> None:
    """By its ``__index__``, as in a list."""
    assert whole(value) == 18
    assert type(whole(value)) is int
    assert type(real(value)) is int


def test_a_member_of_an_enum_becomes_its_number() -> None:
    """So that topics and JSON have digits."""
    assert repr(whole(Instrument.BITCOIN)) == "100000"
    assert repr(real(Instrument.BITCOIN)) == "100000"


@pytest.mark.parametrize(
    "value", [1.5, Float(1.5), decimal.Decimal("1.5"), fractions.Fraction(3, 2)], ids=count()
)
def test_a_real_number_becomes_a_float(value: Any) -> None:
    """And is no whole one, even if its value were."""
    assert real(value) == 1.5
    assert type(real(value)) is float
    assert whole(value) is None


@pytest.mark.parametrize(
    "value",
    [
        *(True, bool_(), "5", b"5", bytearray(b"5"), memoryview(b"5"), None, [5], 1j, Broken()),
        *(int, datetime.timedelta(1), object()),
    ],
    ids=count(),
)
def test_what_is_no_number_is_none(value: Any) -> None:
    """Text and flags among them, which int() and float() would take."""
    assert whole(value) is None
    assert real(value) is None


def test_a_flag_of_any_type_becomes_a_bool() -> None:
    """What is merely true or false, such as 1 or a text, is none."""
    assert [flag(value) for value in (True, False, bool_(True), bool_(False))] == [
        *(True, False, True, False)
    ]
    for other in (1, 0, None, "True", Int(1), Float(0.0), [True], bool, bool_, bool_(5)):  # type: ignore[arg-type]
        assert flag(other) is None
    numpy = pytest.importorskip("numpy")
    assert flag(numpy.bool_(True)) is True
    assert flag(numpy.array([True])) is None


def test_numpys_numbers_are_numbers() -> None:
    """The real ones."""
    numpy = pytest.importorskip("numpy")
    assert [type(whole(kind(5))) for kind in (numpy.int64, numpy.uint8)] == [int, int]
    assert whole(numpy.array(5)) == 5
    assert [type(real(kind(1.5))) for kind in (numpy.float64, numpy.float32)] == [float, float]
    periods = [numpy.timedelta64(5, unit) for unit in ("s", "ns")]
    for other in (numpy.bool_(True), numpy.array([5, 6]), numpy.str_("5"), *periods):
        assert whole(other) is None
        assert real(other) is None
