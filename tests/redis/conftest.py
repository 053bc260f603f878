"""Real redis-servers; where the program is missing, what needs one is skipped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from tests.support.redis_server import REDIS_SERVER, RedisServer

__all__ = ["StartRedis"]

StartRedis = Callable[..., RedisServer]


def _needed() -> None:
    if REDIS_SERVER is None:
        pytest.skip("redis-server is not installed; apt-get install redis-server")


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """One server for all tests that harm none; it has a unix socket and a port."""
    _needed()
    with RedisServer(port=True) as server:
        yield server


@pytest.fixture
def server(shared_redis: RedisServer) -> RedisServer:
    """The server of all tests, empty."""
    with shared_redis.client() as client:
        client.flushall()
    return shared_redis


@pytest.fixture
def raw(server: RedisServer) -> Iterator[redis.Redis]:
    """A client of the tests' own, which decodes to text, for the server of all tests."""
    with server.client() as client:
        yield client


@pytest.fixture
def start_redis() -> Iterator[StartRedis]:
    """Start servers of a test's own, which it may kill, stall and restart."""
    _needed()
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> RedisServer:
            return stack.enter_context(RedisServer(**settings))

        yield start
