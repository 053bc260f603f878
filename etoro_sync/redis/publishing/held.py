"""The order events that may still have to be written. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from ...models import WsPrivateEvent
from ..layout.order_rows import parted, subject_of
from .engine import Order, Past
from .occurrences import Occurrences

__all__ = ["HeldOrders"]

#: The most orders that wait to be written.
_MOST = 100_000
#: Seconds for which a written order is kept: a Redis that is killed may lose the last second.
_KEPT = 10.0
#: Seconds for which an order is kept that Redis is known not to have. Much less than the day for
#: which it knows what is written.
_LONGEST = 3600.0


class HeldOrders:
    """Orders by digest, in the order in which they came, until they are known to be in Redis.

    An active publisher gets that from its writes, a standby asks; so no clock decides what is kept,
    and an order that the active one has not received is written by the standby once it takes over.
    """

    def __init__(self) -> None:
        self._occurrences = Occurrences()
        # Digest -> the order, and when Redis was first asked for it; None: it was not.
        self._waiting: OrderedDict[str, tuple[Order, float | None]] = OrderedDict()
        # Likewise of those that are written, and when that was known.
        self._written: OrderedDict[str, tuple[Order, float]] = OrderedDict()
        #: Orders that were given up, because too many waited or they waited for too long.
        self.lost = 0

    def learn(self, past: Iterable[Past]) -> None:
        """Note which orders are in Redis, the oldest first, before this publisher adds any.

        What waits since before is numbered anew.
        """
        self._occurrences = Occurrences()
        for each in past:
            self._occurrences.learn(each.subject, each.digest, each.message_id)
        waiting, self._waiting = self._waiting, OrderedDict()
        for order, _ in waiting.values():
            self._add(order)

    def add(self, event: WsPrivateEvent, redact: Callable[[str], str]) -> Order | None:
        """Keep an order; None: it is known already.

        :param redact: removes the keys from text.
        """
        return self._add(Order.of(event, redact))

    def _add(self, order: Order) -> Order | None:
        content, _ = parted(order.digest)
        digest = self._occurrences.digest(subject_of(order.text), content, order.message_id)
        if digest is None:
            return None
        order = order._replace(digest=digest)
        self._waiting[digest] = order, None
        if len(self._waiting) > _MOST:
            self._waiting.popitem(last=False)
            self.lost += 1
        return order

    def confirm(self, digests: Iterable[str], now: float) -> None:
        """Note that orders are in Redis.

        :param now: the time, in seconds.
        """
        for digest in digests:
            found = self._waiting.pop(digest, None)
            if found is not None:
                self._written[digest] = found[0], now
        while self._written and now - next(iter(self._written.values()))[1] > _KEPT:
            self._written.popitem(last=False)

    def first(self, most: int) -> list[str]:
        """Return the digests of the first orders that may not be in Redis."""
        return [digest for digest, _ in zip(self._waiting, range(most), strict=False)]

    def missing(self, digests: Iterable[str], now: float) -> None:
        """Note that orders are not in Redis; what has long been missing is given up."""
        for digest in digests:
            order, asked = self._waiting[digest]
            if asked is not None and now - asked > _LONGEST:
                del self._waiting[digest]
                self.lost += 1
            elif asked is None:
                self._waiting[digest] = order, now

    def all(self) -> list[Order]:
        """Return all orders, for a new epoch: Redis leaves out those that it has."""
        return [order for order, _ in (*self._written.values(), *self._waiting.values())]

    def __len__(self) -> int:
        """How many may not be in Redis."""
        return len(self._waiting)
