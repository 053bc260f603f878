"""The path of etoropy's ``ws.message_parser``, for programs that are ported from it."""

from ..market.message_parser import (
    ParsedInstrumentDelta,
    ParsedInstrumentRate,
    ParsedMessage,
    ParsedPrivateEvent,
    instrument_id_of,
    parse_content,
    parse_envelope,
    parse_messages,
)

__all__ = [
    "ParsedInstrumentDelta",
    "ParsedInstrumentRate",
    "ParsedMessage",
    "ParsedPrivateEvent",
    "instrument_id_of",
    "parse_content",
    "parse_envelope",
    "parse_messages",
]
