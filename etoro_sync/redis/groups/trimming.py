"""Old orders are removed from Redis now and then, and many unacknowledged ones are warned of."""

import logging
from typing import TYPE_CHECKING, NamedTuple

from ... import clocks
from ...logs import log
from ...text import count
from ...throttle import LogThrottle
from ..connection import Address
from ..layout.keys import Keys
from .order_scripts import TRIM

if TYPE_CHECKING:
    import redis

__all__ = ["KEEP_SECONDS", "LIMIT", "Trimmed", "Trimmer"]

#: The most orders that Redis keeps, acknowledged or not: about 1 GB.
LIMIT = 1_000_000
#: Seconds for which orders are kept at least, unless they are too many.
KEEP_SECONDS = 86_400.0
#: Seconds between two removals.
_PERIOD = 60.0
#: Seconds after which a consumer of which nothing is heard is forgotten, if it holds nothing.
_GONE_SECONDS = 3600.0


class Trimmed(NamedTuple):
    """What a removal of old orders has left.

    :param length: how many orders are in Redis.
    :param lost: how many were removed now before all groups had acknowledged them.
    :param group: the group that is furthest behind; ``""``: there is none.
    :param behind: how many orders it has not acknowledged, at most.
    :param dead: how many orders groups have set aside.
    """

    length: int
    lost: int
    group: str
    behind: int
    dead: int


class Trimmer:
    """Removes orders that are old and acknowledged by all groups, and whatever is too much.

    Each consumer and each publisher has one; who is first in a minute has something to do. One
    thread.

    :param address: of Redis.
    :param keys: of the feed.
    :param client: to use.
    :param limit: the most orders.
    :param keep: seconds for which acknowledged orders stay.
    """

    def __init__(
        self,
        address: Address,
        keys: Keys,
        client: "redis.Redis",
        limit: int = LIMIT,
        keep: float = KEEP_SECONDS,
    ) -> None:
        self._address = address
        self._keys = keys
        self._limit = limit
        self._keep = keep
        self._script = client.register_script(TRIM)
        self._throttle = LogThrottle(3600.0)
        self._due_at = float("-inf")

    def run_if_due(self) -> None:
        """Run once a minute.

        :raises EToroRedisError: then the next attempt is a minute later.
        """
        now = clocks.monotonic()
        if now >= self._due_at:
            self._due_at = now + _PERIOD
            self.run()

    def run(self) -> Trimmed:
        """Remove what is to be removed, and log what is wrong; warnings once an hour.

        :raises EToroRedisError: when Redis refuses, or does not answer.
        """
        keys = [self._keys.orders, self._keys.groups, self._keys.dead]
        arguments = [self._limit, int(self._keep * 1000), int(_GONE_SECONDS * 1000)]
        with self._address.calling():
            length, lost, group, behind, dead = self._script(keys=keys, args=arguments)
        found = Trimmed(int(length), int(lost), group.decode(), int(behind), int(dead))
        if found.lost:
            log(
                logging.ERROR,
                "About %d order events were removed from %s before the group %s had acknowledged "
                "them, because there were more than %d. Ask eToro's REST API for these orders, "
                "and start consumers of the group, or remove it.",
                found.lost,
                self._keys.orders,
                found.group,
                self._limit,
            )
        elif found.group and found.behind >= self._limit / 2:
            self._warn(
                found.group,
                f"The group {found.group} has not acknowledged up to {found.behind} order events "
                f"of {self._keys.orders}. The oldest are lost when there are {self._limit}: start "
                "consumers of the group, or remove it.",
            )
        if found.dead:
            self._warn(
                self._keys.dead,
                f"{count(found.dead, 'order event')} of groups are set aside in {self._keys.dead}. "
                "Handle them by OrderGroup.set_aside(), and forget() them.",
            )
        return found

    def _warn(self, kind: str, text: str) -> None:
        if self._throttle.passes(kind) is not None:
            log(logging.WARNING, "%s", text)
