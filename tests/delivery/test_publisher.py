"""What a read has brought reaches callbacks and queues in order, and each connection's apart."""

from __future__ import annotations

from typing import Any

from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.mixed import Ports
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


def test_what_two_readers_collect_for_a_queue_stays_apart_until_each_hands_it_over() -> None:
    """The readers of several connections feed the same queues, each at the end of its own read."""
    registry = Registry(EVENTS)
    one, other = publisher_of(registry)[0], publisher_of(registry)[0]
    plain = ItemQueue(RATE, make_buffer(RATE, 9, "conflate"), registry.remove_queue)
    registry.add_queue(plain, None)
    ports = Ports((RATE, "stale"), registry.remove_queue)
    mixed = ItemQueue(f"{RATE}, stale", make_buffer((RATE, "stale"), 9, None), ports)
    ports.connect(mixed, registry.add_queue, None)
    one.publish(1, {"ask": 1.0})
    other.publish(2, {"ask": 2.0})
    one.put("stale", 1, (1, 10.0))
    other.flush()
    assert plain.get_nowait() == (2, 2.0)
    assert plain.empty()
    one.flush()
    assert plain.get_nowait() == (1, 1.0)
    read = [mixed.get_nowait() for _ in range(mixed.qsize())]
    assert read == [(RATE, 2, 2.0), (RATE, 1, 1.0), ("stale", 1, 10.0)]
