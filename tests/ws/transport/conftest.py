"""Fixtures of the transport's tests: a waker, and a check that nothing is left open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from etoro_sync.ws.transport.waker import Waker
from tests.support.threads import assert_no_new_descriptors, assert_no_new_threads


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread or a descriptor, whichever way the connection ended."""
    with assert_no_new_descriptors(), assert_no_new_threads():
        yield


@pytest.fixture
def waker(_nothing_is_left: None) -> Iterator[Waker]:
    made = Waker()
    yield made
    made.close()
