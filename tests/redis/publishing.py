"""What publishers have written into Redis, and checks of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import redis

from etoro_sync.redis.layout.keys import Keys
from etoro_sync.redis.layout.order_rows import decode_order
from etoro_sync.redis.layout.rows import decode_rates, decode_state

__all__ = ["Entry", "Feed", "until"]


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Poll a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


#: What an epoch begins with.
_BEGIN = (0, "takeover")


class Entry(NamedTuple):
    """An entry of the stream of rates."""

    at: float
    epoch: int
    number: int
    rates: list[Any]


class Feed:
    """What stands in Redis of one feed.

    :param raw: decodes to text.
    """

    def __init__(self, raw: redis.Redis, feed: str = "main") -> None:
        self.raw = raw
        self.keys = Keys(feed)

    def entries(self) -> list[Entry]:
        """All entries of rates."""
        return [
            Entry(
                int(key.partition("-")[0]) / 1000,
                int(fields["e"]),
                int(fields["n"]),
                decode_rates(fields["r"], self.keys.rates),
            )
            for key, fields in self.raw.xrange(self.keys.rates)
        ]

    def bids(self) -> list[float]:
        """The bids of all rates, in their order."""
        return [rate.bid for entry in self.entries() for rate in entry.rates]

    def last(self) -> dict[int, tuple[int, int, float]]:
        """Instrument id -> epoch, number and bid of its last rate."""
        found = {}
        for key, text in self.raw.hgetall(self.keys.last).items():
            epoch, number, rate = decode_state(text, self.keys.last)
            found[int(key)] = epoch, number, rate.bid
        return found

    def orders(self) -> list[int | None]:
        """The ids of all orders, in their order."""
        found = self.raw.xrange(self.keys.orders)
        return [decode_order(fields["c"], self.keys.orders).order_id for _, fields in found]

    def events(self) -> list[tuple[int, int, str, list[Any]]]:
        """Epoch, number, name and arguments of all other events of the stream."""
        return [each for each in self._events() if each[2] not in ("takeover", "connected")]

    def _events(self) -> list[tuple[int, int, str, list[Any]]]:
        found = self.raw.xrange(self.keys.events)
        return [(int(f["e"]), int(f["n"]), f["k"], json.loads(f["a"])) for _, f in found]

    def epochs(self) -> list[int]:
        """All epochs that have begun, in their order."""
        return [epoch for epoch, number, name, _ in self._events() if (number, name) == _BEGIN]

    def check(self) -> None:
        """Check that no epoch had two writers, and that last states are those of the entries."""
        entries, last = self.entries(), {}
        assert [entry.epoch for entry in entries] == sorted(entry.epoch for entry in entries)
        due: dict[int, int] = {}
        for _, epoch, number, rates in entries:
            assert number == due.get(epoch, 1), "an epoch had two writers, or has a hole"
            due[epoch] = number + len(rates)
            for place, rate in enumerate(rates):
                last[rate.instrument_id] = epoch, number + place, rate.bid
        assert self.epochs() == sorted(set(self.epochs()))
        assert set(due) <= set(self.epochs())
        newest = max(self.epochs(), default=0)
        assert self.last() == {key: state for key, state in last.items() if state[0] == newest}
