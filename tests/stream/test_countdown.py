"""How long a wait has that takes several items, with a clock that the test moves."""

from __future__ import annotations

import queue
from typing import Any

import pytest

from etoro_sync import clocks
from etoro_sync.stream.countdown import Countdown
from tests.support.clocks import FakeClock


class Items:
    """A queue whose reads take the time that the test says."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.waiting: list[str] = []
        self.takes = 0.0
        self.asked: list[float | None] = []

    def get(self, block: bool = True, timeout: float | None = None) -> str:
        self.asked.append(timeout if block else 0.0)
        self.clock.advance(self.takes)
        if not self.waiting:
            raise queue.Empty
        return self.waiting.pop(0)

    def qsize(self) -> int:
        return len(self.waiting)


@pytest.fixture
def items(monkeypatch: pytest.MonkeyPatch) -> Items:
    clock = FakeClock()
    monkeypatch.setattr(clocks, "monotonic", clock)
    return Items(clock)


def countdown_of(items: Any, timeout: float | None) -> Countdown:
    return Countdown(items, timeout)


def test_one_call_may_have_less_time_than_all_of_them(items: Items) -> None:
    """And the last one no more than is left."""
    countdown = countdown_of(items, 5.0)
    for takes, asked in ((2.0, 2.0), (2.0, 2.0), (1.0, 1.0)):
        assert not countdown.is_up
        items.takes = takes
        with pytest.raises(queue.Empty):
            countdown.get(2.0)
        assert items.asked.pop() == asked
    assert countdown.is_up
    endless = countdown_of(items, None)
    with pytest.raises(queue.Empty):
        endless.get(2.0)
    assert (items.asked.pop(), endless.is_up) == (2.0, False)


@pytest.mark.parametrize("most", [None, 1.0])
@pytest.mark.parametrize("waiting", [["item"], []])
def test_a_standstill_of_the_process_puts_the_end_off(
    most: float | None, waiting: list[str], items: Items
) -> None:
    """Nothing could come during it; also where a call ends without an item."""
    countdown = countdown_of(items, 5.0)
    items.waiting, items.takes = list(waiting), 60.0
    if waiting:
        countdown.get(most)
    else:
        with pytest.raises(queue.Empty):
            countdown.get(most)
    assert not countdown.is_up


def test_what_had_come_when_the_time_was_up_is_still_to_be_had(items: Items) -> None:
    """But nothing that came later, unless it is counted anew."""
    countdown = countdown_of(items, 0)
    items.waiting = ["first", "second"]
    assert countdown.is_up
    assert countdown.get(1.0) == "first"
    items.waiting.append("late")
    assert countdown.get(1.0) == "second"
    with pytest.raises(queue.Empty):
        countdown.get(1.0)
    countdown.recount()
    assert countdown.get(1.0) == "late"
    with pytest.raises(queue.Empty):
        countdown.get(1.0)
