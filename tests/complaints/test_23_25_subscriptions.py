"""Complaints 23 to 25: subscriptions that are lost, and gaps that nobody can see."""

from __future__ import annotations

import itertools
import random
import threading
from typing import Any, TypeVar

import pytest

from etoro_sync import EventQueue
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.amounts import amount
from tests.support.clients import Ear, envelope
from tests.support.peer import Peer
from tests.support.threads import run_in_thread

PRICE = {"Ask": "2", "Bid": "1"}


@pytest.mark.long_form
@pytest.mark.heavy
def test_complaint_23_it_reconnects_but_does_not_resubscribe(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """500 topics, many losses, changes from four threads: the server holds what the client wants.

    Some of the losses come by chance in the middle of a recovery.
    """
    sim = simulator()
    c = client(sim.url, reconnect_delay=0.001, reconnect_max_delay=0.005, request_timeout=1.0)
    gaps = c.queue("reconnected")
    c.connect()
    c.subscribe(range(1, 501))
    done = threading.Event()

    def change(seed: int) -> int:
        choice = random.Random(seed)
        own, changes = range(seed * 1000, seed * 1000 + 50), 0
        while not done.is_set():
            topics = choice.sample(own, 5)
            if choice.random() < 0.5:
                c.subscribe(topics, snapshot=choice.random() < 0.5, wait=False)
            else:
                c.unsubscribe(topics, wait=False)
            c.unsubscribe([choice.randint(100, 500)], wait=False)
            changes += 1
            done.wait(0.002)
        return changes

    workers = [run_in_thread(lambda seed=seed: change(seed)) for seed in (1, 2, 3, 4)]
    chance = random.Random(23)
    try:
        for loss in range(amount(10, 20)):
            if loss % 5 == 4:
                # A request that is never acknowledged costs one more connection.
                sim.ignore("Subscribe")
            sim.drop()
            if chance.random() < 0.5:
                done.wait(chance.random() * 0.02)
                sim.drop()
            gaps.get(timeout=10)
    finally:
        done.set()
    assert all(worker.result() > 20 for worker in workers)
    # The last wish of all: what was under way before it is done when it is acknowledged.
    c.subscribe([9999], wait=False)
    sim.wait_until(
        lambda s: s.subscribed == frozenset(c.subscriptions) >= {"instrument:9999"}, timeout=10
    )
    assert {f"instrument:{n}" for n in range(1, 100)} < set(c.subscriptions)
    # Each of them is live, too; some snapshots may still be under way.
    rates = c.queue("instrument:rate")
    silent = {int(topic.partition(":")[2]) for topic in c.subscriptions}
    for instrument_id in silent:
        sim.publish(instrument_id, **PRICE)
    while silent:
        instrument_id, rate = rates.get(timeout=5)
        if rate.ask == 2:
            silent.discard(instrument_id)


def test_complaint_23_a_loop_of_an_earlier_session_takes_no_topic_away(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A stream that ends after `disconnect()` and `connect()` leaves the next stream's topic be."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    before = c.stream([18])
    next(before)
    c.disconnect()
    c.connect()
    after = c.stream([18])
    next(after)
    assert list(before) == []
    # Behind whatever the end of the first has asked for.
    c.subscribe([19])
    assert sim.subscribed == {"instrument:18", "instrument:19"}
    assert c.subscriptions == ("instrument:18", "instrument:19")
    sim.publish(18, Ask="7")
    assert next(after)[1].ask == 7


def test_complaint_24_the_server_forgets_a_subscription(
    raw_server: StartServer, client: MakeClient
) -> None:
    """`stale` names a topic that is silent; subscribing again in its callback asks the server."""
    repaired = threading.Event()

    def forgetful(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
        # And no more of it, until it is asked for again.
        again = peer.acknowledge()
        assert again["operation"] == "Subscribe"
        assert again["data"] == {"topics": ["instrument:18"], "snapshot": True}
        peer.send_text(envelope("instrument:18", {"Ask": "4", "Bid": "3"}, "Snapshot"))
        peer.serve()

    server = raw_server(forgetful)
    c = client(server.url, stale_after=0.1)

    @c.on("stale")
    def repair(instrument_id: int, age: float) -> None:
        if not repaired.is_set():
            c.subscribe([instrument_id], snapshot=True)
            repaired.set()

    rates = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    c.connect()
    assert [rates.get(timeout=5)[1].ask for _ in range(2)] == [2, 4]
    assert repaired.wait(5)
    assert (c.generation, server.connections) == (1, 1)
    assert c.subscriptions == ("instrument:18",)


Item = TypeVar("Item")


def runs(items: list[Item]) -> list[Item]:
    """Return the items in their order, each run of equal ones as one."""
    return [item for n, item in enumerate(items) if n == 0 or items[n - 1] != item]


def by_instrument(q: EventQueue) -> dict[int, list[Any]]:
    """Return all that waits, in its order."""
    found: dict[int, list[Any]] = {}
    for instrument_id, what in (q.get_nowait() for _ in range(q.qsize())):
        found.setdefault(instrument_id, []).append(what)
    return found


def story_of(instrument_id: int, ear: Ear) -> list[str]:
    """Return what the callbacks were told of one instrument, in order."""
    story = []
    for event, arguments in ear.heard:
        if event == "reconnected":
            assert f"instrument:{instrument_id}" in arguments[0].topics
            story.append(f"gap before {arguments[0].generation}")
        elif event == "instrument:rate" and arguments[0] == instrument_id:
            story.append(f"rates of {arguments[1].generation}")
    return story


@pytest.mark.parametrize("losses", [1, 3])
def test_complaint_25_users_must_know_what_they_missed(
    simulator: MakeSimulator, client: MakeClient, losses: int
) -> None:
    """For each topic, in order: last rate, gap, snapshot, next rate; in queues and callbacks."""
    sim = simulator()
    topics, last_topic = range(1, 6), 99
    c = client(sim.url, callback_queue_size=1_000_000)
    ear = Ear(c)
    progress, rates = (c.queue("instrument:rate", maxsize=0) for _ in range(2))
    deltas = c.queue("instrument:delta", maxsize=0)
    c.connect()
    # Without a snapshot: after a gap there is one all the same.
    c.subscribe([*topics, last_topic])
    done = threading.Event()

    def burst() -> None:
        for n in itertools.count():
            if done.is_set():
                return
            # One side at a time, so that a rate without a snapshot would be incomplete.
            sim.publish(topics[n % 5], **({"Ask": str(n + 2)} if n % 2 else {"Bid": "1"}))
            done.wait(0.0005)

    def until_all_have_changed_in(generation: int) -> None:
        missing = set(topics)
        while missing:
            instrument_id, rate = progress.get(timeout=10)
            # A snapshot has both sides.
            is_news = not {"ask", "bid"} <= set(rate.changed)
            if rate.generation == generation and is_news:
                missing.discard(instrument_id)

    bursting = run_in_thread(burst)
    try:
        for generation in range(1, losses + 1):
            until_all_have_changed_in(generation)
            sim.drop()
        until_all_have_changed_in(losses + 1)
    finally:
        done.set()
        bursting.result()
    sim.publish(last_topic, Ask="1e9")
    ear.wait(lambda e: any(rate.ask == 1e9 for _, rate in e.of("instrument:rate")[-1:]))
    generations = list(range(1, losses + 2))
    all_rates, all_deltas = by_instrument(rates), by_instrument(deltas)
    for topic in topics:
        expected = [f"{what} {g}" for g in generations for what in ("gap before", "rates of")]
        assert runs(story_of(topic, ear)) == expected[1:]
        for own in (all_rates[topic], all_deltas[topic]):
            assert runs([item.generation for item in own]) == generations
        for generation in generations[1:]:
            rate = next(rate for rate in all_rates[topic] if rate.generation == generation)
            assert {"ask", "bid"} <= set(rate.changed)
            delta = next(d for d in all_deltas[topic] if d.generation == generation)
            assert delta.is_snapshot
