"""One consumer of a group: finds the next order to be handled, and acknowledges it."""

import contextlib
import logging
from collections import OrderedDict

from ... import clocks
from ...errors import EToroRedisError, EToroValidationError
from ...logs import log
from ...text import repeated
from ...throttle import LogThrottle
from ..connection import Address
from ..layout.keys import Keys
from .commands import Claim, Delivery, GroupCommands, decoded
from .records import GroupOrder
from .retries import Retries
from .trimming import Trimmer

__all__ = ["Consumer"]

#: Seconds that one command waits for a new order; a stop takes as long at most.
_BLOCK = 0.5
#: Seconds between two searches for orders that others have left.
_CLAIM_PERIOD = 1.0
#: Of how many handled orders the digests are remembered, and for how many seconds: as long as
#: publishers know what they have written.
_REMEMBERED, _LONGEST = 10_000, 86_400.0


class Consumer:
    """Takes orders for one program. One thread at a time; others read the counters.

    :param address: of Redis.
    :param keys: of the feed.
    :param group: the group's name.
    :param name: the consumer's.
    :param redeliver_after: seconds after which what is not acknowledged is delivered again.
    :param attempts: how many deliveries an order has.
    :param begin: where a group begins of which nothing is known, in the words of Redis.
    :param retries: repeats what Redis could not do.
    """

    def __init__(
        self,
        address: Address,
        keys: Keys,
        group: str,
        name: str,
        redeliver_after: float,
        attempts: int,
        begin: str,
        retries: Retries,
    ) -> None:
        self._keys = keys
        self._group = group
        self._redeliver_after = redeliver_after
        self._attempts = attempts
        self._begin = begin
        self._retries = retries
        self._commands = GroupCommands(address, keys, group, name)
        self._trimmer = Trimmer(address, keys, self._commands.client)
        self._throttle = LogThrottle()
        self._claim_at = float("-inf")
        # Digests of orders that were handled here: when Redis has lost what it had seen, a
        # publisher may write one again. The oldest is forgotten first.
        self._done: OrderedDict[str, float] = OrderedDict()
        self._is_open = False
        self.handled = self.redelivered = self.repeated = self.set_aside = self.lost = 0

    def open(self) -> None:
        """Connect, and make the group unless it is there.

        :raises EToroRedisError: when Redis cannot be reached, or refuses.
        """
        if not self._is_open:
            self._commands.ensure(self._begin)
            self._is_open = True

    def next(self, timeout: float | None) -> GroupOrder | None:
        """Return the next order; None: the time is up, or it was stopped.

        :raises EToroRedisError: when Redis cannot be used at the beginning, or in all of the time.
        """
        self.open()
        deadline = None if timeout is None else clocks.monotonic() + timeout
        while not self._retries.stopped:
            delivery = self._retries.call(lambda: self._look(deadline), deadline)
            order = None if delivery is None else self._order_of(delivery)
            if order is not None:
                return order
            if deadline is not None and clocks.monotonic() >= deadline:
                return None
        return None

    def _look(self, deadline: float | None) -> Delivery | None:
        """Return what is to be handled next, after a short wait at most.

        :raises EToroRedisError: when Redis cannot be used.
        """
        try:
            self._trimmer.run_if_due()
            now = clocks.monotonic()
            if now >= self._claim_at:
                claim = self._commands.claim(self._redeliver_after, self._attempts)
                if claim.kind != "none":
                    return self._claimed(claim)
                self._claim_at = now + min(_CLAIM_PERIOD, self._redeliver_after)
            left = _BLOCK if deadline is None else min(deadline - now, _BLOCK)
            return self._commands.read(max(min(left, self._claim_at - now), 0.0))
        except EToroRedisError as exc:
            if not _is_lost(exc):
                raise
            self._make_anew()
            return None

    def _make_anew(self) -> None:
        if self._commands.ensure(self._begin):
            position = self._commands.position
            where = f"behind {position}, up to which all was acknowledged"
            log(
                logging.WARNING,
                "The group %s was missing in %s, and was made anew %s. Some orders may come twice.",
                self._group,
                self._keys.orders,
                where if position != "0-0" else "with all orders that are there",
            )

    def _claimed(self, claim: Claim) -> Delivery | None:
        """Return an order that nobody has acknowledged in time, if it is to be handled."""
        delivery = claim.delivery
        if claim.kind == "order" or delivery is None:
            return delivery
        if claim.kind == "dead":
            self.set_aside += 1
            log(
                logging.ERROR,
                "The order event %s of %s was set aside: it was delivered to the group %s %d "
                "times, and never acknowledged. OrderGroup.set_aside() returns it.",
                delivery.id,
                self._keys.orders,
                self._group,
                delivery.attempt,
            )
        else:
            self.lost += 1
            log(
                logging.ERROR,
                "The order event %s of %s was removed before the group %s had acknowledged it. "
                "Ask eToro's REST API for the orders of that time.",
                delivery.id,
                self._keys.orders,
                self._group,
            )
        return None

    def _order_of(self, delivery: Delivery) -> GroupOrder | None:
        """Return an order as users get it; None: it is not for them."""
        self.redelivered += delivery.attempt > 1
        try:
            event = decoded(delivery, self._keys)
        except EToroValidationError as exc:
            self._retries.call(lambda: self._commands.set_aside(delivery, "unreadable"))
            self.set_aside += 1
            log(
                logging.ERROR,
                "An order event was set aside, because it cannot be read: %s "
                "OrderGroup.set_aside() returns it.",
                exc,
            )
            return None
        handled_at = self._done.get(delivery.digest)
        if handled_at is not None and clocks.uptime() - handled_at < _LONGEST:
            self.repeated += 1
            self._retries.call(lambda: self._commands.acknowledge(delivery.id))
            return None
        return GroupOrder(delivery.id, event, delivery.attempt, delivery.digest)

    def acknowledge(self, order: GroupOrder, seconds: float) -> None:
        """Note that an order was handled. If Redis is away, wait for it, or for :meth:`stop`."""
        self.handled += 1
        self._done[order.digest] = clocks.uptime()
        self._done.move_to_end(order.digest)
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        if seconds > self._redeliver_after:
            self._warn_slow(order, seconds)
        if self._retries.call(lambda: self._commands.acknowledge(order.id)) is None:
            log(
                logging.WARNING,
                "The order event %s was handled, and could not be acknowledged before the group "
                "was stopped: it will be delivered again.",
                order.id,
            )

    def _warn_slow(self, order: GroupOrder, seconds: float) -> None:
        omitted = self._throttle.passes("slow")
        if omitted is not None:
            log(
                logging.WARNING,
                "Handling the order event %s took %.1f s, and it may have been delivered again "
                "meanwhile: make redeliver_after longer than %g s.%s",
                order.id,
                seconds,
                self._redeliver_after,
                repeated(omitted),
            )

    def close(self) -> None:
        """Close the connection, and take the consumer off the group if it holds no order."""
        if self._is_open and self._retries.failure is None:
            # Only tidying: a consumer that stays is forgotten after an hour.
            with contextlib.suppress(EToroRedisError):
                self._commands.leave()
        self._commands.close()


def _is_lost(exc: EToroRedisError) -> bool:
    """Whether the group or its stream is missing. Below 7, errors in scripts begin otherwise."""
    return exc.error_code in ("NOGROUP", "UNBLOCKED") or "NOGROUP" in str(exc)
