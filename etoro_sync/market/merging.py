"""From the merged state of an instrument to the rate that users get."""

from typing import Any

from dataclasses_json import DataClassJsonMixin

from ..models import WsInstrumentRate

__all__ = ["make_rate"]

_new = object.__new__

# The class is frozen, so this is what object.__setattr__(rate, "__dict__", ...) does, without the
# search for the attribute.
_set_fields = vars(DataClassJsonMixin)["__dict__"].__set__


def make_rate(state: dict[str, Any]) -> WsInstrumentRate:
    """Return a rate with a copy of *state*: what users do to it must not reach the next ones."""
    rate = _new(WsInstrumentRate)
    _set_fields(rate, state.copy())
    return rate
