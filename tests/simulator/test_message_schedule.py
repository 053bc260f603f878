"""When each instrument of the simulated feed sends its next message."""

from random import Random

import pytest

from etoro_sync.simulator.message_schedule import MessageSchedule
from etoro_sync.simulator.profile import profile_of


def taken(schedule: MessageSchedule, now: float) -> list[int]:
    """Take all that is due."""
    found = []
    while (instrument_id := schedule.pop_due(now)) is not None:
        found.append(instrument_id)
    return found


def test_each_instrument_keeps_its_own_interval() -> None:
    """The first message comes after half of it."""
    schedule = MessageSchedule(lambda instrument_id: float(instrument_id))
    live = [1, 2]
    schedule.set_live(live, 100.0)
    assert schedule.wait_time(100.0) == 0.5
    assert taken(schedule, 100.4) == []
    assert [taken(schedule, 100 + t) for t in (0.5, 1.0, 1.5, 2.5, 3.0)] == [
        [1],
        [2],
        [1],
        [1],
        [2],
    ]
    assert schedule.wait_time(103.0) == 0.5


def test_those_that_go_on_keep_their_times_and_those_that_leave_are_forgotten() -> None:
    """Whoever else subscribes changes nothing for them."""
    schedule = MessageSchedule(lambda instrument_id: 1.0)
    schedule.set_live([1, 2], 0.0)
    schedule.set_live([2, 3], 0.25)
    assert taken(schedule, 0.5) == [2]
    assert taken(schedule, 0.75) == [3]
    schedule.set_live([], 0.8)
    assert schedule.pop_due(99.0) is None
    assert schedule.wait_time(99.0) > 1000


def test_what_was_missed_is_not_made_up_for() -> None:
    """After a suspend there is no flood."""
    schedule = MessageSchedule(lambda instrument_id: 1.0)
    schedule.set_live([1], 0.0)
    assert taken(schedule, 3600.0) == [1]
    assert 0 < schedule.wait_time(3600.0) < 1


@pytest.mark.parametrize("instrument_id", [18, 100000, *range(5)])
def test_an_instrument_sends_about_once_a_second(instrument_id: int) -> None:
    """As recorded: mostly after its interval, at times much later, never at once."""
    profile = profile_of(instrument_id, Random(instrument_id))
    gaps = sorted(profile.gap(Random(seed)) for seed in range(5000))
    assert 0.28 <= gaps[0] < 0.6
    assert gaps[2500] == pytest.approx(profile.interval, rel=0.05)
    assert 0.8 <= profile.interval <= 1.4
    assert gaps[-1] <= 4 * profile.interval
