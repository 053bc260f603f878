"""Converts numbers and flags that users pass in, such as numpy's; and counts decimals of prices."""

import operator
from typing import Any

__all__ = ["decimals", "flag", "real", "whole"]

#: The names of numpy's type of flags, which is no subclass of bool: before and since 2.0.
_FLAGS = ("bool_", "bool")


def whole(value: Any) -> int | None:
    """Return a whole number of any type as an int; None for others, such as True and ``"5"``."""
    if type(value) is int:
        return value
    if _is_other(value):
        return None
    try:
        return int(operator.index(value))
    except Exception:  # the method may be user code
        return None


def real(value: Any) -> int | float | None:
    """Return a number of any type as an int or a float; None for others: True, ``"5"``."""
    if type(value) is float:
        return value
    number = whole(value)
    if number is not None:
        return number
    # float() alone would accept text, too.
    if _is_other(value) or isinstance(value, str) or not hasattr(type(value), "__float__"):
        return None
    try:
        return float(value)
    except Exception:  # the method may be user code
        return None


def flag(value: Any) -> bool | None:
    """Return a flag of any type as a bool; None for others, such as 1 and ``"yes"``."""
    if isinstance(value, bool):
        return value
    if type(value).__name__ not in _FLAGS:
        return None
    try:
        plain = value.item()
    except Exception:  # the method may be user code
        return None
    return plain if isinstance(plain, bool) else None


def decimals(value: float) -> int:
    """Return the number of decimals in the shortest spelling of *value*, as in the feed.

    ``66500.0`` has none, ``1.2345e-08`` has twelve.
    """
    digits, _, exponent = repr(float(value)).partition("e")
    fraction = digits.removesuffix(".0").partition(".")[2]
    return max(len(fraction) - int(exponent or 0), 0)


def _is_other(value: Any) -> bool:
    # float() accepts numpy's: a flag becomes 1.0, and 5 ms as well as 5 ns become 5.0.
    return isinstance(value, bool) or type(value).__name__ in (*_FLAGS, "timedelta64")
