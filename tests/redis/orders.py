"""Orders as a publisher writes them, for tests of what reads them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis

from etoro_sync.models import WsPrivateEvent
from etoro_sync.redis.layout.keys import Keys
from etoro_sync.redis.layout.order_rows import digest_of, encode_order
from tests.support.timing import MS

__all__ = ["KEYS", "add_orders", "order_fields", "wait_until"]

T = TypeVar("T")
KEYS = Keys("main")


def order_fields(order_id: int, **values: Any) -> dict[Any, Any]:
    """Return the fields of an entry with one order."""
    event = WsPrivateEvent(order_id=order_id, status_id=3, **values)
    content = encode_order(event)
    return {"e": 1, "n": 0, "m": event.message_id, "d": digest_of(content), "c": content}


def add_orders(raw: redis.Redis, *order_ids: int, keys: Keys = KEYS) -> list[str]:
    """Write orders, and return the ids of their entries."""
    with raw.pipeline(transaction=False) as pipeline:
        for each in order_ids:
            pipeline.xadd(keys.orders, order_fields(each))
        return [str(entry) for entry in pipeline.execute()]


def wait_until(probe: Callable[[], T], timeout: float = 10_000 * MS) -> T:
    """Return what *probe* returns, as soon as it is true."""
    deadline = time.monotonic() + timeout
    while not (found := probe()):
        assert time.monotonic() < deadline, "nothing has come in time"
        time.sleep(2 * MS)
    return found
