"""Redis as the engine of a publisher."""

import logging
from collections.abc import Callable

from ...errors import EToroRedisError
from ...logs import log
from ...throttle import LogThrottle
from ..connection import Address
from ..groups.trimming import Trimmer
from ..layout.keys import Keys
from .lease import Lease
from .writer import RedisWriter

__all__ = ["RedisEngine"]


class RedisEngine:
    """As :class:`~etoro_sync.redis.publishing.engine.Engine`.

    :param address: of Redis.
    :param keys: of the feed.
    :param seconds: of the lease.
    :param stream_bytes: as :class:`RedisWriter`.
    :param redact: removes eToro's keys from text.
    """

    def __init__(
        self,
        address: Address,
        keys: Keys,
        seconds: float,
        stream_bytes: int,
        redact: Callable[[str], str],
    ) -> None:
        self._address = address
        self._client = address.client(min(max(seconds / 2, 0.25), 2.0))
        self.lease = Lease(self._client, address, keys, seconds)
        self.writer = RedisWriter(self._client, address, keys, self.lease, stream_bytes, redact)
        self._trimmer = Trimmer(address, keys, self._client)
        self._throttle = LogThrottle(3600.0)

    def __str__(self) -> str:
        return str(self._address)

    def tidy(self) -> None:
        """Remove old orders now and then; without the right to, go on."""
        try:
            self._trimmer.run_if_due()
        except EToroRedisError as exc:
            if self._throttle.passes("trim") is not None:
                log(logging.WARNING, "Old order events are not removed: %s", exc)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
