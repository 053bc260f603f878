"""Hands on :class:`MarketStream`; type checkers read ``typed_stream.pyi`` instead of this file."""

from .market_stream import MarketStream

__all__ = ["MarketStream"]
