"""What the simulator is to do later. Pure: the clock is passed in."""

import heapq
import itertools
from collections.abc import Callable


class TimerQueue:
    """Things to do and when; those of the same time are done in the order of their entry."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def add(self, time: float, action: Callable[[], None]) -> None:
        """
        Enter something.

        :param time: When to do it, on a monotonic clock.
        :param action: What to do.
        """
        heapq.heappush(self._entries, (time, next(self._numbers), action))

    def pop_due(self, now: float) -> Callable[[], None] | None:
        """Take out the next thing that is due; None when nothing is."""
        if self._entries and self._entries[0][0] <= now:
            return heapq.heappop(self._entries)[2]
        return None

    def wait_time(self, now: float, longest: float) -> float:
        """Give the seconds until the next thing is due, at most ``longest``."""
        return min(longest, max(0.0, self._entries[0][0] - now)) if self._entries else longest

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
