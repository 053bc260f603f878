"""What a stream brings is in Redis: rates, last states, orders and events, whatever Redis does."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import pickle
import signal
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from etoro_sync import (
    EToroAuthError,
    EToroClosedError,
    EToroRedisError,
    EToroTypeError,
    EToroValidationError,
    WsGap,
)
from etoro_sync.redis import OrderGroup, Publisher, RedisClient
from etoro_sync.redis.connection import Address
from etoro_sync.redis.publishing import work as publishing
from etoro_sync.redis.publishing.engine import MOST
from etoro_sync.redis.publishing.lease import Lease
from etoro_sync.redis.publishing.scripts import WRITE
from etoro_sync.redis.publishing.writer import RedisWriter
from tests.conftest import MakeClient, MakeSimulator
from tests.redis.conftest import StartRedis
from tests.redis.publishing import Feed, until
from tests.support.clients import API_KEY, USER_KEY
from tests.support.interrupts import interrupted_in
from tests.support.live_stream import LiveStream, rate
from tests.support.redis_server import RedisServer

Publish = Callable[..., Publisher]


@pytest.fixture
def stream() -> Iterator[LiveStream]:
    """A stream that is connected, and brings what the test says."""
    live = LiveStream()
    live.connect()
    yield live
    live.disconnect()


@pytest.fixture
def publish(server: RedisServer, start_redis: StartRedis) -> Iterator[Publish]:
    """Start publishers, which end before their streams and servers do."""
    with contextlib.ExitStack() as stack:

        def start(source: Any, url: str = server.url, **options: Any) -> Publisher:
            return stack.enter_context(Publisher(source, url, **options))

        yield start


@pytest.fixture
def feed(raw: redis.Redis) -> Feed:
    """What is in the server of all tests."""
    return Feed(raw)


def bring_all(stream: LiveStream, count: int = 1000, instruments: int = 40) -> list[float]:
    """Bring rates whose bids are all different; return these."""
    bids = [float(n + 1) for n in range(count)]
    for start in range(0, count, 50):
        some = range(start, min(start + 50, count))
        stream.bring(*[rate(1 + n % instruments, bids[n]) for n in some])
    return bids


def test_each_rate_is_written_once_and_in_order(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """Numbers follow, entries are bounded, and the last state of each instrument is exact."""
    publisher = publish(stream)
    bids = bring_all(stream)
    until(lambda: publisher.stats().rates == len(bids))
    assert feed.bids() == bids
    feed.check()
    assert max(len(entry.rates) for entry in feed.entries()) <= MOST
    assert len(feed.last()) == 40
    assert publisher.stats().conflated == publisher.stats().refused == 0
    assert feed.raw.hgetall(feed.keys.meta)["version"] == "1"


def test_prices_that_came_before_the_publisher_are_written(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """They may not change for hours, and a newer one that waits comes behind them."""
    seen: list[int] = []
    stream.on("instrument:rate", lambda instrument_id, _: seen.append(instrument_id))
    stream.bring(rate(1, 10.0), rate(2, 20.0))
    until(lambda: len(seen) == 2)
    publisher = publish(stream)
    stream.bring(rate(2, 21.0))
    until(lambda: publisher.stats().rates == 3)
    assert {key: bid for key, (_, _, bid) in feed.last().items()} == {1: 10.0, 2: 21.0}
    assert feed.bids()[-1] == 21.0
    feed.check()


def test_events_have_their_place_among_the_rates(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """Each has the number of the last rate before it; an order has the digest of its content."""
    publish(stream)
    until(feed.epochs)
    gap = WsGap(1.5, 2.5, 3, ("private",))
    for step in range(3):
        stream.bring(rate(1, 10.0 + step))
        stream.emit("close", 1006, "lost")
    stream.order(7)
    stream.emit("reconnected", gap)
    stream.emit("error", EToroRedisError("odd", "OOM"))
    until(lambda: len(feed.events()) == 5 and feed.orders())
    found = [(number, name) for _, number, name, _ in feed.events()]
    assert found == [(1, "close"), (2, "close"), (3, "close"), (3, "reconnected"), (3, "error")]
    ((_, fields),) = feed.raw.xrange(feed.keys.orders)
    assert (fields["n"], fields["m"], len(fields["d"])) == ("3", "m7", 32)
    assert feed.raw.zscore(feed.keys.seen, fields["d"])


def test_an_order_is_added_once_whatever_its_message_id_is(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """Two publishers see other ids for one order; other contents are other events."""
    publisher = publish(stream)
    stream.order(7, status_id=1)
    stream.order(7, status_id=1, message_id="other", generation=5)
    stream.order(7, status_id=3)
    until(lambda: publisher.stats().orders == 2)
    assert feed.orders() == [7, 7]
    feed.raw.delete(feed.keys.orders)
    publish(stream, feed="other")
    with LiveStream() as second:
        publisher.close()
        again = publish(second)
        second.order(7, status_id=3, message_id="third")
        second.order(8)
        until(lambda: (again.stats().orders, again.stats().repeated) == (1, 1))
    assert feed.orders() == [8]


def test_an_order_that_returns_to_an_earlier_state_is_news(
    stream: LiveStream, publish: Publish, feed: Feed, server: RedisServer
) -> None:
    """As one that waits for its market every night: also for a publisher that has just started."""
    states = [11, 2, 2, 11, 2]
    with RedisClient(server.url) as client, client.queue("private:event") as queue:
        publisher = publish(stream)
        for status in states:
            stream.order(7, status_id=status, message_id="")
        until(lambda: publisher.stats().orders == 4)
        publisher.close()
        with LiveStream() as second:
            publish(second)
            for status in (2, 11):
                second.order(7, status_id=status, message_id="")
            until(lambda: len(feed.orders()) == 5)
        found = [queue.get(timeout=5.0).status_id for _ in range(5)]
    assert found == [11, 2, 11, 2, 11]
    with OrderGroup(server.url, "booking") as group:
        assert [order.event.status_id for order in group.orders(0.0)] == found


def test_a_lost_answer_adds_nothing_twice(
    stream: LiveStream, publish: Publish, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same batch is sent again, and Redis knows its number."""
    run, lost = type(WRITE).run, []

    def lose(script: Any, client: Any, keys: Any, args: Any) -> Any:
        answer = run(script, client, keys, args)
        if script is WRITE and len(lost) < 20 and args[3] not in lost and args[5]:
            lost.append(args[3])
            raise redis.ConnectionError("the answer is lost")
        return answer

    monkeypatch.setattr(type(WRITE), "run", lose)
    monkeypatch.setattr(publishing, "_SHORTEST", 0.001)
    publisher = publish(stream)
    expected = []
    for step in range(10):
        stream.bring(rate(1, step + 1.0))
        stream.order(step)
        stream.emit("stale", 5, 1.5)
        expected.append(step + 1.0)
        until(lambda number=step: len(feed.events()) == number + 1)
    assert len(lost) >= 5
    assert feed.bids() == expected
    assert feed.orders() == list(range(10))
    until(lambda: publisher.stats().failures == len(lost))
    feed.check()


