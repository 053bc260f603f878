"""Decodes JSON text into the values of the models' fields.

The wire format is defined once, in dataclasses-json's field metadata. Its own ``from_dict``
resolves type hints and rebuilds its field table on every call, which takes 50 to 200 microseconds
for each object. :func:`compile_fields` reads the same metadata once per class and returns a
function that takes about three microseconds.

The decoders that the models name in their metadata are here, too. They are strict, because
``from_dict`` validates nothing (``bool("False")`` is True, ``int(5.9)`` is 5), and eToro sends
strings.
"""

import dataclasses
import json
import json.scanner
import math
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from .text import show

__all__ = [
    "JSON_BACKEND",
    "PADDING",
    "compile_fields",
    "decode_as_text",
    "decode_bool",
    "decode_code",
    "decode_int",
    "decode_int_list",
    "decode_number",
    "decode_text",
    "loads",
    "loads_leniently",
    "loads_padded",
    "loads_standard",
    "wire_fields",
]

#: From here on, not every integer has a float of its own.
_EXACT = 2.0**53
#: Characters that may stand around the JSON of a frame; a frame of nothing else is a keepalive.
PADDING = "\x00\x1e \t\r\n"


# JSON ------------------------------------------------------------------------------------------


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_standard = json.JSONDecoder(parse_constant=_refuse_constant)
_scan: Callable[[str, int], tuple[Any, int]]
_scan = json.scanner.make_scanner(_standard)  # type: ignore[arg-type]  # typeshed takes it for a class of its own


def loads_standard(text: str) -> Any:
    """Parse JSON with the standard library, but refuse NaN and Infinity, which are not JSON.

    :param text: one JSON document.
    :raises ValueError: when *text* is not JSON, or is nested too deeply.
    """
    try:
        # decode() also looks for white space around, which takes as long as a small document.
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            end = -1
        return value if end == len(text) else _standard.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


_lenient = json.JSONDecoder(parse_constant=str, strict=False)


