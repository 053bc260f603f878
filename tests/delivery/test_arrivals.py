"""The ages of what waits, from one note for each read."""

from __future__ import annotations

from etoro_sync.delivery.arrivals import Arrivals


def test_an_entry_came_with_the_read_that_brought_it() -> None:
    """Those of one read share a note; a read that brought nothing new leaves none."""
    arrivals = Arrivals()
    arrivals.note(3, 1.0)
    arrivals.note(3, 2.0)
    arrivals.note(5, 3.0)
    assert [arrivals.of(place) for place in range(6)] == [1.0, 1.0, 1.0, 3.0, 3.0, None]


def test_what_is_gone_is_forgotten() -> None:
    """What is asked for is not, nor what is behind it."""
    arrivals = Arrivals()
    for end, came in ((3, 1.0), (5, 3.0), (9, 4.0)):
        arrivals.note(end, came)
    assert arrivals.forget(4) == 3.0
    assert len(arrivals._notes) == 2
    assert [arrivals.of(place) for place in (4, 5, 9)] == [3.0, 4.0, None]
    assert arrivals.forget(9) is None
    assert len(arrivals._notes) == 0


def test_notes_are_bounded_however_long_nothing_is_taken() -> None:
    """For days: no entry counts as younger than it is, and none of the newer ones as much older."""
    arrivals = Arrivals()
    count = 300_001
    for n in range(count):
        arrivals.note(n + 1, float(n))
    assert len(arrivals._notes) <= 2000
    ages = {}
    for place in (0, 1000, count // 2, count - 5000, count - 900, count - 1):
        came = arrivals.of(place)
        assert came is not None
        ages[place] = place - came
    assert min(ages.values()) >= 0.0
    assert ages[count - 5000] < 50
    assert ages[count - 900] <= 1.0
    assert ages[0] == ages[count - 1] == 0.0
    assert arrivals.of(count) is None
