"""From JSON text to values of the models' fields, fast.

dataclasses-json's field metadata is the only definition of the wire format. Its ``from_dict``
resolves type hints and rebuilds its field table on every call, which costs 50 to 200 microseconds
an object. :func:`compile_fields` reads the same metadata once per class and returns a function
that takes about three microseconds.

The module also holds the decoders that the models name in their metadata. They are strict, because
``from_dict`` itself never validates (``bool("False")`` is True, ``int(5.9)`` is 5), and eToro
sends strings.
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
#: What may stand around the text of a frame, or be all of it: a keepalive.
PADDING = "\x00\x1e \t\r\n"


# JSON ------------------------------------------------------------------------------------------


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_standard = json.JSONDecoder(parse_constant=_refuse_constant)
_scan: Callable[[str, int], tuple[Any, int]]
_scan = json.scanner.make_scanner(_standard)  # type: ignore[arg-type]  # typeshed takes it for a class of its own


def loads_standard(text: str) -> Any:
    """Parse JSON with the standard library, refusing what JSON does not know (NaN, Infinity).

    :param text: one JSON document.
    :raises ValueError: when *text* is not JSON, or is nested too deeply.
    """
    try:
        # decode() looks for white space first and last, which costs as much as a small document.
        try:
            value, end = _scan(text, 0)
        except StopIteration:
            end = -1
        return value if end == len(text) else _standard.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


_lenient = json.JSONDecoder(parse_constant=str, strict=False)


def loads_leniently(text: str) -> Any:
    """Parse what is nearly JSON, for text whose loss costs more than an odd value in it.

    Control characters may stand in strings and NULs around the text; NaN and Infinity become
    words, which no decoder of a number takes.

    :param text: one document.
    :raises ValueError: when *text* is not even that, or is nested too deeply.
    """
    try:
        return _lenient.decode(text.strip("\0 \t\r\n"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def loads_padded(text: str) -> Any:
    """Parse JSON with such bytes around it as some clients report (protocol fact sheet, section 6).

    It is also more patient than the fast parser, with half of a surrogate pair: there may be an
    order in it.

    :param text: one document.
    :raises ValueError: when *text* is not JSON, or is nested too deeply.
    """
    return loads_standard(text.strip(PADDING))


loads: Callable[[str], Any]
try:
    import orjson

    # orjson.JSONDecodeError is a ValueError; it refuses NaN and deep nesting by itself.
    loads, JSON_BACKEND = orjson.loads, "orjson"
except Exception:  # it is missing, or a file of that name that raises anything, or has no loads
    loads, JSON_BACKEND = loads_standard, "json"


# Strict decoders for the wire ------------------------------------------------------------------


def decode_number(value: Any) -> float:
    """Return a finite float from a JSON number or a decimal string; refuse anything else."""
    kind = type(value)
    if kind is not str and kind is not float and kind is not int:
        raise TypeError(f"{show(value)} is not a number")
    number = float(value)
    if not math.isfinite(number) or (kind is str and "_" in value):
        raise ValueError(f"{show(value)} is not a finite number")
    return number


def decode_int(value: Any) -> int:
    """Return an int from a JSON integer or a string of digits; never truncate, never round."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]  # type() does not narrow Any
    if kind is str and "_" not in value:
        return int(value)
    # orjson makes floats of integers beyond 64 bits: such an id would be another order's.
    if kind is float and value.is_integer() and -_EXACT < value < _EXACT:
        return int(value)
    raise ValueError(f"{show(value)} is not an integer")


def decode_bool(value: Any) -> bool:
    """Return a bool from a JSON boolean or from "true" and "false" in any case."""
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
    """Return a string; refuse anything else instead of writing it as one."""
    if type(value) is not str:
        raise TypeError(f"{show(value)} is not a string")
    return value


def decode_as_text(value: Any) -> str:
    """Return a string as it is, and anything else as the JSON that it was."""
    if type(value) is str:
        return value
    try:
        return json.dumps(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def decode_code(value: Any) -> int | str:
    """Return an integer code, or a word where the feed sends a word."""
    if type(value) is not str:
        return decode_int(value)
    try:
        return decode_int(value)
    except ValueError:
        return value


def decode_int_list(value: Any) -> list[int]:
    """Return a list of ints, each as :func:`decode_int` takes it."""
    if type(value) is not list:
        raise TypeError(f"{show(value)} is not a list")
    return [decode_int(item) for item in value]


#: What a strict decoder does to a string, where that is no more than a cast.
_CASTS: dict[Any, type] = {decode_number: float, decode_int: int, decode_text: str}


# Compiled decoders -----------------------------------------------------------------------------


class WireField(NamedTuple):
    """How a field is read from the wire.

    :param name: its Python name.
    :param cast: what makes a value of a string, where no more is needed; None: :attr:`decode` is.
    :param decode: makes a value of anything that may stand there but null, or raises.
    """

    name: str
    cast: type | None
    decode: Callable[[Any], Any]


def wire_fields(cls: type) -> dict[str, WireField]:
    """Return wire name -> field, of the fields that have a wire name; the others are ours.

    :param cls: a model.
    :raises TypeError: for metadata that would be read here otherwise than by ``from_dict``.
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
    """Return a function that decodes what a message carries, as Python name -> value.

    Absent and null fields are left out, as merging sparse deltas needs it; unknown keys and Python
    names are ignored. For a bad value it raises what the field's decoder raises.

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
        # eToro sends strings, so that a cast in C will do for most. The sum of all numbers is
        # finite only if each of them is, so that one comparison checks them all.
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
                elif "_" in value:  # which only Python takes for a number
                    return strict(data)
                else:
                    values[name] = number = cast(value)
                    total += number
        except (ValueError, OverflowError):
            return strict(data)
        return values if total - total == 0.0 else strict(data)

    return decode