def loads_leniently(text: str) -> Any:
    """Parse what is nearly JSON, for order events: losing one is worse than an odd value in it.

    Strings may hold control characters, and NULs may stand around the text. NaN and Infinity become
    strings, which the decoders of numbers refuse.

    :param text: one document.
    :raises ValueError: when *text* cannot be read even so, or is nested too deeply.
    """
    try:
        return _lenient.decode(text.strip("\0 \t\r\n"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads_padded(text: str) -> Any:
    """Parse JSON with :data:`PADDING` around it, as users of other clients have reported.

    Unlike the fast parser it also accepts half of a surrogate pair, since there may be an order
    event in the text.

    :param text: one document.
    :raises ValueError: when *text* is not JSON, or is nested too deeply.
    """
    return loads_standard(text.strip(PADDING))


loads: Callable[[str], Any]
try:
    import orjson

    # orjson.JSONDecodeError is a ValueError; it refuses NaN and deep nesting by itself.
    loads, JSON_BACKEND = orjson.loads, "orjson"
except Exception:  # missing, or another file of that name, which may raise anything
    loads, JSON_BACKEND = loads_standard, "json"


# Strict decoders for the wire ------------------------------------------------------------------


def decode_number(value: Any) -> float:
    """Return a finite float from a JSON number or a decimal string.

    :raises ValueError: for anything else, as ``TypeError`` and ``OverflowError``.
    """
    kind = type(value)
    if kind is not str and kind is not float and kind is not int:
        raise TypeError(f"{show(value)} is not a number")
    number = float(value)
    if not math.isfinite(number) or (kind is str and "_" in value):
        raise ValueError(f"{show(value)} is not a finite number")
    return number


def decode_int(value: Any) -> int:
    """Return an int from a JSON integer or a string of digits, without truncating or rounding.

    :raises ValueError: for anything else.
    """
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]  # type() does not narrow Any
    if kind is str and "_" not in value:
        return int(value)
    # orjson turns integers beyond 64 bits into floats, which may be the id of another order.
    if kind is float and value.is_integer() and -_EXACT < value < _EXACT:
        return int(value)
    raise ValueError(f"{show(value)} is not an integer")


def decode_bool(value: Any) -> bool:
    """Return a bool from a JSON boolean, or from "true" and "false" in upper or lower case.

    :raises ValueError: for anything else.
    """
    if value is True or value is False:
        return value
    if type(value) is str:
        word = value.lower()
        if word == "true":
            return True
        if word == "false":
            return False
    raise ValueError(f"{show(value)} is neither true nor false")


def decode_text(value: Any) -> str:
    """Return a string as it is.

    :raises TypeError: for anything else, which is not converted.
    """
    if type(value) is not str:
        raise TypeError(f"{show(value)} is not a string")
    return value


def decode_as_text(value: Any) -> str:
    """Return a string as it is, and anything else as JSON text."""
    if type(value) is str:
        return value
    try:
        return json.dumps(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def decode_code(value: Any) -> int | str:
    """Return an integer code as an int, and any other string as it is."""
    if type(value) is not str:
        return decode_int(value)
    try:
        return decode_int(value)
    except ValueError:
        return value


def decode_int_list(value: Any) -> list[int]:
    """Return a list of ints, each decoded by :func:`decode_int`."""
    if type(value) is not list:
        raise TypeError(f"{show(value)} is not a list")
    return [decode_int(item) for item in value]


#: Decoders that only cast a string -> the type to cast to.
_CASTS: dict[Any, type] = {decode_number: float, decode_int: int, decode_text: str}


# Compiled decoders -----------------------------------------------------------------------------


class WireField(NamedTuple):
    """How a field is decoded.

    :param name: its Python name.
    :param cast: converts a string, if a cast is all it takes; None: use :attr:`decode`.
    :param decode: converts any value except null, or raises.
    """

    name: str
    cast: type | None
    decode: Callable[[Any], Any]


def wire_fields(cls: type) -> dict[str, WireField]:
    """Return wire name -> field, without the fields that are not sent, such as ``received_at``.

    :param cls: a model.
    :raises TypeError: for metadata that ``from_dict`` would read in another way than this module.
    """
    if getattr(cls, "dataclass_json_config", None) is not None:
        raise TypeError(f"{cls.__name__}: settings of the whole class are not supported")
    found: dict[str, WireField] = {}
    for field in dataclasses.fields(cls):
        settings = field.metadata.get("dataclasses_json", {})
        rename, decoder = settings.get("letter_case"), settings.get("decoder")
        if rename is None:
            continue
        where, wire = f"{cls.__name__}.{field.name}", rename(field.name)
        if decoder is None:
            raise TypeError(f"{where} needs a decoder in its metadata")
        if not field.init:
            raise TypeError(f"{where}: fields outside __init__ are not supported")
        if wire in found:
            raise TypeError(f"{cls.__name__} uses one wire name for two fields")
        found[wire] = WireField(field.name, _CASTS.get(decoder), decoder)
    return found


def compile_fields(cls: type) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that decodes a parsed message into Python name -> value.

    It leaves out absent and null fields, because deltas are merged and absent means unchanged; it
    ignores unknown keys, and keys that are Python names. For a bad value it raises what the field's
    decoder raises.

    :param cls: a model.
    :raises TypeError: as :func:`wire_fields`.
    """
    # Python unpacks a plain tuple faster than a named one.
    fields = wire_fields(cls).items()
    lookup = {wire: (field.name, field.cast, field.decode) for wire, field in fields}.get

    def strict(data: dict[str, Any]) -> dict[str, Any]:
        values = {}
        for wire, value in data.items():
            row = lookup(wire)
            if row is not None and value is not None:
                values[row[0]] = row[2](value)
        return values

    def decode(data: dict[str, Any]) -> dict[str, Any]:
        # eToro sends strings, so a cast in C decodes most fields. The sum of all numbers is finite
        # only if each of them is, so one comparison checks them all.
        values: dict[str, Any] = {}
        total = 0.0
        try:
            for wire, value in data.items():
                row = lookup(wire)
                if row is None:
                    continue
                name, cast, convert = row
                if type(value) is not str or cast is None:
                    if value is not None:
                        values[name] = convert(value)
                elif cast is str:
                    values[name] = value
                elif "_" in value:  # float() and int() read 1_0 as ten, unlike everybody else
                    return strict(data)
                else:
                    values[name] = number = cast(value)
                    total += number
        except (ValueError, OverflowError):
            return strict(data)
        return values if total - total == 0.0 else strict(data)

    return decode
