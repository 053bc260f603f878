"""Dataclasses for what eToro sends and what users receive, with explicit wire names.

The wire format is defined once, in dataclasses-json's field metadata; :mod:`etoro_sync.codec`
compiles its decoders from it. Recorded frames show two things that shape the models: market values
are sent as *strings*, and a message carries only what changed, so an absent field is unchanged.

``Optional[...]`` is spelled out and annotations are not postponed, because dataclasses-json
evaluates postponed ones on every call.
"""

from .control import (
    WsAuthenticateOperation,
    WsEnvelope,
    WsGap,
    WsMessage,
    WsSubscribeOperation,
    WsUnsubscribeOperation,
)
from .fields import parse_date
from .market import WsInstrumentDelta, WsInstrumentRate
from .orders import OrderStatus, OrderType, WsPrivateEvent

__all__ = [
    "OrderStatus",
    "OrderType",
    "WsAuthenticateOperation",
    "WsEnvelope",
    "WsGap",
    "WsInstrumentDelta",
    "WsInstrumentRate",
    "WsMessage",
    "WsPrivateEvent",
    "WsSubscribeOperation",
    "WsUnsubscribeOperation",
    "parse_date",
]
