from etoro_sync.simulator.agenda import Agenda


def test_what_is_due_is_given_in_order_of_time_and_entry() -> None:
    """And nothing before its time."""
    agenda, done = Agenda(), []
    for time, name in [(2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")]:
        agenda.add(time, lambda name=name: done.append(name))  # type: ignore[misc]
    assert agenda.take(0.9) is None
    while (action := agenda.take(2.5)) is not None:
        action()
    assert done == ["a", "b", "c"]
    assert agenda.wait(2.5, 10.0) == 0.5


def test_the_wait_is_bounded_from_both_sides() -> None:
    """An empty agenda has no opinion."""
    agenda = Agenda()
    assert agenda.wait(0.0, 10.0) == 10.0
    agenda.add(100.0, lambda: None)
    assert agenda.wait(0.0, 10.0) == 10.0
    assert agenda.wait(101.0, 10.0) == 0.0
    agenda.clear()
    assert agenda.take(1000.0) is None
