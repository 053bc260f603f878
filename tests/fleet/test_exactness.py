"""Nothing is lost, doubled or out of order, whatever is subscribed to and whatever ends."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from etoro_sync import WsFleet
from etoro_sync.simulator import EToroSimulator
from tests.conftest import MakeSimulator
from tests.support.amounts import amount

from .conftest import MakeFleet
from .tools import allow, bids, cut, held, instruments, publish

#: All of eToro's instruments, and their messages in its busiest second.
ALL, BURST = amount(1_500, 12_684), amount(1_500, 12_000)


@pytest.mark.long_form
@pytest.mark.timeout(120)
def test_promise_9_the_busiest_second_of_all_instruments_is_exact(
    simulator: MakeSimulator, fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On three connections, to a callback and a queue: each message, and each last price."""
    monkeypatch.setattr("etoro_sync.fleet.tracker.PLACES", amount(600, 4999))
    sim = simulator(max_backlog=200_000)
    f = fleet(sim.url, conflate_after=None, callback_queue_size=BURST)
    called: dict[int, list[int]] = {}
    calls = threading.Semaphore(0)

    @f.on("instrument:rate")
    def note(key: int, rate: Any) -> None:
        called.setdefault(key, []).append(int(rate.bid))
        calls.release()

    rates = f.queue("instrument:rate", maxsize=0)
    f.connect()
    f.subscribe(range(1, ALL + 1))
    assert len(sim.clients) == len(f.connections) == 3
    sent: dict[int, list[int]] = {}
    for number in range(BURST):
        key = 1 + number * 7919 % ALL
        publish(sim, key, 1000 + number)
        sent.setdefault(key, []).append(1000 + number)
    read: dict[int, list[int]] = {}
    for key, bid in bids(rates, BURST):
        read.setdefault(key, []).append(bid)
    assert read == sent
    assert {key: int(rate.bid) for key, rate in f.rates.items()} == {
        key: numbers[-1] for key, numbers in sent.items()
    }
    for _ in range(BURST):
        assert calls.acquire(timeout=10)
    assert called == sent
    assert (rates.dropped, rates.conflated) == (0, 0)


class Walk:
    """A fleet and what must be true of it, while topics come and go and connections are cut.

    :param sim: the service.
    :param fleet: connected.
    :param chance: decides on each step.
    """

    def __init__(self, sim: EToroSimulator, fleet: WsFleet, chance: random.Random) -> None:
        self.sim, self.fleet, self.chance = sim, fleet, chance
        self.wanted: set[str] = set()
        self.streams: list[tuple[object, set[str]]] = []
        self.bid = 10**7  # above all prices that the simulator makes up

    def step(self) -> None:
        self.chance.choice(
            [self.subscribe, self.subscribe, self.unsubscribe, self.stream, self.leave, self.lose]
        )()

    def _some(self) -> list[str]:
        topics = [*instruments(*range(1, 25)), "private"]
        return self.chance.sample(topics, self.chance.randint(1, 8))

    def subscribe(self) -> None:
        topics = self._some()
        self.fleet.subscribe(topics, snapshot=self.chance.random() < 0.5)
        self.wanted |= {*topics}

    def unsubscribe(self) -> None:
        topics = self._some()
        self.fleet.unsubscribe(topics, wait=self.chance.random() < 0.7)
        self.wanted -= {*topics}
        for _, used in self.streams:
            used -= {*topics}

    def stream(self) -> None:
        topics = {topic for topic in self._some() if topic != "private"}
        if topics:
            stream = self.fleet.stream([int(topic.partition(":")[2]) for topic in topics])
            next(stream)
            self.streams.append((stream, topics))

    def leave(self) -> None:
        if self.streams:
            stream, _ = self.streams.pop()
            stream.close()  # type: ignore[attr-defined]

    def lose(self) -> None:
        topics = sorted(self.sim.subscribed)
        if topics:
            cut(self.sim, self.chance.choice(topics))

    @property
    def all_wanted(self) -> set[str]:
        return self.wanted.union(*(used for _, used in self.streams))

    def _agrees(self, sim: EToroSimulator) -> bool:
        """Whether both sides have the same topics on the same connections, none of them idle."""
        here = [set(one.topics) for one in self.fleet.connections]
        return (
            sorted(map(sorted, here)) == sorted(map(sorted, held(sim)))
            and sum(map(len, here)) == len(self.all_wanted)
            and (all(here) or len(here) == 1)
            and max(map(len, here)) <= 3
        )

    def check(self) -> None:
        """Compare both sides, once all is quiet; messages of each topic come once, in order."""
        self.sim.wait_until(lambda sim: {*sim.subscribed} == self.all_wanted, 20)
        topics = sorted(self.all_wanted - {"private"})
        assert {*self.fleet.subscriptions} == self.all_wanted
        self.sim.wait_until(self._agrees)
        with self.fleet.queue("instrument:rate") as rates:
            for _ in range(2):
                self.bid += 1
                for topic in topics:
                    publish(self.sim, int(topic.partition(":")[2]), self.bid)
            last: dict[int, list[int]] = {}
            while [got[-1] for got in last.values()] != [self.bid] * len(topics):
                key, bid = bids(rates, 1)[0]
                got = last.setdefault(key, [])
                # A snapshot that a call in an outage has asked for may repeat what is known.
                if bid >= self.bid - 1 and got[-1:] != [bid]:
                    got.append(bid)
                elif not got:
                    del last[key]
        assert last == {key: [self.bid - 1, self.bid] for key in last}
        assert sorted(f"instrument:{key}" for key in last) == topics


@pytest.mark.long_form
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(amount(3, 40)))
@pytest.mark.parametrize("takes", [3, 2])
def test_promise_7_any_walk_ends_at_what_is_wanted(
    simulator: MakeSimulator, fleet: MakeFleet, seed: int, takes: int
) -> None:
    """Calls, streams and losses in any order; the server may take fewer topics than is believed."""
    sim = simulator(max_topics=takes)
    f = fleet(sim.url, request_timeout=20.0)
    f.connect()
    walk = Walk(sim, f, random.Random(seed))
    for number in range(amount(12, 30)):
        walk.step()
        if number % 4 == 3:
            walk.check()
    allow(sim, 1000)
    walk.check()
    f.unsubscribe(f.subscriptions)
    sim.wait_until(lambda s: not s.subscribed and len(s.clients) == 1)
