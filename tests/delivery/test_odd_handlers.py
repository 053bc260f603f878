"""Handlers of classes of the user's own: without a hash, incomparable, finalized, no functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from etoro_sync import EToroValidationError
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient
from tests.support.threads import Watchdog


def test_promise_12_a_finalizer_that_changes_the_listeners_does_not_deadlock(
    client: MakeClient,
) -> None:
    """Handlers that go away run code of their users, which may call the client again."""
    c = client("ws://127.0.0.1:9/ws")

    class Listener:
        def on_rate(self, *arguments: Any) -> None: ...

        def __del__(self) -> None:
            c.off("close", print)
            c.queue("open").close()

    with Watchdog(10):
        for _ in range(3):
            c.on("instrument:rate", Listener().on_rate)
        c.remove_all_listeners()
        c.once("open", print)


def test_promise_12_a_handler_that_cannot_be_compared_keeps_no_other_from_going(
    client: MakeClient,
) -> None:
    """Nor itself, when it is the very one."""

    class Odd:
        def __call__(self) -> None: ...

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("incomparable")

        __hash__ = None  # type: ignore[assignment]

    c = client("ws://127.0.0.1:9/ws")
    odd = Odd()
    c.on("open", odd)
    c.on("open", print)
    c.off("open", print)
    (left,) = core_of(c).registry.listeners("open").handlers
    assert left.function is odd
    c.off("open", odd)
    assert not core_of(c).registry.listeners("open").active


async def async_generator(*arguments: Any) -> AsyncIterator[None]:
    yield


def generator(*arguments: Any) -> Iterator[None]:
    yield


@pytest.mark.parametrize("function", [generator, async_generator])
def test_promise_3_functions_that_would_never_run_are_refused_as_handlers(
    client: MakeClient, function: Callable[..., Any]
) -> None:
    """Calling one makes a generator, which nobody asks for anything."""
    c = client("ws://127.0.0.1:9/ws")
    for register in (c.on, c.once):
        with pytest.raises(EToroValidationError, match="must not be a"):
            register("open", function)
