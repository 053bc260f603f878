"""etoro_sync: eToro's prices and order events, streamed into ordinary threaded Python.

::

    from etoro_sync import WsClient

    with WsClient() as client:                       # keys from ETORO_API_KEY, ETORO_USER_KEY
        for instrument_id, rate in client.stream([100000]):
            print(instrument_id, rate.bid, rate.ask)
"""

from typing import TYPE_CHECKING, Any

from ._version import __version__
from .errors import (
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroInstrumentError,
    EToroKeyError,
    EToroOrderError,
    EToroQueueOverflowError,
    EToroRestError,
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
from .stream import (
    Alert,
    Crossing,
    Expectation,
    Feed,
    MarketStream,
    OrderUpdates,
    RateStream,
)
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

if TYPE_CHECKING:
    from .instruments import Instrument, Instruments

__all__ = [
    "DEFAULT_WS_URL",
    "EVENTS",
    "Alert",
    "ClientState",
    "Crossing",
    "EToroAuthError",
    "EToroClosedError",
    "EToroError",
    "EToroInstrumentError",
    "EToroKeyError",
    "EToroOrderError",
    "EToroQueueOverflowError",
    "EToroRestError",
    "EToroSubscriptionError",
    "EToroTimeoutError",
    "EToroTypeError",
    "EToroValidationError",
    "EToroWebSocketError",
    "EventQueue",
    "Expectation",
    "Feed",
    "Instrument",
    "Instruments",
    "MarketStream",
    "OrderStatus",
    "OrderType",
    "OrderUpdates",
    "RateStream",
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

#: Name -> the module that it is loaded from when somebody asks for it.
_LATE = {"Instrument": "instruments", "Instruments": "instruments"}


def __getattr__(name: str) -> Any:
    """Load what most programs do without."""
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
