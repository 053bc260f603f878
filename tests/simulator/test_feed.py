import pytest

from etoro_sync.simulator.feed import DueCounter


def run(counter: DueCounter, times: list[float]) -> list[int]:
    """Do all that is due at the given times and give how much it was."""
    counts = []
    for now in times:
        counts.append(counter.due(now))
        counter.mark_done(counts[-1])
    return counts


def test_the_rate_is_kept_on_average_whatever_the_rhythm_of_asking() -> None:
    """Being late now is made up for later."""
    assert run(DueCounter(100), [50.0, 50.1, 50.105, 50.5, 51.0]) == [0, 10, 0, 40, 50]


def test_what_was_not_done_stays_due() -> None:
    """A turn may do less than it should."""
    counter = DueCounter(100)
    counter.due(0.0)
    assert counter.due(0.5) == 50
    counter.mark_done(20)
    assert counter.due(0.5) == 30
    assert counter.wait_time(0.5) == 0


def test_arrears_of_more_than_a_second_are_written_off() -> None:
    """After a suspend there is no flood."""
    counter = DueCounter(100)
    assert run(counter, [0.0, 3600.0, 3600.1]) == [0, 100, 10]
    slow = DueCounter(0.1)
    assert run(slow, [0.0, 3600.0, 3609.0, 3611.0]) == [0, 1, 0, 1]


def test_the_wait_is_until_the_next_one_is_due() -> None:
    """Nobody wakes up for nothing."""
    counter = DueCounter(10)
    counter.due(5.0)
    assert counter.wait_time(5.0) == pytest.approx(0.1)
    assert counter.wait_time(5.04) == pytest.approx(0.06)
    assert counter.wait_time(9.0) == 0


def test_a_rate_of_zero_is_never_due() -> None:
    """Nothing is sent and nobody waits for it in vain."""
    counter = DueCounter(0)
    assert run(counter, [0.0, 1e6]) == [0, 0]
    assert counter.wait_time(1e6) > 1000


def test_a_rest_does_not_count() -> None:
    """What would have been due during a pause is not made up for."""
    counter = DueCounter(10)
    assert run(counter, [0.0, 0.5]) == [0, 5]
    counter.reset()
    assert counter.wait_time(0.5) > 1000
    assert run(counter, [100.0, 100.2]) == [0, 2]
