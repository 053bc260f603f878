"""Mistakes of users who know asyncio, or are new: each raises an error at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from etoro_sync import EToroClosedError, EToroValidationError, EToroWebSocketError, OrderStatus
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import Ear
from tests.support.foreign import bool_


async def asynchronous(*arguments: Any) -> None:
    """A handler as etoropy takes it."""


def test_a_coroutine_function_is_refused_as_a_handler(client: MakeClient) -> None:
    """Its coroutine would never be awaited."""
    c = client("ws://127.0.0.1:9/ws")
    with pytest.raises(EToroValidationError, match="async def") as caught:
        c.on("open", asynchronous)
    assert caught.value.field == "handler"


def test_a_callback_that_returns_a_coroutine_is_an_error(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """As a lambda around one does."""
    c = client(simulator().url)
    ear = Ear(c)
    c.on("open", lambda: asynchronous())
    c.connect()
    (error,) = ear.wait_for("error")
    assert isinstance(error, TypeError)
    assert "coroutine" in str(error)


def test_forgetting_connect_is_told(client: MakeClient) -> None:
    """A loop over a stream would wait for ever."""
    c = client("ws://127.0.0.1:9/ws")
    with pytest.raises(EToroClosedError, match="connect"):
        next(iter(c.stream([1])))
    for timeout in (None, 0.01):
        with pytest.raises(EToroClosedError, match=r"not connected\. Call connect"):
            c.wait_for("open", timeout=timeout)
    with pytest.raises(EToroValidationError, match="predicate"):
        c.wait_for("open", 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("second", [1001, 1, "private", None, [1001]])
def test_a_second_topic_is_not_taken_as_the_snapshot_flag(client: MakeClient, second: Any) -> None:
    """As in ``subscribe(100000, 1001)``: the second one would never be subscribed to."""
    c = client("ws://127.0.0.1:9/ws")
    with pytest.raises(EToroValidationError, match="in a list") as caught:
        c.subscribe(100000, second)
    assert caught.value.field == "snapshot"
    assert c.subscriptions == ()


def test_a_flag_of_another_library_is_a_snapshot_flag(client: MakeClient) -> None:
    """For example one of numpy, which is not a bool."""
    c = client("ws://127.0.0.1:9/ws")
    c.subscribe(100000, bool_(True))  # type: ignore[arg-type]
    assert c.subscriptions == ("instrument:100000",)


def test_run_forever_in_a_callback_is_refused(simulator: MakeSimulator, client: MakeClient) -> None:
    """It would block all callbacks, and never return."""
    c = client(simulator().url)
    caught: list[Exception] = []
    done = threading.Event()

    @c.on("authenticated")
    def wait() -> None:
        try:
            c.run_forever()
        except EToroWebSocketError as exc:
            caught.append(exc)
        done.set()

    c.connect()
    assert done.wait(5)
    assert "callback" in str(caught[0])


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("rate", "instrument:rate"), ("private", "private:event"), ("reconnect", "reconnecting")],
)
def test_half_a_name_finds_the_event(client: MakeClient, wrong: str, right: str) -> None:
    """Before names that only look alike."""
    c = client("ws://127.0.0.1:9/ws")
    with pytest.raises(EToroValidationError, match=f"Did you mean '{right}'"):
        c.on(wrong, print)


def test_an_order_status_prints_its_name() -> None:
    """A number would not be understood in a log."""
    assert f"{OrderStatus.FILLED} {OrderStatus(4)}" == "FILLED REJECTED"
