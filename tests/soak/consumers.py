"""Everyday use of a client: callbacks, readers of queues at any speed, waiters, and a looker-on."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from etoro_sync import (
    EToroClosedError,
    EToroQueueOverflowError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroWebSocketError,
    EventQueue,
    WsClient,
)
from etoro_sync.models import WsGap, WsInstrumentRate

from .orders import OrderBook

__all__ = ["Callbacks", "Reader", "Worker", "make_workers"]

#: An instrument at each rate of which a callback raises.
UNLUCKY = 7


class Worker(threading.Thread):
    """A thread of the program that uses the client.

    :param name: of the thread.
    :param step: what it does again and again; a client that is closed ends it.
    :param failures: where an exception goes that it does not expect.
    """

    def __init__(self, name: str, step: Callable[[], object], failures: list[str]) -> None:
        super().__init__(name=f"soak-{name}", daemon=True)
        self._step = step
        self._failures = failures

    def run(self) -> None:
        try:
            while True:
                self._step()
        except EToroClosedError:
            pass
        except BaseException as exc:
            self._failures.append(f"{self.name} ended with {type(exc).__name__}: {exc}")


class Reader:
    """Reads a queue, as fast as told, and keeps count.

    :param name: for the report.
    :param events: what to read.
    :param pause: seconds between two items.
    :param hurry: set while there is to be no pause.
    :param take: gets each item.
    """

    def __init__(
        self,
        name: str,
        events: EventQueue,
        pause: float,
        hurry: threading.Event,
        take: Callable[[Any], object] = id,
    ) -> None:
        self.name = name
        self.events = events
        self.got = self.overflows = self.lost = 0
        self._pause = pause
        self._hurry = hurry
        self._take = take

    def step(self) -> None:
        try:
            item = self.events.get()
        except EToroQueueOverflowError as exc:
            self.overflows += 1
            self.lost += exc.lost
            return
        self.got += 1
        self._take(item)
        if self._pause:
            self._hurry.wait(self._pause)

    def account(self) -> str:
        """Return what is wrong with the identity of promise 10; "": nothing."""
        events = self.events
        with events._items._monitor.lock:  # the five figures of one moment
            received, waiting = events.received, events.qsize()
            gone = events.delivered, events.dropped, events.conflated
        if sum(gone) + waiting == received:
            return ""
        return f"{self.name}: {gone} + {waiting} waiting != {received} received"


class Callbacks:
    """The handlers of the client; all run on its dispatcher thread.

    :param client: not connected yet.
    :param orders: notes order events.
    """

    def __init__(self, client: WsClient, orders: OrderBook) -> None:
        self._client = client
        #: Seconds that each rate takes: a slow callback.
        self.pause = 0.0
        self.hurry = threading.Event()
        self.rates = self.raised = self.backwards = 0
        self.closes = self.attempts = self.stale = self.refused = 0
        self.last: dict[int, WsInstrumentRate] = {}
        self.gaps: list[WsGap] = []
        self.errors: Counter[str] = Counter()
        self._generation = 0
        client.on("instrument:rate", self._on_rate)
        client.on("instrument:rate", self._on_unlucky, instrument_id=UNLUCKY)
        client.on("private:event", orders.on_event)
        client.on("reconnected", self._on_gap)
        client.on("reconnecting", self._on_attempt)
        client.on("close", self._on_close)
        client.on("stale", self._on_stale)
        client.on("error", self._on_error)

    def _on_rate(self, instrument_id: int, rate: WsInstrumentRate) -> None:
        self.rates += 1
        self.last[instrument_id] = rate
        self.backwards += rate.generation < self._generation
        self._generation = rate.generation
        if self.pause:
            self.hurry.wait(self.pause)

    def _on_unlucky(self, instrument_id: int, rate: WsInstrumentRate) -> None:
        self.raised += 1
        raise LookupError("on purpose")

    def _on_gap(self, gap: WsGap) -> None:
        self.gaps.append(replace(gap, topics=()))  # five thousand of them would count as growth

    def _on_attempt(self, attempt: int, delay: float) -> None:
        self.attempts += 1

    def _on_close(self, code: int, reason: str) -> None:
        self.closes += 1

    def _on_stale(self, instrument_id: int, age: float) -> None:
        """The repair that the README recommends, for a topic that the server has lost."""
        self.stale += 1
        self._client.subscribe([instrument_id], snapshot=True, wait=False)

    def _on_error(self, error: Exception) -> None:
        self.errors[type(error).__name__] += 1
        if isinstance(error, EToroSubscriptionError):
            self.refused += 1


def make_workers(
    client: WsClient, spare: range, failures: list[str], stopping: threading.Event
) -> tuple[list[Worker], Counter[str]]:
    """Threads that wait, that come and go as subscribers, and that look on.

    :param spare: instruments that nobody else has subscribed to.
    :param stopping: ends those whose calls are legal on a client that is closed.
    :returns: the threads, not started, and what they have done.
    """
    done: Counter[str] = Counter()

    def rest(seconds: float) -> None:
        if stopping.wait(seconds):
            raise EToroClosedError("the soak is over")

    def wait() -> None:
        try:
            client.wait_for("instrument:rate", lambda id_, rate: id_ % 100 == 0, timeout=2)
            done["waited"] += 1
        except EToroTimeoutError:
            done["waited in vain"] += 1

    def stream() -> None:
        try:
            for number, _ in enumerate(client.stream(list(spare[:3]), timeout=5)):
                if number == 10 or not client.is_authenticated:
                    break
            done["streams"] += 1
        except EToroClosedError:
            raise
        except EToroWebSocketError as exc:
            done[f"stream: {type(exc).__name__}"] += 1
        rest(0.1)

    def come_and_go() -> None:
        try:
            client.subscribe(list(spare[3:]), snapshot=True, timeout=5)
            client.unsubscribe(list(spare[3:]), timeout=5)
            done["subscriptions"] += 1
        except EToroClosedError:
            raise
        except EToroWebSocketError as exc:
            done[f"subscribe: {type(exc).__name__}"] += 1
        rest(0.5)

    def look() -> None:
        done["looked"] += len([rate.mid for rate in client.rates.values()]) > 0
        client.stats()
        rest(0.5)

    def brief_queue() -> None:
        """A queue that does not live long; two of these kinds keep the feed off its short way."""
        event = ("message", "instrument:delta", "error")[done["brief queues"] % 3]
        with client.queue(event, maxsize=100, overflow="drop_oldest") as events:
            try:
                for _ in range(50):
                    events.get(timeout=1)
            except queue.Empty:
                pass
        done["brief queues"] += 1
        rest(4.0)

    steps = {f.__name__: f for f in (wait, stream, come_and_go, look, brief_queue)}
    return [Worker(name, step, failures) for name, step in steps.items()], done
