"""Which readers are too slow."""

from __future__ import annotations

import pytest

from etoro_sync.delivery.lag_watch import LagWatch


def late(watch: LagWatch, start: float, seconds: float, lag: float = 20.0) -> list[float]:
    """Judge items that are read so late, ten a second; return what was to be logged."""
    moments = [start + n / 10 for n in range(round(seconds * 10) + 1)]
    told = [watch.judge(now, now - lag, now - lag) for now in moments]
    return [lag for lag in told if lag]


@pytest.mark.parametrize(
    ("conflate_after", "limit"), [(None, 5.0), (0.0, 1.0), (1.0, 1.0), (3.0, 3.0)]
)
def test_a_reader_that_stays_late_is_logged_after_a_while(
    conflate_after: float | None, limit: float
) -> None:
    """As long as it may be late at all."""
    assert late(LagWatch(conflate_after), 100.0, limit) == []
    assert late(LagWatch(conflate_after), 100.0, limit + 0.1) == [20.0]


def test_a_reader_that_has_emptied_the_queue_begins_anew() -> None:
    """The time that it was late before does not count."""
    watch = LagWatch(None)
    assert late(watch, 100.0, 4.0) == []
    watch.emptied()
    assert late(watch, 104.0, 4.0) == []
    assert late(watch, 108.0, 1.5) == [20.0]


def test_a_reader_that_leaves_nothing_old_behind_begins_anew() -> None:
    """It reads a lot at once, now and then; and it is not looked at again for a moment."""
    watch = LagWatch(None)
    assert late(watch, 100.0, 4.0) == []
    assert watch.judge(104.0, 84.0, 103.0) == 0.0
    assert 104.0 < watch.next_look < 105.0
    assert late(watch, 104.1, 4.0) == []


def test_a_reader_that_catches_up_is_not_logged() -> None:
    """Late, but less and less."""
    watch = LagWatch(None)
    assert late(watch, 100.0, 5.0, lag=20.0) == []
    assert late(watch, 105.1, 0.1, lag=17.0) == []
