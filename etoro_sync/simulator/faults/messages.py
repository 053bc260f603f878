"""Faults of messages: text that is not JSON, JSON of wrong types, prices that are not numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .. import arguments, wire
from .base import BEFORE_CLOSING, OneShotFault, Phases, named
from .context import FaultContext

if TYPE_CHECKING:
    from ..peer import Peer

_ID = "00000000-0000-4000-a000-000000000000"
#: Each is valid JSON, with a wrong type in a different place.
_WRONG_TYPES = (
    "null",
    "18",
    '"messages"',
    "[]",
    '{"messages":null}',
    '{"messages":{}}',
    '{"messages":[null,18,"x",[]]}',
    '{"messages":[{"topic":18,"content":"{}","id":1,"type":[]}]}',
    '{"messages":[{"topic":"instrument:x","content":"{}","id":"","type":"Trading.Instrument.Rate"}]}',
    '{"messages":[{"topic":"instrument:18","content":[],"id":"","type":"Trading.Instrument.Rate"}]}',
    wire.envelope("instrument:18", wire.RATE, "[]", _ID),
    wire.envelope("instrument:18", wire.RATE, "not json", _ID),
    wire.envelope("instrument:18", wire.RATE, '{"Ask":[],"Bid":{},"Date":0}', _ID),
    wire.envelope(wire.PRIVATE, wire.ORDER_UPDATE, '{"OrderID":[],"StatusID":"filled"}', _ID),
    '{"id":[],"success":"yes","operation":{}}',
)


@dataclass(kw_only=True, eq=False)
class MessageFault(OneShotFault):
    """A fault that sends text messages to clients, whether they are authenticated or not."""

    concerns: ClassVar[str] = "messages"
    phases: ClassVar[Phases] = BEFORE_CLOSING

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Send the texts."""
        for text in self.texts():
            peer.send(text)

    def texts(self) -> tuple[str, ...]:
        """Return the texts."""
        raise NotImplementedError


@named("bad_json")
@dataclass(kw_only=True, eq=False)
class BadJson(MessageFault):
    """Send a text that is not JSON.

    :param text: the text to send.
    """

    text: str = '{"messages":[{"topic":"instrument:18","content":"{\\"Ask\\":'

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.text("text", self.text)

    def texts(self) -> tuple[str, ...]:
        """Return the text."""
        return (self.text,)


@named("wrong_types")
@dataclass(kw_only=True, eq=False)
class WrongTypes(MessageFault):
    """Send several JSON texts, each with a wrong type in a different place."""

    def texts(self) -> tuple[str, ...]:
        """Return all of them."""
        return _WRONG_TYPES


@named("nan")
@dataclass(kw_only=True, eq=False)
class Nan(MessageFault):
    """Send rates with NaN and infinities, as strings and as literals that JSON does not allow.

    :param instrument_id: the instrument in the rates.
    """

    instrument_id: int = 18

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("instrument_id", self.instrument_id, 0)

    def texts(self) -> tuple[str, ...]:
        """Return rates with both bid and ask, so that nothing else is wrong with them."""
        pairs = ('"NaN"', '"NaN"'), ("NaN", "NaN"), ("Infinity", "-Infinity"), ('"Infinity"', '"1"')
        topic = wire.topic_of(self.instrument_id)
        return tuple(
            wire.envelope(topic, wire.RATE, f'{{"Ask":{ask},"Bid":{bid}}}', _ID)
            for ask, bid in pairs
        )


@named("deep_nesting")
@dataclass(kw_only=True, eq=False)
class DeepNesting(MessageFault):
    """Send JSON that is nested deeper than most parsers allow.

    :param depth: how many levels.
    """

    depth: int = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("depth", self.depth, 1, 1_000_000)

    def texts(self) -> tuple[str, ...]:
        """Return a nested text, and a valid envelope with nested content."""
        nested = "[" * self.depth + "]" * self.depth
        return nested, wire.envelope(wire.topic_of(18), wire.RATE, f'{{"Ask":{nested}}}', _ID)
