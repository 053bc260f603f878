"""One connection to eToro for many processes and machines, through Redis (extra ``redis``).

::

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

__all__: list[str] = []
