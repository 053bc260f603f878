"""The base class of the models, and helpers that declare their fields."""

from copy import deepcopy
from dataclasses import MISSING, field, fields
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, TypeVar

from dataclasses_json import DataClassJsonMixin, config

from ..codec import decode_bool, decode_int, decode_number, decode_text
from ..numbers import decimals

__all__ = [
    "ShownModel",
    "WireModel",
    "decimals",
    "flag",
    "integer",
    "number",
    "parse_date",
    "text",
    "wire",
]

Model = TypeVar("Model", bound="WireModel")


class WireModel(DataClassJsonMixin):
    """Base of the models. It reads a null like an absent field.

    dataclasses-json would set fields to None that must not be None, with a mere warning.
    """

    @classmethod
    def from_dict(cls: type[Model], kvs: Any, *, infer_missing: bool = False) -> Model:
        """Return an object with the values of *kvs*, a dictionary by wire names.

        :raises KeyError: when a required field is absent or null.
        :raises TypeError: when a value cannot be decoded, as ``ValueError`` and ``OverflowError``.
        """
        if type(kvs) is dict:
            kvs = {key: value for key, value in kvs.items() if value is not None}
        return super().from_dict(kvs, infer_missing=infer_missing)

    def to_dict(self, encode_json: bool = False) -> dict[str, Any]:
        """Return a new dictionary of all fields, by their wire names.

        :param encode_json: encode values that JSON does not have, too.
        """
        # dataclasses-json leaves the parameter without a type, which strict checkers refuse.
        return super().to_dict(encode_json=encode_json)

    def to_row(self) -> dict[str, Any]:
        """Return a new dictionary of all fields, by their Python names.

        Lists and dictionaries in it are copies, so that changing them does not change this object.
        Properties such as ``mid`` are left out. (:meth:`to_dict` uses the wire names.)
        """
        # dataclasses.asdict() takes five times as long, which matters if each rate becomes a row.
        known = fields(self)  # type: ignore[arg-type]  # each model is a dataclass
        values = ((f.name, getattr(self, f.name)) for f in known)
        return {name: deepcopy(v) if type(v) in (list, dict) else v for name, v in values}


class ShownModel(WireModel):
    """Base of the models that users get and may display: a notebook shows a table of the fields.

    Not of all, since one carries the keys.
    """

    def _repr_html_(self) -> Optional[str]:
        from ..html_tables import fields_table, html_or_none

        def make() -> str:
            name = type(self).__name__
            brief = type(self).__str__ is not object.__str__
            return fields_table(f"{name} {self}" if brief else name, self.to_row())

        return html_or_none(make)


def wire(name: str, decoder: Any, default: Any = MISSING) -> Any:
    """Return a field with the wire name *name*; it is required if it has no default."""
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
    """Return a field for True, False, or None while it is unknown."""
    return wire(name, decode_bool, None)


def parse_date(text: str) -> Optional[datetime]:
    """Return a date of the feed as an aware datetime in UTC; None if *text* is not a date.

    The feed trims trailing zeros, so the fraction has 0 to 7 digits. Python keeps 6 of them.

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
