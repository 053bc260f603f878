"""The class that reads a stream of any source, and what such a source writes to."""

from .alerts import Alert, Crossing
from .feed import Feed
from .market_stream import MarketStream
from .orders import OrderUpdates
from .reading import Expectation, RateStream

__all__ = [
    "Alert",
    "Crossing",
    "Expectation",
    "Feed",
    "MarketStream",
    "OrderUpdates",
    "RateStream",
]
