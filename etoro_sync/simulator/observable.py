"""State that threads can wait for: one lock, one condition, and timers for later changes."""

import threading
from collections.abc import Callable

from .clocks import monotonic
from .timers import TimerQueue


class ObservableState:
    """State whose changes other threads can wait for."""

    def __init__(self) -> None:
        #: Guards all of the state; notified upon every change. Re-entrant, because the predicates
        #: of :meth:`wait_until` run under it and may call any method of the simulator.
        self.changed = threading.Condition(threading.RLock())
        #: What :meth:`run_due` calls when it is due.
        self.timers = TimerQueue()
        self._waiters = 0

    def call_later(self, delay: float, action: Callable[[], None]) -> None:
        """Call *action* after *delay* seconds, with the lock held."""
        with self.changed:
            self.timers.add(monotonic() + delay, action)
            self.changed.notify_all()

    def run_due(self, now: float) -> None:
        """Run the timers that are due at *now* on the monotonic clock. Requires the lock."""
        while (action := self.timers.pop_due(now)) is not None:
            action()
            self.changed.notify_all()

    def message_sent(self) -> None:
        """Wake waiting threads after a message was sent. Cheap while no thread waits."""
        if self._waiters:
            with self.changed:
                self.changed.notify_all()

    def wait_until(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Wait until *predicate* is true; it is evaluated after every change."""
        with self.changed:
            self._waiters += 1
            try:
                return bool(self.changed.wait_for(predicate, timeout))
            finally:
                self._waiters -= 1
