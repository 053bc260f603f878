"""Numbers and flags that users pass in, of Python's types or of a library's, such as numpy."""

import operator
from typing import Any

__all__ = ["flag", "real", "whole"]

#: The names of numpy's type of flags, which is no subclass of bool: before and since 2.0.
_FLAGS = ("bool_", "bool")


def whole(value: Any) -> int | None:
    """Return a whole number of any type as an int; None: it is none, as True and ``"5"`` are."""
    if type(value) is int:
        return value
    if _is_other(value):
        return None
    try:
        return int(operator.index(value))
    except Exception:  # the method may be user code
        return None


def real(value: Any) -> int | float | None:
    """Return a number of any type as an int or a float; None: it is none, as True and ``"5"``."""
    if type(value) is float:
        return value
    number = whole(value)
    if number is not None:
        return number
    # float() alone would read text, too.
    if _is_other(value) or isinstance(value, str) or not hasattr(type(value), "__float__"):
        return None
    try:
        return float(value)
    except Exception:  # the method may be user code
        return None


def flag(value: Any) -> bool | None:
    """Return True or False of any type as a bool; None: it is neither, as 1 and ``"yes"`` are."""
    if isinstance(value, bool):
        return value
    if type(value).__name__ not in _FLAGS:
        return None
    try:
        plain = value.item()
    except Exception:  # the method may be user code
        return None
    return plain if isinstance(plain, bool) else None


def _is_other(value: Any) -> bool:
    # float() takes those of numpy: of a flag it makes 1.0, of 5 ms as of 5 ns it makes 5.0.
    return isinstance(value, bool) or type(value).__name__ in (*_FLAGS, "timedelta64")
