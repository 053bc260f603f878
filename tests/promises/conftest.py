"""A simulator and clients that always end, and a clock that leaps over waits."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import WsClient
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws import conversation, credentials, dialing, mailbox, reader, recovery
from tests.support.clients import make_client
from tests.support.clocks import LeapingTime, leaping_waker

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


@pytest.fixture
def leap(monkeypatch: pytest.MonkeyPatch) -> Iterator[LeapingTime]:
    """Let the reader of every client leap over its waits between two attempts to connect.

    All else is real: threads, sockets, refusals. Keepalive has a clock of its own, which does not
    leap: it is to be switched off. The jitter is the same in each run.
    """
    time = LeapingTime()
    monkeypatch.setattr(mailbox, "time", time)
    for module in (conversation, credentials, dialing, mailbox, reader, recovery):
        monkeypatch.setattr(module, "clocks", time)
    monkeypatch.setattr(mailbox, "Waker", leaping_waker(time))
    state = random.getstate()
    random.seed(20)
    yield time
    random.setstate(state)
