"""A stream without a connection, to which a test gives rates and events from its own thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from etoro_sync import MarketStream
from etoro_sync.delivery.registry import Registry
from etoro_sync.errors import EToroError
from etoro_sync.events import EVENTS
from etoro_sync.models import WsInstrumentRate, WsPrivateEvent
from etoro_sync.stats import Counters
from etoro_sync.stream.core import StreamCore, equip
from etoro_sync.stream.live import LiveFeed, LiveSource

__all__ = ["LiveStream", "order", "rate"]


def rate(instrument_id: int, bid: float, **values: Any) -> WsInstrumentRate:
    """A rate with a price of the test's choice."""
    return WsInstrumentRate(ask=bid + 1, bid=bid, instrument_id=instrument_id, **values)


def order(order_id: int, **values: Any) -> WsPrivateEvent:
    """An order event with a message id of its own."""
    return WsPrivateEvent(order_id=order_id, **{"message_id": f"m{order_id}", **values})


class LiveStream(MarketStream):
    """Live as long as the test says; it waits for no reader, as a connection does.

    :ivar subscriptions: what was subscribed to, of which it takes no further notice.
    :ivar refuses: raised by the next connects; None: they succeed.
    """

    def __init__(self) -> None:
        self._commands: queue.SimpleQueue[Callable[[LiveFeed], None] | None] = queue.SimpleQueue()
        self.subscriptions: tuple[str, ...] = ()
        self.refuses: EToroError | None = None
        self.connects = 0
        registry, counters = Registry(EVENTS), Counters()
        source = LiveSource(self._play, registry, counters, "test")
        equip(self, StreamCore(registry, counters, source))

    def _play(self, feed: LiveFeed) -> None:
        self.connects += 1
        if self.refuses is not None:
            raise self.refuses
        feed.on_stop(lambda: self._commands.put(None))
        feed.live()
        while True:
            command = self._commands.get()
            if command is None:
                feed.wait(0.0)  # ends the function, if the stream is to end
            else:
                command(feed)

    def subscribe(self, topics: Any, snapshot: bool = False) -> None:
        """Note what is wanted."""
        self.subscriptions = tuple(topics)

    def bring(self, *rates: WsInstrumentRate) -> None:
        """Bring rates."""
        pairs = [(each.instrument_id, vars(each)) for each in rates]
        self._commands.put(lambda feed: feed.states(pairs))

    def emit(self, event: str, *arguments: Any) -> None:
        """Bring another event."""

        def write(feed: LiveFeed) -> None:
            feed.emit(event, *arguments)
            feed.states(())  # hands it on

        self._commands.put(write)

    def order(self, order_id: int, **values: Any) -> None:
        """Bring an order event."""
        self.emit("private:event", order(order_id, **values))

    def settle(self) -> None:
        """Wait until all that was brought has been handed on."""
        done = threading.Event()
        self._commands.put(lambda feed: done.set())
        assert done.wait(10.0)

    def lost(self) -> None:
        """Lose the connection."""
        self._commands.put(lambda feed: feed.lost())

    def live(self) -> None:
        """Be connected again."""
        self._commands.put(lambda feed: feed.live())

    def fail(self, error: EToroError) -> None:
        """End with an error."""

        def give_up(feed: LiveFeed) -> None:
            raise error

        self._commands.put(give_up)
