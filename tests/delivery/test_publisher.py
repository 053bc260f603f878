"""What a read has brought reaches callbacks and queues in order, and each connection's apart."""

from __future__ import annotations

from typing import Any

from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.delivery.queues import ItemQueue
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.events import EVENTS

RATE = "instrument:rate"


class Callbacks:
    """Stands in for the dispatcher, and notes what it is given."""

    def __init__(self) -> None:
        self.given: list[Any] = []

    def extend(self, session: int, rates: list[Any], others: list[Any]) -> None:
        self.given += [*rates, *others]

    def barrier(self) -> None:
        self.given.append("barrier")


def publisher_of(registry: Registry) -> tuple[Publisher, Callbacks]:
    callbacks: Any = Callbacks()
    return Publisher(registry, callbacks, lambda state: state["ask"], 1), callbacks


def test_a_new_connection_does_not_replace_rates_of_the_last_one_in_a_full_queue() -> None:
    """Else its rate would stand in front of older ones, and of the gap between the two."""
    registry = Registry(EVENTS)
    out, _ = publisher_of(registry)
    rates = ItemQueue(RATE, make_buffer(RATE, 2, "conflate"), registry.remove_queue)
    registry.add_queue(rates, None)
    out.publish(1, {"ask": 1.0})
    out.publish(2, {"ask": 2.0})
    out.barrier()
    out.publish(1, {"ask": 1.5})
    out.flush()
    assert [rates.get_nowait() for _ in range(rates.qsize())] == [(2, 2.0), (1, 1.5)]


def test_callbacks_are_given_the_rates_of_the_last_connection_before_the_barrier() -> None:
    """What was collected until then belongs in front of it."""
    registry = Registry(EVENTS)
    out, callbacks = publisher_of(registry)
    registry.add(RATE, Handler(print, None, once=False))
    out.publish(1, {"ask": 1.0})
    out.barrier()
    out.publish(1, {"ask": 1.5})
    out.flush()
    assert callbacks.given == [(1, 1.0), "barrier", (1, 1.5)]
