"""Limits how often one kind of record is logged: once, and then at most once a minute."""

import threading
from collections.abc import Callable, Hashable

from . import clocks
from .synchronization import renew_lock_in_child

__all__ = ["LogThrottle"]


class LogThrottle:
    """Decides whether a record of some kind is logged now. Thread-safe.

    The lock guards the table of kinds. The table is bounded, because servers and users can make up
    any number of kinds.

    :param period: seconds between two log records of one kind.
    :param most: how many kinds are distinguished within a period; all others count as one kind.
    :param clock: monotonic seconds.
    """

    def __init__(
        self, period: float = 60.0, most: int = 256, clock: Callable[[], float] = clocks.monotonic
    ) -> None:
        self._period = period
        self._most = most
        self._clock = clock
        self._kinds: dict[Hashable, tuple[float, int]] = {}
        self._lock = threading.Lock()
        renew_lock_in_child(self)

    def passes(self, kind: Hashable) -> int | None:
        """Return how many records of *kind* were left out before this one; None: leave it out."""
        now = self._clock()
        with self._lock:
            if kind not in self._kinds and self._full:
                self._forget(now)
                kind = None if self._full else kind
            logged_at, omitted = self._kinds.get(kind, (-float("inf"), 0))
            if now - logged_at < self._period:
                self._kinds[kind] = (logged_at, omitted + 1)
                return None
            self._kinds[kind] = (now, 0)
            return omitted

    @property
    def _full(self) -> bool:
        return len(self._kinds) - (None in self._kinds) >= self._most

    def _forget(self, now: float) -> None:
        """Remove kinds whose period is over: their next record is logged in any case."""
        self._kinds = {
            kind: (logged_at, omitted)
            for kind, (logged_at, omitted) in self._kinds.items()
            if now - logged_at < self._period
        }
