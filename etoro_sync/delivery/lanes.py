"""What waits for callbacks, and in which order it is taken: orders, connection events, rates.

Pure: no threads, no locks; the owner holds a lock around every call.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from .buffers import BoundedBuffer, Buffer
from .conflation import ConflatingBuffer

__all__ = ["ORDER_EVENT", "RATE_EVENT", "Calls", "Lanes", "Run"]

#: The event of the entries that may be conflated.
RATE_EVENT = "instrument:rate"
#: The event that overtakes all others on its way to the callbacks.
ORDER_EVENT = "private:event"
#: The arguments of each time that callbacks are to be called for one event; taken off one by one.
Calls = deque[tuple[Any, ...]]
#: An event, and its calls.
Run = tuple[str, Calls]


class Lanes:
    """What waits for callbacks: four buffers, of which three are read as one sequence.

    Orders overtake everything else: for each of them money may hang on a second. Connection events
    keep their place among the rates, so that a handler sees which rate belongs to which connection.
    Both of these lanes are lossless. Rates are bounded and conflated; other events that come as
    fast as the feed are bounded and drop the oldest, so that they can never cost a rate.

    A rate waits as the arguments of its callbacks, and nothing is added to it; any other entry of
    the sequence remembers the place among the rates that it stands before, and its number among all
    that are no rates.

    :param bulk_size: most rates, and most other fast events, that wait.
    :param lossless_size: most orders, and most connection events, that wait.
    :param conflate_after: seconds after which a superseded rate is skipped; None: when full.
    :param in_order: orders overtake nothing, for a source that plays the same way each time.
    :param name: whose lanes they are, for the errors' text.
    """

    def __init__(
        self,
        bulk_size: int,
        lossless_size: int,
        conflate_after: float | None = None,
        in_order: bool = False,
        name: str = "the callbacks",
    ) -> None:
        self._in_order = in_order
        self.orders = BoundedBuffer(lossless_size, "raise", f"the lane of orders of {name}")
        self.rates = ConflatingBuffer(bulk_size, conflate_after)
        self.others = BoundedBuffer(bulk_size, "drop_oldest")
        self.lossless = BoundedBuffer(lossless_size, "raise", f"the lossless lane of {name}")
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
        """How many entries that may be dropped were dropped."""
        return self.rates.dropped + self.others.dropped

    @property
    def is_owing(self) -> bool:
        """Whether orders or connection events wait."""
        return self.orders.ready or self.lossless.ready

    @property
    def lost(self) -> int:
        """How many orders and connection events were dropped."""
        return self.orders.dropped + self.lossless.dropped

    @property
    def oldest(self) -> float | None:
        """When the oldest of all entries came, in the time of the calls; None when empty."""
        came = [lane.oldest for lane in self.all]
        return min((moment for moment in came if moment is not None), default=None)

    def extend(
        self,
        rates: Sequence[tuple[Any, ...]],
        others: Sequence[tuple[int, str, tuple[Any, ...]]],
        now: float,
    ) -> int:
        """Add what a read has brought; return how much was dropped or conflated for lack of room.

        :param rates: pairs of instrument id and rate.
        :param others: ``(n, event, arguments)`` for each event that came after the first *n* rates.
        :param now: the time.
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
        """Add an event that must not be lost; return how many were, for lack of room."""
        if event == ORDER_EVENT and not self._in_order:
            return self.orders.extend((tuple(arguments),), now)
        return self.lossless.extend((self._placed(event, tuple(arguments)),), now)

    def _placed(self, event: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        self._count += 1
        return self.rates.end, event, arguments, self._count

    def take(self, most: int, now: float, hand: list[Run]) -> float | None:
        """Take what comes next but for orders: an event, or rates that follow one another.

        :param most: so many rates at most.
        :param now: the time.
        :param hand: gets it.
        :returns: when the first of it came, in the time of the calls; None: nothing waits.
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
                hand.append((event, deque([arguments])))
                return came
        if not rates:
            return None
        hand.append((RATE_EVENT, deque(rates)))
        return self.rates.came

    def put_back(self, event: str, rest: Calls, over: bool) -> None:
        """Take back the last of what :meth:`take` has just returned.

        Rates are then judged anew: a newer one may have come, or their time may have run out.

        :param event: what was taken.
        :param rest: the arguments of those calls that were not made.
        :param over: the session is over, so that these are dropped; always so for other events.
        """
        if event == RATE_EVENT and not over:
            self.rates.put_back(rest)
            return
        lane = self.rates if event == RATE_EVENT else self.others
        lane.delivered -= len(rest)
        lane.dropped += len(rest)

    def _older(self) -> BoundedBuffer:
        """Return the lane, of the two that are read with the rates, whose head came first."""
        if not self.others.ready:
            return self.lossless
        if not self.lossless.ready:
            return self.others
        lossless, other = self.lossless.head, self.others.head
        return self.lossless if lossless is None or lossless[3] < other[3] else self.others

    def shed(self) -> None:
        """Drop all but the entries of the lossless lanes."""
        for lane in (self.rates, self.others):
            while lane:
                lane.pop(0.0)
                lane.delivered -= 1
                lane.dropped += 1

    def lose(self) -> int:
        """Drop the entries of the lossless lanes; return how many."""
        return self.orders.lose() + self.lossless.lose()
