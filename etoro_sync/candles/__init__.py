"""Candles of a stream: bars of fixed intervals, by the time at which eToro made the prices."""

from .bar import Bar
from .candles import Candles, CandleStats
from .frames import to_frame, to_polars

__all__ = ["Bar", "CandleStats", "Candles", "to_frame", "to_polars"]
