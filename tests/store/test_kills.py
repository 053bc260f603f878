"""What a store has brought survives SIGKILL, and nothing is brought again once acknowledged."""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from etoro_sync import WsGap
from etoro_sync.simulator import EToroSimulator
from etoro_sync.store import OrderStore
from tests.conftest import MakeSimulator
from tests.support.amounts import amount
from tests.support.timing import MS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="makes copies by fork()")
ROOT = Path(__file__).parents[2]


class Victim:
    """The program that is killed, and what it has said.

    :param url: of the simulator.
    :param path: of the store.
    """

    def __init__(self, url: str, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.killed", url, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def live_and_die(self, lines: int) -> list[list[str]]:
        """Start one copy, kill it after so many lines, and return all that it has said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        said: list[list[str]] = []
        pid = 0
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "dead":
                return said
            if words[0] == "pid":
                pid = int(words[1])
            else:
                said.append(words)
            if pid and len(said) >= lines:
                os.kill(pid, signal.SIGKILL)
                lines = sys.maxsize
        raise AssertionError("the program has ended by itself")

    def close(self) -> None:
        """End the program, which waits for a line."""
        self.process.communicate()


@pytest.fixture
def orders(simulator: MakeSimulator) -> Iterator[EToroSimulator]:
    """A simulator that sends orders 1, 2, 3, ... all the time."""
    sim, ending = simulator(), threading.Event()

    def send() -> None:
        for number in itertools.count(1):
            sim.fill_order(number)
            if ending.wait(0.5 * MS):
                return

    thread = threading.Thread(target=send)
    thread.start()
    yield sim
    ending.set()
    thread.join()


def pending(path: Path) -> int | None:
    """The number of the first event that is to be brought, by SQLite itself."""
    connection = sqlite3.connect(path)
    try:
        query = "SELECT min(number) FROM events WHERE acknowledged_at IS NULL"
        found: int | None = connection.execute(query).fetchone()[0]
        return found
    finally:
        connection.close()


@pytest.mark.long_form
@pytest.mark.timeout(300)
def test_no_event_is_lost_or_brought_twice_by_sigkill(
    orders: EToroSimulator, tmp_path: Path
) -> None:
    """Killed at random moments, many times: all that was brought is there, once and in order."""
    path, chance = tmp_path / "orders.db", random.Random(14)
    victim = Victim(orders.url, path)
    got: dict[int, int] = {}
    done: set[int] = set()
    try:
        for _ in range(amount(20, 200)):
            first = pending(path) if path.exists() and path.stat().st_size else None
            brought = []
            for word, *rest in victim.live_and_die(chance.choice([0, 1, 2, 3, 10, 40, 41])):
                if word == "got":
                    number, order_id = map(int, rest)
                    assert number not in done
                    assert got.setdefault(number, order_id) == order_id
                    brought.append(number)
                elif word == "done":
                    done.add(int(rest[0]))
            assert brought == sorted(set(brought))
            # What was left is brought first.
            assert first is None or brought[:1] in ([], [first])
    finally:
        victim.close()
    assert len(done) > 20
    check_file(path, got, done)


def check_file(path: Path, got: dict[int, int], done: set[int]) -> None:
    """All that was brought is in the file, in order, without a hole while one process lived."""
    with OrderStore(path) as store:
        stored = list(store.events())
        gaps = store.gaps()
    ids = {item.number: item.event.order_id for item in stored}
    assert list(ids) == list(range(1, len(stored) + 1))
    assert {number: ids[number] for number in got} == got
    assert {item.number for item in stored if item.acknowledged_at is not None} >= done
    connection = sqlite3.connect(path)
    origins = [row[0] for row in connection.execute("SELECT origin FROM events ORDER BY number")]
    connection.close()
    for (one, a), (other, b) in itertools.pairwise(zip(stored, origins, strict=True)):
        assert one.event.order_id is not None
        assert other.event.order_id is not None
        assert other.event.order_id > one.event.order_id
        if a == b:
            assert other.event.order_id == one.event.order_id + 1
        else:
            assert covers(gaps, one.stored_at, other.event.received_at)


def covers(gaps: list[WsGap], after: float, before: float) -> bool:
    """Whether a gap shows that something may be missing between two events.

    It ends when the subscription is sent for, and the events begin when it is acknowledged.
    """
    return any(gap.from_ <= after and gap.until >= before - 1000 * MS for gap in gaps)
