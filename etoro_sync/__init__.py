"""etoro_sync: eToro's prices and order events, streamed into ordinary threaded Python.

::

    from etoro_sync import WsClient

    with WsClient() as client:                       # keys from ETORO_API_KEY, ETORO_USER_KEY
        for instrument_id, rate in client.stream([100000]):
            print(instrument_id, rate.bid, rate.ask)
"""

from ._version import __version__
from .errors import (
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroKeyError,
    EToroOrderError,
    EToroQueueOverflowError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroTypeError,
    EToroValidationError,
    EToroWebSocketError,
)
from .models import (
    OrderStatus,
    OrderType,
    WsEnvelope,
    WsGap,
    WsInstrumentDelta,
    WsInstrumentRate,
    WsMessage,
    WsPrivateEvent,
)
from .stream import Alert, Crossing, Feed, MarketStream, OrderUpdates
from .ws import (
    DEFAULT_WS_URL,
    EVENTS,
    ClientState,
    EventQueue,
    WsClient,
    WsClientOptions,
    WsStats,
    WsSubscriptionTracker,
)

__all__ = [
    "DEFAULT_WS_URL",
    "EVENTS",
    "Alert",
    "ClientState",
    "Crossing",
    "EToroAuthError",
    "EToroClosedError",
    "EToroError",
    "EToroKeyError",
    "EToroOrderError",
    "EToroQueueOverflowError",
    "EToroSubscriptionError",
    "EToroTimeoutError",
    "EToroTypeError",
    "EToroValidationError",
    "EToroWebSocketError",
    "EventQueue",
    "Feed",
    "MarketStream",
    "OrderStatus",
    "OrderType",
    "OrderUpdates",
    "WsClient",
    "WsClientOptions",
    "WsEnvelope",
    "WsGap",
    "WsInstrumentDelta",
    "WsInstrumentRate",
    "WsMessage",
    "WsPrivateEvent",
    "WsStats",
    "WsSubscriptionTracker",
    "__version__",
]
