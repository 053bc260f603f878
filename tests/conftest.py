"""Fixtures of all tests: servers that always stop, and a check that no thread is left behind."""

from __future__ import annotations

import contextlib
import random
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from etoro_sync import WsClient
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.session import commands, connection_loop, controller, credentials, reader
from etoro_sync.ws.transport import dialer
from tests.support.certificates import Certificates
from tests.support.clients import make_client
from tests.support.clocks import LeapingTime, leaping_waker
from tests.support.raw_server import RawServer, Script
from tests.support.threads import join_stragglers
from tests.support.timing import MS, count_ended_threads

__all__ = ["MS", "MakeClient", "MakeSimulator", "StartServer"]

# How long an example takes says something of the machine, and nothing of the code: the first one on
# a fresh clone waits for hypothesis to build its tables of characters.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

count_ended_threads()

#: What the fixture ``raw_server`` is: ``server = raw_server(script)``.
StartServer = Callable[..., RawServer]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Fail a test after which one of the library's threads still runs, daemon or not.

    Threads of an earlier test are that one's failure.
    """
    before = frozenset(threading.enumerate())
    yield
    left = join_stragglers(before, prefix="etoro-sync")
    assert not left, f"the test left threads running: {left}"


@pytest.fixture
def raw_server(_no_thread_is_left: None) -> Iterator[StartServer]:
    """Start servers that stop, and raise their scripts' errors, at the end of the test.

    It depends on the check of threads so as to stop before it: a test that fails half-way leaves a
    client behind, which ends when its server does, or is reported.
    """
    with contextlib.ExitStack() as servers:

        def start(
            script: Script | Sequence[Script],
            tls: ssl.SSLContext | None = None,
            *,
            recv_buffer: int | None = None,
            send_buffer: int | None = None,
        ) -> RawServer:
            server = RawServer(script, tls, recv_buffer=recv_buffer, send_buffer=send_buffer)
            return servers.enter_context(server)

        yield start


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    """Contexts of one private authority; making the keys takes time, so all tests share them."""
    return Certificates()


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

    def make(
        url: str, *, made_by: Callable[..., WsClient] = make_client, **options: Any
    ) -> WsClient:
        made.append(made_by(url, **options))
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
    monkeypatch.setattr(commands, "time", time)
    for module in (connection_loop, credentials, dialer, commands, reader, controller):
        monkeypatch.setattr(module, "clocks", time)
    monkeypatch.setattr(commands, "Waker", leaping_waker(time))
    state = random.getstate()
    random.seed(20)
    yield time
    random.setstate(state)
