"""When a reader of a queue is too slow, as against one that reads a lot at once, now and then."""

__all__ = ["LagWatch"]

#: Seconds that a queue which is being read may be behind before it is logged.
_LAG = 5.0
#: The same for one that skips superseded rates, which then is not waiting to be read at leisure.
_LAG_CONFLATED = 1.0
#: How often a reader that is not late is looked at, as a share of those.
_LOOKS = 0.05


class LagWatch:
    """Judges how late items are read. The owner holds a lock around every call.

    :param conflate_after: seconds after which superseded rates are skipped; None: they are not.
    """

    def __init__(self, conflate_after: float | None) -> None:
        self._limit = _LAG if conflate_after is None else max(conflate_after, _LAG_CONFLATED)
        #: When to judge again.
        self.next_look = 0.0
        # Since when all that is read is late, and how late it was then.
        self._late_since: tuple[float, float] | None = None

    def emptied(self) -> None:
        """Note that nothing waits: the reader has caught up."""
        self._late_since = None

    def judge(self, now: float, came: float | None, left: float | None) -> float:
        """Return how late the item is that was read just now, if that is to be logged; else 0.0.

        :param came: when it came.
        :param left: when the oldest came that still waits; None: nothing waits.
        """
        # To read a lot at once is no lag: such a reader leaves nothing old behind.
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
