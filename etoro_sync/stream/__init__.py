"""What reads a stream, whatever its source is."""

from .feed import Feed
from .market_stream import MarketStream
from .orders import OrderUpdates

__all__ = ["Feed", "MarketStream", "OrderUpdates"]
