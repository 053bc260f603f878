"""One connection to eToro for many processes and machines, through Redis (extra ``redis``).

::

    publisher     Publisher, as users hold it
    publishing    what its thread does: stand by, or write
    intake        what it has read of the stream
    cold          connects the stream only while the publisher has the lease
    held          the orders that may still have to be written
    lease         which of several publishers may write
    writer        batches; and what another engine would have to do
    scripts       what runs inside Redis
    connection    an URL becomes a client of redis-py, and its errors become ours
    keys          the names in Redis
    rows          what stands there: rates as JSON, and back
    order_rows    likewise order events, and when two are the same
    event_rows    likewise what a connection goes through
    parsing       what these share: strict JSON, checks of types, one kind of error

Nothing here is loaded by ``import etoro_sync``.
"""

from ..extras import advice

try:
    import redis  # noqa: F401  # checked here, for one clear message
except ImportError as exc:
    raise ImportError(f"Redis needs an extra: {advice('redis', 'redis')}", name=exc.name) from exc

from .publisher import Publisher, PublisherStats

__all__ = ["Publisher", "PublisherStats"]
