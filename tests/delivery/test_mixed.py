"""A queue of several events: one order for all, and a limit for each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from etoro_sync import EVENTS, EToroQueueOverflowError, EToroValidationError
from etoro_sync.delivery import mixed as module
from etoro_sync.delivery.dispatcher import Dispatcher
from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.mixed import MixedBuffer, Ports
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.delivery.queues import ItemQueue
from etoro_sync.delivery.registry import Registry
from etoro_sync.stats import Counters

RATES, ORDERS, GAPS = "instrument:rate", "private:event", "reconnected"


def mixed(maxsize: int, conflate_after: float | None = None) -> MixedBuffer:
    """Make a buffer of all events."""
    return MixedBuffer([*EVENTS], maxsize, conflate_after)


def taken(buffer: MixedBuffer, now: float = 0.0) -> list[tuple[Any, ...]]:
    """Take all that waits."""
    items = []
    while buffer.ready:
        items.append(buffer.pop(now))
    return items


def test_events_leave_in_the_order_in_which_they_came_with_all_arguments() -> None:
    """Also those without arguments, and those with several."""
    buffer = mixed(10)
    entries = [
        ("open", ()),
        (RATES, (18, "r1")),
        (ORDERS, "o1"),
        (RATES, (18, "r2")),
        ("instrument:delta", (18, "d1")),
        ("close", (1006, "gone")),
        (RATES, (19, "r3")),
    ]
    assert buffer.extend(entries, 5.0) == 0
    assert buffer.oldest == 5.0
    assert taken(buffer) == [
        ("open",),
        (RATES, 18, "r1"),
        (ORDERS, "o1"),
        (RATES, 18, "r2"),
        ("instrument:delta", 18, "d1"),
        ("close", 1006, "gone"),
        (RATES, 19, "r3"),
    ]
    assert (buffer.received, buffer.delivered, len(buffer)) == (7, 7, 0)
    with pytest.raises(IndexError):
        buffer.pop(0.0)


def test_a_flood_of_rates_costs_no_order_and_no_last_rate() -> None:
    """Each event has a limit of its own; the newest rate of each instrument stays."""
    buffer = mixed(10)
    for n in range(1000):
        buffer.extend([(RATES, (n % 5, n))], 0.0)
        if n % 100 == 0:
            buffer.extend([(ORDERS, n)], 0.0)
    items = taken(buffer)
    assert [n for event, n, *_ in items if event == ORDERS] == list(range(0, 1000, 100))
    last = {key: n for event, key, *rest in items if event == RATES for n in rest}
    assert last == {n % 5: n for n in range(995, 1000)}
    assert buffer.received == 1010
    assert buffer.received == buffer.delivered + buffer.dropped + buffer.conflated


def test_no_rate_takes_a_place_before_an_event_that_came_before_it() -> None:
    """Also where it finds no room: then an older rate goes."""
    buffer = mixed(2)
    buffer.extend([(RATES, (1, "a")), (RATES, (2, "a")), (ORDERS, "o")], 0.0)
    buffer.extend([(RATES, (1, "b")), (RATES, (2, "b")), ("unknown", "u"), (RATES, (1, "c"))], 0.0)
    assert taken(buffer) == [
        (ORDERS, "o"),
        (RATES, 2, "b"),
        ("unknown", "u"),
        (RATES, 1, "c"),
    ]
    assert buffer.received == buffer.delivered + buffer.dropped + buffer.conflated


def test_in_a_full_queue_a_newer_rate_takes_the_place_of_its_instruments_last_one() -> None:
    """So it comes before older rates of others, but after all other events that were before it."""
    buffer = mixed(2)
    buffer.extend([(RATES, (1, "a")), (RATES, (2, "a")), (RATES, (1, "b")), (ORDERS, "o")], 0.0)
    assert taken(buffer) == [(RATES, 1, "b"), (RATES, 2, "a"), (ORDERS, "o")]
    assert buffer.conflated == 1


def test_other_market_events_give_way_to_their_own_kind() -> None:
    """The oldest of them, and no rate."""
    buffer = mixed(3)
    buffer.extend([(RATES, (1, "r"))], 0.0)
    for n in range(10):
        buffer.extend([("unknown", n)], 0.0)
    assert taken(buffer) == [(RATES, 1, "r"), *(("unknown", n) for n in (7, 8, 9))]
    assert buffer.dropped == 7


def test_orders_that_have_no_room_are_missed_at_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error stands where they would have stood, and names the queue."""
    monkeypatch.setattr(module, "_LOSSLESS_SIZE", 2)
    buffer = make_buffer((RATES, ORDERS), 1, None)
    for n in range(4):
        buffer.extend([(ORDERS, n)], 0.0)
    assert [buffer.pop(0.0) for _ in range(2)] == [(ORDERS, 0), (ORDERS, 1)]
    with pytest.raises(EToroQueueOverflowError, match="instrument:rate, private:event") as caught:
        buffer.pop(0.0)
    assert caught.value.lost == 2
    assert "policy" not in str(caught.value)  # such a queue has none
    assert not buffer.ready


@pytest.mark.parametrize(("maxsize", "kept"), [(1, 2), (4, 4), (0, 6)])
def test_a_maxsize_never_costs_orders_and_0_is_unbounded(
    monkeypatch: pytest.MonkeyPatch, maxsize: int, kept: int
) -> None:
    """A played source relies on the latter: it waits instead."""
    monkeypatch.setattr(module, "_LOSSLESS_SIZE", 2)
    buffer = mixed(maxsize)
    buffer.extend([(ORDERS, n) for n in range(6)], 0.0)
    assert (len(buffer), buffer.dropped) == (kept, 6 - kept)


