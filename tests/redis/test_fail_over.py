"""Several publishers of one feed: one writes, and another one goes on where it cannot."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from etoro_sync import EToroAuthError, EToroRedisError, EToroWebSocketError, WsGap
from etoro_sync.redis import Publisher
from etoro_sync.redis.connection import Address
from etoro_sync.redis.layout.keys import Keys
from etoro_sync.redis.publishing.engine import Fenced, Order
from etoro_sync.redis.publishing.lease import Lease
from etoro_sync.redis.publishing.writer import RedisWriter
from etoro_sync.simulator import EToroSimulator
from tests.conftest import MakeClient, MakeSimulator
from tests.redis.conftest import StartRedis
from tests.redis.publishing import Feed, until
from tests.support.amounts import amount
from tests.support.live_stream import LiveStream, order, rate
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
#: Of the publishers in here, in seconds.
LEASE = 0.5
Publish = Callable[..., Publisher]


@pytest.fixture
def streams() -> Iterator[Callable[[], LiveStream]]:
    """Make streams that are connected."""
    with contextlib.ExitStack() as stack:

        def make() -> LiveStream:
            stream = LiveStream()
            stack.callback(stream.disconnect)
            stream.connect()
            return stream

        yield make


@pytest.fixture
def publish(server: RedisServer) -> Iterator[Publish]:
    """Start publishers of the feed, which end before their streams do."""
    with contextlib.ExitStack() as stack:

        def start(source: Any, **options: Any) -> Publisher:
            options = {"lease": LEASE, **options}
            return stack.enter_context(Publisher(source, server.url, **options))

        yield start


@pytest.fixture
def feed(raw: redis.Redis) -> Feed:
    """What is in the server."""
    return Feed(raw)


def roles(*publishers: Publisher) -> list[str]:
    return [publisher.stats().role for publisher in publishers]


def holds_order(publisher: Publisher) -> bool:
    return publisher.stats().held > 0


# Fencing, step by step ----------------------------------------------------------------------------


class Hand:
    """A publisher by hand: a lease and a writer."""

    def __init__(self, server: RedisServer, seconds: float = 30.0) -> None:
        address, keys = Address(server.url), Keys("main")
        self.client = address.client()
        self.lease = Lease(self.client, address, keys, seconds)
        self.writer = RedisWriter(self.client, address, keys, self.lease, 32_000_000)

    def write(self, bid: float) -> None:
        self.writer.publish_rates([rate(1, bid)])
        self.writer.publish_event("stale", (1, bid))
        self.writer.publish_order(Order.of(order(int(bid)), str))
        self.writer.flush()


@pytest.fixture
def hands(server: RedisServer) -> Iterator[tuple[Hand, Hand]]:
    """Two publishers by hand."""
    pair = Hand(server), Hand(server)
    yield pair
    for hand in pair:
        hand.client.close()


def test_one_has_the_lease_and_the_other_one_waits(hands: tuple[Hand, Hand], feed: Feed) -> None:
    """Until it is given up; who has it may take it again, with a new epoch."""
    one, two = hands
    assert one.lease.acquire() is None
    left = two.lease.acquire()
    assert left is not None
    assert 0 < left <= one.lease.seconds / 4
    assert feed.raw.hget(feed.keys.meta, "standby")
    first = one.lease.epoch
    assert one.lease.acquire() is None
    assert one.lease.epoch > first
    one.lease.release()
    two.lease.release()  # which it has not
    assert two.lease.acquire() is None
    assert two.lease.epoch > one.lease.epoch
    one.lease.held = True
    one.lease.release()  # as one that does not know yet
    assert feed.raw.get(feed.keys.lease) == two.lease.token


def test_who_has_lost_the_lease_writes_nothing(hands: tuple[Hand, Hand], feed: Feed) -> None:
    """Whatever it believes: the epoch decides, and no clock."""
    one, two = hands
    assert one.lease.acquire() is None
    one.write(1.0)
    feed.raw.delete(feed.keys.lease)  # as if it had expired
    assert two.lease.acquire() is None
    before = {key: feed.raw.dump(key) for key in feed.raw.keys("*")}
    with pytest.raises(Fenced) as caught:
        one.write(2.0)
    assert not caught.value.lost
    assert {key: feed.raw.dump(key) for key in feed.raw.keys("*")} == before
    two.write(3.0)
    with pytest.raises(Fenced):
        one.writer.flush()
    assert feed.bids() == [1.0, 3.0]
    assert feed.orders() == [1, 3]


def test_who_has_lost_the_lease_writes_nothing_even_where_nobody_has_it(
    hands: tuple[Hand, Hand], feed: Feed
) -> None:
    """The one that took it over may have ended meanwhile, before it wrote anything."""
    one, two = hands
    assert one.lease.acquire() is None
    assert feed.raw.delete(feed.keys.lease)
    assert two.lease.acquire() is None
    assert feed.raw.delete(feed.keys.lease)
    with pytest.raises(Fenced) as caught:
        one.write(1.0)
    assert not caught.value.lost
    assert feed.bids() == []
    assert feed.orders() == []
    assert not feed.raw.exists(feed.keys.lease)


def test_who_finds_the_lease_in_other_hands_writes_nothing(
    hands: tuple[Hand, Hand], feed: Feed
) -> None:
    """Also in the same epoch, which only somebody's own hand in Redis can bring about."""
    one, _ = hands
    assert one.lease.acquire() is None
    feed.raw.set(feed.keys.lease, "another")
    with pytest.raises(Fenced):
        one.write(1.0)
    assert feed.bids() == []


