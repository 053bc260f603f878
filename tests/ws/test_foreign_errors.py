"""Errors of the user's code keep their frames, and generators suspended there can continue."""

from __future__ import annotations

import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

from etoro_sync import EToroAuthError, EToroValidationError, WsClientOptions
from tests.conftest import MakeClient


async def async_generator() -> AsyncGenerator[object, None]:
    try:
        raise LookupError("the vault is locked")
    except LookupError as exc:
        yield exc
    yield "went on"


@types.coroutine
def pause(value: object) -> Generator[object, None, None]:
    yield value


async def coroutine() -> None:
    try:
        raise LookupError("the vault is locked")
    except LookupError as exc:
        await pause(exc)
    await pause("went on")


def generator() -> Generator[object, None, None]:
    try:
        raise LookupError("the vault is locked")
    except LookupError as exc:
        yield exc
    yield "went on"


def step(suspended: Any) -> Any:
    """Resume a generator, and return what it yields next."""
    if not isinstance(suspended, AsyncGenerator):
        return suspended.send(None)
    with pytest.raises(StopIteration) as stopped:
        suspended.asend(None).send(None)
    return stopped.value.value


@pytest.mark.parametrize("function", [generator, coroutine, async_generator])
def test_an_error_that_a_suspended_generator_has_caught_leaves_it_able_to_go_on(
    client: MakeClient, function: Callable[[], Any]
) -> None:
    """A function for a key may raise such an error again, and the generator is not the client's."""
    suspended = function()
    error = step(suspended)

    def key() -> str:
        raise error

    with pytest.raises(EToroAuthError, match="raised LookupError"):
        client("ws://127.0.0.1:9/ws", api_key=key).connect()
    assert step(suspended) == "went on"


MAKERS = pytest.mark.parametrize("make", [WsClientOptions, WsClientOptions.from_env])


def refused(make: Callable[..., WsClientOptions], handled: BaseException) -> None:
    """Make options that are refused, while another error is being handled."""
    try:
        raise handled
    except LookupError:
        make(api_key=" padded ")


@MAKERS
def test_options_that_are_refused_leave_the_error_alone_that_is_being_handled(
    make: Callable[..., WsClientOptions],
) -> None:
    """Its frames keep their local variables, for debuggers."""

    def fails() -> None:
        found = "what the program knew"
        raise LookupError(found)

    with pytest.raises(LookupError) as caught:
        fails()
    with pytest.raises(EToroValidationError):
        refused(make, caught.value)
    assert caught.traceback[-1].frame.f_locals["found"] == "what the program knew"


@MAKERS
def test_options_that_are_refused_leave_generators_alone(
    make: Callable[..., WsClientOptions],
) -> None:
    """One that has caught the error which is being handled goes on."""
    suspended = generator()
    with pytest.raises(EToroValidationError):
        refused(make, step(suspended))
    assert step(suspended) == "went on"
