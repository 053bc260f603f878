"""The streaming client and its parts."""

from ..delivery.event_queue import EventQueue
from ..events import EVENTS
from ..market.message_parser import (
    ParsedInstrumentDelta,
    ParsedInstrumentRate,
    ParsedMessage,
    ParsedPrivateEvent,
    parse_envelope,
    parse_messages,
)
from ..state import ClientState
from ..stats import WsStats
from .client import WsClient
from .options import DEFAULT_WS_URL, WsClientOptions
from .protocol.tracker import WsSubscriptionTracker

__all__ = [
    "DEFAULT_WS_URL",
    "EVENTS",
    "ClientState",
    "EventQueue",
    "ParsedInstrumentDelta",
    "ParsedInstrumentRate",
    "ParsedMessage",
    "ParsedPrivateEvent",
    "WsClient",
    "WsClientOptions",
    "WsStats",
    "WsSubscriptionTracker",
    "parse_envelope",
    "parse_messages",
]