def test_a_lease_that_expired_unnoticed_goes_on(hands: tuple[Hand, Hand], feed: Feed) -> None:
    """Nobody has written meanwhile: the epoch is the same, and no reader sees a gap."""
    one, _ = hands
    assert one.lease.acquire() is None
    one.write(1.0)
    feed.raw.delete(feed.keys.lease)
    one.write(2.0)
    assert feed.raw.get(feed.keys.lease) == one.lease.token
    assert len({entry.epoch for entry in feed.entries()}) == 1


def test_an_epoch_rises_even_where_redis_has_lost_all(hands: tuple[Hand, Hand], feed: Feed) -> None:
    """Also for a publisher that knows nothing of the one before."""
    one, two = hands
    assert one.lease.acquire() is None
    feed.raw.set(feed.keys.epoch, 5_000_000_000)
    assert one.lease.acquire() is None
    assert one.lease.epoch == 5_000_000_001
    feed.raw.flushall()
    seconds, _ = feed.raw.time()
    assert two.lease.acquire() is None
    assert two.lease.epoch >= seconds
    feed.raw.flushall()
    assert one.lease.acquire() is None
    assert one.lease.epoch == 5_000_000_002


def test_a_layout_that_has_changed_is_not_written(hands: tuple[Hand, Hand], feed: Feed) -> None:
    """By a newer publisher, since this one has started."""
    one, _ = hands
    feed.raw.hset(feed.keys.meta, "version", "2")
    with pytest.raises(EToroRedisError, match="Update it") as caught:
        one.lease.acquire()
    assert caught.value.error_code == "VERSION"
    assert not feed.raw.exists(feed.keys.lease)


def test_a_new_epoch_forgets_what_its_writer_does_not_know(
    hands: tuple[Hand, Hand], feed: Feed
) -> None:
    """A price that nobody renews must not look alive."""
    one, two = hands
    assert one.lease.acquire() is None
    one.write(1.0)
    assert feed.last()
    one.lease.release()
    assert two.lease.acquire() is None
    assert not feed.last()
    assert two.writer.last_states() == {}
    two.write(5.0)
    assert two.writer.last_states() == {1: (two.lease.epoch, 1, rate(1, 5.0))}


# Two publishers -----------------------------------------------------------------------------------


def test_a_standby_takes_over_with_prices_and_orders(
    streams: Callable[[], LiveStream], publish: Publish, feed: Feed
) -> None:
    """Those that the active one has written are not written again, and its last ones are."""
    one, two = streams(), streams()
    active = publish(one)
    until(lambda: active.stats().role == "active")
    standby = publish(two)
    for stream in (one, two):
        stream.bring(rate(1, 1.0), rate(2, 2.0))
        stream.order(1)
    until(lambda: feed.orders() == [1])
    two.settle()
    until(lambda: standby.stats().waiting == standby.stats().held == 0)
    two.order(2)  # which the active one will not have written
    two.bring(rate(2, 3.0))
    until(lambda: holds_order(standby))
    active.close()
    until(lambda: feed.orders() == [1, 2])
    until(lambda: {k: bid for k, (_, _, bid) in feed.last().items()} == {1: 1.0, 2: 3.0})
    assert roles(active, standby) == ["closed", "active"]
    assert len(feed.epochs()) == 2
    # It may have found the first one in Redis when it started.
    assert standby.stats().repeated <= 1
    feed.check()


