"""Strict decoders of the values in a recording, which others may have changed. Pure."""

from typing import Any

from ..codec import decode_number as number
from ..codec import decode_text as text
from ..text import show

__all__ = ["flag", "items", "number", "text", "whole"]


def whole(value: Any) -> int:
    """Return a whole number as it is.

    :raises TypeError: for anything else, such as a flag.
    """
    if type(value) is not int:
        raise TypeError(f"{show(value)} is no whole number")
    return value


def flag(value: Any) -> bool:
    """Return True or False as it is.

    :raises TypeError: for anything else.
    """
    if type(value) is not bool:
        raise TypeError(f"{show(value)} is neither true nor false")
    return value


def items(value: Any) -> list[Any]:
    """Return a list as it is.

    :raises TypeError: for anything else, such as a text.
    """
    if type(value) is not list:
        raise TypeError(f"{show(value)} is no list")
    return value
