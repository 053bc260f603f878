"""Stores that are closed at the end of a test, and streams that bring what the test says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import WsClient
from etoro_sync.simulator import EToroSimulator
from etoro_sync.store import OrderStore
from tests.conftest import MakeClient, MakeSimulator

__all__ = ["MakeStore"]

MakeStore = Callable[..., OrderStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "orders.db"


@pytest.fixture
def store(path: Path, client: MakeClient) -> Iterator[MakeStore]:
    """Open the store of a test, as often as it likes; closed before the clients are."""
    with contextlib.ExitStack() as stack:

        def make(where: Path = path, **options: Any) -> OrderStore:
            return stack.enter_context(OrderStore(where, **{"durable": False, **options}))

        yield make


@pytest.fixture
def sim(simulator: MakeSimulator) -> EToroSimulator:
    """A simulator that sends only what the test lets it send."""
    return simulator()


@pytest.fixture
def connected(client: MakeClient, sim: EToroSimulator) -> Callable[[OrderStore], WsClient]:
    """Connect a client whose order events go to a store."""

    def connect(store: OrderStore, **options: Any) -> WsClient:
        new = client(sim.url, **options)
        store.attach(new)
        new.connect()
        new.subscribe("private")
        return new

    return connect
