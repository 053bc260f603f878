"""The usual shapes of market messages, and what has to be done to each.

eToro sends the same few sets of fields over and over (protocol fact sheet, section 4), all of them
texts. For such a set the work is laid out once, from the model's metadata, so that a message costs
one look-up and one step for each number that the model knows. What has a usual shape can still
hold unusual values: ``merge_usual`` notices, and ``merge`` then goes field by field.

Pure: no sockets, no threads, no clock.
"""

from ..codec import wire_fields
from ..models import WsInstrumentRate

__all__ = ["Shape", "ShapeTable"]

_FIELDS = wire_fields(WsInstrumentRate)
_STAMP = frozenset(["PriceRateID", "Date"])
_PRICES = frozenset(["Ask", "Bid", "LastExecution"])
#: eToro has about ten; a server that invents more must not fill the memory.
_MOST_SHAPES = 200


class Shape:
    """One set of fields: the stamp, and with it any decimal numbers.

    :param numbers: the wire names of the numbers that the model knows.
    :param changed: the Python names of all fields that the model knows, in the message's order.
    """

    __slots__ = ("changed", "has_last", "numbers")

    def __init__(self, numbers: list[str], changed: tuple[str, ...]) -> None:
        #: Python name and wire name of each; empty for a heartbeat, which has the stamp alone.
        self.numbers = tuple((_FIELDS[wire].name, wire) for wire in numbers)
        self.changed = changed
        self.has_last = "LastExecution" in numbers


class ShapeTable(dict[tuple[str, ...], Shape | None]):
    """The fields of a message, in their order -> its shape; None: nothing usual.

    Used by the reader thread alone.
    """

    def learn(self, fields: tuple[str, ...]) -> None:
        """Lay out the work for the next message that has these fields."""
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
