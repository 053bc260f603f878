"""What all decoders of Redis share: strict JSON, checks of types, and one kind of error. Pure."""

import math
from collections.abc import Callable
from typing import Any

from ...codec import loads, loads_standard
from ...errors import EToroValidationError
from ...text import shorten, show

__all__ = [
    "is_flag",
    "is_id",
    "is_number",
    "is_text",
    "is_whole",
    "masked",
    "odd",
    "parse",
    "parse_fast",
]


def parse(text: bytes | str, where: str) -> Any:
    """Parse JSON with the standard library, which keeps integers of any size.

    :param where: the key, for errors.
    :raises EToroValidationError: for anything else.
    """
    try:
        return loads_standard(text.decode() if isinstance(text, bytes) else text)
    except ValueError as exc:
        raise _no_json(where, exc) from exc


def parse_fast(text: bytes | str, where: str) -> Any:
    """Parse JSON with the fastest parser that is installed; else as :func:`parse`."""
    if loads is loads_standard:
        return parse(text, where)
    try:
        return loads(text)  # type: ignore[arg-type]  # orjson takes bytes, too
    except ValueError:
        return parse(text, where)  # such as an integer of more than 64 bits


def _no_json(where: str, error: ValueError) -> EToroValidationError:
    return EToroValidationError(
        f"{where} in Redis is not what a publisher writes: {shorten(str(error), 120)}. If another "
        "program writes there, use another feed.",
        where,
    )


def odd(where: str, value: Any, name: str | None = None) -> EToroValidationError:
    """Return the error for a value that no publisher writes.

    :param where: the key.
    :param name: the column or field.
    """
    what = f"{name} is {show(value)}" if name else show(value)
    return EToroValidationError(
        f"{where} in Redis is not what a publisher writes: {what}. If another program writes "
        "there, use another feed.",
        where,
    )


def is_id(value: Any) -> bool:
    """Whether *value* is a positive integer, of at most 18 digits as instrument ids have."""
    return type(value) is int and 0 < value < 10**18


def is_whole(value: Any) -> bool:
    """Whether *value* is an integer."""
    return type(value) is int


def is_number(value: Any) -> bool:
    """Whether *value* is a finite number."""
    return type(value) in (int, float) and math.isfinite(value)


def is_flag(value: Any) -> bool:
    """Whether *value* is true or false."""
    return type(value) is bool


def is_text(value: Any) -> bool:
    """Whether *value* is a string."""
    return type(value) is str


def masked(value: Any, redact: Callable[[str], str]) -> Any:
    """Remove the keys from each text in *value*, before JSON escapes them."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {masked(k, redact): masked(v, redact) for k, v in value.items()}
    return [masked(v, redact) for v in value] if isinstance(value, (list, tuple)) else value
