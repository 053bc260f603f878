from etoro_sync.simulator.timers import TimerQueue


def test_what_is_due_is_given_in_order_of_time_and_entry() -> None:
    """And nothing before its time."""
    timers, done = TimerQueue(), []
    for time, name in [(2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")]:
        timers.add(time, lambda name=name: done.append(name))  # type: ignore[misc]
    assert timers.pop_due(0.9) is None
    while (action := timers.pop_due(2.5)) is not None:
        action()
    assert done == ["a", "b", "c"]
    assert timers.wait_time(2.5, 10.0) == 0.5


def test_the_wait_is_bounded_from_both_sides() -> None:
    """An empty queue waits for the longest time allowed."""
    timers = TimerQueue()
    assert timers.wait_time(0.0, 10.0) == 10.0
    timers.add(100.0, lambda: None)
    assert timers.wait_time(0.0, 10.0) == 10.0
    assert timers.wait_time(101.0, 10.0) == 0.0
    timers.clear()
    assert timers.pop_due(1000.0) is None
