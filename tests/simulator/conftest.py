"""Simulators that always stop, and that leave neither a thread nor a word on stderr behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from etoro_sync.simulator import EToroSimulator
from tests.simulator.client import Client
from tests.simulator.raw import RawClient


class Simulate(Protocol):
    def __call__(self, instruments: Any = ..., **options: Any) -> EToroSimulator: ...


class Connect(Protocol):
    def __call__(self, sim: EToroSimulator, **options: Any) -> Client: ...


@pytest.fixture
def simulate(capfd: pytest.CaptureFixture[str]) -> Iterator[Simulate]:
    """Start simulators that send nothing on their own unless they are told to."""
    before = set(threading.enumerate())
    with contextlib.ExitStack() as simulators:

        def start(instruments: Any = None, **options: Any) -> EToroSimulator:
            options = {"rate": 0, "nul_interval": 0, **options}
            return simulators.enter_context(EToroSimulator(instruments, **options))

        yield start
    left = [t.name for t in threading.enumerate() if t not in before and "simulator" in t.name]
    assert not left
    assert capfd.readouterr().err == ""


@pytest.fixture
def connect(simulate: Simulate) -> Iterator[Connect]:
    """Connect clients, authenticated unless told otherwise, that are closed before the server."""
    with contextlib.ExitStack() as clients:

        def open_client(sim: EToroSimulator, *, login: bool = True, **options: Any) -> Client:
            client = Client(sim, **options)
            clients.callback(client.abandon)
            if login:
                assert client.authenticate()["success"] is True
            return client

        yield open_client


class Dial(Protocol):
    def __call__(self, sim: EToroSimulator, **options: Any) -> RawClient: ...


@pytest.fixture
def dial(simulate: Simulate) -> Iterator[Dial]:
    """Connect clients without a WebSocket library that are closed before the server."""
    with contextlib.ExitStack() as clients:

        def open_client(sim: EToroSimulator, **options: Any) -> RawClient:
            client = RawClient(sim, **options)
            clients.callback(client.sock.close)
            return client

        yield open_client