def test_a_standby_reads_on_and_writes_nothing(
    streams: Callable[[], LiveStream], publish: Publish, feed: Feed
) -> None:
    """Its queue does not fill, and nothing of it is in Redis."""
    one, two = streams(), streams()
    active = publish(one)
    until(lambda: active.stats().role == "active")
    standby = publish(two)
    for step in range(500):
        two.bring(rate(5, 1.0 + step))
    two.settle()
    until(lambda: standby.stats().waiting == 0)
    assert standby.stats().role == "standby"
    assert feed.bids() == []


def test_a_publisher_without_etoro_lets_another_one_write(
    streams: Callable[[], LiveStream], publish: Publish, feed: Feed
) -> None:
    """After the lease's time, if there is one; alone, it keeps the lease."""
    one, two = streams(), streams()
    first = publish(one)
    until(lambda: first.stats().role == "active")
    one.lost()
    one.emit("reconnecting", 1, 0.5)
    until(lambda: feed.events())
    two.lost()
    second = publish(two)
    one.order(1)
    until(lambda: feed.orders() == [1])
    assert roles(first, second) == ["active", "standby"]
    two.live()
    until(lambda: roles(first, second) == ["standby", "active"])
    one.live()
    two.order(2)
    until(lambda: feed.orders() == [1, 2])
    assert first.stats().fenced == 0
    feed.check()


def test_a_publisher_without_etoro_leaves_the_lease_to_others(
    streams: Callable[[], LiveStream], publish: Publish, feed: Feed
) -> None:
    """Also where nobody has it: it would have nothing to publish."""
    one, two = streams(), streams()
    one.lost()
    one.settle()
    first = publish(one)
    time.sleep(LEASE / 2)  # it would have asked by then
    second = publish(two)
    until(lambda: second.stats().role == "active")
    assert first.stats().takeovers == 0
    assert len(feed.epochs()) == 1


def test_a_fenced_publisher_stands_by_with_its_orders(
    streams: Callable[[], LiveStream], publish: Publish, feed: Feed
) -> None:
    """What it had read and could not write is written by the other one, or by itself later."""
    one, two = streams(), streams()
    first = publish(one)
    until(lambda: first.stats().role == "active")
    # As if it had been stopped: the lease has expired, and another one has it.
    with feed.raw.pipeline() as together:
        together.set(feed.keys.lease, "another", px=30_000)
        together.incr(feed.keys.epoch)
        together.execute()
    one.order(1)
    until(lambda: first.stats().fenced == 1)
    until(lambda: holds_order(first))
    assert feed.orders() == []
    second = publish(two)
    feed.raw.delete(feed.keys.lease)
    until(lambda: "active" in roles(first, second))
    until(lambda: feed.orders() == [1] or first.stats().role == "standby")
    if first.stats().role == "standby":
        second.close()
        until(lambda: feed.orders() == [1])
    until(lambda: first.stats().held == 0)
    feed.check()


def test_no_order_is_lost_while_redis_is_away_from_both(
    streams: Callable[[], LiveStream], start_redis: StartRedis
) -> None:
    """Whoever gets the lease first when it is back, and however often it goes away."""
    own = start_redis()
    one, two = streams(), streams()
    with own.client() as raw:
        feed = Feed(raw)
        with (
            Publisher(one, own.url, lease=0.2) as first,
            Publisher(two, own.url, lease=0.2) as other,
        ):
            until(lambda: "active" in roles(first, other))
            for outage in range(3):
                own.kill()
                until(lambda: None not in (first.stats().failure, other.stats().failure))
                for number in range(outage * 100, outage * 100 + 100):
                    for stream in (one, two):
                        stream.order(number)
                        stream.bring(rate(1, number + 1.0))
                own.start()
                until(lambda due=outage * 100 + 100: len(feed.orders()) == due)
                until(lambda bid=outage * 100 + 100.0: feed.last().get(1, [0])[-1] == bid)
            assert feed.orders() == list(range(300))
            until(lambda: first.stats().held == other.stats().held == 0)
            assert first.stats().lost == other.stats().lost == 0
        feed.check()


# Cold ---------------------------------------------------------------------------------------------


