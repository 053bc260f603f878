"""How a source without a clock of its own waits for those who read it, so that nothing is lost."""

import logging
from collections.abc import Callable
from typing import Any

from .. import clocks
from ..delivery.buffers import Buffer
from ..delivery.dispatcher import Dispatcher
from ..delivery.queues import ItemQueue
from ..delivery.registry import Registry
from ..logs import log
from ..state import Life
from ..synchronization import Interrupted, Monitor

__all__ = ["Pace", "PacedQueue"]

#: Events that may wait for callbacks.
_MOST_WAITING = 1_000
#: Seconds of waiting for a reader without a word in the log.
_PATIENCE = 5.0


class Pace:
    """Lets a source's thread wait until there is room for more.

    There is room when somebody listens and neither the callbacks nor a queue are behind. A
    connection has no such thing: it never waits for its readers.

    The monitor's lock guards the wait alone. The dispatcher's is taken under it, for a look at
    whether it is idle, and never the other way round.

    :param registry: who listens.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._monitor = Monitor()
        self._logged = False
        #: Somebody waits for the end, so that the source goes on without listeners.
        self.awaited = False

    def reset(self) -> None:
        """Begin anew, with ``connect()``: nobody waits for the end yet."""
        self.awaited = self._logged = False

    def changed(self) -> None:
        """Let the source look again. Any thread."""
        with self._monitor.lock:
            self._monitor.changed()

    def wait_for_room(self, dispatcher: Dispatcher, stopping: Callable[[], bool]) -> None:
        """Block until there is room. The source's thread.

        :raises Interrupted: when the stream is to end.
        """

        def ready() -> bool:
            return stopping() or self._has_room(dispatcher)

        if not ready():
            self._wait(ready)
        if stopping():
            raise Interrupted

    def wait_until_idle(self, dispatcher: Dispatcher, stopping: Callable[[], bool]) -> None:
        """Block until all callbacks have been called, or the stream is to end."""
        self._monitor.wait(lambda: stopping() or dispatcher.is_idle, None)

    def sleep(self, seconds: float, stopping: Callable[[], bool]) -> None:
        """Wait *seconds*. :raises Interrupted: when the stream is to end, at once."""
        if self._monitor.wait(stopping, clocks.monotonic() + seconds):
            raise Interrupted

    def _has_room(self, dispatcher: Dispatcher) -> bool:
        if not (self.awaited or self._registry.has_listeners):
            return False
        if len(dispatcher.lanes) >= _MOST_WAITING:
            return False
        return all(queue.has_room for queue in self._registry.queues())

    def _wait(self, ready: Callable[[], bool]) -> None:
        if not self._logged and not self._monitor.wait(ready, clocks.monotonic() + _PATIENCE):
            self._logged = True
            log(
                logging.WARNING,
                "The source waits for its readers: %s.",
                "a queue that nobody reads is full, or a callback is slow"
                if self._registry.has_listeners
                else "nobody listens. Register a callback, make a queue, or call run_forever()",
            )
        self._monitor.wait(ready, None)


class PacedQueue(ItemQueue):
    """A queue that loses nothing, since its source waits while it is full.

    :param event: what is queued.
    :param buffer: without a bound of its own: one read may bring more than there is room for.
    :param most: items that wait before the source does; 0 is without limit.
    :param pace: of the source.
    :param on_close: takes the queue off its stream.
    :param lifecycle: of the stream.
    """

    def __init__(
        self,
        event: str,
        buffer: Buffer,
        most: int,
        pace: Pace,
        on_close: Callable[[ItemQueue], None],
        lifecycle: Life,
    ) -> None:
        super().__init__(event, buffer, on_close, lifecycle)
        self._most = most or float("inf")
        self._pace = pace
        self._full = False

    @property
    def has_room(self) -> bool:
        """Whether the source may go on; once it is full, only when half of it was read."""
        limit = self._most / 2 if self._full else self._most - 1
        # First, so that a reader who takes the last one meanwhile wakes the source.
        self._full = True
        self._full = self.qsize() > limit
        return not self._full

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item, and let the source go on when there is room again."""
        item = super().get(block, timeout)
        if self._full and self.qsize() <= self._most / 2:
            self._pace.changed()
        return item

    def abandon(self) -> None:
        """Collect nothing more; the source does not wait for this one any longer."""
        super().abandon()
        self._pace.changed()

    def close(self) -> None:
        """Stop collecting; the source does not wait for this one any longer."""
        super().close()
        self._pace.changed()
