"""A publisher works with another engine in place of Redis: here one that keeps all in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from etoro_sync import EToroRedisError, WsInstrumentRate
from etoro_sync.redis.layout.order_rows import subject_of
from etoro_sync.redis.publishing.engine import (
    MOST,
    Engine,
    Fenced,
    Order,
    Past,
    Right,
    Writer,
    Written,
)
from etoro_sync.redis.publishing.work import Publishing
from tests.redis.orders import wait_until
from tests.support.live_stream import LiveStream, rate


class Memory:
    """What several publishers write to, and who may.

    :ivar away: whether nothing answers.
    """

    def __init__(self) -> None:
        self.owner: object = None
        self.epoch = 0
        self.away = False
        self.rates: list[tuple[int, WsInstrumentRate]] = []
        self.orders: dict[str, Order] = {}
        self.events: list[tuple[int, str]] = []

    def check(self) -> None:
        """Raise if nothing answers."""
        if self.away:
            raise EToroRedisError("The memory is away. Wait for it.")


class MemoryEngine:
    """An engine, its writer and its right in one."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.seconds, self.epoch, self.held, self.closed = 0.2, 0, False, False
        self.begin()

    @property
    def lease(self) -> Right:
        return self

    @property
    def writer(self) -> Writer:
        return self

    def tidy(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    # The right

    def acquire(self) -> float | None:
        self._memory.check()
        if self._memory.owner not in (None, self):
            return self.seconds / 4
        self._memory.owner = self
        self._memory.epoch += 1
        self.epoch, self.held = self._memory.epoch, True
        return None

    def release(self) -> None:
        self._memory.check()
        if self._memory.owner is self:
            self._memory.owner = None
        self.held = False

    # The writer

    is_full = property(lambda self: len(self._rates) >= MOST or self.urgent >= MOST)
    room = property(lambda self: max(MOST - len(self._rates), 1))
    urgent = property(lambda self: len(self._orders) + len(self._events))

    def begin(self) -> None:
        self._rates: list[WsInstrumentRate] = []
        self._orders: list[Order] = []
        self._events: list[str] = []

    def publish_rates(self, rates: Iterable[WsInstrumentRate]) -> int:
        self._rates += rates
        return 0

    def publish_order(self, order: Order) -> None:
        self._orders.append(order)

    def publish_event(self, name: str, args: tuple[Any, ...] = ()) -> None:
        self._events.append(name)

    def flush(self) -> Written:
        memory = self._memory
        memory.check()
        if memory.epoch != self.epoch:
            raise Fenced(lost=False)
        memory.rates += [(self.epoch, each) for each in self._rates]
        memory.events += [(self.epoch, name) for name in self._events]
        new = {each.digest: each for each in self._orders if each.digest not in memory.orders}
        memory.orders.update(new)
        digests = tuple(each.digest for each in self._orders)
        written = Written(digests, len(self._rates), len(new), len(self._events), None)
        self.begin()
        return written

    def last_states(self) -> dict[int, tuple[int, int, WsInstrumentRate]]:
        return {each.instrument_id: (epoch, 1, each) for epoch, each in self._memory.rates}

    def seen(self, digests: list[str]) -> set[str]:
        self._memory.check()
        return set(digests) & set(self._memory.orders)

    def past_orders(self) -> list[Past]:
        self._memory.check()
        orders = self._memory.orders.values()
        return [Past(subject_of(each.text), each.digest, each.message_id) for each in orders]


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def work(memory: Memory) -> Iterator[Any]:
    """Start publishers of streams, which end with the test."""
    running: list[tuple[Publishing, threading.Thread]] = []

    def start(stream: LiveStream) -> Publishing:
        engine: Engine = MemoryEngine(memory)
        made = Publishing(stream, engine, cold=False)
        thread = threading.Thread(target=made.run)
        thread.start()
        running.append((made, thread))
        return made

    yield start
    for made, thread in running:
        made.stop()
        thread.join()
    assert all(made._engine.closed for made, _ in running)  # type: ignore[attr-defined]


def test_another_engine_is_written_to(memory: Memory, work: Any) -> None:
    """Rates, orders and events, in an epoch that begins with a takeover."""
    with LiveStream() as stream:
        work(stream)
        wait_until(lambda: memory.epoch == 1)
        stream.bring(rate(1, 5.0))
        stream.order(7)
        stream.emit("close", 1006, "gone")
        wait_until(lambda: memory.rates and memory.orders and len(memory.events) == 3)
        assert [name for _, name in memory.events] == ["takeover", "connected", "close"]
        assert [(epoch, each.bid) for epoch, each in memory.rates] == [(1, 5.0)]


def test_a_standby_of_another_engine_takes_over(memory: Memory, work: Any) -> None:
    """With all prices and with the orders that are missing; the fenced one stands by."""
    with LiveStream() as one, LiveStream() as two:
        first = work(one)
        wait_until(lambda: memory.epoch == 1)
        second = work(two)
        for stream in (one, two):
            stream.bring(rate(1, 5.0))
            stream.order(7)
        two.order(8)
        wait_until(lambda: len(second.intake.held) == 1 and len(memory.orders) == 1)
        memory.owner = second._engine
        wait_until(lambda: second.lease.held and len(memory.orders) == 2)
        wait_until(lambda: not first.lease.held)
        assert first.fenced == 1
        wait_until(lambda: (2, 5.0) in [(epoch, each.bid) for epoch, each in memory.rates])


def test_another_engine_may_be_away(memory: Memory, work: Any) -> None:
    """Nothing is lost, and the publisher goes on by itself."""
    with LiveStream() as stream:
        made = work(stream)
        wait_until(lambda: memory.epoch == 1)
        memory.away = True
        stream.order(7)
        wait_until(lambda: made.failure == "The memory is away. Wait for it.")
        memory.away = False
        wait_until(lambda: memory.orders and made.failure is None)
