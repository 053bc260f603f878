"""Which of several publishers may write."""

import uuid
from typing import TYPE_CHECKING

from ..._version import __version__
from ...errors import EToroRedisError
from ...text import show
from ..connection import Address
from ..layout.keys import VERSION, Keys
from .scripts import ACQUIRE, RELEASE

if TYPE_CHECKING:
    import redis

__all__ = ["Lease"]


class Lease:
    """The right to write a feed, for some seconds, which each write renews.

    What keeps two writers apart is the epoch, not the time: a write of an older epoch is refused.
    So a process that was stopped for long, or whose clock is wrong, harms nothing.

    Owned by one publisher; its thread alone may use it.

    :param client: for Redis.
    :param address: of it, for errors.
    :param keys: of the feed.
    :param seconds: how long it lasts after the last write.
    :ivar token: tells this publisher from others.
    :ivar epoch: the number with which this publisher may write, or the last such; 0: none yet.
    :ivar held: whether this publisher may write, as far as it knows.
    """

    def __init__(self, client: "redis.Redis", address: Address, keys: Keys, seconds: float) -> None:
        self._client = client
        self._address = address
        self._keys = keys
        self.seconds = seconds
        self.token = uuid.uuid4().hex
        self.epoch = 0
        self.held = False

    @property
    def milliseconds(self) -> int:
        """How long it lasts after the last write."""
        return max(int(self.seconds * 1000), 1)

    def acquire(self) -> float | None:
        """Take the lease with a new epoch, if no other publisher has it.

        :returns: None: this publisher has it now; else in how many seconds to ask again.
        :raises EToroRedisError: when Redis is away, refuses, or has another layout.
        """
        with self._address.calling():
            args = (self.token, self.milliseconds, self.epoch + 1, __version__)
            answer = ACQUIRE.run(self._client, self._keys, args)
        status, value = answer
        if status == b"OK":
            self.epoch, self.held = int(value), True
            return None
        if status == b"TAKEN":
            # Asked now and then, too, since the other one may give it up.
            left = int(value) / 1000 if value >= 0 else self.seconds
            return min(left + 0.005, self.seconds / 4)
        raise EToroRedisError(
            f"The feed {self._keys.feed!r} has version {show(value)} of the layout, and this "
            f"version of the library writes version {VERSION}. Update it, or use another feed.",
            "VERSION",
        )

    def release(self) -> None:
        """Give the lease up, so that another publisher need not wait until it expires.

        :raises EToroRedisError: when Redis is away or refuses; it expires by itself.
        """
        if self.held:
            self.held = False
            with self._address.calling():
                RELEASE.run(self._client, self._keys, (self.token,))
