"""A clock that moves when a test says so, for all logic that is passed a clock."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """A stand-in for ``time.monotonic``.

    It starts at a number that is not zero, so that code which takes zero for "never" is found out.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Move on, and return the new time."""
        assert seconds >= 0, "a monotonic clock does not go back"
        self.now += seconds
        return self.now
