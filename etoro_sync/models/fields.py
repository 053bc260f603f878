"""How the models spell the wire: field helpers, and the base class that reads null as absent."""

from copy import deepcopy
from dataclasses import MISSING, field, fields
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, TypeVar

from dataclasses_json import DataClassJsonMixin, config

from ..codec import decode_bool, decode_int, decode_number, decode_text

__all__ = ["WireModel", "decimals", "flag", "integer", "number", "parse_date", "text", "wire"]

Model = TypeVar("Model", bound="WireModel")


class WireModel(DataClassJsonMixin):
    """Base of the models: a null on the wire is the same as an absent field.

    dataclasses-json lets None into fields that must not be None, with no more than a warning.
    """

    @classmethod
    def from_dict(cls: type[Model], kvs: Any, *, infer_missing: bool = False) -> Model:
        """Return an object made of *kvs*, by wire names.

        :raises KeyError: when a required field is absent or null.
        :raises TypeError: when a value has a wrong type, as ``ValueError`` and ``OverflowError``.
        """
        if type(kvs) is dict:
            kvs = {key: value for key, value in kvs.items() if value is not None}
        return super().from_dict(kvs, infer_missing=infer_missing)

    def to_row(self) -> dict[str, Any]:
        """Return all fields by their Python names, in a new dictionary that is yours to change.

        Lists and dictionaries in it are copies, too; a tuple stays a tuple. Properties such as
        ``mid`` are not in it, and :meth:`to_dict` uses the names of the wire.
        """
        # dataclasses.asdict() takes five times as long, which counts where each rate is a row.
        known = fields(self)  # type: ignore[arg-type]  # each model is a dataclass
        values = ((f.name, getattr(self, f.name)) for f in known)
        return {name: deepcopy(v) if type(v) in (list, dict) else v for name, v in values}


def wire(name: str, decoder: Any, default: Any = MISSING) -> Any:
    """Return a field that is called *name* on the wire; required when it has no default."""
    return field(default=default, metadata=config(field_name=name, decoder=decoder))


def number(name: str, default: Any = MISSING) -> Any:
    """Return a field for a price or an amount."""
    return wire(name, decode_number, default)


def integer(name: str, default: Any = MISSING) -> Any:
    """Return a field for an id or a code."""
    return wire(name, decode_int, default)


def text(name: str, default: Any = MISSING) -> Any:
    """Return a field for a string."""
    return wire(name, decode_text, default)


def flag(name: str) -> Any:
    """Return a field for true, false, or unknown."""
    return wire(name, decode_bool, None)


def decimals(value: float) -> int:
    """Return how many decimals a number has in its shortest spelling, which is that of the feed.

    ``66500.0`` has none, ``1.2345e-08`` has twelve.
    """
    digits, _, exponent = repr(float(value)).partition("e")
    fraction = digits.removesuffix(".0").partition(".")[2]
    return max(len(fraction) - int(exponent or 0), 0)


def parse_date(text: str) -> Optional[datetime]:
    """Return the time that eToro wrote as *text*, in UTC, or None when it is not one.

    The feed trims trailing zeros, so a fraction has 0 to 7 digits; Python keeps 6 of them.

    :param text: such as ``"2025-04-01T08:36:02.8305456Z"``.
    """
    head, dot, fraction = text.removesuffix("Z").partition(".")
    if dot and not (fraction.isascii() and fraction.isdigit() and len(fraction) <= 9):
        return None
    try:
        moment = datetime.strptime(head, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    microseconds = int(fraction[:6].ljust(6, "0")) if dot else 0
    return moment.replace(tzinfo=timezone.utc) + timedelta(microseconds=microseconds)
