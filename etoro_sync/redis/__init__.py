"""One connection to eToro for many processes and machines, through Redis (extra ``redis``).

::

    connection   an URL becomes a client of redis-py, and its errors become ours
    layout       what stands in Redis: names, rates, orders and events, and back
    groups       OrderGroup: order events for several programs that share the work
    publishing   Publisher: writes what a stream brings
    subscribing  RedisClient: reads it as a stream
    doctor       whether a Redis can carry a feed, and whether the feed is well

Nothing here is loaded by ``import etoro_sync``.
"""

from ..extras import advice

try:
    import redis  # noqa: F401  # checked here, for one clear message
except ImportError as exc:
    raise ImportError(f"Redis needs an extra: {advice('redis', 'redis')}", name=exc.name) from exc

from .groups.order_group import GroupOrder, GroupStats, OrderGroup
from .publishing.publisher import Publisher, PublisherStats
from .subscribing.client import RedisClient

__all__ = [
    "GroupOrder",
    "GroupStats",
    "OrderGroup",
    "Publisher",
    "PublisherStats",
    "RedisClient",
]
