"""Fixtures of all tests: servers that always stop, and a check that no thread is left behind."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, settings

from tests.support.certificates import Certificates
from tests.support.raw_server import RawServer, Script
from tests.support.threads import join_stragglers
from tests.support.timing import MS

__all__ = ["MS", "StartServer"]

# How long an example takes says something of the machine, and nothing of the code: the first one on
# a fresh clone waits for hypothesis to build its tables of characters.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

#: What the fixture ``raw_server`` is: ``server = raw_server(script)``.
StartServer = Callable[..., RawServer]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """Fail a test after which one of the library's threads still runs, daemon or not."""
    yield
    left = join_stragglers(prefix="etoro-sync")
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
