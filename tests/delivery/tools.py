"""A dispatcher for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etoro_sync import EVENTS, EToroError
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.stats import Counters
from tests.support.dispatching import OneSession

__all__ = ["Bench"]


class Bench:
    """A dispatcher whose thread is the test's own: :meth:`run` returns when all are called."""

    def __init__(self) -> None:
        self.registry = Registry(EVENTS)
        self.failures: list[EToroError] = []
        self.dispatcher = OneSession(
            "etoro-sync-test",
            self.registry,
            Counters(),
            100,
            on_failure=self.failures.append,
        )

    def on(self, event: str, function: Callable[..., Any], once: bool = False) -> None:
        self.registry.add(event, Handler(function, None, once))

    def run(self) -> None:
        self.dispatcher.stop()
        self.dispatcher._run()
