"""The usual shapes of market messages, for the fast way through the feed handler.

eToro sends the same few sets of fields again and again, with texts as values. For each such set, a
shape is made once from the model's metadata, and then a message takes one look-up and one step for
each number that the model knows. If a value is unusual, ``merge_usual`` raises, and ``merge``
decodes the message field by field.

Pure: no sockets, no threads, no clock.
"""

from ..codec import wire_fields
from ..models import WsInstrumentRate

__all__ = ["Shape", "ShapeTable"]

_FIELDS = wire_fields(WsInstrumentRate)
_STAMP = frozenset(["PriceRateID", "Date"])
_PRICES = frozenset(["Ask", "Bid", "LastExecution"])
#: eToro sends about ten. A bound, because a server may make up more.
_MOST_SHAPES = 200


class Shape:
    """One set of fields: ``PriceRateID``, ``Date``, and any decimal numbers.

    :param numbers: the wire names of those numbers that the model knows.
    :param changed: the Python names of all fields that the model knows, in the message's order.
    """

    __slots__ = ("changed", "has_last", "numbers")

    def __init__(self, numbers: list[str], changed: tuple[str, ...]) -> None:
        #: Python name and wire name of each number; empty for a heartbeat.
        self.numbers = tuple((_FIELDS[wire].name, wire) for wire in numbers)
        self.changed = changed
        self.has_last = "LastExecution" in numbers


class ShapeTable(dict[tuple[str, ...], Shape | None]):
    """The wire names of a message, in order -> its shape; None: the shape is unusual.

    Used by the reader thread only.
    """

    def learn(self, fields: tuple[str, ...]) -> None:
        """Add the shape of these fields, for the next message that has them."""
        if fields not in self and len(self) < _MOST_SHAPES:
            self[fields] = _lay_out(fields)


def _lay_out(fields: tuple[str, ...]) -> Shape | None:
    known = [wire for wire in fields if wire in _FIELDS]
    numbers = [wire for wire in known if _FIELDS[wire].cast is float]
    if {*known} != {*numbers, *_STAMP}:
        return None
    if _PRICES.isdisjoint(numbers) and len(fields) != len(_STAMP):
        return None
    return Shape(numbers, tuple(_FIELDS[wire].name for wire in known))
