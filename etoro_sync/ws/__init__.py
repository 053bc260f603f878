"""The streaming client and its parts."""

from .client import WsClient
from .event_queue import EventQueue
from .events import EVENTS
from .lifecycle import ClientState
from .message_parser import (
    ParsedInstrumentDelta,
    ParsedInstrumentRate,
    ParsedMessage,
    ParsedPrivateEvent,
    parse_envelope,
    parse_messages,
)
from .options import DEFAULT_WS_URL, WsClientOptions
from .stats import WsStats
from .subscription import WsSubscriptionTracker

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