def test_what_is_missing_is_said_before_anything_that_came_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of whatever kind it is."""
    monkeypatch.setattr(module, "_LOSSLESS_SIZE", 1)
    buffer = mixed(1)
    buffer.extend([(ORDERS, 1), (ORDERS, 2), ("close", (1006, "gone")), (RATES, (18, "r"))], 0.0)
    assert buffer.pop(0.0) == (ORDERS, 1)
    with pytest.raises(EToroQueueOverflowError):
        buffer.pop(0.0)
    assert taken(buffer) == [("close", 1006, "gone"), (RATES, 18, "r")]


@pytest.mark.parametrize("flood", [event for event in EVENTS if event != ORDERS])
def test_no_flood_of_one_event_costs_another_one(
    monkeypatch: pytest.MonkeyPatch, flood: str
) -> None:
    """Errors, silent instruments and attempts to connect may come as often as rates do."""
    monkeypatch.setattr(module, "_LOSSLESS_SIZE", 3)
    buffer = mixed(3)
    others = [event for event in EVENTS if event not in (flood, RATES)]
    for event in others:
        buffer.extend([(event, ())], 0.0)
    for n in range(10):
        buffer.extend([(flood, (n, n))], 0.0)
    for event in others:
        buffer.extend([(event, ())], 0.0)
    events: list[str] = []
    while buffer.ready:
        with contextlib.suppress(EToroQueueOverflowError):
            events.append(buffer.pop(0.0)[0])
    assert [event for event in events if event != flood] == others * 2
    assert events.count(flood) == 3
    assert len(events) + buffer.dropped == buffer.received == 10 + 2 * len(others)


def test_a_late_rate_is_skipped_for_a_newer_one_as_in_a_queue_of_rates() -> None:
    """With conflate_after, and what is no rate stays in its place."""
    buffer = mixed(10, 1.0)
    buffer.extend([(RATES, (1, "a")), (ORDERS, "o"), (RATES, (1, "b"))], 0.0)
    assert taken(buffer, 5.0) == [(ORDERS, "o"), (RATES, 1, "b")]
    assert buffer.conflated == 1


class Bench:
    """A queue of several events behind a publisher."""

    def __init__(
        self, *events: str, ids: tuple[int, ...] | None = None, maxsize: int | None = None
    ) -> None:
        self.registry = Registry(EVENTS)
        dispatcher = Dispatcher("etoro-sync-test", self.registry, Counters(), 100)
        self.out = Publisher(self.registry, dispatcher, dict, 1)
        ports = Ports(events, self.registry.remove_queue)
        self.queue = ItemQueue("mixed", make_buffer(events, maxsize, None), ports)
        ports.connect(self.queue, self.registry.add_queue, ids)

    def items(self) -> Iterator[tuple[Any, ...]]:
        while not self.queue.empty():
            yield self.queue.get_nowait()


def test_what_a_read_brings_of_several_events_keeps_its_order() -> None:
    """Rates and other market events are collected, and handed over together."""
    bench = Bench(RATES, "unknown", ORDERS)
    bench.out.publish(18, {"ask": 1})
    bench.out.put("unknown", None, ("u1",))
    bench.out.publish(18, {"ask": 2})
    bench.out.emit(ORDERS, "o1")
    bench.out.publish(19, {"ask": 3})
    bench.out.flush()
    assert list(bench.items()) == [
        (RATES, 18, {"ask": 1}),
        ("unknown", "u1"),
        (RATES, 18, {"ask": 2}),
        (ORDERS, "o1"),
        (RATES, 19, {"ask": 3}),
    ]


def test_a_filter_is_for_the_events_that_have_an_instrument() -> None:
    """The others come all."""
    bench = Bench(RATES, ORDERS, ids=(18,))
    bench.out.publish(19, {"ask": 1})
    bench.out.emit(ORDERS, "o1")
    bench.out.publish(18, {"ask": 2})
    bench.out.flush()
    assert list(bench.items()) == [(ORDERS, "o1"), (RATES, 18, {"ask": 2})]


def test_no_rate_of_the_next_connection_takes_a_place_before_those_of_the_last() -> None:
    """Also where no event of the queue stands between them."""
    bench = Bench(RATES, ORDERS, maxsize=2)
    bench.out.publish(18, {"ask": 1})
    bench.out.publish(19, {"ask": 1})
    bench.out.barrier()
    bench.out.publish(18, {"ask": 2})
    bench.out.flush()
    assert list(bench.items()) == [(RATES, 19, {"ask": 1}), (RATES, 18, {"ask": 2})]


def test_a_closed_queue_of_several_events_leaves_nothing_behind() -> None:
    """No event has it as a listener any more."""
    bench = Bench(RATES, ORDERS, GAPS)
    assert len(bench.registry.queues()) == 3
    bench.queue.close()
    assert bench.registry.queues() == []
    bench.out.emit(ORDERS, "late")
    assert bench.queue.empty()


def test_a_policy_for_several_events_is_refused() -> None:
    """Each has its own."""
    with pytest.raises(EToroValidationError, match="one event") as caught:
        make_buffer((RATES, ORDERS), None, "drop_oldest")
    assert caught.value.field == "overflow"
