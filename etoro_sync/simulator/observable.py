"""
State that can be watched: one lock, and everybody who waits hears of every change. What is to
change later waits here, too.
"""

import threading
from collections.abc import Callable

from .clocks import monotonic
from .timers import TimerQueue


class ObservableState:
    """Something whose changes can be waited for."""

    def __init__(self) -> None:
        #: Guards all of the state; notified upon every change. Reentrant, because the predicates
        #: of :meth:`wait_until` run under it and may ask the simulator anything.
        self.changed = threading.Condition(threading.RLock())
        #: Carried out by :meth:`run_due`.
        self.timers = TimerQueue()
        self._waiters = 0

    def call_later(self, delay: float, action: Callable[[], None]) -> None:
        """Have something done after a delay in seconds, with the lock held."""
        with self.changed:
            self.timers.add(monotonic() + delay, action)
            self.changed.notify_all()

    def run_due(self, now: float) -> None:
        """Do what is due by now, on a monotonic clock. Requires the lock."""
        while (action := self.timers.pop_due(now)) is not None:
            action()
            self.changed.notify_all()

    def message_sent(self) -> None:
        """Note that a message went out. Costs nothing while nobody waits for it."""
        if self._waiters:
            with self.changed:
                self.changed.notify_all()

    def wait_until(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Wait for a condition, looking at it again after every change."""
        with self.changed:
            self._waiters += 1
            try:
                return bool(self.changed.wait_for(predicate, timeout))
            finally:
                self._waiters -= 1
