"""What a publisher has read of its stream, and what of it may still have to be written."""

import contextlib
import queue
from typing import Any

from ... import clocks
from ...delivery.queues import ItemQueue
from ...errors import EToroClosedError, EToroError, EToroQueueOverflowError
from ...state import ClientState
from ...stream import MarketStream
from ...stream.core import core_of
from ..layout.event_rows import CONNECTED, PUBLISHED
from .cold import ColdStart
from .engine import MOST, Writer
from .held import HeldOrders

__all__ = ["Intake", "Over"]

#: What is read of the stream.
_EVENTS = ("instrument:rate", "private:event", *PUBLISHED)
#: The most rates that wait, which is more than eToro has instruments; and after how many seconds
#: they are skipped for newer ones.
_ROOM, _CONFLATE_AFTER = 20_000, 1.0
#: How many orders are looked for in Redis at once.
_ASKED = 500


class Over(Exception):
    """Raised when nothing more comes from the stream.

    :param error: what has ended it; None: it was disconnected.
    """

    def __init__(self, error: EToroError | None) -> None:
        super().__init__(error)
        self.error = error


class Intake:
    """Reads a stream for a publisher, whose thread alone may use it, but for :meth:`close`.

    :param source: the stream.
    :param cold: whether it is connected only by :meth:`begin`, until :meth:`leave`.
    :ivar known: the last rate of each instrument.
    :ivar held: the orders that may not be in Redis.
    :ivar lost: orders and events that were lost, because too many waited.
    :ivar refused: rates that cannot be written.
    """

    def __init__(self, source: MarketStream, cold: bool) -> None:
        self._source = source  # which is kept alive, as by any queue
        self._core = core_of(source)
        self._redact = self._core.source.redact
        self._cold = ColdStart(source, self._new_queue) if cold else None
        self._queue: ItemQueue | None = None if cold else self._new_queue()
        # Of queues that have ended.
        self._conflated = 0
        # Of the present one.
        self._lost_of_queue = 0
        # Prices that came before the queue was there may not change for long.
        self.known = {} if cold else dict(self._core.rates.items())
        self.held = HeldOrders()
        # What was last written of the stream's connection, in this epoch.
        self._said: bool | None = None
        self.lost = self.refused = 0

    def _new_queue(self) -> ItemQueue:
        items, ports = self._core.new_mixed_queue(_EVENTS, _ROOM, None, _CONFLATE_AFTER)
        self._core.feed_mixed(items, ports, None)
        return items

    @property
    def is_open(self) -> bool:
        """Whether there is a queue to read."""
        return self._queue is not None

    @property
    def is_cold(self) -> bool:
        """Whether the stream is connected only while it is needed."""
        return self._cold is not None

    @property
    def is_live(self) -> bool:
        """Whether the stream is connected, and all is subscribed to."""
        return self._core.state is ClientState.LIVE

    @property
    def conflated(self) -> int:
        """How many rates were skipped or dropped for newer ones. Any thread."""
        items = self._queue
        if items is None:
            return self._conflated
        # Dropped are rates for which newer ones wait, and the orders and events that are lost.
        return self._conflated + items.conflated + max(items.dropped - self._lost_of_queue, 0)

    @property
    def waiting(self) -> int:
        """How many rates, orders and events wait. Any thread."""
        items = self._queue
        return 0 if items is None else items.qsize()

    # -- reading -----------------------------------------------------------------------------------

    def _take(self, most: int, seconds: float) -> list[Any]:
        """Return what waits, ``(event, *arguments)``; ``[]``: nothing has come in that time.

        :param most: the most items to return.
        :raises Over: when nothing more will come.
        """
        items = self._queue
        if items is None:
            return []
        try:
            return items.take(most) or ([items.get(timeout=seconds)] if seconds > 0 else [])
        except queue.Empty:
            return []
        except EToroQueueOverflowError as exc:
            self.lost += exc.lost
            self._lost_of_queue += exc.lost
            return [("error", exc)]
        except EToroClosedError:
            raise Over(None) from None
        except EToroError as exc:
            self._failed(exc)
            return []

    def _failed(self, error: EToroError) -> None:
        """Let a cold stream connect again.

        :raises Over: when that cannot succeed, and for any other stream.
        """
        if self._cold is None or not self._cold.failed(error):
            raise Over(error)
        self._end_queue()

    def keep(self, seconds: float) -> None:
        """Read for that long, and keep what a new epoch would begin with."""
        until = clocks.monotonic() + seconds
        left = seconds
        # A stream that never pauses must not keep this publisher from asking for the lease.
        while left > 0 and (some := self._take(MOST, left)):
            left = until - clocks.monotonic()
            self._keep(some)

    def _keep(self, some: list[Any]) -> None:
        for item in some:
            if item[0] == "instrument:rate":
                self.known[item[1]] = item[2]
            elif item[0] == "private:event":
                self.held.add(item[1], self._redact)

    def collect(self, writer: Writer, seconds: float) -> None:
        """Add what waits to a batch, until it is full.

        :param seconds: how long to wait for the first item.
        """
        known = self.known
        while some := self._take(writer.room, seconds):
            seconds = 0.0
            if some[0][0] == "instrument:rate":
                rates = [rate for _, _, rate in some]
                known.update((rate.instrument_id, rate) for rate in rates)
                self.refused += writer.publish_rates(rates)
            else:
                for item in some:
                    self._add(writer, item)
            if writer.is_full:
                return

    def say_state(self, writer: Writer, *, again: bool = False) -> None:
        """Add whether the stream is connected to the batch, if that has changed.

        Readers cannot tell it from the events: several connections may be lost, and one be back.

        :param again: also if it has not, for a new epoch.
        """
        live = self.is_live
        if again or live is not self._said:
            self._said = live
            writer.publish_event(CONNECTED, (live,))

    def _add(self, writer: Writer, item: tuple[Any, ...]) -> None:
        if item[0] != "private:event":
            self.say_state(writer)
            writer.publish_event(item[0], item[1:])
            return
        order = self.held.add(item[1], self._redact)
        if order is not None:
            writer.publish_order(order)

    def look_up(self, writer: Writer) -> None:
        """Find out which of the held orders another publisher has written.

        :raises EToroRedisError: when Redis is away or refuses.
        """
        asked = self.held.first(_ASKED)
        if asked:
            now = clocks.monotonic()
            seen = writer.seen(asked)
            self.held.confirm(seen, now)
            self.held.missing([digest for digest in asked if digest not in seen], now)

    def count_orders(self) -> int:
        """Read what waits, and return how many orders are not in Redis, as far as is known."""
        waiting = 0
        try:
            while some := self._take(MOST, 0.0):
                waiting += sum(item[0] == "private:event" for item in some)
        except Over:
            pass
        return len(self.held) + waiting

    # -- the stream's connection -------------------------------------------------------------------

    def begin(self) -> None:
        """Note that this publisher may write."""
        if self._cold is not None and self._queue is None:
            self.known.clear()  # of an earlier connection

    def connect(self) -> None:
        """Connect, if that is left to this publisher, which may write now.

        :raises Over: when that cannot succeed.
        """
        cold = self._cold
        if cold is not None:
            if cold.error is not None:
                self._failed(cold.error)
            if self._queue is None and cold.is_due:
                self._queue = cold.connect()

    def leave(self) -> None:
        """Note that another publisher writes: disconnect, if that is left to this one."""
        if self._cold is not None:
            # What came before the other one has connected may be known to nobody else.
            self.close()
            with contextlib.suppress(Over):
                while some := self._take(MOST, 0.0):
                    self._keep(some)
            self._end_queue()
            self._cold.disconnect()

    def close(self) -> None:
        """Collect nothing more; what waits can be read. Any thread."""
        items = self._queue
        if items is not None:
            items.close()

    def end(self) -> None:
        """Drop what waits, and disconnect if that is left to this publisher."""
        self._end_queue()
        self.leave()

    def _end_queue(self) -> None:
        items, conflated = self._queue, self.conflated
        self._queue, self._conflated, self._lost_of_queue = None, conflated, 0
        if items is not None:
            items.close()