def test_a_cold_publisher_connects_with_the_lease_only(
    publish: Publish, feed: Feed, streams: Callable[[], LiveStream]
) -> None:
    """And disconnects when it has lost it; what it had subscribed to is subscribed to again."""
    warm = publish(streams())
    until(lambda: warm.stats().role == "active")
    stream = LiveStream()
    stream.subscribe(["private", "instrument:1"])
    cold = publish(stream, cold=True)
    time.sleep(LEASE / 2)  # it has asked at least once
    assert (cold.stats().role, stream.connects) == ("standby", 0)
    warm.close()
    until(lambda: stream.connects == 1)
    stream.bring(rate(1, 1.0))
    stream.order(1)
    until(lambda: feed.orders() == [1] and feed.bids() == [1.0])
    feed.raw.client_pause(100, all=True)  # so that orders wait when another one has the lease
    with feed.raw.pipeline() as together:
        together.set(feed.keys.lease, "another", px=30_000)
        together.incr(feed.keys.epoch)
        for step in range(2, 500):
            stream.order(step)
        stream.settle()
        together.execute()
    until(lambda: stream.state.value == "closed")
    stream.subscriptions = ()
    feed.raw.delete(feed.keys.lease)
    until(lambda: stream.connects == 2)
    until(lambda: stream.subscriptions == ("private", "instrument:1"))
    stream.bring(rate(2, 5.0))
    until(lambda: 2 in feed.last())
    until(lambda: feed.orders() == [*range(1, 500)])
    assert set(feed.last()) == {2}, "a price of the earlier connection looks alive"
    cold.close()
    assert stream.state.value == "closed"
    feed.check()


def test_a_cold_publisher_keeps_its_connection_where_redis_has_lost_its_data(
    publish: Publish, feed: Feed
) -> None:
    """Nobody else has the lease: all that is known is written anew, without connecting again."""
    stream = LiveStream()
    publisher = publish(stream, cold=True)
    stream.bring(rate(1, 1.0))
    until(lambda: set(feed.last()) == {1})
    first = feed.epochs()
    with feed.raw.pipeline() as together:  # as a power failure takes the last seconds
        together.hset(feed.keys.meta, "written", 0)
        together.delete(feed.keys.last)
        together.execute()
    until(lambda: publisher.stats().takeovers == 2)
    until(lambda: set(feed.last()) == {1})
    assert feed.epochs() > first
    assert stream.connects == 1


