"""Where bars go: to callbacks and queues of their stream, and into what is kept."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..delivery.registry import Registry
from ..logs import name_of
from .bar import Bar

__all__ = ["BarOutput", "caller"]


class BarOutput:
    """Where bars go: callbacks, queues, and what is kept. Any thread, but one at a time.

    :param registry: of the stream, with the listeners of all candles, by the number of these.
    :param source: of the stream.
    :param number: of the candles.
    :param keep: how many bars of each instrument and interval are kept.
    """

    def __init__(self, registry: Registry, source: Any, number: int, keep: int) -> None:
        self._listeners = registry.listeners("bar")
        self._dispatcher, self._lifecycle = source.dispatcher, source.lifecycle
        self._number = number
        self._keep = keep
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, int], OrderedDict[Any, Bar]] = {}
        #: How many were emitted.
        self.bars = 0

    @property
    def has_callbacks(self) -> bool:
        """Whether a callback of these candles is registered."""
        return self._number in self._listeners.handlers_by_id

    def hand_on(self, bars: list[Bar]) -> None:
        """Give *bars* to all that listen."""
        self.bars += len(bars)
        if self._keep:
            self._retain(bars)
        for queue in self._listeners.queues_by_id.get(self._number, ()):
            queue.feed(bars)
        if self.has_callbacks:
            session = self._lifecycle.session
            for bar in bars:
                self._dispatcher.post(session, "bar", self._number, bar)

    def _retain(self, bars: list[Bar]) -> None:
        with self._lock:
            for bar in bars:
                kept = self._kept.setdefault((bar.interval, bar.instrument_id), OrderedDict())
                kept[bar.start] = bar
                if len(kept) > self._keep:
                    del kept[min(kept)]

    def kept_bars(self) -> list[Bar]:
        """Return what was kept, by end."""
        with self._lock:
            bars = [bar for kept in self._kept.values() for bar in kept.values()]
        return sorted(bars, key=lambda bar: (bar.end, bar.end - bar.start, bar.instrument_id))

    def end(self) -> None:
        """End the queues, because the candles were closed."""
        for queue in self._listeners.queues_by_id.get(self._number, ()):
            queue.close()


def caller(function: Callable[[Bar], Any], interval: str | None) -> Callable[[int, Bar], Any]:
    """Return what the thread of callbacks calls: it passes on the bar alone."""

    def call(number: int, bar: Bar) -> Any:
        return function(bar) if interval is None or bar.interval == interval else None

    # Logs of errors and of slow callbacks name the user's function.
    call.__qualname__ = name_of(function)
    return call
