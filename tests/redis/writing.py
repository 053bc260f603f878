"""Writes to Redis what a publisher writes, one thing at a time, and anything else."""

from __future__ import annotations

import json
from typing import Any

import redis

from etoro_sync import WsGap, WsInstrumentRate, WsPrivateEvent
from etoro_sync.redis.layout.event_rows import encode_event
from etoro_sync.redis.layout.keys import VERSION, Keys
from etoro_sync.redis.layout.order_rows import digest_of, encode_order
from etoro_sync.redis.layout.rows import encode_rate, encode_rates, encode_state

__all__ = ["FeedWriter", "rate_of"]


def rate_of(key: int, ask: float, generation: int = 1, **fields: Any) -> WsInstrumentRate:
    """A rate as a publisher has it."""
    values: dict[str, Any] = {"date": "d", "received_at": 1.0, "changed": ("ask",), **fields}
    return WsInstrumentRate(
        ask, 1.0, price_rate_id=5, instrument_id=key, generation=generation, **values
    )


class FeedWriter:
    """The only publisher of a feed, which holds its lease from the beginning on.

    :param raw: a client of the tests' own. In its place a pipeline may stand for a while, so that
        several things are written at one moment.
    :param feed: its name.
    :ivar epoch: its number.
    :ivar number: of the last rate.
    """

    def __init__(self, raw: redis.Redis, feed: str = "main", lease: float | None = None) -> None:
        self.raw = raw
        self.keys = Keys(feed)
        self.epoch = self.number = 0
        self.take_over(lease)

    def take_over(self, lease: float | None = None) -> None:
        """Begin an epoch, as another publisher does: one that was never there before."""
        known: Any = self.epoch or self.raw.get(self.keys.epoch)
        self.epoch = int(known or 0) + 1
        self.number = 0
        self.raw.set(self.keys.epoch, self.epoch)
        self.raw.delete(self.keys.last)
        self.raw.hset(self.keys.meta, "version", VERSION)
        self.renew(lease)
        self.event("takeover")
        self.event("connected", True)

    def renew(self, lease: float | None = None) -> None:
        """Hold the lease for so many seconds; None: for long."""
        self.raw.set(self.keys.lease, "token", px=int((lease or 1000.0) * 1000))

    def let_go(self) -> None:
        """Lose the lease, as a publisher that was killed."""
        self.raw.delete(self.keys.lease)

    def rates(self, *rates: WsInstrumentRate, **odd: Any) -> None:
        """Write one entry of rates, and each of them as the last one of its instrument."""
        rows = [encode_rate(rate) for rate in rates]
        fields: dict[Any, Any] = {"e": self.epoch, "n": self.number + 1, "r": encode_rates(rows)}
        inside = isinstance(self.raw, redis.client.Pipeline)
        pipe: Any = self.raw if inside else self.raw.pipeline()
        for rate, row in zip(rates, rows, strict=True):
            self.number += 1
            state = encode_state(self.epoch, self.number, row)
            pipe.hset(self.keys.last, str(rate.instrument_id), state)
        pipe.xadd(self.keys.rates, {**fields, **odd})
        if not inside:
            pipe.execute()

    def order(self, event: WsPrivateEvent, **odd: Any) -> None:
        """Write an order event."""
        content = encode_order(event)
        fields: dict[Any, Any] = {
            "e": self.epoch,
            "n": self.number,
            "m": event.message_id,
            "d": digest_of(content),
            "c": content,
        }
        self.raw.xadd(self.keys.orders, {**fields, **odd})

    def event(self, name: str, *arguments: Any, **odd: Any) -> None:
        """Write what the publisher's connection goes through."""
        content = encode_event(name, arguments)
        fields: dict[Any, Any] = {"e": self.epoch, "n": self.number, "k": name, "a": content}
        self.raw.xadd(self.keys.events, {**fields, **odd})

    def outage(self) -> None:
        """Lose the publisher's connection to eToro."""
        self.event("connected", False)
        self.event("close", 1006, "gone")
        self.event("reconnecting", 1, 0.5)

    def back(self, generation: int, *topics: str) -> None:
        """Get it back."""
        self.event("connected", True)
        self.event("reconnected", WsGap(1.0, 2.0, generation, topics))

    def states(self) -> dict[int, float]:
        """The last ask of each instrument, as it stands in Redis."""
        found: Any = self.raw.hgetall(self.keys.last)
        return {int(key): json.loads(text)[2][1] for key, text in found.items()}
