"""Order events for several programs that share the work: each is handled at least once."""

import contextlib
import logging
from collections.abc import Callable, Iterator

from ... import clocks
from ...closeable import Closeable
from ...errors import EToroValidationError
from ...events import check_timeout
from ...logs import log, name_of
from ...models import WsPrivateEvent
from ...synchronization import ProcessGuard
from ..connection import Address
from ..layout.keys import DEFAULT_FEED, Keys
from .commands import Delivery, GroupCommands, decoded
from .consumer import Consumer
from .records import (
    GroupOrder,
    GroupStats,
    check_attempts,
    check_begin,
    check_name,
    check_seconds,
    own_name,
)
from .retries import Retries

__all__ = ["GroupOrder", "GroupStats", "OrderGroup"]


class OrderGroup(Closeable):
    """One consumer of a group: each order event of a feed is delivered to one of its consumers.

    ::

        with OrderGroup("redis://localhost", "booking") as group:
            for order in group:
                book(order.event)

    An order is acknowledged when the loop comes back for the next one, or when the handler of
    :meth:`run` has returned; never before. One that is not acknowledged ``redeliver_after`` seconds
    after its delivery is delivered again, to whichever consumer is free, within another second:
    after a kill, a ``break``, an exception. So each order is delivered at least once, and sometimes
    twice. When Redis cannot be used, a consumer logs it and goes on when it can.

    One thread iterates; :meth:`stop` and :meth:`stats` may be called from any. Each group gets
    every order.

    :param url: of Redis.
    :param group: the group's name: letters, digits, ``-``, ``_`` and ``.``.
    :param consumer: the consumer's, likewise; None: a name that no other one has.
    :param feed: the publisher's feed.
    :param redeliver_after: seconds; longer than handling an order ever takes.
    :param attempts: how many deliveries an order has, before it is set aside.
    :param begin: where a group begins that Redis does not know: ``"kept"``: with all orders that
        it has, at least those of the last day; ``"now"``: with those that come from now on.
    :raises EToroValidationError: naming the argument.
    """

    _no_copies = (
        "An OrderGroup cannot be copied or pickled: its connection belongs to this process. "
        "Make another one there."
    )

    def __init__(
        self,
        url: str,
        group: str,
        consumer: str | None = None,
        feed: str = DEFAULT_FEED,
        redeliver_after: float = 30.0,
        *,
        attempts: int = 10,
        begin: str = "kept",
    ) -> None:
        self._guard = ProcessGuard()
        self._address = Address(url)
        self._keys = Keys(feed)
        self.group = check_name(group, "group")
        self.consumer = own_name() if consumer is None else check_name(consumer, "consumer")
        self.redeliver_after = check_seconds(redeliver_after)
        self._attempts = check_attempts(attempts)
        self._retries = Retries(f"The group {self.group}")
        self._failed = 0
        self._consumer = Consumer(
            self._address,
            self._keys,
            self.group,
            self.consumer,
            self.redeliver_after,
            self._attempts,
            check_begin(begin),
            self._retries,
        )

    # -- orders ------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[GroupOrder]:
        return self.orders()

    def orders(self, timeout: float | None = None) -> Iterator[GroupOrder]:
        """Iterate over orders; coming back for the next one acknowledges the one before.

        :param timeout: seconds that each step waits for an order; the loop ends when none came.
            None: no limit.
        :returns: an iterator, which ends, too, when :meth:`stop` is called.
        :raises EToroRedisError: from the loop: when Redis cannot be used at the beginning, or in
            all of *timeout*, or refuses what will stay refused, such as a password.
        :raises EToroValidationError: for a negative timeout.
        """
        self._guard.check()
        return self._orders(check_timeout(timeout))

    def _orders(self, timeout: float | None) -> Iterator[GroupOrder]:
        while (order := self._consumer.next(timeout)) is not None:
            began = clocks.uptime()
            yield order
            self._consumer.acknowledge(order, clocks.uptime() - began)

    def run(self, handler: Callable[[GroupOrder], object], timeout: float | None = None) -> None:
        """Call *handler* with each order; its return acknowledges.

        Runs in the calling thread, until :meth:`stop`. What the handler raises is logged, and the
        order is delivered again later, here or elsewhere.

        :param handler: called with a :class:`GroupOrder`.
        :param timeout: seconds to wait for the next order at most; None is no limit.
        :raises EToroRedisError: as :meth:`orders`.
        """
        self._guard.check()
        if not callable(handler):
            raise EToroValidationError(
                f"handler must be a function of one argument, not {type(handler).__name__}.",
                "handler",
            )
        seconds = check_timeout(timeout)
        while (order := self._consumer.next(seconds)) is not None:
            began = clocks.uptime()
            try:
                handler(order)
            except Exception as exc:
                self._note_failure(handler, order, exc)
            else:
                self._consumer.acknowledge(order, clocks.uptime() - began)

    def _note_failure(
        self, handler: Callable[[GroupOrder], object], order: GroupOrder, exc: Exception
    ) -> None:
        self._failed += 1
        log(
            logging.ERROR,
            "%s raised for the order event %s in attempt %d of %d; it is delivered again after "
            "%g s.",
            name_of(handler),
            order.id,
            order.attempt,
            self._attempts,
            self.redeliver_after,
            exc_info=exc,
        )

    def open(self) -> None:
        """Connect, and make the group unless it is there. The first loop does it, too.

        :raises EToroRedisError: when Redis cannot be reached, or refuses, and what to do.
        """
        self._guard.check()
        self._consumer.open()

    # -- what was set aside ------------------------------------------------------------------------

    def set_aside(self) -> list[GroupOrder]:
        """Return the orders that the group has set aside, the oldest first.

        They are kept until :meth:`forget`. One that cannot be read has its text in
        ``event.extra["content"]``.

        :raises EToroRedisError: when Redis cannot be used.
        """
        self._guard.check()
        with self._other_commands() as commands:
            return [self._readable(delivery) for delivery in commands.dead()]

    def _readable(self, delivery: Delivery) -> GroupOrder:
        try:
            event = decoded(delivery, self._keys)
        except EToroValidationError:
            content = delivery.fields.get(b"c", b"").decode("utf-8", "backslashreplace")
            event = WsPrivateEvent(extra={"content": content})
        return GroupOrder(delivery.id, event, delivery.attempt, delivery.digest)

    def forget(self, order: GroupOrder) -> bool:
        """Remove an order from those that were set aside; return whether it was there.

        :raises EToroRedisError: when Redis cannot be used.
        """
        self._guard.check()
        with self._other_commands() as commands:
            return commands.forget(order.id)

    def remove(self) -> None:
        """Remove the group from Redis, when nobody needs it any more.

        Otherwise orders are kept for it, up to a million. Its consumers must have ended, or they
        make it anew.

        :raises EToroRedisError: when Redis cannot be used.
        """
        self._guard.check()
        with self._other_commands() as commands:
            commands.remove()

    @contextlib.contextmanager
    def _other_commands(self) -> Iterator[GroupCommands]:
        """Yield a connection for the calling thread, since another one may iterate."""
        commands = GroupCommands(self._address, self._keys, self.group, self.consumer)
        with contextlib.closing(commands):
            yield commands

    # -- end ---------------------------------------------------------------------------------------

    def stats(self) -> GroupStats:
        """Return all counters, as they are now. Any thread."""
        failure = self._retries.failure
        return GroupStats(
            handled=self._consumer.handled,
            failed=self._failed,
            redelivered=self._consumer.redelivered,
            repeated=self._consumer.repeated,
            set_aside=self._consumer.set_aside,
            lost=self._consumer.lost,
            outages=self._retries.outages,
            failure=None if failure is None else str(failure),
        )

    def stop(self) -> None:
        """End the loop within half a second, or when the present order is handled. Any thread.

        That order is acknowledged yet.
        """
        self._retries.stop()

    def close(self) -> None:
        """Stop, and close the connection. In the thread that iterates, or after it has ended."""
        if self._guard.foreign:
            return
        self.stop()
        self._consumer.close()

    def __enter__(self) -> "OrderGroup":
        self.open()
        return self

    def __repr__(self) -> str:
        return f"<OrderGroup {self.group!r} of {self._keys.feed!r} at {self._address}>"