def test_a_rate_that_cannot_be_written_is_counted(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """A source of the user's own may bring anything; the others are written."""
    publisher = publish(stream)
    stream.bring(rate(1, 1.0), rate(2, math.nan), rate(3, 3.0))
    until(lambda: publisher.stats().rates == 2)
    assert publisher.stats().refused == 1
    assert feed.bids() == [1.0, 3.0]
    feed.check()


def test_the_stream_of_rates_is_trimmed(server: RedisServer, feed: Feed) -> None:
    """By bytes, whatever the size of its entries is."""
    address = Address(server.url)
    with address.client() as client:
        lease = Lease(client, address, feed.keys, 5.0)
        assert lease.acquire() is None
        w = RedisWriter(client, address, feed.keys, lease, 400_000)
        some = [rate(1 + n, 5.0) for n in range(25)]
        for _ in range(400):
            w.publish_rates(some)
            w.flush()
        length = feed.raw.xlen(feed.keys.rates)
        w.publish_rates([rate(1 + n, 5.0) for n in range(250)])  # one that is ten times as large
        w.flush()
    assert feed.raw.xlen(feed.keys.rates) > length / 2
    size = sum(len(fields["r"]) for _, fields in feed.raw.xrange(feed.keys.rates))
    assert 250_000 < size < 450_000


# Redis is away ------------------------------------------------------------------------------------


def test_while_redis_is_away_rates_are_conflated_and_orders_wait(
    stream: LiveStream,
    publish: Publish,
    start_redis: StartRedis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on by itself, in the same epoch: nobody else has written."""
    monkeypatch.setattr("etoro_sync.redis.publishing.intake._ROOM", 100)
    own = start_redis()
    publisher = publish(stream, own.url)
    with own.client() as raw:
        feed = Feed(raw)
        stream.bring(rate(1, 1.0))
        until(feed.bids)
        own.kill()
        until(lambda: publisher.stats().failure is not None)
        for step in range(500):
            stream.bring(rate(1 + step % 10, step + 2.0))
            if step % 10 == 0:
                stream.order(step)
        until(lambda: publisher.stats().waiting + publisher.stats().conflated >= 400)
        own.start()
        until(lambda: len(feed.orders()) == 50)
        until(lambda: publisher.stats().waiting == 0)
        assert feed.orders() == list(range(0, 500, 10))
        assert {key: bid for key, (_, _, bid) in feed.last().items()} == {
            1 + n: 492.0 + n for n in range(10)
        }
        feed.check()
        assert len(feed.epochs()) == 1
        stats = publisher.stats()
        assert stats.conflated > 0
        assert stats.failures > 0
        assert stats.failure is None
        assert stats.lost == stats.held == 0


def test_a_stalled_redis_costs_no_order(
    stream: LiveStream, publish: Publish, start_redis: StartRedis
) -> None:
    """What it had read before it was stopped is executed when it goes on, and counts once."""
    own = start_redis()
    publisher = publish(stream, own.url, lease=0.5)
    with own.client() as raw:
        feed = Feed(raw)
        until(feed.epochs)
        own.stall()
        for step in range(100):
            stream.bring(rate(1, step + 1.0))
            stream.order(step)
        until(lambda: publisher.stats().failures >= 3)
        assert "does not answer in time" in str(publisher.stats().failure)
        own.go_on()
        until(lambda: len(feed.orders()) == 100)
        until(lambda: feed.last()[1][2] == 100.0)
        assert feed.orders() == list(range(100))
        assert len(feed.epochs()) == 1
        feed.check()


def test_a_slow_redis_gets_the_newest_rates(
    stream: LiveStream, publish: Publish, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers, but late: rates are conflated, nothing fails, and orders come all."""
    monkeypatch.setattr("etoro_sync.redis.publishing.intake._ROOM", 100)
    publisher = publish(stream)
    until(feed.epochs)
    feed.raw.client_pause(600, all=True)
    for step in range(500):
        stream.bring(rate(1 + step % 10, step + 1.0))
    stream.order(1)
    stream.order(2)
    until(lambda: feed.orders() == [1, 2])
    assert {key: bid for key, (_, _, bid) in feed.last().items()} == {
        1 + n: 491.0 + n for n in range(10)
    }
    assert len(feed.bids()) < 500
    stats = publisher.stats()
    assert (stats.failures, stats.lost) == (0, 0)
    assert stats.conflated + len(feed.bids()) == 500
    feed.check()


def test_at_most_a_hundred_thousand_orders_wait(
    stream: LiveStream, publish: Publish, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More are counted as lost, and an error event stands in their place."""
    assert "100,000 at most" in str(Publisher.__doc__).replace("\n    ", " ")
    monkeypatch.setattr("etoro_sync.delivery.mixed._LOSSLESS_SIZE", 30)
    monkeypatch.setattr("etoro_sync.redis.publishing.intake._ROOM", 30)
    own = start_redis()
    publisher = publish(stream, own.url)
    with own.client() as raw:
        feed = Feed(raw)
        until(feed.epochs)
        own.kill()
        until(lambda: publisher.stats().failure is not None)
        for step in range(100):
            stream.order(step)
        stream.settle()
        own.start()
        until(lambda: any(name == "error" for _, _, name, _ in feed.events()))
        stream.order(1000)
        until(lambda: 1000 in feed.orders())
        kept = [each for each in feed.orders() if each != 1000]
        assert kept == list(range(len(kept)))
        assert publisher.stats().lost == 100 - len(kept) > 0
        (error,) = [args for _, _, name, args in feed.events() if name == "error"]
        assert error[0]["error"] == "EToroQueueOverflowError"


def test_lost_data_is_written_anew(stream: LiveStream, publish: Publish, feed: Feed) -> None:
    """FLUSHALL takes the lease, too: a new epoch begins with all prices that are known."""
    publisher = publish(stream)
    stream.bring(rate(1, 1.0), rate(2, 2.0))
    until(lambda: len(feed.bids()) == 2)
    first = feed.epochs()
    feed.raw.flushall()
    until(lambda: len(feed.last()) == 2)
    assert feed.epochs() > first
    stream.bring(rate(1, 3.0))
    until(lambda: feed.bids() == [1.0, 2.0, 3.0])
    feed.check()
    assert publisher.stats().takeovers == 2
    assert publisher.stats().fenced == 0


def test_a_redis_that_lost_its_last_second_is_noticed(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """The number of the last batch is not the one that was written: all is written anew."""
    publisher = publish(stream)
    stream.bring(rate(1, 1.0))
    stream.order(1)
    until(lambda: publisher.stats().orders == 1)
    written = feed.raw.hget(feed.keys.meta, "written")
    stream.bring(rate(1, 2.0))
    stream.order(2)
    until(lambda: publisher.stats().orders == 2)
    # As after a power failure: the last entries, the order and the count of batches are gone.
    with feed.raw.pipeline() as together:
        together.hset(feed.keys.meta, "written", written)
        together.delete(feed.keys.orders, feed.keys.seen, feed.keys.last)
        together.execute()
    until(lambda: publisher.stats().takeovers == 2)
    until(lambda: feed.orders() == [1, 2])
    until(lambda: feed.last()[1][2] == 2.0)
    assert feed.epochs()[1] > feed.epochs()[0]


def test_a_full_redis_says_so_and_goes_on(
    stream: LiveStream, publish: Publish, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """It refuses, with its memory full; once there is room, all orders are written."""
    own = start_redis(maxmemory="3mb", maxmemory_policy="noeviction")
    publisher = publish(stream, own.url)
    with own.client() as raw:
        feed = Feed(raw)
        until(feed.epochs)
        raw.config_set("maxmemory", "100kb")
        stream.order(1)
        until(lambda: "maxmemory" in str(publisher.stats().failure))
        raw.config_set("maxmemory", "0")
        until(lambda: feed.orders() == [1])
        until(lambda: publisher.stats().failure is None)
        until(lambda: "works again" in caplog.text)


def test_a_publisher_waits_for_a_redis_that_is_not_there_yet(
    stream: LiveStream, publish: Publish, start_redis: StartRedis
) -> None:
    """Services start in any order."""
    own = start_redis()
    own.kill()
    publisher = publish(stream, own.url)
    stream.order(1)
    until(lambda: publisher.stats().failure is not None)
    assert publisher.stats().role == "standby"
    own.start()
    with own.client() as raw:
        until(lambda: Feed(raw).orders() == [1])


def test_scripts_that_redis_has_forgotten_are_sent_again(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """As after a restart, or SCRIPT FLUSH."""
    publisher = publish(stream)
    until(feed.epochs)
    feed.raw.script_flush()
    stream.order(1)
    until(lambda: publisher.stats().orders == 1)
    assert publisher.stats().failures == 0


# Users, passwords, keys ---------------------------------------------------------------------------

RIGHTS = (
    "~etoro-sync:* +@stream +@hash +@sortedset +@connection +get +set +del +pttl +exists +time"
    " +eval +evalsha +script|load"
)
PAGE = Path(__file__).parents[2] / "docs" / "redis.md"


def test_a_publisher_needs_these_rights_only(
    stream: LiveStream, publish: Publish, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """With a user of an ACL and TLS."""
    assert RIGHTS in PAGE.read_text(encoding="utf-8")
    own = start_redis(
        tls=True, user=["default on nopass ~* +@all", f"publisher on >planted-password {RIGHTS}"]
    )
    url = own.tcp_url.replace("rediss://", "rediss://publisher:planted-password@")
    publisher = publish(stream, url)
    stream.bring(rate(1, 1.0))
    stream.order(1)
    stream.emit("stale", 5, 1.5)
    with own.client() as raw:
        feed = Feed(raw)
        until(lambda: feed.events() and feed.orders() == [1])
    assert publisher.stats().failures == 0
    publisher.close()
    with LiveStream() as second:
        other = publish(second, url)
        until(lambda: other.stats().role == "active")
    assert "not removed" not in caplog.text


def test_a_publisher_without_the_right_to_remove_goes_on(
    stream: LiveStream, publish: Publish, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Orders are written; that old ones stay is in the log."""
    own = start_redis(port=True, user=[f"default on nopass {RIGHTS} -xtrim +@connection"])
    publisher = publish(stream, own.tcp_url)
    stream.order(1)
    until(lambda: publisher.stats().orders == 1)
    until(lambda: "not removed" in caplog.text)
    assert publisher.stats().failures == 0


@pytest.mark.parametrize(
    ("user", "code"),
    [("publisher:wrong-planted-password", "WRONGPASS"), ("weak:planted-password", "NOPERM")],
)
def test_a_refused_user_is_an_error_at_once(
    stream: LiveStream,
    start_redis: StartRedis,
    caplog: pytest.LogCaptureFixture,
    user: str,
    code: str,
) -> None:
    """It says what to do, and shows no password."""
    users = ["default off", "publisher on >right", "weak on >planted-password ~x +ping"]
    own = start_redis(port=True, user=users)
    publisher = Publisher(stream, own.tcp_url.replace("redis://", f"redis://{user}@"))
    with pytest.raises(EToroRedisError) as caught:
        publisher.start()
    assert caught.value.error_code == code
    assert "planted" not in f"{caught.value!r} {publisher!r} {vars(publisher)} {caplog.text}"
    publisher.close()


def test_promise_14_a_password_is_nowhere(
    stream: LiveStream, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither in the log of an outage, nor in statistics, nor in the repr."""
    caplog.set_level(logging.DEBUG)
    own = start_redis(port=True, requirepass="planted-password")
    url = own.tcp_url.replace("redis://", "redis://:planted-password@")
    with Publisher(stream, url) as publisher:
        until(lambda: publisher.stats().role == "active")
        own.kill()
        until(lambda: publisher.stats().failure is not None)
        texts = [repr(publisher), repr(publisher.stats()), caplog.text]
        publisher.close(0.1)
    assert "cannot be reached" in texts[-1]
    assert not [text for text in texts if "planted" in text]


def test_another_version_of_the_layout_is_refused(
    stream: LiveStream, raw: redis.Redis, server: RedisServer
) -> None:
    """A newer publisher may write what this one would break."""
    raw.hset("etoro-sync:{main}:meta", "version", "2")
    with pytest.raises(EToroRedisError, match="version") as caught:
        Publisher(stream, server.url).start()
    assert caught.value.error_code == "VERSION"


def test_promise_14_no_key_of_etoro_is_in_redis(
    simulator: MakeSimulator, client: MakeClient, start_redis: StartRedis, publish: Publish
) -> None:
    """Not even where eToro repeats it, in an order or in a reply: all keys, values and files."""
    sim = simulator()
    own = start_redis()
    c = client(sim.url)
    c.subscribe([1001, "private"], snapshot=True)
    c.connect()
    publisher = publish(c, own.url)
    until(lambda: publisher.stats().rates > 0)
    sim.wait_until(lambda _: len(sim.subscribed) == 2)
    sim.fill_order(1001, ErrorMessage=f"key {API_KEY} refused", Odd=USER_KEY)
    with own.client() as raw:
        until(Feed(raw).orders)
    sim.send_text(f'{{"messages": "{API_KEY}"}}')
    sim.publish(1001, Ask=f"{USER_KEY}")
    sim.disconnect(4000, f"bye {API_KEY}")
    with own.client() as raw:
        feed = Feed(raw)
        until(lambda: feed.orders() and any(name == "close" for _, _, name, _ in feed.events()))
        publisher.close()
        found = [str(feed.events()), str(raw.xrange(feed.keys.orders)), str(raw.keys("*"))]
        found += [str(raw.hgetall(feed.keys.last)), str(raw.xrange(feed.keys.rates))]
        found += [str(raw.hgetall(feed.keys.meta)), str(raw.zrange(feed.keys.seen, 0, -1))]
        assert "***" in found[1]
        assert not [text for text in found if API_KEY in text or USER_KEY in text]
        raw.config_set("appendfsync", "always")
        raw.set("etoro-sync:end", "1")
    files = own.files()
    assert b"etoro-sync:end" in files
    assert API_KEY.encode() not in files
    assert USER_KEY.encode() not in files


# Beginning and end --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", None),
        ("url", "http://localhost"),
        ("feed", "a b"),
        ("lease", 0.1),
        ("lease", "2"),
        ("lease", math.nan),
        ("cold", "yes"),
        ("stream_bytes", 1000),
        ("stream_bytes", 1.5),
    ],
)
def test_a_bad_argument_is_named(stream: LiveStream, field: str, value: Any) -> None:
    """Before anything is started."""
    arguments = {"source": stream, "url": "redis://localhost", field: value}
    with pytest.raises(EToroValidationError) as caught:
        Publisher(**arguments)
    assert caught.value.field == field


def test_what_waits_is_written_at_the_end(stream: LiveStream, publish: Publish, feed: Feed) -> None:
    """And the lease is given up, so that another one need not wait."""
    publisher = publish(stream, lease=60.0)
    until(feed.epochs)
    bring_all(stream, 2000)
    stream.order(5)
    stream.settle()
    publisher.close()
    assert feed.orders() == [5]
    assert len(feed.bids()) == 2000
    assert not feed.raw.exists(feed.keys.lease)
    assert publisher.stats().role == "closed"
    assert publisher.run_forever(0)
    publisher.close()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends signals")
def test_promise_13_ctrl_c_in_run_forever_leaves_a_publisher_that_can_be_closed(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """It writes what waits and gives the lease up, before whatever it needs is ended."""
    publisher = publish(stream)
    until(feed.epochs)
    with interrupted_in("outlast"), pytest.raises(KeyboardInterrupt):
        publisher.run_forever()
    assert publisher.stats().role == "active"
    stream.bring(rate(1, 10.0))
    until(lambda: publisher.stats().rates or publisher.stats().waiting)
    publisher.close()
    assert publisher.stats().role == "closed"
    assert feed.bids() == [10.0]
    assert not feed.raw.exists(feed.keys.lease)


def test_a_defect_at_the_end_leaves_nobody_waiting(
    stream: LiveStream, publish: Publish, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``run_forever()`` returns whatever happens on the publisher's thread."""
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)
    publisher = publish(stream)
    until(feed.epochs)
    finish = publisher._work._finish

    def fail() -> None:
        finish()
        raise RuntimeError("a defect")

    monkeypatch.setattr(publisher._work, "_finish", fail)
    publisher.close()
    assert publisher.run_forever(timeout=10)


def test_the_end_does_not_wait_for_a_redis_that_is_away(
    stream: LiveStream, publish: Publish, start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be written is counted and logged."""
    own = start_redis()
    publisher = publish(stream, own.url)
    with own.client() as raw:
        until(Feed(raw).epochs)
    own.kill()
    stream.order(1)
    until(lambda: publisher.stats().failure is not None)
    for step in range(2, 302):
        stream.order(step)
    stream.settle()
    publisher.close(0.5)
    assert publisher.stats().role == "closed"
    assert publisher.stats().lost == 301
    assert "301 orders could not be published" in caplog.text


def test_a_stream_that_fails_ends_its_publisher_with_the_error(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """What came before is written, and the lease is given up."""
    publisher = publish(stream, lease=60.0)
    until(feed.epochs)
    stream.order(1)
    stream.fail(EToroAuthError("rejected", "InvalidKey"))
    with pytest.raises(EToroAuthError, match="rejected"):
        publisher.run_forever(10.0)
    assert publisher.stats().role == "failed"
    assert feed.orders() == [1]
    assert not feed.raw.exists(feed.keys.lease)


def test_a_stream_that_is_disconnected_ends_its_publisher(
    stream: LiveStream, publish: Publish, feed: Feed
) -> None:
    """Without an error: somebody wanted it."""
    publisher = publish(stream)
    until(feed.epochs)
    stream.disconnect()
    assert publisher.run_forever(10.0)
    assert publisher.stats().role == "closed"


def test_a_publisher_is_started_once(stream: LiveStream, server: RedisServer) -> None:
    """And waits for nothing before."""
    publisher = Publisher(stream, server.url)
    assert "new" in repr(publisher)
    with pytest.raises(EToroClosedError, match="start"):
        publisher.run_forever(0)
    with publisher:
        assert not publisher.run_forever(0.01)
        with pytest.raises(EToroClosedError, match="new one"):
            publisher.start()
        with pytest.raises(EToroTypeError, match="another one"):
            pickle.dumps(publisher)
    with pytest.raises(EToroClosedError):
        publisher.start()


def test_a_publisher_that_nobody_uses_ends(stream: LiveStream, feed: Feed, server: Any) -> None:
    """Its thread does not keep it alive."""
    publisher = Publisher(stream, server.url).start()
    until(feed.epochs)
    thread, ended = publisher._thread, weakref.ref(publisher)
    del publisher
    gc.collect()
    assert ended() is None
    until(lambda: not thread.is_alive())
    assert not feed.raw.exists(feed.keys.lease)


def test_a_defect_ends_a_publisher_and_says_so(
    stream: LiveStream, publish: Publish, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not stop in silence, with prices that look alive."""
    publisher = publish(stream)
    until(feed.epochs)
    monkeypatch.setattr(publisher._work, "_step", lambda: 1 / 0)
    with pytest.raises(Exception, match="Internal error of a publisher"):
        publisher.run_forever(10.0)
