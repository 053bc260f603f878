"""Waits between attempts: jittered, capped, counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync.ws.session.backoff import Backoff


def bounds(backoff: Backoff, **how: float) -> tuple[float, float] | None:
    """The bounds between which the next wait is drawn."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high

    backoff._uniform = uniform
    return drawn[-1] if backoff.next(**how) is not None else None  # type: ignore[arg-type]


def test_the_upper_bound_doubles_up_to_the_cap() -> None:
    """Full jitter: the lower bound is zero."""
    backoff = Backoff(1.0, 60.0, None)
    highs = [bounds(backoff) for _ in range(8)]
    assert highs == [(0.0, high) for high in (1, 2, 4, 8, 16, 32, 60, 60)]


@given(st.floats(0, 100), st.floats(0, 100), st.integers(1, 200))
def test_a_wait_is_within_its_bounds(delay: float, cap: float, attempt: int) -> None:
    """Drawn for real, at any attempt."""
    backoff = Backoff(delay, cap, None)
    backoff.attempt = attempt - 1
    wait = backoff.next()
    assert wait is not None
    assert 0 <= wait <= min(cap, delay * 2.0 ** (attempt - 1))
    slow = backoff.next(slow=True)
    assert slow is not None
    assert cap / 2 <= slow <= cap


def test_the_slow_lane_waits_for_half_the_cap_at_least() -> None:
    """From the first attempt on, and it counts as one."""
    backoff = Backoff(1.0, 60.0, 2)
    assert bounds(backoff, slow=True) == (30.0, 60.0)
    assert backoff.attempt == 1
    assert bounds(backoff) == (0.0, 2.0)
    assert backoff.next(slow=True) is None


@pytest.mark.parametrize("slow", [False, True])
def test_a_wait_that_was_asked_for_is_kept_and_spread(slow: bool) -> None:
    """The server may name the same time to all clients; they must not return all at once."""
    waits = [Backoff(1.0, 60.0, None).next(slow=slow, retry_after=100.0) for _ in range(50)]
    assert all(wait is not None and 100.0 <= wait <= 101.0 for wait in waits)
    assert len({*waits}) > 40


def test_a_wait_that_was_asked_for_shortens_none() -> None:
    """The client's own wait may be longer: after some attempts, and for TooManyRequests."""
    wait = Backoff(1.0, 60.0, None).next(slow=True, retry_after=1.0)
    assert wait is not None
    assert wait >= 30.0
    assert bounds(Backoff(1.0, 60.0, None), retry_after=0.0) == (0.0, 1.0)


@pytest.mark.parametrize(("cap", "most"), [(60.0, 3600.0), (7200.0, 7200.0)])
def test_a_wait_that_was_asked_for_has_a_cap(cap: float, most: float) -> None:
    """A wrong header would silence the client for years."""
    wait = Backoff(0.0, cap, None).next(retry_after=1e9)
    assert wait == most


def test_attempts_are_counted_until_a_reset() -> None:
    """With none allowed, three allowed, and three again after the reset."""
    assert Backoff(1.0, 60.0, 0).next() is None
    backoff = Backoff(1.0, 60.0, 3)
    for _ in range(2):
        assert [backoff.next() is not None for _ in range(4)] == [True, True, True, False]
        assert backoff.attempt == 3
        backoff.reset()
        assert backoff.attempt == 0
    assert bounds(backoff) == (0.0, 1.0)


def test_a_short_session_begins_the_count_anew_but_not_the_waits() -> None:
    """However often it happens; a lasting session resets both."""
    backoff = Backoff(1.0, 60.0, 2)
    highs = []
    for _ in range(4):
        highs += [bounds(backoff), bounds(backoff)]
        assert backoff.next() is None
        backoff.reset(lasting=False)
        assert backoff.attempt == 0
    assert highs == [(0.0, high) for high in (1, 2, 4, 8, 16, 32, 60, 60)]
    backoff.reset()
    assert bounds(backoff) == (0.0, 1.0)
    for _ in range(2000):  # 2.0 ** 1024 is an OverflowError
        backoff.reset(lasting=False)
        assert bounds(backoff) is not None


def test_an_outage_of_a_month_overflows_nothing() -> None:
    """2.0 ** 1024 would."""
    backoff = Backoff(1.0, 60.0, None)
    backoff.attempt = 50_000
    assert bounds(backoff) == (0.0, 60.0)
    assert backoff.attempt == 50_001
