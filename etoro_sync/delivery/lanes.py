"""The events that wait for callbacks, and the order in which they are taken.

Pure: no threads, no locks; the owner holds a lock around every call.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from .buffers import BoundedBuffer, Buffer
from .conflation import ConflatingBuffer

__all__ = ["ORDER_EVENT", "RATE_EVENT", "Calls", "Lanes", "Run"]

_ADVICE = "Do less in the callbacks, or read a queue in a thread of your own."
#: The event whose entries may be conflated.
RATE_EVENT = "instrument:rate"
#: The event that overtakes all others.
ORDER_EVENT = "private:event"
#: The arguments of successive events of one kind; entries are removed one by one.
Calls = deque[tuple[Any, ...]]
#: The name of an event, and its calls.
Run = tuple[str, Calls]


class Lanes:
    """The events that wait for callbacks, in four buffers. Three of them are read as one sequence.

    - ``orders``: order events. They overtake everything else, because a second may cost money.
    - ``lossless``: connection events. They keep their place among the rates, so that a handler
      knows which rate came on which connection.
    - ``rates``: bounded, and conflated when they wait too long or have no room.
    - ``others``: ``message``, ``instrument:delta`` and ``unknown``. They have a bound of their own,
      and drop the oldest, so that they never cost a rate.

    A rate is stored as the arguments of its callbacks, with nothing added. An entry of ``lossless``
    or ``others`` also has the place of the rate that it comes before, and a number that gives the
    order of both buffers' entries.

    :param bulk_size: most rates, and most other market events, that wait.
    :param lossless_size: most orders, and most connection events, that wait.
    :param conflate_after: seconds after which a superseded rate is skipped; None: only when full.
    :param in_order: orders do not overtake, for a source whose runs bring the same order each time.
    """

    def __init__(
        self,
        bulk_size: int,
        lossless_size: int,
        conflate_after: float | None = None,
        in_order: bool = False,
    ) -> None:
        self._in_order = in_order
        self.orders = BoundedBuffer(
            lossless_size, "raise", "the order events for callbacks", _ADVICE
        )
        self.rates = ConflatingBuffer(bulk_size, conflate_after)
        self.others = BoundedBuffer(bulk_size, "drop_oldest")
        self.lossless = BoundedBuffer(
            lossless_size, "raise", "the connection events for callbacks", _ADVICE
        )
        self._count = 0

    @property
    def all(self) -> tuple[Buffer, ...]:
        """The four of them."""
        return self.orders, self.rates, self.others, self.lossless

    def __len__(self) -> int:
        return sum(map(len, self.all))

    @property
    def ready(self) -> bool:
        """Whether :meth:`take` has something to return or to raise."""
        return any(lane.ready for lane in self.all)

    @property
    def dropped(self) -> int:
        """How many rates and other market events were dropped."""
        return self.rates.dropped + self.others.dropped

    @property
    def lost(self) -> int:
        """How many orders and connection events were dropped."""
        return self.orders.dropped + self.lossless.dropped

    @property
    def oldest(self) -> float | None:
        """When the oldest of all entries came, by the clock of *now*; None when empty."""
        came = [lane.oldest for lane in self.all]
        return min((moment for moment in came if moment is not None), default=None)

    def extend(
        self,
        rates: Sequence[tuple[Any, ...]],
        others: Sequence[tuple[int, str, tuple[Any, ...]]],
        now: float,
    ) -> int:
        """Add the market events of one read; return how many found no room.

        :param rates: pairs of instrument id and rate.
        :param others: ``(n, event, arguments)`` for each event that came after the first *n* rates.
        :param now: the time at which they came.
        :returns: the number of entries that were dropped or conflated for lack of room.
        """
        if not others:
            return self.rates.extend(rates, now)
        start = gone = 0
        for stop, event, arguments in others:
            gone += self.rates.extend(rates[start:stop], now)
            gone += self.others.extend((self._placed(event, arguments),), now)
            start = stop
        return gone + self.rates.extend(rates[start:], now)

    def append(self, event: str, arguments: Iterable[Any], now: float) -> int:
        """Add an order or connection event; return 1 if there was no room for it, else 0."""
        if event == ORDER_EVENT and not self._in_order:
            return self.orders.extend((tuple(arguments),), now)
        return self.lossless.extend((self._placed(event, tuple(arguments)),), now)

    def _placed(self, event: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        self._count += 1
        return self.rates.end, event, arguments, self._count

    def take(self, most: int, now: float, taken: list[Run]) -> float | None:
        """Take the next event, or several rates that follow one another. Orders are not included.

        :param most: the most rates to take.
        :param now: the time.
        :param taken: what was taken is appended to it, as one run.
        :returns: when the first of it came, by the clock of *now*; None: nothing waits.
        :raises EToroQueueOverflowError: where entries are missing.
        """
        if not (self.lossless.ready or self.others.ready):
            rates = self.rates.take(most, now)
        else:
            lane = self._older()
            head, came = lane.head, lane.oldest
            rates = [] if head is None else self.rates.take(most, now, before=head[0])
            if not rates:
                _, event, arguments, _ = lane.pop()
                taken.append((event, deque([arguments])))
                return came
        if not rates:
            return None
        taken.append((RATE_EVENT, deque(rates)))
        return self.rates.came

    def put_back(self, event: str, rest: Calls, over: bool) -> None:
        """Take back the last entries of what :meth:`take` has just returned.

        Rates are checked again when they are taken the next time: they may have become outdated.

        :param event: the event that was taken.
        :param rest: the arguments of the calls that were not made.
        :param over: the session has ended, so they are dropped. Other events than rates always are.
        """
        if event == RATE_EVENT and not over:
            self.rates.put_back(rest)
            return
        lane = self.rates if event == RATE_EVENT else self.others
        lane.delivered -= len(rest)
        lane.dropped += len(rest)

    def _older(self) -> BoundedBuffer:
        """Return ``lossless`` or ``others``, whichever has the older first entry."""
        if not self.others.ready:
            return self.lossless
        if not self.lossless.ready:
            return self.others
        lossless, other = self.lossless.head, self.others.head
        return self.lossless if lossless is None or lossless[3] < other[3] else self.others

    def drop_market_events(self) -> None:
        """Drop all rates and other market events."""
        for lane in (self.rates, self.others):
            while lane:
                lane.pop(0.0)
                lane.delivered -= 1
                lane.dropped += 1

    def drop_lossless(self) -> int:
        """Drop all orders and connection events; return how many."""
        return self.orders.drop_all() + self.lossless.drop_all()
