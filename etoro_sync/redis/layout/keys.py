"""The names in Redis of one feed. Pure."""

import re
from dataclasses import dataclass, field
from typing import Any

from ...errors import EToroValidationError
from ...text import show

__all__ = ["DEFAULT_FEED", "VERSION", "Keys", "check_feed"]

#: Of the layout. A reader refuses any other.
VERSION = 1
DEFAULT_FEED = "main"
_FEED = re.compile("[A-Za-z0-9_-]{1,64}")


def check_feed(feed: Any) -> str:
    """Return the name of a feed.

    :raises EToroValidationError: unless it has letters, digits, ``-`` and ``_`` only.
    """
    if isinstance(feed, str) and _FEED.fullmatch(feed):
        return str.__str__(feed)
    raise EToroValidationError(
        "feed must be a name of up to 64 letters, digits, - and _, such as 'main', not "
        f"{show(feed, 60)}.",
        "feed",
    )


@dataclass(frozen=True)
class Keys:
    """The keys of a feed.

    The braces are part of each name: a cluster keeps what has the same text in them in one place,
    so that one script may write all of it.

    :param feed: its name.
    :ivar lease: the token of the publisher that may write; it expires.
    :ivar epoch: a number that rises each time another publisher may write, or what was written is
        not all there any more.
    :ivar rates: a stream of rates, up to 256 in one entry.
    :ivar last: a hash: instrument id -> epoch, number and row of its last rate.
    :ivar orders: a stream of order events.
    :ivar events: a stream of what the publisher's connection goes through.
    :ivar seen: a sorted set of the digests of the last day's orders, by time in milliseconds.
    :ivar groups: a hash: consumer group -> the id up to which all orders are acknowledged.
    :ivar meta: a hash of the layout's version, and of how far the publisher has written.
    :ivar dead: a stream of orders that consumer groups have set aside.
    """

    feed: str
    lease: str = field(init=False)
    epoch: str = field(init=False)
    rates: str = field(init=False)
    last: str = field(init=False)
    orders: str = field(init=False)
    events: str = field(init=False)
    seen: str = field(init=False)
    groups: str = field(init=False)
    meta: str = field(init=False)
    dead: str = field(init=False)

    def __post_init__(self) -> None:
        feed = check_feed(self.feed)
        for name in _NAMES:
            object.__setattr__(self, name, f"etoro-sync:{{{feed}}}:{name}")

    def all(self) -> tuple[str, ...]:
        """Return all of them, in the order of their declaration."""
        return tuple(getattr(self, name) for name in _NAMES)


_NAMES = ("lease", "epoch", "rates", "last", "orders", "events", "seen", "groups", "meta", "dead")
