"""How callbacks are called, and what becomes of failures outside of them, without a thread."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest

from etoro_sync import EVENTS, EToroError
from etoro_sync.delivery.callbacks import Callbacks
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.stats import Counters


class Bench:
    """Callbacks that note orders, and fail between them as often as a test wants."""

    def __init__(self, *orders: int) -> None:
        self.orders = deque(orders)
        self.failures: list[BaseException] = []
        self.heard: list[Any] = []
        registry = Registry(EVENTS)
        registry.add("private:event", Handler(self.heard.append, None, once=False))
        self.callbacks = Callbacks(registry, Counters(), self._next_order)

    def _next_order(self) -> tuple[str, deque[tuple[Any, ...]]] | None:
        if self.failures:
            raise self.failures.pop()
        return ("private:event", deque([(self.orders.popleft(),)])) if self.orders else None


def test_orders_behind_a_failure_outside_of_callbacks_still_overtake_the_rest() -> None:
    """They are called out at once, and not when what they have overtaken is done."""
    bench = Bench(1, 2)
    bench.failures.append(MemoryError())
    bench.callbacks.orders_wait = True
    bench.callbacks.call_orders()
    assert bench.heard == [1, 2]


def test_failures_with_calls_in_between_are_mishaps_however_many_there_are() -> None:
    """Only those that follow one another mean that the callbacks cannot go on."""
    bench = Bench()
    for number in range(150):
        bench.callbacks.on_defect(MemoryError())
        bench.callbacks.call("private:event", deque([(number,)]))
    assert bench.heard == [*range(150)]
    for _ in range(100):
        bench.callbacks.on_defect(MemoryError())
    with pytest.raises(EToroError, match="cannot go on: MemoryError was raised 101 times"):
        bench.callbacks.on_defect(MemoryError())
