import pytest

from etoro_sync.simulator.feed import Pace


def run(pace: Pace, times: list[float]) -> list[int]:
    """Do all that is due at the given times and give how much it was."""
    counts = []
    for now in times:
        counts.append(pace.due(now))
        pace.did(counts[-1])
    return counts


def test_the_rate_is_kept_on_average_whatever_the_rhythm_of_asking() -> None:
    """Being late now is made up for later."""
    assert run(Pace(100), [50.0, 50.1, 50.105, 50.5, 51.0]) == [0, 10, 0, 40, 50]


def test_what_was_not_done_stays_due() -> None:
    """A turn may do less than it should."""
    pace = Pace(100)
    pace.due(0.0)
    assert pace.due(0.5) == 50
    pace.did(20)
    assert pace.due(0.5) == 30
    assert pace.wait(0.5) == 0


def test_arrears_of_more_than_a_second_are_written_off() -> None:
    """After a suspend there is no flood."""
    pace = Pace(100)
    assert run(pace, [0.0, 3600.0, 3600.1]) == [0, 100, 10]
    slow = Pace(0.1)
    assert run(slow, [0.0, 3600.0, 3609.0, 3611.0]) == [0, 1, 0, 1]


def test_the_wait_is_until_the_next_one_is_due() -> None:
    """Nobody wakes up for nothing."""
    pace = Pace(10)
    pace.due(5.0)
    assert pace.wait(5.0) == pytest.approx(0.1)
    assert pace.wait(5.04) == pytest.approx(0.06)
    assert pace.wait(9.0) == 0


def test_a_rate_of_zero_is_never_due() -> None:
    """Nothing is sent and nobody waits for it in vain."""
    pace = Pace(0)
    assert run(pace, [0.0, 1e6]) == [0, 0]
    assert pace.wait(1e6) > 1000


def test_a_rest_does_not_count() -> None:
    """What would have been due during a pause is not made up for."""
    pace = Pace(10)
    assert run(pace, [0.0, 0.5]) == [0, 5]
    pace.rest()
    assert pace.wait(0.5) > 1000
    assert run(pace, [100.0, 100.2]) == [0, 2]
