"""The queues of a client, read as one sequence of events."""

import queue
import time
from collections.abc import Iterator
from typing import Any

from ..errors import EToroQueueOverflowError
from ..ws import EventQueue, WsClient

__all__ = ["Inbox"]


class Inbox:
    """Rates, order events and what happens to the connection.

    Each event has a queue of its own. They are brought into order again by the generation of the
    rates: what happened to the connection comes between the rates before it and those after it.

    :param client: whose events to collect, from now on.
    :param private: order events, too.
    """

    def __init__(self, client: WsClient, private: bool) -> None:
        names = ["close", "reconnecting", "reconnected"] + ["private:event"] * private
        self._rates = client.queue("instrument:rate")
        self._others: list[EventQueue] = [client.queue(name) for name in names]
        self._generation = client.generation

    def take(self, timeout: float) -> Iterator[tuple[str, Any]]:
        """Yield what waits, as pairs of event and item.

        :param timeout: seconds to wait for a rate while nothing waits at all.
        :raises EToroError: what ended the client.
        """
        rates = self._waiting_rates(timeout)
        told = False
        for item in rates:
            if item[1].generation > self._generation:
                self._generation = item[1].generation
                yield from self._waiting_others()
                told = True
            yield "instrument:rate", item
        if not told:
            yield from self._waiting_others()

    def _waiting_rates(self, timeout: float) -> list[Any]:
        """Take the rates, but no more than wait now: a fast feed would never let this end."""
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
            # One more than wait, for a loss that stands behind them.
            for _ in range(other.qsize() + 1):
                try:
                    yield other.event, other.get_nowait()
                except EToroQueueOverflowError as exc:
                    # The program was held up for long; it goes on with what came after.
                    yield "error", exc
                except queue.Empty:
                    break
