"""What reads a stream, whatever its source is."""

from .market_stream import MarketStream

__all__ = ["MarketStream"]
