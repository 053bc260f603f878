"""A simulator and clients that always end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import WsClient
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import make_client

__all__ = ["MakeClient", "MakeSimulator"]

MakeClient = Callable[..., WsClient]
MakeSimulator = Callable[..., EToroSimulator]


@pytest.fixture
def simulator() -> Iterator[MakeSimulator]:
    """Start simulators that send nothing on their own, unless told otherwise."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> EToroSimulator:
            quiet: dict[str, Any] = {"rate": 0, "nul_interval": 0}
            return stack.enter_context(EToroSimulator(**{**quiet, **options}))

        yield start


@pytest.fixture
def client(simulator: MakeSimulator) -> Iterator[MakeClient]:
    """Make clients that are disconnected at the end of the test, before the simulators stop."""
    made: list[WsClient] = []

    def make(url: str, **options: Any) -> WsClient:
        made.append(make_client(url, **options))
        return made[-1]

    yield make
    for each in made:
        each.disconnect()
