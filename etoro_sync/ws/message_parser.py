"""From the text of a data frame to typed messages, without any state.

The functions and classes are those of etoropy's ``ws.message_parser``. For a message with both
sides the result equals etoropy's; a message that carries only a part, which etoropy drops,
becomes ``"instrument:delta"``.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from .. import codec
from ..errors import EToroValidationError
from ..models import (
    WsEnvelope,
    WsInstrumentDelta,
    WsInstrumentRate,
    WsMessage,
    WsPrivateEvent,
)

__all__ = [
    "ACTIVE_TYPE",
    "MARKET_TYPES",
    "SNAPSHOT_TYPE",
    "ParsedInstrumentDelta",
    "ParsedInstrumentRate",
    "ParsedMessage",
    "ParsedPrivateEvent",
    "decode_delta",
    "decode_private_event",
    "instrument_id_of",
    "parse_content",
    "parse_envelope",
    "parse_messages",
    "shorten",
]

Result = TypeVar("Result")

SNAPSHOT_TYPE = "Snapshot"
ACTIVE_TYPE = "Trading.Instrument.Active"
#: Types on instrument topics. ``Trading.InstrumentRate`` never was on the wire, but etoropy's
#: tests use it and programs ported from it may feed it.
MARKET_TYPES = frozenset(
    ["Trading.Instrument.Rate", SNAPSHOT_TYPE, ACTIVE_TYPE, "Trading.InstrumentRate"]
)
_TOPIC_PREFIX = "instrument:"

_envelope: Callable[[Any], WsEnvelope] = codec.compile_decoder(WsEnvelope)
_rate: Callable[[Any], WsInstrumentRate] = codec.compile_decoder(WsInstrumentRate)
_delta: Callable[[Any], WsInstrumentDelta] = codec.compile_decoder(WsInstrumentDelta)
_private_fields = codec.compile_fields(WsPrivateEvent)
_PRIVATE_WIRE_NAMES = frozenset(
    field.metadata["dataclasses_json"]["letter_case"](field.name)
    for field in fields(WsPrivateEvent)
    if "letter_case" in field.metadata.get("dataclasses_json", {})
)


@dataclass
class ParsedInstrumentRate:
    """A message that carries both sides.

    :param instrument_id: from the topic.
    :param rate: the message alone, not merged with earlier ones.
    """

    instrument_id: int
    rate: WsInstrumentRate


@dataclass
class ParsedInstrumentDelta:
    """A message that carries a part of the state, or none of it (a heartbeat).

    :param instrument_id: from the topic.
    :param delta: what was sent; absent fields are None.
    """

    instrument_id: int
    delta: WsInstrumentDelta


@dataclass
class ParsedPrivateEvent:
    """An order event.

    :param event: what was sent.
    """

    event: WsPrivateEvent


@dataclass
class ParsedMessage:
    """One message of an envelope, typed.

    :param type: ``"instrument:rate"``, ``"instrument:delta"``, ``"private:event"`` or
        ``"unknown"``.
    :param data: one of the ``Parsed...`` classes; the :class:`~etoro_sync.models.WsMessage`
        itself when unknown.
    """

    type: str
    data: ParsedInstrumentRate | ParsedInstrumentDelta | ParsedPrivateEvent | WsMessage


def shorten(value: Any, limit: int = 120) -> str:
    """Return *value* as text of at most *limit* characters, for messages to people."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def instrument_id_of(topic: str) -> int | None:
    """Return the id in ``"instrument:<id>"``; None for any other topic."""
    digits = topic[len(_TOPIC_PREFIX) :]
    # 18 digits are more than any id has, and few enough to parse without a thought.
    if topic.startswith(_TOPIC_PREFIX) and digits.isascii() and digits.isdigit():
        return int(digits) if len(digits) <= 18 else None
    return None


def _checked(what: str, data: Any, function: Callable[[Any], Result]) -> Result:
    """Translate what decoding may raise into one error that names the payload."""
    try:
        return function(data)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as exc:
        raise EToroValidationError(f"Bad {what} ({exc}): {shorten(data)}", field=what) from exc


def parse_envelope(data: str) -> WsEnvelope:
    """Parse the text of one data frame.

    :param data: such as ``'{"messages": [...]}'``.
    :raises EToroValidationError: when it is not JSON, or not an envelope.
    """
    return _checked("envelope", data, lambda text: _envelope(codec.loads(text)))


def parse_content(content: str) -> dict[str, Any]:
    """Parse a message's ``content``, the JSON inside the JSON.

    :raises EToroValidationError: when it is not a JSON object.
    """
    fields_ = _checked("content", content, codec.loads)
    if type(fields_) is not dict:
        raise EToroValidationError(f"Bad content: not an object: {shorten(content)}", "content")
    return fields_


def decode_delta(content: dict[str, Any], type_: str) -> WsInstrumentDelta:
    """Return a market message as it was sent.

    :param content: its parsed content.
    :param type_: its type on the wire.
    :raises EToroValidationError: when a known field has a value of the wrong type.
    """
    delta = _checked("instrument message", content, _delta)
    return replace(delta, type=type_)


def decode_private_event(content: dict[str, Any], type_: str) -> WsPrivateEvent:
    """Return an order event; never fails, because a strange field must not lose an order.

    :param content: its parsed content.
    :param type_: its type on the wire.
    """
    extra = {wire: value for wire, value in content.items() if wire not in _PRIVATE_WIRE_NAMES}
    try:
        values = _private_fields({wire: v for wire, v in content.items() if wire not in extra})
    except (TypeError, ValueError, OverflowError):
        values = {}
        for wire, value in content.items():
            if wire in extra:
                continue
            try:
                values.update(_private_fields({wire: value}))
            except (TypeError, ValueError, OverflowError):
                extra[wire] = value
    return WsPrivateEvent(**values, type=type_, extra=extra)


def parse_messages(envelope: WsEnvelope) -> list[ParsedMessage]:
    """Type the messages of an envelope, in order.

    :param envelope: from :func:`parse_envelope`.
    :raises EToroValidationError: when the content of a known message is not what it should be.
    """
    return [_parse_message(message) for message in envelope.messages]


def _parse_message(message: WsMessage) -> ParsedMessage:
    if message.topic == "private":
        event = decode_private_event(parse_content(message.content), message.type)
        return ParsedMessage("private:event", ParsedPrivateEvent(event))
    instrument_id = instrument_id_of(message.topic)
    if instrument_id is None or message.type not in MARKET_TYPES:
        return ParsedMessage("unknown", message)
    # null means the same as absent: unchanged.
    content = {k: v for k, v in parse_content(message.content).items() if v is not None}
    if "Ask" in content and "Bid" in content:
        rate = _checked("rate", content, _rate)
        return ParsedMessage("instrument:rate", ParsedInstrumentRate(instrument_id, rate))
    delta = decode_delta(content, message.type)
    return ParsedMessage("instrument:delta", ParsedInstrumentDelta(instrument_id, delta))
