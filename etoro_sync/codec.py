"""From JSON text to typed objects, fast, with dataclasses-json as the only definition of the wire.

``from_dict`` of dataclasses-json resolves type hints and rebuilds its field table on every call,
which costs 50 to 200 microseconds an object. The functions here read the same field metadata
once per class and return closures that give the same results in about one microsecond.

The module also holds the strict decoders that the models use: ``from_dict`` itself never
validates (``bool("False")`` is True, ``int(5.9)`` is 5), and eToro sends strings.
"""

import dataclasses
import functools
import json
import json.scanner
import math
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

from dataclasses_json import DataClassJsonMixin

from .text import show

__all__ = [
    "JSON_BACKEND",
    "PADDING",
    "compile_decoder",
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
    "wire_casts",
    "wire_names",
]

Model = TypeVar("Model", bound=DataClassJsonMixin)
_ABSENT: Any = object()
#: From here on a float no longer tells every integer from its neighbours.
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


@dataclasses.dataclass(frozen=True)
class _Plan:
    """How one field is decoded; everything that ``from_dict`` would look up on each call."""

    name: str
    wire: str
    renamed: bool
    optional: bool
    convert: Callable[[Any], Any]
    cast: type | None
    default: Callable[[], Any] | None


@functools.cache
def _plans(cls: type[DataClassJsonMixin]) -> tuple[_Plan, ...]:
    """Read the field metadata of *cls*; refuse what the compiled decoders could not reproduce."""
    if getattr(cls, "dataclass_json_config", None) is not None:
        raise TypeError(f"{cls.__name__}: settings of the whole class are not supported")
    hints = get_type_hints(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # the mixin is no dataclass
    plans = tuple(_plan(cls, field, hints[field.name]) for field in fields)
    if len({plan.wire for plan in plans}) != len(plans):
        raise TypeError(f"{cls.__name__} uses one wire name for two fields")
    return plans


def _plan(cls: type, field: "dataclasses.Field[Any]", hint: Any) -> _Plan:
    if not field.init:
        raise TypeError(f"{cls.__name__}.{field.name}: fields outside __init__ are not supported")
    settings = field.metadata.get("dataclasses_json", {})
    rename = settings.get("letter_case")
    base, optional = _unwrap(hint)
    convert = _converter(f"{cls.__name__}.{field.name}", hint, base, settings.get("decoder"))
    return _Plan(
        name=field.name,
        wire=rename(field.name) if rename else field.name,
        renamed=rename is not None,
        optional=optional,
        convert=convert,
        cast=_CASTS.get(settings.get("decoder")),
        default=_default(field, optional, convert),
    )


def _unwrap(hint: Any) -> tuple[Any, bool]:
    """Return the type inside ``Optional[...]`` and whether None is allowed."""
    if hint is Any:
        return hint, True
    if get_origin(hint) is Union and type(None) in get_args(hint):
        others = [arg for arg in get_args(hint) if arg is not type(None)]
        return (others[0] if len(others) == 1 else hint), True
    return hint, False


def _converter(where: str, hint: Any, base: Any, decoder: Any) -> Callable[[Any], Any]:
    """Return what ``from_dict`` would do to a value that is neither absent nor None."""
    if decoder is not None:
        # The reference skips the decoder for values that have exactly the annotated type.
        if isinstance(hint, type):
            return lambda value: value if type(value) is hint else decoder(value)
        return decoder  # type: ignore[no-any-return]  # metadata is untyped
    if base in (str, int, float, bool):
        return lambda value: value if isinstance(value, base) else base(value)
    if base is Any:
        return lambda value: value
    raise TypeError(f"{where}: {hint!r} needs a decoder in its metadata")


def _default(
    field: "dataclasses.Field[Any]", optional: bool, convert: Callable[[Any], Any]
) -> Callable[[], Any] | None:
    """Return a function for the default; the reference converts defaults too."""
    if field.default_factory is not dataclasses.MISSING:
        factory = field.default_factory
        return lambda: convert(factory())
    if field.default is dataclasses.MISSING:
        return None
    value = field.default
    if value is None and not optional:
        raise TypeError(f"{field.name}: None is the default of a field that is not Optional")
    decoded = None if value is None else convert(value)
    return lambda: decoded


def compile_decoder(cls: type[Model]) -> Callable[[Any], Model]:
    """Return a function that equals ``cls.from_dict``, about fifty times faster.

    Only the regular case runs here. Anything odd (a wrong type, a missing field, a key that is a
    Python field name) is given to ``from_dict`` itself, so its result or exception is final.

    :param cls: a dataclass with ``DataClassJsonMixin``.
    :raises TypeError: for annotations that the compiled decoder could not reproduce.
    """
    plans = _plans(cls)
    rows = [(plan.name, plan.wire, plan.optional, plan.convert, plan.default) for plan in plans]
    # The reference accepts Python names as keys too; which key wins then depends on their order.
    python_names = frozenset(plan.name for plan in plans if plan.name != plan.wire)

    def regular(data: dict[str, Any]) -> dict[str, Any]:
        values = {}
        for name, wire, optional, convert, default in rows:
            value = data.get(wire, _ABSENT)
            if value is _ABSENT:
                if default is None:
                    raise KeyError(name)
                values[name] = default()
            elif value is None:
                if not optional:
                    raise ValueError(name)
                values[name] = None
            else:
                values[name] = convert(value)
        return values

    def decode(data: Any) -> Model:
        if type(data) is dict and python_names.isdisjoint(data):
            try:
                values = regular(data)
            except Exception:  # the reference says below what it was, in its own words
                pass
            else:
                return cls(**values)
        return cls.from_dict(data)

    return decode


def compile_fields(cls: type[DataClassJsonMixin]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that decodes only what a message carries, as Python name -> value.

    This is what merging sparse deltas needs: absent and null fields are left out, unknown keys
    ignored. Only fields with a wire name of their own take part: the others are ours.

    :param cls: a dataclass with ``DataClassJsonMixin``.
    :raises TypeError: as :func:`compile_decoder`.
    """
    plans = [plan for plan in _plans(cls) if plan.renamed]
    # Not as from_dict, which takes the infinity that Python's parser makes of 1e999.
    converts = {p.wire: decode_number if p.cast is float else p.convert for p in plans}
    lookup = {p.wire: (p.name, p.cast, converts[p.wire]) for p in plans}.get

    def strict(data: dict[str, Any]) -> dict[str, Any]:
        values = {}
        for wire, value in data.items():
            row = lookup(wire)
            if row is not None and value is not None:
                values[row[0]] = row[2](value)
        return values

    def decode(data: dict[str, Any]) -> dict[str, Any]:
        # eToro sends strings, so the regular way is a cast in C. The sum of all numbers tells in
        # one comparison whether each of them is finite.
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
                elif "_" in value:  # Python reads 1_0 as ten; nobody else does
                    return strict(data)
                else:
                    values[name] = number = cast(value)
                    total += number
        except (ValueError, OverflowError):
            return strict(data)
        return values if total - total == 0.0 else strict(data)

    return decode


def wire_casts(cls: type[DataClassJsonMixin]) -> dict[str, tuple[str, type | None]]:
    """Return wire name -> Python name, and what turns a text of the wire into a value of the field.

    None stands for a field that takes more than a cast, such as a flag.
    """
    return {plan.wire: (plan.name, plan.cast) for plan in _plans(cls) if plan.renamed}


def wire_names(cls: type[DataClassJsonMixin]) -> dict[str, str]:
    """Return wire name -> Python name of the fields that have a wire name of their own."""
    return {plan.wire: plan.name for plan in _plans(cls) if plan.renamed}