def test_a_cold_publisher_renews_its_lease_while_it_connects(
    publish: Publish, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tries again after a failure, and ends where no attempt can succeed."""
    monkeypatch.setattr("etoro_sync.redis.publishing.cold._PAUSE", 0.01)
    stream = LiveStream()
    stream.refuses = EToroWebSocketError("not now")
    publisher = publish(stream, cold=True)
    until(lambda: stream.connects >= 2)
    assert publisher.stats().role == "active"
    stream.refuses = EToroAuthError("rejected")
    with pytest.raises(EToroAuthError, match="rejected"):
        publisher.run_forever(10.0)
    assert not feed.raw.exists(feed.keys.lease)


def test_a_cold_client_publishes_what_it_subscribed_to(
    simulator: MakeSimulator, client: MakeClient, publish: Publish, feed: Feed
) -> None:
    """With a real connection; it is closed with the publisher."""
    sim = simulator()
    c = client(sim.url)
    c.subscribe([1001, "private"])
    publisher = publish(c, cold=True)
    until(lambda: len(sim.subscribed) == 2)
    sim.publish(1001, Ask="5.5", Bid="5.4")
    sim.fill_order(1001)
    until(lambda: feed.orders() and 5.4 in feed.bids())
    publisher.close()
    until(lambda: not sim.clients)


# Processes ----------------------------------------------------------------------------------------


class Group:
    """Publishers in processes of their own, all of one feed.

    :param etoro: the address of the simulator.
    :param url: of Redis.
    """

    def __init__(self, etoro: str, url: str) -> None:
        command = [sys.executable, "-m", "tests.redis.standing_in", etoro, url, str(LEASE)]
        self._program = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pids: dict[str, int] = {}

    def add(self) -> None:
        """Start one more, and wait until it is connected."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write("\n")
        self._program.stdin.flush()
        pid, token = self._program.stdout.readline().split()
        self.pids[token] = int(pid)

    def close(self) -> None:
        """Kill all of them."""
        for pid in self.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._program.kill()
        self._program.communicate()


class Orders:
    """Fills orders at eToro, one every few milliseconds, on a thread of its own."""

    def __init__(self, sim: EToroSimulator) -> None:
        self.sent: list[int] = []
        self._sim = sim
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        for number in itertools.count(1):
            if self._stop.wait(0.01):
                return
            self._sim.fill_order(1001, OrderID=number)
            self.sent.append(number)

    def __enter__(self) -> Orders:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()


def owner(feed: Feed, group: Group) -> str | None:
    """The token of the publisher that has the lease."""
    token = feed.raw.get(feed.keys.lease)
    return token if token in group.pids else None


def strike(feed: Feed, group: Group, blow: int, chance: random.Random) -> None:
    """Kill or stop one of two publishers, mostly the active one; then there are two again."""
    until(lambda: owner(feed, group))
    active = owner(feed, group)
    assert active is not None
    (standby,) = group.pids.keys() - {active}
    victim = active if chance.random() < 0.8 else standby
    if blow == signal.SIGKILL:
        os.kill(group.pids.pop(victim), signal.SIGKILL)
        until(lambda: owner(feed, group) not in (None, victim))
        group.add()
        return
    os.kill(group.pids[victim], signal.SIGSTOP)
    other = standby if victim == active else active
    until(lambda: owner(feed, group) == other)
    time.sleep(LEASE * chance.uniform(0.2, 1.5))  # longer than the lease
    os.kill(group.pids[victim], signal.SIGCONT)


@pytest.mark.heavy
def test_a_publisher_that_was_stopped_stands_by_when_it_goes_on(
    simulator: MakeSimulator, server: RedisServer, feed: Feed
) -> None:
    """It is fenced, writes nothing, and takes over again when its turn comes."""
    sim = simulator(rate=100.0)
    with contextlib.closing(Group(sim.url, server.url)) as group:
        group.add()
        until(lambda: owner(feed, group))
        first = owner(feed, group)
        assert first is not None
        group.add()
        (second,) = group.pids.keys() - {first}
        os.kill(group.pids[first], signal.SIGSTOP)
        until(lambda: owner(feed, group) == second)
        sim.fill_order(1001, OrderID=1)
        until(lambda: feed.orders() == [1])
        asked = feed.raw.hget(feed.keys.meta, "standby")
        os.kill(group.pids[first], signal.SIGCONT)
        until(lambda: feed.raw.hget(feed.keys.meta, "standby") not in (None, asked))
        assert owner(feed, group) == second
        os.kill(group.pids[second], signal.SIGKILL)
        until(lambda: owner(feed, group) == first)
        sim.fill_order(1001, OrderID=2)
        until(lambda: feed.orders() == [1, 2])
        number = len(feed.entries())
        until(lambda: len(feed.entries()) > number)
    feed.check()
    assert len(feed.epochs()) == 3


@pytest.mark.heavy
@pytest.mark.long_form
@pytest.mark.timeout(600)
def test_kills_and_stops_cost_no_order_and_leave_one_writer(
    simulator: MakeSimulator, server: RedisServer, feed: Feed
) -> None:
    """No epoch has two writers, no order is lost, no silence is longer than the lease and 1 s."""
    count = amount(3, 50)
    chance = random.Random()
    blows = [signal.SIGKILL, signal.SIGSTOP] * (count // 2 + 1)
    sim = simulator(rate=100.0)
    with contextlib.closing(Group(sim.url, server.url)) as group, Orders(sim) as orders:
        group.add()
        group.add()
        until(feed.bids)
        begun = len(orders.sent)
        for blow in blows[:count]:
            time.sleep(chance.uniform(0.0, LEASE))
            strike(feed, group, blow, chance)
        done = len(orders.sent)
        until(lambda: set(orders.sent[begun:done]) <= set(feed.orders()))
    found = feed.orders()
    assert len(found) == len(set(found)), "an order was added twice"
    feed.check()
    assert len(feed.epochs()) > 1
    times = [entry.at for entry in feed.entries()]
    silence = max(later - earlier for earlier, later in itertools.pairwise(times))
    assert silence <= LEASE + 1.0


def test_a_gap_of_etoro_is_an_event_of_the_feed(
    streams: Callable[[], LiveStream], publish: Publish, feed: Feed
) -> None:
    """So that every reader knows for which time to ask the REST API."""
    stream = streams()
    publish(stream)
    until(feed.epochs)
    stream.emit("reconnected", WsGap(1.0, 2.0, 2, ("private",)))
    until(feed.events)
    assert feed.events()[0][2:] == ("reconnected", [[1.0, 2.0, 2, ["private"]]])
