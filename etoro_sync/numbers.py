"""Numbers that users pass in, of Python's types or of a library's, such as numpy and pandas."""

import operator
from typing import Any

__all__ = ["real", "whole"]


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


def _is_other(value: Any) -> bool:
    # float() takes those of numpy: of a flag it makes 1.0, of 5 ms as of 5 ns it makes 5.0.
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_", "timedelta64")
