"""The registry: who listens to what, by event and by instrument."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.queues import ItemQueue
from etoro_sync.delivery.registry import Handler, Listeners, Registry


def make_registry() -> Registry:
    return Registry(["instrument:rate", "open"])


def handler(name: str, instrument_id: int | None = None, once: bool = False) -> Handler:
    def function(*arguments: Any) -> None:
        pass

    function.__name__ = name
    return Handler(function, instrument_id, once)


def for_id(listeners: Listeners, instrument_id: int) -> list[str]:
    found = listeners.handlers_by_id.get(instrument_id, listeners.handlers)
    return [h.function.__name__ for h in found]


def test_handlers_are_called_in_the_order_of_registration() -> None:
    """With and without a filter, in one sequence per instrument."""
    registry = make_registry()
    for name, instrument_id in [("a", None), ("b", 18), ("c", None), ("d", 19), ("e", 18)]:
        registry.add("instrument:rate", handler(name, instrument_id))
    listeners = registry.listeners("instrument:rate")
    assert for_id(listeners, 18) == ["a", "b", "c", "e"]
    assert for_id(listeners, 19) == ["a", "c", "d"]
    assert for_id(listeners, 20) == ["a", "c"]
    assert not registry.listeners("open").active


def test_removing_keeps_the_order_of_the_rest() -> None:
    """Every registration of the function goes, and no longer counts even if it is due."""
    registry = make_registry()
    again, first, last = handler("x", 18), handler("first", 18), handler("last")
    unfiltered = Handler(again.function, None, False)
    for each in (first, again, unfiltered, last):
        registry.add("instrument:rate", each)
    registry.remove("instrument:rate", again.function)
    listeners = registry.listeners("instrument:rate")
    assert for_id(listeners, 18) == ["first", "last"]
    assert again.spent
    assert unfiltered.spent
    assert not first.spent
    registry.remove("instrument:rate", print)
    assert for_id(listeners, 18) == ["first", "last"]


def test_bound_methods_are_recognised() -> None:
    """Two references to a method are equal, though not the same object."""

    class Program:
        def on_open(self) -> None: ...

    registry, program = make_registry(), Program()
    registry.add("open", Handler(program.on_open, None, False))
    registry.remove("open", program.on_open)
    assert not registry.listeners("open").active


def test_discard_removes_one_registration_only() -> None:
    """What once() uses: the same function may be registered again."""
    registry = make_registry()
    first, second = handler("a"), handler("a")
    registry.add("open", first)
    registry.add("open", second)
    registry.discard("open", first)
    registry.discard("open", first)
    assert registry.listeners("open").handlers == (second,)


def test_clear_removes_callbacks_of_one_event_or_of_all() -> None:
    """Queues stay."""
    registry = make_registry()
    registry.add("open", handler("a"))
    registry.add("instrument:rate", handler("b", 18))
    queue = ItemQueue("open", make_buffer("open", None, None), registry.remove_queue)
    registry.add_queue(queue, None)
    registry.clear("instrument:rate")
    assert not registry.listeners("instrument:rate").active
    assert registry.listeners("open").handlers
    registry.clear(None)
    assert registry.listeners("open").handlers == ()
    assert registry.queues() == [queue]


def make_queue(registry: Registry) -> ItemQueue:
    buffer = make_buffer("instrument:rate", None, None)
    return ItemQueue("instrument:rate", buffer, registry.remove_queue)


def test_queues_are_found_by_instrument_with_one_access() -> None:
    """The tuple of an instrument holds the unfiltered queues too; empty entries disappear."""
    registry = make_registry()
    everything, gold, both, late = (make_queue(registry) for _ in range(4))
    registry.add_queue(everything, None)
    registry.add_queue(gold, (18,))
    registry.add_queue(both, (18, 19))
    registry.add_queue(late, None)
    listeners = registry.listeners("instrument:rate")
    assert listeners.queues == (everything, late)
    assert set(listeners.queues_by_id[18]) == {everything, gold, both, late}
    assert set(listeners.queues_by_id[19]) == {everything, both, late}
    gold.close()
    gold.close()
    assert set(listeners.queues_by_id[18]) == {everything, both, late}
    everything.close()
    assert listeners.queues == (late,)
    assert set(listeners.queues_by_id[19]) == {both, late}
    both.close()
    late.close()
    assert not listeners.active
    assert listeners.queues_by_id == {}


def test_a_queue_that_ctrl_c_left_half_added_takes_nothing_from_the_others() -> None:
    """Those without a filter still get the instruments that it was not yet added to."""

    class Interrupted(tuple[int, ...]):
        """Its first loop does not come to the second id."""

        def __iter__(self) -> Iterator[int]:
            yield 18
            if 18 in registry.listeners("instrument:rate").queues_by_id and not interrupted:
                interrupted.append(True)
                raise KeyboardInterrupt
            yield 19

    registry, interrupted = make_registry(), list[bool]()
    everything, half = make_queue(registry), make_queue(registry)
    registry.add_queue(everything, None)
    with contextlib.suppress(KeyboardInterrupt):
        registry.add_queue(half, Interrupted())
    assert interrupted
    half.close()
    assert registry.queues() == [everything]
    assert registry.listeners("instrument:rate").queues == (everything,)
    assert registry.listeners("instrument:rate").queues_by_id == {}


def test_a_handler_of_one_instrument_that_goes_touches_no_other_instrument() -> None:
    """Or ten thousand that are called once each would take time for a hundred million."""

    class Table(dict[int, tuple[Handler, ...]]):
        touched: list[int]

        def __setitem__(self, key: int, value: tuple[Handler, ...]) -> None:
            self.touched.append(key)
            super().__setitem__(key, value)

        def __delitem__(self, key: int) -> None:
            self.touched.append(key)
            super().__delitem__(key)

    registry = make_registry()
    listeners = registry.listeners("instrument:rate")
    handlers = [handler(f"h{n}", n // 2) for n in range(20)]
    registry.add("instrument:rate", handler("all"))
    for each in handlers:
        registry.add("instrument:rate", each)
    listeners.handlers_by_id = table = Table(listeners.handlers_by_id)
    table.touched = []
    registry.discard("instrument:rate", handlers[6])
    assert for_id(listeners, 3) == ["all", "h7"]
    registry.remove("instrument:rate", handlers[7].function)
    assert for_id(listeners, 3) == ["all"]
    assert 3 not in table
    registry.discard("instrument:rate", handlers[7])
    assert table.touched == [3, 3]
    assert listeners.handlers_by_id is table
    for n in (0, 9):
        assert for_id(listeners, n) == ["all", f"h{2 * n}", f"h{2 * n + 1}"]


def test_one_handler_without_a_filter_that_goes_is_gone_for_all_instruments() -> None:
    """And an instrument that has no other handler of its own stays as it is."""
    registry = make_registry()
    gone, kept = handler("gone"), handler("kept", 18)
    registry.add("instrument:rate", gone)
    registry.add("instrument:rate", kept)
    registry.discard("instrument:rate", gone)
    listeners = registry.listeners("instrument:rate")
    assert listeners.handlers == ()
    assert for_id(listeners, 18) == ["kept"]
    assert for_id(listeners, 19) == []
    registry.discard("instrument:rate", kept)
    assert listeners.handlers_by_id == {}
    assert not listeners.active


def test_one_look_up_finds_callbacks_and_queues() -> None:
    """Those of an instrument include those without a filter; of no instrument, only these."""
    registry = Registry(["rate"])
    everything, one = Handler(print, None, False), Handler(print, 18, False)
    registry.add("rate", everything)
    registry.add("rate", one)
    q = ItemQueue("rate", make_buffer("error", None, None), registry.remove_queue)
    registry.add_queue(q, (19,))
    listeners = registry.listeners("rate")
    assert listeners.of(18) == ((everything, one), ())
    assert listeners.of(19) == ((everything,), (q,))
    assert listeners.of(None) == ((everything,), ())
