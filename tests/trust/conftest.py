"""Fixtures of these tests: a waker of the transport."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etoro_sync.ws.transport.waker import Waker


@pytest.fixture
def waker() -> Iterator[Waker]:
    made = Waker()
    yield made
    made.close()
