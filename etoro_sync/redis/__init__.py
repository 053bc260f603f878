"""One connection to eToro for many processes and machines, through Redis (extra ``redis``).

::

    client        RedisClient, as users hold it
    reading       what its thread does: the state of a moment, then what follows it
    moment        how far a feed is, and its last rates
    entries       what stands in the streams, in the order in which it was written
    generations   the publisher's connections, as a subscriber counts them
    freshness     whether prices are fresh, and since when messages may be missing
    line          one connection, which another thread may cut
    publisher     Publisher, as users hold it
    publishing    what its thread does: stand by, or write
    intake        what it has read of the stream
    cold          connects the stream only while the publisher has the lease
    held          the orders that may still have to be written
    occurrences   which order events are new, and which have come before
    lease         which of several publishers may write
    engine        what a publisher needs of Redis, or of another engine in its place
    redis_engine  Redis as that
    writer        writes batches
    scripts       what runs inside Redis
    connection    an URL becomes a client of redis-py, and its errors become ours
    keys          the names in Redis
    rows          what stands there: rates as JSON, and back
    order_rows    likewise order events, and when two are the same
    event_rows    likewise what a connection goes through
    order_group   orders for several programs that share the work; consumer, group_commands,
                  order_scripts, trimming and retries are below it, and group_records beside it
    parsing       what these share: strict JSON, checks of types, one kind of error

Nothing here is loaded by ``import etoro_sync``.
"""

from ..extras import advice

try:
    import redis  # noqa: F401  # checked here, for one clear message
except ImportError as exc:
    raise ImportError(f"Redis needs an extra: {advice('redis', 'redis')}", name=exc.name) from exc

from .client import RedisClient
from .order_group import GroupOrder, GroupStats, OrderGroup
from .publisher import Publisher, PublisherStats

__all__ = [
    "GroupOrder",
    "GroupStats",
    "OrderGroup",
    "Publisher",
    "PublisherStats",
    "RedisClient",
]
