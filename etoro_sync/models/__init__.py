"""What eToro sends and what users receive, as dataclasses with explicit wire names.

dataclasses-json's field metadata is the single definition of the wire format;
:mod:`etoro_sync.codec` compiles its decoders from it. Two facts about eToro's feed shape the
models (both from recorded frames): market values arrive as *strings* and a message carries only
what changed, so an absent field means "unchanged".

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
