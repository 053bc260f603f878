"""Checks of arguments, so that a mistake is reported in the call that made it."""

import contextlib
import ipaddress
import math
import operator
from collections.abc import Iterable, Mapping
from typing import Any

from .wire import PRIVATE, compact, instrument_of

# The names of numpy's boolean type, which is no subclass of bool: before and since numpy 2.0.
_FLAGS = ("bool_", "bool")
_WIRE_NAMES = {
    "ask": "Ask",
    "bid": "Bid",
    "last_execution": "LastExecution",
    "date": "Date",
    "price_rate_id": "PriceRateID",
}


def number(name: str, value: object, *, above: float | None = None) -> float:
    """Check a number that may be 0.

    :param name: the argument, for the message.
    :param value: what was passed.
    :param above: the number must be greater than this; None allows everything from 0 up.
    """
    limit = "0 or more" if above is None else f"more than {above:g}"
    known = _python_number(value)
    if known is None:
        raise TypeError(f"{name} must be a number, {limit}, not {value!r}")
    if not math.isfinite(known) or (known < 0 if above is None else known <= above):
        raise ValueError(f"{name} must be {limit}, not {value!r}")
    return known


def integer(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """Check an integer.

    :param name: the argument, for the message.
    :param value: what was passed.
    :param least: the smallest that is allowed.
    :param most: the greatest that is allowed.
    """
    known = _python_number(value)
    if not isinstance(known, int):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if least is not None and known < least:
        raise ValueError(f"{name} must be {least} or more, not {value!r}")
    if most is not None and known > most:
        raise ValueError(f"{name} must be {most} or less, not {value!r}")
    return known


def _python_number(value: Any) -> "int | float | None":
    # Accepts numbers of other libraries, such as numpy, but no booleans.
    if isinstance(value, (bool, str)) or type(value).__name__ in _FLAGS:
        return None
    with contextlib.suppress(TypeError):
        return int(operator.index(value))
    return float(value) if hasattr(type(value), "__float__") else None


def flag(name: str, value: object) -> bool:
    """Check a boolean.

    :param name: the argument, for the message.
    :param value: what was passed.
    """
    known = value
    if type(value).__name__ in _FLAGS:
        with contextlib.suppress(AttributeError):
            known = value.item()  # type: ignore[attr-defined]  # of numpy's
    if not isinstance(known, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return known


def text(name: str, value: object, *, empty: bool = True) -> str:
    """Check a string. The error message does not contain it, as it may be a key.

    :param name: the argument, for the message.
    :param value: what was passed.
    :param empty: whether it may be empty.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, not {type(value).__name__}")
    if not (value or empty):
        raise ValueError(f"{name} must not be empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be text that UTF-8 can encode") from None
    return value


def address(name: str, value: object) -> str:
    """Check an address that is sent in an HTTP header.

    :param name: the argument, for the message.
    :param value: what was passed.
    """
    location = text(name, value, empty=False)
    if not (location.isascii() and location.isprintable()):
        raise ValueError(f"{name} must have printable ASCII characters only, not {location!a}")
    return location


def topic(name: str, value: object) -> str:
    """Check a topic.

    :param name: the argument, for the message.
    :param value: what was passed.
    """
    known = text(name, value)
    if known != PRIVATE and instrument_of(known) is None:
        raise ValueError(
            f"{name} must be 'private' or a topic such as 'instrument:18', not {known!r}"
        )
    return known


def choice(name: str, value: object, allowed: Iterable[str]) -> str:
    """Check one of several words.

    :param name: the argument, for the message.
    :param value: what was passed.
    :param allowed: the words.
    """
    words = tuple(allowed)
    if value not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}, not {value!r}")
    return str(value)


def loopback(name: str, value: object) -> str:
    """Check a loopback address: the simulator accepts connections from this machine only.

    :param name: the argument, for the message.
    :param value: what was passed.
    """
    host = text(name, value)
    try:
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return host
    except ValueError:
        pass
    raise ValueError(f"{name} must be a loopback address such as 127.0.0.1 or ::1, not {host!r}")


def instruments(
    value: "Mapping[int, float] | Iterable[int] | None",
) -> dict[int, float | None] | None:
    """Check the instruments of a simulator.

    :param value: None, a mapping of ids to first mid prices, or ids.
    :returns: None, or ids with a price or None.
    """
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(
            f"instruments must be a mapping id -> mid price, or ids, or None, not {value!r}"
        )
    prices: Mapping[int, Any] = value if isinstance(value, Mapping) else dict.fromkeys(value)
    checked: dict[int, float | None] = {}
    for instrument_id, price in prices.items():
        known = integer("instruments: an id", instrument_id, least=0)
        if isinstance(value, Mapping):
            price = number(f"instruments: the mid price of {instrument_id}", price, above=1e-9)
        checked[known] = price
    return checked


def wire_fields(fields: Mapping[str, object]) -> None:
    """Check fields that are sent unchanged.

    :param fields: fields by wire name.
    :raises ValueError: for a Python name where the wire name is needed.
    :raises TypeError: for a value that JSON cannot express.
    """
    for name, value in fields.items():
        if name in _WIRE_NAMES:
            raise ValueError(f"fields must have wire names: {_WIRE_NAMES[name]}, not {name}")
        try:
            compact(value)
        except (TypeError, ValueError):
            message = f"{name} must be a value that JSON can express, not {value!r}"
            raise TypeError(message) from None
