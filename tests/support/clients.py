"""Clients for tests: quick timings, and an ear on every event."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from etoro_sync import EVENTS, WsClient, WsClientOptions, WsFleet

from .timing import MS

__all__ = [
    "API_KEY",
    "USER_KEY",
    "Ear",
    "connect_and_run",
    "envelope",
    "make_client",
    "make_fleet",
    "quick_options",
]

#: Planted keys: no test output may ever show them.
API_KEY = "planted-api-key-4711"
USER_KEY = "planted-user-key-0815"


def quick_options(url: str, **overrides: Any) -> WsClientOptions:
    """Return options for a test server, with short waits and no proxy of the environment."""
    values: dict[str, Any] = {
        "api_key": API_KEY,
        "user_key": USER_KEY,
        "ws_url": url,
        "reconnect_delay": 0.01,
        "reconnect_max_delay": 0.05,
        "close_timeout": 0.5,
        "proxy": "",
    }
    return WsClientOptions(**{**values, **overrides})


def make_client(url: str, **overrides: Any) -> WsClient:
    """Return a client that is not connected yet."""
    return WsClient(quick_options(url, **overrides))


def make_fleet(url: str, connections: int | None = None, **overrides: Any) -> WsFleet:
    """Return a fleet that is not connected yet."""
    return WsFleet(quick_options(url, **overrides), connections=connections)


def envelope(topic: str, content: object, kind: str = "Trading.Instrument.Rate") -> str:
    """Return the text of a data frame as eToro sends it: JSON inside JSON."""
    message = {"topic": topic, "content": json.dumps(content), "id": "m", "type": kind}
    return json.dumps({"messages": [message]})


def connect_and_run(client: WsClient) -> None:
    """Run a client to its end; if ``connect()`` is slow to wake up, it hears of the end itself."""
    client.connect()
    client.run_forever()


class Ear:
    """Hears every event of a client, in order, through callbacks.

    :param client: what to listen to.
    """

    def __init__(self, client: WsClient) -> None:
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        self._counts: Counter[str] = Counter()
        self._condition = threading.Condition()
        for event in EVENTS:
            client.on(event, self._hear(event))

    def _hear(self, event: str) -> Callable[..., None]:
        def hear(*arguments: Any) -> None:
            with self._condition:
                self.heard.append((event, arguments))
                self._counts[event] += 1
                self._condition.notify_all()

        return hear

    def names(self, *only: str) -> list[str]:
        """Return the names of the events so far, of those in *only* if any are given."""
        return [event for event, _ in list(self.heard) if not only or event in only]

    def of(self, event: str) -> list[Any]:
        """Return what came with each *event*: the argument, or the tuple of several."""
        found = [arguments for name, arguments in list(self.heard) if name == event]
        return [args[0] if len(args) == 1 else args for args in found]

    def wait(self, condition: Callable[[Ear], bool], timeout: float = 15_000 * MS) -> None:
        """Block until *condition* holds; it is asked again after each event."""
        deadline = time.monotonic() + timeout
        with self._condition:
            while not condition(self):
                left = deadline - time.monotonic()
                assert left > 0, f"not heard in {timeout} s; heard: {self.names()}"
                self._condition.wait(left)

    def wait_for(self, event: str, count: int = 1, timeout: float = 15_000 * MS) -> list[Any]:
        """Block until *event* was heard *count* times; return what came with them."""
        self.wait(lambda ear: ear._counts[event] >= count, timeout)
        return self.of(event)
