"""Makes a source that is played wait for its readers, so that nothing is lost."""

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

#: How many events may wait for callbacks before the source waits.
_MOST_WAITING = 1_000
#: Likewise while a callback itself waits for an event.
_MOST_BEHIND_A_WAIT = 100_000
#: Seconds that the source waits for its readers before this is logged.
_PATIENCE = 5.0


class Pace:
    """Makes a source's thread wait until there is room for more events.

    There is room when there is a listener, and neither the callbacks nor a queue nor a recording is
    behind. Only sources that are played wait; a connection never waits for its readers.

    The monitor's lock guards the waiting only. The dispatcher's lock is taken under it, to check
    whether the dispatcher is idle, and never the other way round.

    :param registry: the listeners.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._monitor = Monitor()
        self._logged = False
        #: Whether ``run_forever()`` waits for the end: then the source needs no listener to go on.
        self.awaited = False
        #: Whether a callback waits for an event: it would wait for ever if the source did so, too.
        self.callback_waits = False

    def reset(self) -> None:
        """Reset the flags for a new session."""
        self.awaited = self._logged = False

    def changed(self) -> None:
        """Make the source check again whether there is room. Any thread."""
        with self._monitor.lock:
            self._monitor.changed()

    def interrupt(self) -> None:
        """Make the source check whether it is to stop. Any thread, also in a finalizer."""
        self.changed()

    def wait_for_room(self, dispatcher: Dispatcher, stopping: Callable[[], bool]) -> None:
        """Block until there is room. Runs on the source's thread.

        :param stopping: returns whether the stream is to end.
        :raises Interrupted: when it is to end.
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
        """Wait *seconds*.

        :raises Interrupted: at once, when the stream is to end.
        """
        if self._monitor.wait(stopping, clocks.monotonic() + seconds):
            raise Interrupted

    def _has_room(self, dispatcher: Dispatcher) -> bool:
        if not (self.awaited or self._registry.has_listeners):
            return False
        most = _MOST_BEHIND_A_WAIT if self.callback_waits else _MOST_WAITING
        if len(dispatcher.lanes) >= most:
            return False
        journal = self._registry.journal
        if journal is not None and not journal.has_room:
            return False
        return all(queue.has_room for queue in self._registry.queues())

    def _wait(self, ready: Callable[[], bool]) -> None:
        if not self._logged and not self._monitor.wait(ready, clocks.monotonic() + _PATIENCE):
            self._logged = True
            log(
                logging.WARNING,
                "The source waits for its readers: %s.",
                "a queue that nobody reads is full, a callback is slow, or a disk"
                if self._registry.has_listeners
                else "there are none. Register a callback, make a queue, or call run_forever()",
            )
        self._monitor.wait(ready, None)


class PacedQueue(ItemQueue):
    """A queue that loses nothing, because its source waits while it is full.

    :param event: the name of the event.
    :param buffer: an unbounded one, because one read may bring more than there is room for.
    :param most: how many items make the source wait; 0 is unbounded.
    :param pace: the source's.
    :param dispatcher: the stream's.
    :param on_close: removes the queue from its stream.
    :param lifecycle: the stream's.
    """

    def __init__(
        self,
        event: str,
        buffer: Buffer,
        most: int,
        pace: Pace,
        dispatcher: Dispatcher,
        on_close: Callable[[ItemQueue], None],
        lifecycle: Life,
    ) -> None:
        super().__init__(event, buffer, on_close, lifecycle)
        self._most = most or float("inf")
        self._pace = pace
        self._dispatcher = dispatcher
        self._full = False

    @property
    def has_room(self) -> bool:
        """Whether the source may go on. A full queue has room again when half of it was read."""
        limit = self._most / 2 if self._full else self._most - 1
        # Set before the check, so that a reader that makes room meanwhile wakes the source.
        self._full = True
        self._full = self.qsize() > limit
        return not self._full

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item, and let the source go on when there is room again."""
        item = super().get(block, timeout)
        if self._full and self.qsize() <= self._most / 2:
            self._pace.changed()
        return item

    def _wait(self, deadline: float | None) -> bool:
        if not self._dispatcher.is_current:
            return super()._wait(deadline)
        self._pace.callback_waits = True
        self._pace.changed()
        try:
            return super()._wait(deadline)
        finally:
            self._pace.callback_waits = False

    def abandon(self) -> None:
        """Collect nothing more, and let the source stop waiting for this queue."""
        super().abandon()
        self._pace.changed()

    def close(self) -> None:
        """Stop collecting, and let the source stop waiting for this queue."""
        super().close()
        self._pace.changed()
