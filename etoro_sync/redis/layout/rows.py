"""Rates as they stand in Redis, and back. Pure.

A row is a JSON list of a rate's fields in the order of :data:`COLUMNS`: half as long as with names,
and twice as fast to read. What comes from Redis may have been written by anybody, so each value is
checked; anything that does not fit is an :class:`EToroValidationError`.
"""

import json
import math
from collections.abc import Callable
from operator import itemgetter
from typing import Any

from ...errors import EToroValidationError
from ...market.merging import make_rate
from ...models import WsInstrumentRate
from ...text import show
from .parsing import is_flag, is_id, is_number, is_text, is_whole, odd, parse_fast

__all__ = [
    "COLUMNS",
    "decode_rates",
    "decode_state",
    "encode_rate",
    "encode_rates",
    "encode_state",
]

#: The fields of a row in version 1, in their order.
COLUMNS = (
    "instrument_id",
    "ask",
    "bid",
    "last_execution",
    "date",
    "price_rate_id",
    "bid_discounted",
    "ask_discounted",
    "conversion_rate_ask",
    "conversion_rate_bid",
    "is_instrument_active",
    "is_market_open",
    "is_exchange_open",
    "allow_buy",
    "allow_sell",
    "availability_reason",
    "changed",
    "generation",
    "received_at",
    "closes",
)

_values = itemgetter(*COLUMNS)
_RATE_ID, _CHANGED, _CLOSES = map(COLUMNS.index, ("price_rate_id", "changed", "closes"))
_INTEGERS = range(-(2**63), 2**63)
#: Field -> its letter in "changed", and back.
_LETTERS = {name: chr(ord("a") + number) for number, name in enumerate(COLUMNS)}
_FIELDS = {letter: name for name, letter in _LETTERS.items()}
#: How many different values of "changed", and of the types in a row, are remembered.
_MOST_REMEMBERED = 4096


# Writing rates -----------------------------------------------------------------------------------


def _dumps_standard(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


_dumps: Callable[[Any], bytes]
try:
    import orjson

    _dumps = orjson.dumps
except Exception:  # missing, or another file of that name, which may raise anything
    _dumps = _dumps_standard


_letters_of: dict[tuple[str, ...], str] = {}


def _letters(changed: tuple[str, ...]) -> str:
    found = _letters_of.get(changed)
    if found is None:
        found = "".join(_LETTERS[name] for name in changed if name in _LETTERS)
        if len(_letters_of) < _MOST_REMEMBERED:
            _letters_of[changed] = found
    return found


def encode_rate(rate: WsInstrumentRate) -> bytes:
    """Return the row of a rate.

    :raises EToroValidationError: for a rate with a value that cannot be written, such as NaN, which
        only a source of the user's own can have made.
    """
    row = list(_values(rate.__dict__))
    try:
        row[_CHANGED] = _letters(row[_CHANGED])
        # orjson writes null for NaN; the sum of all numbers is finite only if each of them is.
        if not math.isfinite(sum(filter(None, _floats(row)))):
            raise ValueError("it has a number that is not finite")
        if row[_RATE_ID] not in _INTEGERS:  # fast parsers make floats of larger ones
            raise ValueError("its price_rate_id has more than 64 bits")
        return _dumps(row)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise EToroValidationError(
            f"The rate of instrument {show(row[0])} cannot be written to Redis: {show(exc, 120)}."
        ) from exc


def encode_rates(rows: list[bytes]) -> bytes:
    """Return an entry of several rows."""
    return b"[%b]" % b",".join(rows)


def encode_state(epoch: int, number: int, row: bytes) -> bytes:
    """Return the last state of an instrument; the script makes it likewise, out of an entry.

    :param epoch: in which the rate was written.
    :param number: of the rate within the epoch.
    """
    return b"[%d,%d,%b]" % (epoch, number, row)


# Reading rates -----------------------------------------------------------------------------------


def _is_letters(value: Any) -> bool:
    return type(value) is str and all(letter in _FIELDS for letter in value)


def _is_closes(value: Any) -> bool:
    return type(value) is list and all(each is None or is_number(each) for each in value)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "instrument_id": is_id,
    "date": is_text,
    "price_rate_id": is_whole,
    "availability_reason": is_whole,
    "changed": _is_letters,
    "generation": is_whole,
    "closes": _is_closes,
    **dict.fromkeys(COLUMNS[10:15], is_flag),
    **dict.fromkeys((*COLUMNS[1:4], *COLUMNS[6:10], "received_at"), is_number),
}
_OPTIONAL = frozenset(COLUMNS[6:16])
_FLOATS = tuple(n for n, name in enumerate(COLUMNS) if _CHECKS[name] is is_number)
_floats = itemgetter(*_FLOATS)
#: The types of rows that were checked value by value, so that others of the same need not be.
_known_types: set[tuple[type, ...]] = set()
_changed_of: dict[str, tuple[str, ...]] = {}


def decode_rates(text: bytes | str, where: str) -> list[WsInstrumentRate]:
    """Return the rates of an entry.

    :param where: the key, for errors.
    :raises EToroValidationError: for anything that :func:`encode_rates` does not write.
    """
    rows = parse_fast(text, where)
    if type(rows) is not list:
        raise odd(where, rows)
    return [_decode_row(row, where) for row in rows]


def decode_state(text: bytes | str, where: str) -> tuple[int, int, WsInstrumentRate]:
    """Return epoch, number and rate of an instrument's last state.

    :param where: the key, for errors.
    :raises EToroValidationError: for anything that :func:`encode_state` does not write.
    """
    state = parse_fast(text, where)
    if type(state) is not list or len(state) != 3:
        raise odd(where, state)
    epoch, number, row = state
    if not (is_id(epoch) and is_id(number)):
        raise odd(where, state)
    return epoch, number, _decode_row(row, where)


def _decode_row(row: Any, where: str) -> WsInstrumentRate:
    if type(row) is not list or len(row) != len(COLUMNS):
        raise odd(where, row)
    types = tuple(map(type, row))
    letters = row[_CHANGED]
    changed = _changed_of.get(letters) if types[_CHANGED] is str else None
    if types not in _known_types or changed is None or not _is_usual(row):
        changed = _check_row(row, types, where)
    row[_CHANGED] = changed
    row[_CLOSES] = tuple([None if each is None else float(each) for each in row[_CLOSES]])
    return make_rate(dict(zip(COLUMNS, row, strict=True)))


def _is_usual(row: list[Any]) -> bool:
    """Whether the values of a row are good whose types are."""
    # JSON has numbers such as 1e999, which become infinite; one sum finds them.
    total = sum(filter(None, _floats(row)))
    return total - total == 0.0 and 0 < row[0] < 10**18 and _is_closes(row[_CLOSES])


def _check_row(row: list[Any], types: tuple[type, ...], where: str) -> tuple[str, ...]:
    """Check a row value by value, make floats of its whole prices, and return what has changed."""
    for name, value in zip(COLUMNS, row, strict=True):
        if not (_CHECKS[name](value) or (value is None and name in _OPTIONAL)):
            raise odd(where, value, name)
    letters = row[_CHANGED]
    changed = tuple(_FIELDS[letter] for letter in letters)
    for number in _FLOATS:
        if type(row[number]) is int:
            row[number] = float(row[number])
    if types == tuple(map(type, row)) and len(_known_types) < _MOST_REMEMBERED:
        _known_types.add(types)
    if len(_changed_of) < _MOST_REMEMBERED:
        _changed_of[letters] = changed
    return changed
