"""Fixtures of the tests of the doctor: an environment without the user's, and names of hosts."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync.simulator import EToroSimulator
from tests.doctor.tools import API_KEY, USER_KEY

_VARIABLES = ("API_KEY", "USER_KEY", "WS_URL", "REST_URL")
_PROXIES = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the user's keys, proxies and certificates out."""
    for name in (*(f"ETORO_{each}" for each in _VARIABLES), *_PROXIES, "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def service() -> Iterator[EToroSimulator]:
    """A service that accepts the keys of the tests only, and sends prices all the time."""
    with EToroSimulator(
        {100000: 66500.0}, rate=200, mix="full", nul_interval=0, api_key=API_KEY, user_key=USER_KEY
    ) as simulator:
        yield simulator


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Let a name stand for an address: ``resolve("ws.example.test", "127.0.0.1")``."""
    known: dict[str, str] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        return real(known.get(host, host), *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known.__setitem__
