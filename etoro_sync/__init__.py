"""eToro's prices and order events, streamed into ordinary threaded Python.

::

    from etoro_sync import WsClient

    with WsClient() as client:                       # keys from ETORO_API_KEY, ETORO_USER_KEY
        for instrument_id, rate in client.stream([100000]):
            print(instrument_id, rate.bid, rate.ask)

Each name below has its own help, such as ``help(etoro_sync.WsClient)`` with all methods, or
``help(etoro_sync.WsClient.stream)`` with one.

To begin with:

    WsClient             a connection to eToro: callbacks, queues, loops, the latest prices
    WsFleet              as many connections as the topics need, used as one client
    WsClientOptions      its keys, address, timeouts, proxy and TLS
    Instruments          finds the id of a symbol, and the name of an id
    Candles              bars of a stream: open, high, low, close of each minute, hour, ...

What you read:

    WsInstrumentRate     the complete state of one instrument: bid, ask, and more
    WsPrivateEvent       an order was placed, filled, refused, ...
    WsGap                a time in which nothing was received
    WsInstrumentDelta    one market message as eToro sent it
    WsMessage            a message of an unknown topic or type, as sent
    WsEnvelope           a data frame, as sent
    OrderStatus          FILLED, REJECTED, ...: the values of WsPrivateEvent.status
    OrderType            the values of WsPrivateEvent.order_type_name
    Crossing             a price has crossed the threshold of an alert
    Bar                  one bar of Candles
    CandleStats          counters of Candles
    Instrument           an instrument's id, which is an int, with its symbol and name
    EVENTS               the names of all events, and the arguments of their handlers

What methods of the client return:

    EventQueue           of queue(): events wait in it until you take them
    RateStream           of stream(): a loop over rates
    Expectation          of expect(): waits for an event that a block of code causes
    OrderUpdates         of order_updates(): the events of one order
    Alert                of alert(): calls a function when a price crosses a threshold
    WsStats              of stats(): counters and ages
    Recorder             of record(): writes all that comes to files
    RecorderStats        of stats() of a Recorder
    FleetConnection      of connections of a WsFleet: its generation, state and topics
    ClientState          of state: LIVE, RECONNECTING, FAILED, ...

Errors, all of which are an EToroError:

    EToroAuthError             the keys are missing, unreadable, rejected or not answered
    EToroInstrumentError       a symbol or id has no instrument, or several
    EToroKeyError              there is no rate of that instrument
    EToroOrderError            an order was rejected, or has expired
    EToroRedisError            Redis cannot be reached, or has refused something
    EToroRestError             a request to eToro's REST API failed
    EToroTypeError             an object cannot be copied or pickled
    EToroValidationError       an argument or a message has a wrong value
    EToroWebSocketError        the connection or a request failed; base of the next four
    EToroSubscriptionError     eToro refused topics
    EToroTimeoutError          an answer did not come in time
    EToroClosedError           the client or the queue is closed
    EToroQueueOverflowError    a consumer was too slow and items were lost

For order events that must not be lost:

    OrderStore               keeps them in a file, and brings each until it is acknowledged
    StoredEvent              one of them, with its number
    StoreStats               of stats() of an OrderStore

For other sources than a connection, and for programs that were written for etoropy:

    Replay                   plays a recording
    Recording                a recording as tables: pandas, polars, Parquet, CSV, JSON lines
    recover                  repairs a recording that was torn or damaged
    Recovered                of recover(): what became of one file
    MarketStream             what WsClient and any other source have in common
    Feed                     takes the messages of a source of your own
    DEFAULT_WS_URL           the address of eToro's stream
    WsSubscriptionTracker    a set of topics, as in etoropy

Without code: ``etoro-sync demo`` in a terminal. The README and docs/ have the rest.
"""

import sys
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
    EToroRedisError,
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
    from .candles import Bar, Candles, CandleStats
    from .fleet import FleetConnection, WsFleet
    from .instruments import Instrument, Instruments
    from .recording import Recorder, RecorderStats, Recovered, recover
    from .replay import Replay
    from .store import OrderStore, StoredEvent, StoreStats
    from .tables import Recording

__all__ = [
    "DEFAULT_WS_URL",
    "EVENTS",
    "Alert",
    "Bar",
    "CandleStats",
    "Candles",
    "ClientState",
    "Crossing",
    "EToroAuthError",
    "EToroClosedError",
    "EToroError",
    "EToroInstrumentError",
    "EToroKeyError",
    "EToroOrderError",
    "EToroQueueOverflowError",
    "EToroRedisError",
    "EToroRestError",
    "EToroSubscriptionError",
    "EToroTimeoutError",
    "EToroTypeError",
    "EToroValidationError",
    "EToroWebSocketError",
    "EventQueue",
    "Expectation",
    "Feed",
    "FleetConnection",
    "Instrument",
    "Instruments",
    "MarketStream",
    "OrderStatus",
    "OrderStore",
    "OrderType",
    "OrderUpdates",
    "RateStream",
    "Recorder",
    "RecorderStats",
    "Recording",
    "Recovered",
    "Replay",
    "StoreStats",
    "StoredEvent",
    "WsClient",
    "WsClientOptions",
    "WsEnvelope",
    "WsFleet",
    "WsGap",
    "WsInstrumentDelta",
    "WsInstrumentRate",
    "WsMessage",
    "WsPrivateEvent",
    "WsStats",
    "WsSubscriptionTracker",
    "__version__",
    "recover",
]

#: Name -> the module that it is loaded from when somebody asks for it.
_LATE = {
    "Bar": "candles",
    "CandleStats": "candles",
    "Candles": "candles",
    "FleetConnection": "fleet",
    "Instrument": "instruments",
    "Instruments": "instruments",
    "Recorder": "recording",
    "RecorderStats": "recording",
    "Recording": "tables",
    "Recovered": "recording",
    "recover": "recording",
    "Replay": "replay",
    "OrderStore": "store",
    "StoreStats": "store",
    "StoredEvent": "store",
    "WsFleet": "fleet",
}


def __getattr__(name: str) -> Any:
    """Load what most programs do without."""
    module = _LATE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    if _is_asked_for_help():
        # help() writes out every class that it finds, 4,600 lines in all. The docstring has one
        # line for each.
        return ["DEFAULT_WS_URL", "EVENTS"]
    return sorted({*globals(), *_LATE})


def _is_asked_for_help() -> bool:
    # pydoc has no other way to be told, and its module has two names: __main__ for python -m pydoc.
    frame = sys._getframe(1).f_back
    while frame is not None and frame.f_globals.get("__name__") == "inspect":
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "docmodule"
