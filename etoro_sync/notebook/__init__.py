"""The live table of a notebook (extra ``jupyter``): what ``client.live()`` returns."""

from .contents import Contents, Glance
from .live_table import LiveTable
from .names import Names

__all__ = ["Contents", "Glance", "LiveTable", "Names"]
