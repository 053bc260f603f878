"""Timers for what the simulator does later. Pure: the time is passed in."""

import heapq
import itertools
from collections.abc import Callable


class TimerQueue:
    """Actions ordered by time; those of the same time keep the order in which they were added."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def add(self, time: float, action: Callable[[], None]) -> None:
        """Add an action.

        :param time: when it is due, on a monotonic clock.
        :param action: called when it is due.
        """
        heapq.heappush(self._entries, (time, next(self._numbers), action))

    def pop_due(self, now: float) -> Callable[[], None] | None:
        """Remove and return the next action that is due; None when there is none."""
        if self._entries and self._entries[0][0] <= now:
            return heapq.heappop(self._entries)[2]
        return None

    def wait_time(self, now: float, longest: float) -> float:
        """Return the seconds until the next action is due, at most *longest*."""
        return min(longest, max(0.0, self._entries[0][0] - now)) if self._entries else longest

    def clear(self) -> None:
        """Remove all actions."""
        self._entries.clear()
