"""Keeps a flood of equal troubles out of the log: each kind once, then once a minute."""

import threading
from collections.abc import Callable, Hashable

from . import clocks

__all__ = ["LogThrottle"]


class LogThrottle:
    """Says whether a kind of trouble is to be logged now. Thread-safe.

    The lock guards the table of kinds, which is bounded: what a server or a user can invent must
    not fill the memory.

    :param period: seconds between two log records of one kind.
    :param most: how many kinds are told apart within a period; all further ones count as one.
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

    def passes(self, kind: Hashable) -> int | None:
        """Count one trouble; None: keep quiet; else how many of its kind were kept quiet."""
        now = self._clock()
        with self._lock:
            if kind not in self._kinds and self._full:
                self._forget(now)
                kind = None if self._full else kind
            logged_at, quiet = self._kinds.get(kind, (-float("inf"), 0))
            if now - logged_at < self._period:
                self._kinds[kind] = (logged_at, quiet + 1)
                return None
            self._kinds[kind] = (now, 0)
            return quiet

    @property
    def _full(self) -> bool:
        return len(self._kinds) - (None in self._kinds) >= self._most

    def _forget(self, now: float) -> None:
        """Make room: a kind whose period is over would be logged again in any case."""
        self._kinds = {
            kind: (logged_at, quiet)
            for kind, (logged_at, quiet) in self._kinds.items()
            if now - logged_at < self._period
        }
