"""What waits between the threads of the streams and the thread that writes the file."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import clocks
from ..delivery.queues import ItemQueue
from ..delivery.registry import Registry
from ..errors import EToroError
from ..models import WsGap, WsPrivateEvent
from ..models.control import concerns_orders
from ..synchronization import Monitor

__all__ = ["Arrival", "Changes", "Inbox", "Origin", "listen"]

#: How many events wait for a disk that takes nothing: as many as in a queue of order events.
_MOST = 100_000
_EVENTS = ("private:event", "reconnected")


class Origin(NamedTuple):
    """Where events come from: one stream, since it was attached.

    :param id: unique.
    :param base: the number of the last event in the file when the stream was attached.
    :param redact: removes the stream's keys from text.
    """

    id: str
    base: int
    redact: Callable[[str], str]


class Arrival(NamedTuple):
    """An order event, or a gap, and where it has come from."""

    origin: Origin
    item: WsPrivateEvent | WsGap


class Changes:
    """Counts what happens to the store, and wakes those who wait for it. Any thread.

    The monitor's lock guards the number.
    """

    def __init__(self) -> None:
        self._monitor = Monitor()
        self.number = 0

    def happened(self) -> None:
        """Wake all waiting threads."""
        with self._monitor.lock:
            self.number += 1
            self._monitor.changed()

    def wait(self, seen: int, seconds: float) -> None:
        """Block until something has happened since the number was *seen*, or time has passed."""
        self._monitor.wait(lambda: self.number != seen, clocks.monotonic() + seconds)


class Inbox:
    """Keeps what has come until the writer takes it. It never blocks.

    What comes while it is full is refused and counted, and becomes a gap. The lock guards all
    attributes that change; counters are read without it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Arrival] = []
        # Since when something is refused, and the last of it; None: nothing since take().
        self._first_refused: tuple[float, Arrival] | None = None
        #: Whether nothing more is kept.
        self.closed = False
        #: Order events that have come, and those of them that were refused.
        self.received = self.refused = 0
        #: Set when there is something to write, or nothing more will come.
        self.wake = threading.Event()

    def put(self, arrival: Arrival) -> None:
        """Keep an event or a gap. Runs on the reader thread of its stream."""
        is_event = isinstance(arrival.item, WsPrivateEvent)
        with self._lock:
            if self.closed:
                return
            self.received += is_event
            if len(self._entries) >= _MOST:
                self.refused += is_event
                self._begin_hole(arrival)
                return
            self._entries.append(arrival)
        if not self.wake.is_set():
            self.wake.set()

    def _begin_hole(self, arrival: Arrival) -> None:
        """Note that something is refused; the caller holds the lock."""
        since = clocks.wall_clock()
        if isinstance(arrival.item, WsGap):
            since = min(since, arrival.item.from_)
        if self._first_refused is not None:
            since = min(since, self._first_refused[0])
        self._first_refused = since, arrival

    def take(self) -> list[Arrival]:
        """Return what waits, in order, and a gap for what was refused.

        Runs on the writer's thread.
        """
        with self._lock:
            entries, self._entries = self._entries, []
            if self._first_refused is not None:
                since, (origin, item) = self._first_refused
                self._first_refused = None
                missing = WsGap(since, clocks.wall_clock(), item.generation, ("private",))
                entries.append(Arrival(origin, missing))
            if not self.closed:
                self.wake.clear()
            return entries

    def put_back(self, entries: list[Arrival]) -> None:
        """Let *entries*, which could not be written, wait again before all others."""
        with self._lock:
            self._entries[:0] = entries

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._entries

    def close(self) -> None:
        """Keep nothing more. Any thread."""
        with self._lock:
            self.closed = True
        self.wake.set()


class _Port(ItemQueue):
    """Stands in a stream's registry, and hands what comes to an inbox, from session to session.

    :param event: the event whose items it gets.
    :param origin: of the stream.
    :param inbox: gets the items.
    :param registry: of the stream.
    :param on_end: called when a session of the stream has ended.
    """

    def __init__(
        self,
        event: str,
        origin: Origin,
        inbox: Inbox,
        registry: Registry,
        on_end: Callable[[], None],
    ) -> None:
        # Not the initialisation of a queue: this one keeps nothing, and nobody reads it.
        self.event = event
        self._origin = origin
        self._inbox = inbox
        self._registry = registry
        self._on_end = on_end

    def feed(self, items: Sequence[Any]) -> None:
        """Hand *items* on. Runs on the reader thread."""
        if self._inbox.closed:
            self._registry.remove_queue(self)  # the store was dropped without close()
            return
        for item in items:
            if not isinstance(item, (WsPrivateEvent, WsGap)):
                continue  # of a source of the user's own
            if isinstance(item, WsGap) and not concerns_orders(item):
                continue  # of another connection than that of the order events
            self._inbox.put(Arrival(self._origin, item))

    def barrier(self) -> None:
        """Do nothing: order events are never replaced by newer ones."""

    def end(self, reason: str, error: EToroError | None = None) -> None:
        """Put another one in its place, since the caller removes this one. Any thread.

        A session ends before the next one can begin, so that nothing is missed between the two.
        """
        if self._inbox.closed:
            return
        again = _Port(self.event, self._origin, self._inbox, self._registry, self._on_end)
        self._registry.add_queue(again, None)
        self._on_end()

    @property
    def has_room(self) -> bool:
        """Whether a source that can wait may go on."""
        return len(self._inbox._entries) < _MOST // 2

    def __repr__(self) -> str:
        return f"<port of a store for {self.event!r}>"


def listen(
    registry: Registry, origin: Origin, inbox: Inbox, on_end: Callable[[], None]
) -> Callable[[], None]:
    """Let *inbox* get what a stream brings from now on; return what ends that."""
    for event in _EVENTS:
        registry.add_queue(_Port(event, origin, inbox, registry, on_end), None)

    def stop() -> None:
        for queue in registry.queues():
            if isinstance(queue, _Port) and queue._origin is origin:
                registry.remove_queue(queue)

    return stop
