"""Parses the text of a data frame into typed messages. It keeps no state.

The functions and classes are those of etoropy's ``ws.message_parser``. For a message with both
sides the result equals etoropy's. A message with one side or none, which etoropy drops, becomes
``"instrument:delta"``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from .. import codec
from ..errors import EToroValidationError
from ..models import WsEnvelope, WsInstrumentDelta, WsInstrumentRate, WsMessage, WsPrivateEvent
from ..models.control import decode_envelope
from ..text import shorten

__all__ = [
    "ACTIVE_TYPE",
    "BAD_VALUE",
    "MARKET_TYPES",
    "RATE_TYPE",
    "SNAPSHOT_TYPE",
    "ParsedInstrumentDelta",
    "ParsedInstrumentRate",
    "ParsedMessage",
    "ParsedPrivateEvent",
    "cut_at_replies",
    "decode_delta",
    "decode_private_event",
    "instrument_id_of",
    "parse_content",
    "parse_envelope",
    "parse_messages",
    "shorten",
    "type_by_content",
]

Result = TypeVar("Result")

RATE_TYPE = "Trading.Instrument.Rate"
SNAPSHOT_TYPE = "Snapshot"
ACTIVE_TYPE = "Trading.Instrument.Active"
#: Types on instrument topics. eToro has never been seen to send ``Trading.InstrumentRate``, but
#: etoropy's tests use it, and so may programs that are ported from it.
MARKET_TYPES = frozenset([RATE_TYPE, SNAPSHOT_TYPE, ACTIVE_TYPE, "Trading.InstrumentRate"])
#: Fields that show the type of a message which comes without one: those of a price or a heartbeat,
#: one that only a snapshot has, and those of an opening or closing.
_PRICE_FIELDS = frozenset(["Ask", "Bid", "LastExecution", "PriceRateID"])
_SNAPSHOT_FIELD = "InstrumentID"
_ACTIVE_FIELDS = frozenset(["IsInstrumentActive", "AvailabilityReason"])
_TOPIC_PREFIX = "instrument:"

#: What may be raised when a value of a wrong type, size or depth is decoded.
BAD_VALUE = (KeyError, TypeError, ValueError, OverflowError, AttributeError, RecursionError)

# from_dict would also take Python names from the content, and fields such as received_at.
_rate_fields = codec.compile_fields(WsInstrumentRate)
_delta_fields = codec.compile_fields(WsInstrumentDelta)
_private_fields = codec.compile_fields(WsPrivateEvent)
#: Fields that make a message without a type one of an instrument; a date alone does not.
_MARKET_FIELDS = frozenset(codec.wire_fields(WsInstrumentDelta)) - {"Date"}
_PRIVATE_WIRE_NAMES = frozenset(codec.wire_fields(WsPrivateEvent))


@dataclass
class ParsedInstrumentRate:
    """A market message that carries both sides.

    :param instrument_id: from the topic.
    :param rate: of this message alone, not merged with earlier ones.
    """

    instrument_id: int
    rate: WsInstrumentRate


@dataclass
class ParsedInstrumentDelta:
    """A market message that carries one side or none.

    :param instrument_id: from the topic.
    :param delta: the message as it was sent; absent fields are None.
    """

    instrument_id: int
    delta: WsInstrumentDelta


@dataclass
class ParsedPrivateEvent:
    """A message on the topic ``"private"``.

    :param event: the order event.
    """

    event: WsPrivateEvent


@dataclass
class ParsedMessage:
    """One parsed message of an envelope.

    :param type: ``"instrument:rate"``, ``"instrument:delta"``, ``"private:event"`` or
        ``"unknown"``.
    :param data: an object of the ``Parsed...`` class for this type; for ``"unknown"`` the
        :class:`~etoro_sync.models.WsMessage`.
    """

    type: str
    data: ParsedInstrumentRate | ParsedInstrumentDelta | ParsedPrivateEvent | WsMessage


def cut_at_replies(texts: list[str]) -> Iterator[list[str]]:
    """Yield runs of frames in their order, in which a frame that may be a reply stands alone.

    eToro's data frames begin with their messages. Any other beginning may be a reply.
    """
    run: list[str] = []
    for text in texts:
        if text.startswith('{"messages"'):
            run.append(text)
            continue
        if run:
            yield run
        yield [text]
        run = []
    if run:
        yield run


def instrument_id_of(topic: str) -> int | None:
    """Return the id in ``"instrument:<id>"``; None for any other topic.

    An id with leading zeros is refused, so that no two topics stand for one instrument.
    """
    digits = topic[len(_TOPIC_PREFIX) :]
    # No id has more than 18 digits, and parsing very long numbers is slow.
    if topic.startswith(_TOPIC_PREFIX) and digits.isascii() and digits.isdigit():
        return int(digits) if len(digits) <= 18 and digits[0] != "0" else None
    return None


def _checked(what: str, data: Any, function: Callable[[Any], Result]) -> Result:
    """Return ``function(data)``, and raise one kind of error, which shows *data*, if it fails."""
    try:
        return function(data)
    except BAD_VALUE as exc:
        raise EToroValidationError(
            f"Bad {what} ({shorten(str(exc))}): {shorten(data)}", field=what
        ) from exc


def parse_envelope(data: str) -> WsEnvelope:
    """Parse the text of one data frame.

    :param data: such as ``'{"messages": [...]}'``.
    :raises EToroValidationError: when it is not JSON, or not an envelope.
    """
    return _checked("envelope", data, lambda text: decode_envelope(_loads_frame(text)))


def _loads_frame(text: str) -> Any:
    try:
        return codec.loads(text)
    except ValueError:
        return codec.loads_padded(text)


def type_by_content(content: Any) -> str | None:
    """Return the type of a message that came without one, by its fields; None: unknown.

    A user has reported such messages. Those with conversion rates or flags and no price belong to
    the instrument's state, too.

    :param content: the parsed content of a message on an instrument's topic.
    """
    if type(content) is not dict or _MARKET_FIELDS.isdisjoint(content):
        return None
    if _ACTIVE_FIELDS.issuperset(content):
        return ACTIVE_TYPE
    if _SNAPSHOT_FIELD in content and not _PRICE_FIELDS.isdisjoint(content):
        return SNAPSHOT_TYPE
    return RATE_TYPE


def parse_content(content: str) -> dict[str, Any]:
    """Parse the ``content`` of a message, which is JSON text inside the frame's JSON.

    :raises EToroValidationError: when it is not a JSON object.
    """
    fields = _checked("content", content, _loads_patiently)
    if type(fields) is not dict:
        raise EToroValidationError(f"Bad content: not an object: {shorten(content)}", "content")
    return fields


def _loads_patiently(text: str) -> Any:
    """Parse JSON or nearly JSON, because no order event must be lost for its form."""
    try:
        return codec.loads(text)
    except ValueError:
        return codec.loads_leniently(text)


def decode_delta(content: dict[str, Any], type_: str) -> WsInstrumentDelta:
    """Return the delta of a market message.

    :param content: its parsed content.
    :param type_: its type on the wire.
    :raises EToroValidationError: when the value of a known field cannot be decoded.
    """
    return WsInstrumentDelta(**_checked("instrument message", content, _delta_fields), type=type_)


def decode_private_event(content: dict[str, Any], type_: str) -> WsPrivateEvent:
    """Return the order event of a private message.

    Fields that cannot be decoded are put into ``extra``, because no order event must be lost.

    :param content: its parsed content.
    :param type_: its type on the wire.
    """
    extra = {wire: value for wire, value in content.items() if wire not in _PRIVATE_WIRE_NAMES}
    try:
        values = _private_fields(content)
    except BAD_VALUE:
        values = {}
        for wire, value in content.items():
            try:
                values.update(_private_fields({wire: value}))
            except BAD_VALUE:
                extra[wire] = value
    return WsPrivateEvent(**values, type=type_, extra=extra)


def parse_messages(envelope: WsEnvelope) -> list[ParsedMessage]:
    """Parse the messages of an envelope, in order.

    :param envelope: from :func:`parse_envelope`.
    :raises EToroValidationError: when the content of a message of a known type cannot be decoded.
    """
    return [_parse_message(message) for message in envelope.messages]


def _parse_message(message: WsMessage) -> ParsedMessage:
    if message.topic == "private":
        event = decode_private_event(parse_content(message.content), message.type)
        event.message_id = message.id
        return ParsedMessage("private:event", ParsedPrivateEvent(event))
    instrument_id = instrument_id_of(message.topic)
    if instrument_id is None or not (message.type in MARKET_TYPES or message.type == ""):
        return ParsedMessage("unknown", message)
    fields = parse_content(message.content)
    type_ = message.type or type_by_content(fields)
    if type_ is None:
        return ParsedMessage("unknown", message)
    # null means the same as absent: unchanged.
    content = {k: v for k, v in fields.items() if v is not None}
    if "Ask" in content and "Bid" in content:
        rate = WsInstrumentRate(**_checked("rate", content, _rate_fields))
        return ParsedMessage("instrument:rate", ParsedInstrumentRate(instrument_id, rate))
    delta = decode_delta(content, type_)
    return ParsedMessage("instrument:delta", ParsedInstrumentDelta(instrument_id, delta))
