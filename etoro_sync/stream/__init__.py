"""What reads a stream, whatever its source is."""

from .feed import Feed
from .market_stream import MarketStream

__all__ = ["Feed", "MarketStream"]
