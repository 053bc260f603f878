"""Brings the events of a read to callbacks and queues.

Market events are collected in lists and handed over once per read, which saves taking a lock for
each. Events that must not be lost are handed over at once, after those collected before them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..errors import EToroError
from ..events import EVENTS
from .dispatching import Dispatching
from .queues import ItemQueue
from .registry import Registry
from .tap import NEW_CONNECTION

__all__ = ["Publisher"]


class Publisher:
    """Hands events to their listeners. Every method runs on the reader thread.

    :param registry: the listeners.
    :param dispatcher: runs the callbacks.
    :param make_item: makes the object that users get of a merged state.
    :param session: the number of the session, for the dispatcher.
    """

    def __init__(
        self,
        registry: Registry,
        dispatcher: Dispatching,
        make_item: Callable[[dict[str, Any]], Any],
        session: int,
    ) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._make_item = make_item
        self._session = session
        self._rates = registry.listeners("instrument:rate")
        #: Rates for callbacks, as pairs of instrument id and rate. Never replaced by another list,
        #: because the feed handler appends to it.
        self.batch: list[tuple[Any, ...]] = []
        self._others: list[tuple[int, str, tuple[Any, ...]]] = []
        # Queue -> what the present read has brought for it. The queues do not have these lists
        # themselves, because the readers of several connections may feed them at a time.
        self._batches: dict[ItemQueue, list[Any]] = {}
        #: What the present read has brought for the taps.
        self.tapped: list[tuple[int, Any]] = []

    def publish(self, key: int, state: dict[str, Any]) -> None:
        """Collect a rate for the listeners of this instrument, and for the taps."""
        if self._registry.taps:
            self.tapped.append((key, state))
        self.deliver(key, state)

    def deliver(self, key: int, state: dict[str, Any]) -> None:
        """Collect a rate for the listeners of this instrument."""
        rates = self._rates
        # What Listeners.of() does, without the call, which would cost too much for each rate.
        handlers = rates.handlers_by_id.get(key, rates.handlers)
        queues = rates.queues_by_id.get(key, rates.queues)
        if handlers or queues:
            pair = (key, self._make_item(state))
            if handlers:
                self.batch.append(pair)
            self.feed_queues(queues, pair)

    def feed_queues(self, queues: Iterable[ItemQueue], item: Any) -> None:
        """Collect *item* for *queues*, until :meth:`flush`."""
        batches = self._batches
        for queue in queues:
            batch = batches.get(queue)
            if batch is not None:
                batch.append(item)
            elif queue.collector is None:
                batches[queue] = [item]
            else:
                collected = batches.setdefault(queue.collector, [])
                batches[queue] = batch = queue.batch_in(collected)
                batch.append(item)

    def put(self, event: str, key: int | None, arguments: tuple[Any, ...]) -> None:
        """Collect an event that may be dropped when its consumers are too slow.

        :param key: the id of its instrument, for the listeners' filter; None: it has none.
        """
        handlers, queues = self._registry.listeners(event).of(key)
        if handlers:
            self._others.append((len(self.batch), event, arguments))
        self.feed_queues(queues, arguments if len(arguments) != 1 else arguments[0])

    def has_listeners(self, event: str, key: int) -> bool:
        """Return whether a handler or a queue gets *event* of this instrument."""
        return any(self._registry.listeners(event).of(key))

    def flush(self) -> None:
        """Hand over what was collected."""
        if self.batch or self._others:
            self._dispatcher.extend(self._session, self.batch, self._others)
            self.batch.clear()
            self._others.clear()
        if self._batches:
            for queue, items in self._batches.items():
                if queue.collector is None:
                    queue.feed(items)
            self._batches.clear()
        if self.tapped:
            for tap in self._registry.taps:
                tap.take(self.tapped)
            self.tapped.clear()

    def emit(self, event: str, *arguments: Any) -> None:
        """Hand over an event that must not be lost, at once and in order."""
        assert event in EVENTS
        self.flush()
        if self._registry.journal is not None:
            self._registry.journal.note("event", (event, arguments))
        self._dispatcher.post(self._session, event, *arguments)
        listeners = self._registry.listeners(event)
        queues = listeners.queues
        if listeners.queues_by_id and arguments:
            queues = listeners.queues_by_id.get(arguments[0], queues)
        item = arguments if len(arguments) != 1 else arguments[0]
        for queue in queues:
            queue.feed([item])
        for tap in self._registry.taps:
            tap.on_event(event, arguments)

    def lose(self, topics: Sequence[str]) -> None:
        """Tell the taps that a connection with these topics was lost."""
        self.flush()
        for tap in self._registry.taps:
            tap.on_loss(topics)

    def new_connection(self) -> None:
        """Tell the taps that what comes next is of another connection."""
        self.flush()
        for tap in self._registry.taps:
            tap.on_event(NEW_CONNECTION, ())

    def error(self, error: EToroError) -> None:
        """Emit ``"error"`` at once, for an error that is not about a message."""
        self.emit("error", error)

    def barrier(self) -> None:
        """Keep rates of the next connection from replacing waiting ones of the last."""
        self.flush()
        self._dispatcher.barrier()
        for queue in self._registry.queues():
            queue.barrier()
