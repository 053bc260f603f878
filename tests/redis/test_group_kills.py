"""Consumers are killed at random moments: none loses an order, or acknowledges it too early."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.redis.conftest import StartRedis
from tests.redis.orders import KEYS, add_orders, wait_until
from tests.support.amounts import amount
from tests.support.timing import MS

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="makes copies by fork()"),
]
ROOT = Path(__file__).parents[2]
#: How many consume at the same time.
CONSUMERS = 3
REDELIVER_AFTER = 300 * MS


class Consumers:
    """Programs that consume, what they have said, and what became of them.

    :param url: of Redis.
    """

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.redis.killed", url, str(REDELIVER_AFTER)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.alive: set[int] = set()
        self.got: Counter[int] = Counter()
        self.done: set[int] = set()

    def make(self) -> None:
        """Start one more."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self, pid: int) -> None:
        """Kill one."""
        self.alive.discard(pid)
        os.kill(pid, signal.SIGKILL)

    def lines(self) -> Iterator[int]:
        """Yield the number of each process that has said something, and note what."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            pid, word, *rest = line.split()
            if word == "ready":
                self.alive.add(int(pid))
            elif word == "got":
                self.got[int(rest[0])] += 1
            else:
                self.done.add(int(rest[0]))
            yield int(pid)
        raise AssertionError("the program has ended by itself")

    def close(self) -> None:
        """End all of them."""
        for pid in self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate()


def kill_many(consumers: Consumers, raw: redis.Redis, kills: int, chance: random.Random) -> int:
    """Kill consumers at random moments while orders are added; return how many orders there are."""
    # As many wait at any time, so that what the consumers say does not wait to be read.
    orders = 30
    add_orders(raw, *range(1, orders + 1))
    for _ in range(CONSUMERS):
        consumers.make()
    handled = 0
    for pid in consumers.lines():
        if len(consumers.done) > handled:
            handled = len(consumers.done)
            orders += 1
            add_orders(raw, orders)
        if kills and pid in consumers.alive and chance.random() < 0.1:
            consumers.kill(pid)
            consumers.make()
            kills -= 1
        if not kills and len(consumers.alive) == CONSUMERS:
            break
    return orders


@pytest.mark.long_form
@pytest.mark.timeout(300)
def test_no_order_is_lost_by_sigkill(start_redis: StartRedis) -> None:
    """Each was handled to its end by some consumer, and then acknowledged."""
    chance = random.Random(15)
    own = start_redis()
    with own.client() as raw, contextlib.closing(Consumers(own.url)) as consumers:
        orders = kill_many(consumers, raw, amount(30, 400), chance)
        wanted = set(range(1, orders + 1))
        lines = consumers.lines()
        while consumers.done != wanted:
            next(lines)
        assert set(consumers.got) == wanted
        # Some were killed while they had one, and another one has got it.
        assert max(consumers.got.values()) > 1
        wait_until(lambda: raw.xpending(KEYS.orders, "booking")["pending"] == 0)
        last = raw.xrevrange(KEYS.orders, count=1)[0][0]
        assert raw.hget(KEYS.groups, "booking") == last
        assert raw.xlen(KEYS.dead) == 0
