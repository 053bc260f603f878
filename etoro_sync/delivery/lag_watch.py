"""Notices readers of a queue that are too slow, but not those that read a lot now and then."""

__all__ = ["LagWatch"]

#: Seconds that the reader of a queue may be behind before it is logged.
_LAG = 5.0
#: The same, at least, for a queue with ``conflate_after``, whose reader wants recent rates.
_LAG_CONFLATED = 1.0
#: The time between two checks of a reader that is not late, as a share of the above.
_LOOKS = 0.05


class LagWatch:
    """Decides whether the reader of a queue is too slow. The owner holds a lock around every call.

    :param conflate_after: seconds after which superseded rates are skipped; None: they are not.
    """

    def __init__(self, conflate_after: float | None) -> None:
        self._limit = _LAG if conflate_after is None else max(conflate_after, _LAG_CONFLATED)
        #: When to call :meth:`judge` again.
        self.next_look = 0.0
        # Since when all items that are read are late, and how late they were then.
        self._late_since: tuple[float, float] | None = None

    def emptied(self) -> None:
        """Note that nothing waits: the reader has caught up."""
        self._late_since = None

    def judge(self, now: float, came: float | None, left: float | None) -> float:
        """Return how late the item is that was just read, in seconds; 0.0: too little to be logged.

        :param now: the time.
        :param came: when the item came.
        :param left: when the oldest item came that still waits; None: nothing waits.
        """
        # A reader that takes a lot at once leaves nothing old behind, so it does not lag.
        if came is None or left is None or (now - left) * 2 <= self._limit:
            self._late_since = None
            self.next_look = now + self._limit * _LOOKS
            return 0.0
        lag = now - came
        since, before = self._late_since or (now, lag)
        if now - since <= self._limit:
            self._late_since = since, before
            return 0.0
        self._late_since = now, lag
        return lag if lag > self._limit and lag > before * 0.9 else 0.0
