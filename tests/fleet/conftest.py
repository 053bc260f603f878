"""Fleets of connections with three topics each, which end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import WsFleet
from tests.conftest import MakeSimulator
from tests.fleet.tools import PLACES
from tests.support.clients import make_fleet
from tests.support.threads import Watchdog

MakeFleet = Callable[..., WsFleet]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three topics fill a connection."""
    monkeypatch.setattr("etoro_sync.fleet.tracker.PLACES", PLACES)


@pytest.fixture
def fleet(simulator: MakeSimulator, small: None) -> Iterator[MakeFleet]:
    """Make fleets that are disconnected at the end of the test, before the simulators stop."""
    made: list[WsFleet] = []

    def make(url: str, connections: int | None = None, **options: Any) -> WsFleet:
        # A machine that stands still must not use up the attempts while a server is away.
        made.append(make_fleet(url, connections, **{"reconnect_attempts": None, **options}))
        return made[-1]

    with Watchdog(25):
        yield make
        for each in made:
            each.disconnect()
