"""The class that reads a stream of any source, and what such a source writes to."""

from .alerts import Alert, Crossing
from .feed import Feed
from .orders import OrderUpdates
from .reading import Expectation, RateStream
from .typed_stream import MarketStream

__all__ = [
    "Alert",
    "Crossing",
    "Expectation",
    "Feed",
    "MarketStream",
    "OrderUpdates",
    "RateStream",
]
