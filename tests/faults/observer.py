"""A client in use: callbacks, queues and waiting calls, and what their user gets to see."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from etoro_sync import WsClient

__all__ = ["Call", "Delivered", "Observer", "Seen"]

#: The events of the connection.
CONNECTION_EVENTS = (
    "open",
    "authenticated",
    "reconnecting",
    "reconnected",
    "stale",
    "close",
    "error",
)

#: An instrument of which nothing is ever heard.
_NOBODY = 77


class Seen(NamedTuple):
    """An event that a callback was called with, and when by the monotonic clock."""

    at: float
    name: str
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        if self.name == "close":
            return f"close {self.arguments[0]}"
        if self.name == "error":
            return f"error {type(self.arguments[0]).__name__}"
        return self.name


class Delivered(NamedTuple):
    """A rate or an order event that the user got: its number, its connection, and its time."""

    number: int
    generation: int
    at: float


class Call:
    """A call that blocks, in a thread of its own, and how it ended.

    :param name: how the page calls it.
    :param function: the call.
    """

    def __init__(self, name: str, function: Callable[[], Any]) -> None:
        self.name = name
        self.outcome = "still waits"
        self.ended_at = 0.0
        self._function = function
        self._thread = threading.Thread(target=self._run, name=f"call {name}", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._function()
            outcome = "returned"
        except Exception as exc:
            outcome = type(exc).__name__
        self.ended_at = time.monotonic()
        self.outcome = outcome

    def join(self, timeout: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout)


class Observer:
    """Uses a client in every way, and remembers what comes.

    The condition's lock guards what was seen and delivered; it is notified when either grows.

    :param client: not connected yet.
    """

    def __init__(self, client: WsClient) -> None:
        self.client = client
        self.seen: list[Seen] = []
        self.calls: list[Call] = []
        #: Way and instrument (0 for order events) -> what came on it, with the wall clock's time.
        self.delivered: dict[tuple[str, int], list[Delivered]] = {}
        self.changed = threading.Condition()
        for event in CONNECTION_EVENTS:
            client.on(event, partial(self._see, event))
        client.on("instrument:rate", partial(self._rate, "callback"))
        client.on("private:event", partial(self._order, "callback"))

    def listen(self) -> None:
        """Begin what can begin before the client is connected."""
        rates, orders = self.client.queue("instrument:rate"), self.client.queue("private:event")
        nothing = self.client.queue("stale", instrument_ids=[_NOBODY])
        self._call("for ... in queue (rates)", partial(self._each, rates, self._rate))
        self._call("for ... in queue (orders)", partial(self._each, orders, self._order))
        self._call("get()", nothing.get)

    def wait_in_calls(self) -> None:
        """Begin what needs a connection."""
        self._call("wait_for()", partial(self.client.wait_for, "stale", lambda i, _: i == _NOBODY))
        self._call("run_forever()", self.client.run_forever)
        self._call("for ... in stream()", self._stream)

    def _call(self, name: str, function: Callable[[], Any]) -> None:
        self.calls.append(Call(name, function))

    # -- what comes ------------------------------------------------------------------------------

    def _see(self, event: str, *arguments: Any) -> None:
        with self.changed:
            self.seen.append(Seen(time.monotonic(), event, arguments))
            self.changed.notify_all()

    def _each(self, queue: Any, take: Callable[..., None]) -> None:
        for item in queue:
            take("queue", *(item if isinstance(item, tuple) else (item,)))

    def _stream(self) -> None:
        for instrument_id, rate in self.client.stream([19]):
            self._rate("stream", instrument_id, rate)

    def _rate(self, way: str, instrument_id: int, rate: Any) -> None:
        came = Delivered(int(rate.bid), rate.generation, rate.received_at)
        self._deliver((way, instrument_id), came)

    def _order(self, way: str, event: Any) -> None:
        if event.order_id is not None:  # else it was twisted by the fault
            came = Delivered(event.order_id, event.generation, event.received_at)
            self._deliver((way, 0), came)

    def _deliver(self, place: tuple[str, int], came: Delivered) -> None:
        with self.changed:
            self.delivered.setdefault(place, []).append(came)
            self.changed.notify_all()

    # -- looking ---------------------------------------------------------------------------------

    def connection_events(self, since: int = 0) -> list[Seen]:
        """Return what the callbacks were told, from the event number *since* on."""
        with self.changed:
            return self.seen[since:]

    def has(self, number: int, way: str, instrument_id: int) -> bool:
        """Say whether a message has come on one way."""
        return any(each.number == number for each in self.delivered.get((way, instrument_id), ()))

    def wait(self, predicate: Callable[[], object], timeout: float) -> bool:
        """Block until the predicate holds, asked after each event; False: it does not in time."""
        with self.changed:
            return bool(self.changed.wait_for(predicate, timeout))

    def first(self, name: str, since: int) -> Seen | None:
        """Return the first event of a name from number *since* on."""
        return next((each for each in self.connection_events(since) if each.name == name), None)

    def end(self, grace: float) -> None:
        """Give all calls the time to end."""
        deadline = time.monotonic() + grace
        for call in self.calls:
            call.join(max(0.0, deadline - time.monotonic()))
