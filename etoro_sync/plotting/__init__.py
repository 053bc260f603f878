"""Pictures of recordings and candles, with matplotlib (extra ``plot``).

::

    plot --> drawing       axes, steps, breaks and shades
     |-----> history       what a recording says of each instrument
     `-----> files         written aside, and renamed
    bars                   candlesticks
"""

from .bars import plot_bars
from .plot import plot

__all__ = ["plot", "plot_bars"]
