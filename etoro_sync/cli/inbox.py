"""Reads the queues of a client as one sequence of events."""

import queue
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import EToroQueueOverflowError
from ..ws import EventQueue, WsClient

if TYPE_CHECKING:
    from ..redis import RedisClient

__all__ = ["Inbox", "Streamed"]

#: What can be shown.
Streamed: TypeAlias = "WsClient | RedisClient"


class Inbox:
    """Collects rates, order events and connection events of a client.

    Each event has a queue of its own, so their order must be restored: connection events come
    between the rates of the earlier generation and those of the later one.

    :param client: the client; its events are collected from now on.
    :param private: whether to collect order events.
    """

    def __init__(self, client: Streamed, private: bool) -> None:
        names = ["close", "reconnecting", "reconnected"] + ["private:event"] * private
        self._rates = client.queue("instrument:rate")
        self._others: list[EventQueue] = [client.queue(name) for name in names]
        self._generation = client.generation

    def take(self, timeout: float) -> Iterator[tuple[str, Any]]:
        """Yield the waiting events, as pairs of event and item.

        :param timeout: seconds to wait for a rate when no event is waiting.
        :raises EToroError: the error that ended the client.
        """
        rates = self._waiting_rates(timeout)
        others_done = False
        for item in rates:
            if item[1].generation > self._generation:
                self._generation = item[1].generation
                yield from self._waiting_others()
                others_done = True
            yield "instrument:rate", item
        if not others_done:
            yield from self._waiting_others()

    def _waiting_rates(self, timeout: float) -> list[Any]:
        """Take the rates that wait now, and no later ones: a fast feed would never let it end."""
        deadline = time.monotonic() + timeout
        rates = []
        try:
            if not self._any_other():
                rates.append(self._rates.get(timeout=max(deadline - time.monotonic(), 0.0)))
            for _ in range(self._rates.qsize()):
                rates.append(self._rates.get_nowait())
        except queue.Empty:
            pass
        return rates

    def _any_other(self) -> bool:
        return any(not other.empty() for other in self._others)

    def _waiting_others(self) -> Iterator[tuple[str, Any]]:
        for other in self._others:
            # One more than are waiting: a loss behind the last item raises an error.
            for _ in range(other.qsize() + 1):
                try:
                    yield other.event, other.get_nowait()
                except EToroQueueOverflowError as exc:
                    # This process was stopped for long, and events were lost: show that, go on.
                    yield "error", exc
                except queue.Empty:
                    break
