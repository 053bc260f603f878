"""Candles of a stream: bars of fixed intervals, by the time at which eToro made the prices."""

from .bar import Bar
from .bar_table import to_frame, to_polars
from .candles import Candles, CandleStats

__all__ = ["Bar", "CandleStats", "Candles", "to_frame", "to_polars"]
