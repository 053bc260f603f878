"""The time that a wait has which takes several items, one after the other."""

import queue
from typing import Any

from .. import clocks
from ..delivery.queues import ItemQueue

__all__ = ["Countdown"]


class Countdown:
    """Takes items of a queue until the time is up.

    What had come until then can still be taken, but nothing that came later: otherwise a wait would
    never end whose items come faster than they are looked at. The time is put off by standstills of
    the process, during which nothing could come.

    :param items: the queue.
    :param timeout: seconds; None is no limit.
    """

    def __init__(self, items: ItemQueue, timeout: float | None) -> None:
        self._items = items
        self.timeout = timeout
        self._deadline = None if timeout is None else clocks.monotonic() + timeout
        # How many items that came in time are left; None: the time is not up yet.
        self._rest: int | None = None

    @property
    def is_up(self) -> bool:
        """Whether the time is up."""
        return self._deadline is not None and clocks.monotonic() >= self._deadline

    def get(self, most: float | None = None) -> Any:
        """Return the next item.

        :param most: seconds of this call, at most; None is no limit.
        :raises queue.Empty: when the time is up, or that of this call.
        :raises EToroError: as the queue's own method.
        """
        if self._deadline is None:
            return self._items.get(timeout=most)
        now = clocks.monotonic()
        left = self._deadline - now
        if left > 0.0:
            until = now + (left if most is None else min(left, most))
            try:
                return self._items.get(timeout=until - now)
            finally:
                self._deadline = clocks.put_off(self._deadline, until, clocks.monotonic())
        if self._rest is None:
            self._rest = self._items.qsize()
        if self._rest == 0 and self._items.qsize():
            raise queue.Empty
        self._rest = max(self._rest - 1, 0)
        return self._items.get(block=False)

    def recount(self) -> None:
        """Let what waits when the next item is asked for count as in time."""
        self._rest = None
