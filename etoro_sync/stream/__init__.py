"""The class that reads a stream of any source, and what such a source writes to."""

from .feed import Feed
from .market_stream import MarketStream

__all__ = ["Feed", "MarketStream"]
