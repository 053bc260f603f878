"""Order events in an SQLite file, so that a crash of the program loses none that was stored.

::

    order_store --> writer --> database --> rows    writes what the inbox has kept
        |             `-----> inbox                 keeps it, on the threads of the streams
        |---------------> database --> opening      acknowledges, and reads what is in the file
        `--> pending                                the loop over what was not acknowledged
"""

from .order_store import OrderStore, StoreStats
from .rows import StoredEvent

__all__ = ["OrderStore", "StoreStats", "StoredEvent"]
