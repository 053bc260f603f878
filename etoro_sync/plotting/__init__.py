"""Pictures of recordings, with matplotlib (extra ``plot``).

::

    plot --> drawing       axes, steps, breaks and shades
     `-----> history       what a recording says of each instrument
"""

from .plot import plot

__all__ = ["plot"]
