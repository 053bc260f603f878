"""A subscriber: the state of a moment, what follows it, and what is missing between."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import redis

from etoro_sync import (
    Candles,
    ClientState,
    EToroRedisError,
    EToroValidationError,
    WsGap,
    WsPrivateEvent,
)
from etoro_sync.redis.subscribing import entries, reading
from etoro_sync.redis.subscribing.client import RedisClient
from etoro_sync.stream.core import core_of
from tests.redis.conftest import StartRedis
from tests.redis.writing import FeedWriter, rate_of
from tests.support.redis_server import RedisServer
from tests.support.threads import Watchdog, assert_no_new_descriptors

ALL = ["instrument:rate", "private:event", "close", "reconnecting", "reconnected", "error", "stale"]
Make = Callable[..., RedisClient]


@pytest.fixture(autouse=True)
def _prompt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The lease is looked at soon, and attempts follow each other."""
    monkeypatch.setattr(reading, "_BLOCK", 0.02)
    monkeypatch.setattr(reading, "_LONGEST", 0.05)
    with Watchdog(25):
        yield


@pytest.fixture
def make(server: RedisServer) -> Iterator[Make]:
    """Make subscribers of the server of all tests, which are disconnected at the end."""
    made: list[RedisClient] = []

    def make_client(url: str = server.url, **options: Any) -> RedisClient:
        made.append(RedisClient(url, **options))
        return made[-1]

    yield make_client
    for each in made:
        each.disconnect()


@pytest.fixture
def writer(raw: redis.Redis) -> FeedWriter:
    return FeedWriter(raw)


def shown(stream: RedisClient) -> dict[int, float]:
    return {key: rate.ask for key, rate in stream.rates.items()}


def short(item: tuple[Any, ...]) -> tuple[Any, ...]:
    """An item of a queue of ALL, without what differs between runs."""
    event, *rest = item
    if event == "instrument:rate":
        return event, rest[0], rest[1].ask
    if event == "private:event":
        return event, rest[0].order_id
    return (event,)


def until(items: Any, event: str) -> list[tuple[Any, ...]]:
    """Read items up to one of *event*."""
    found = []
    while True:
        found.append(items.get())
        if found[-1][0] == event:
            return found


def test_a_late_joiner_gets_the_state_and_then_what_comes(make: Make, writer: FeedWriter) -> None:
    """Each last rate once, in the order in which they were written."""
    writer.rates(rate_of(18, 2.0), rate_of(19, 5.0))
    writer.rates(rate_of(18, 3.0))
    stream = make()
    items = stream.queue(ALL)
    with stream:
        assert stream.state is ClientState.LIVE
        assert shown(stream) == {18: 3.0, 19: 5.0}
        writer.rates(rate_of(19, 6.0))
        writer.order(WsPrivateEvent(order_id=7, message_id="m"))
        assert [short(items.get()) for _ in range(4)] == [
            ("instrument:rate", 19, 5.0),
            ("instrument:rate", 18, 3.0),
            ("instrument:rate", 19, 6.0),
            ("private:event", 7),
        ]
        assert shown(stream) == {18: 3.0, 19: 6.0}
        assert stream.rates[18].received_at == 1.0
        stats = stream.stats()
        assert (stats.rates, stats.messages, stats.private_events) == (3, 4, 1)
        assert stats.connections == stats.connect_attempts == 1
    assert stream.state is ClientState.CLOSED


def test_orders_stand_between_the_rates_between_which_they_came(
    make: Make, writer: FeedWriter, raw: redis.Redis
) -> None:
    """Also in the middle of an entry, and with events."""
    stream = make()
    items = stream.queue(ALL)
    with stream, raw.pipeline() as pipe:
        writer.raw = pipe
        writer.rates(rate_of(18, 2.0))
        writer.order(WsPrivateEvent(order_id=1), n=3)
        writer.event("error", EToroValidationError("odd"), n=2)
        pipe.execute()
        writer.raw = raw
        writer.rates(*(rate_of(18, float(n)) for n in range(3, 6)))
        found = [short(items.get()) for _ in range(6)]
    asks = [rest[1] for event, *rest in found if event == "instrument:rate"]
    assert asks == [2.0, 3.0, 4.0, 5.0]


def test_only_what_is_wanted_is_handed_on(make: Make, writer: FeedWriter) -> None:
    """Rates, events and topics of gaps of other instruments are left out."""
    writer.rates(rate_of(18, 2.0), rate_of(19, 5.0))
    stream = make(instruments=[19])
    items = stream.queue(ALL)
    with stream:
        writer.rates(rate_of(18, 3.0), rate_of(19, 6.0))
        writer.event("stale", 18, 5.0)
        writer.event("stale", 19, 5.0)
        writer.outage()
        writer.back(2, "instrument:18", "instrument:19", "private")
        found = until(items, "reconnected")
    assert [short(item) for item in found] == [
        ("instrument:rate", 19, 5.0),
        ("instrument:rate", 19, 6.0),
        ("stale",),
        ("close",),
        ("reconnecting",),
        ("reconnected",),
    ]
    assert found[-1][1].topics == ("instrument:19", "private")
    assert set(shown(stream)) == set()


def test_an_outage_of_the_publisher_is_a_state(make: Make, writer: FeedWriter) -> None:
    """With its events, its gap, and a new generation, also for who joins meanwhile."""
    writer.rates(rate_of(18, 2.0))
    first = make()
    items = first.queue(ALL)
    first.connect()
    writer.outage()
    until(items, "reconnecting")
    late = make()
    lates = late.queue(ALL)
    late.connect()
    for each in (first, late):
        while each.state is not ClientState.RECONNECTING:
            pass
    writer.rates(rate_of(18, 3.0, generation=2))
    writer.back(2, "instrument:18")
    found = [*until(items, "reconnected")]
    assert [short(item) for item in found] == [("instrument:rate", 18, 3.0), ("reconnected",)]
    rate, gap = found[0][2], found[1][1]
    assert (gap.from_, gap.until, gap.topics) == (1.0, 2.0, ("instrument:18",))
    assert rate.generation == gap.generation
    until(lates, "reconnected")
    for each in (first, late):
        while each.state is not ClientState.LIVE:
            pass


def test_the_connections_of_a_fleet_are_told_apart(make: Make, writer: FeedWriter) -> None:
    """Their rates come in turns; a gap of one makes old what that one has brought."""
    stream = make()
    items = stream.queue(ALL)
    core = core_of(stream)
    with stream:
        writer.rates(rate_of(18, 2.0, 1), rate_of(19, 5.0, 2), rate_of(18, 3.0, 1))
        first = [items.get()[2].generation for _ in range(3)]
        assert first[0] == first[2] != first[1]
        assert core.generations == {*first}
        writer.event("connected", False)
        writer.rates(rate_of(18, 4.0, 3))
        assert items.get()[2].generation == stream.generation > first[1]
        assert core.generations == frozenset()
        writer.back(3, "instrument:18")
        writer.rates(rate_of(19, 6.0, 2))
        (_, gap), (*_, rate) = (items.get() for _ in range(2))
        assert rate.generation == first[1] < gap.generation == stream.rates[18].generation
        assert core.generations == {first[1], gap.generation}
        assert stream.generation == gap.generation
        writer.take_over()
        writer.rates(rate_of(18, 4.0, 1))
        until(items, "instrument:rate")
        assert stream.rates[18].generation > gap.generation
        assert core.generations is None


@pytest.mark.parametrize("how", ["number", "trimmed", "epoch", "flushed", "odd"])
def test_promise_8_what_is_missing_is_a_gap_and_a_fresh_state(
    make: Make, writer: FeedWriter, raw: redis.Redis, how: str
) -> None:
    """Whatever the cause: never silence. The generation is that of the gap."""
    writer.rates(rate_of(18, 2.0), rate_of(19, 5.0), rate_of(20, 1.0))
    stream = make()
    items = stream.queue(ALL)
    stream.connect()
    before = [items.get() for _ in range(3)][-1][2]
    if how == "number":
        writer.number += 1
    elif how == "trimmed":
        with raw.pipeline() as pipe:
            writer.raw = pipe
            writer.rates(rate_of(18, 2.5))
            pipe.xtrim(writer.keys.rates, maxlen=0)
            pipe.execute()
            writer.raw = raw
    elif how == "epoch":
        writer.take_over()
    elif how == "flushed":
        raw.flushall()
        writer.take_over()
    elif how == "odd":
        raw.xadd(writer.keys.rates, {"e": "x"})
    writer.rates(rate_of(18, 3.0))
    writer.rates(rate_of(19, 6.0))
    found = until(items, "reconnected")
    gap = found[-1][1]
    assert "close" in [event for event, *_ in found]
    while shown(stream).get(19) != 6.0 or shown(stream).get(18) != 3.0:
        pass
    assert stream.state is ClientState.LIVE
    assert before.generation < gap.generation <= stream.rates[18].generation
    assert gap.from_ <= gap.until
    assert "private" in gap.topics
    # What another publisher does not bring is old.
    kept = how in ("number", "trimmed", "odd")
    while (20 in shown(stream)) is not kept:
        pass
    assert stream.stats().bad_messages == (how == "odd")


def test_a_publisher_that_is_gone_is_seen_though_nothing_comes(
    make: Make, writer: FeedWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """By its lease; a gap ends it when one is back."""
    writer.rates(rate_of(18, 2.0))
    stream = make()
    items = stream.queue(ALL)
    stream.connect()
    assert short(items.get()) == ("instrument:rate", 18, 2.0)
    writer.let_go()
    ((event, code, reason),) = until(items, "close")
    assert (event, code) == ("close", 1006)
    assert "no publisher writes it" in reason
    assert stream.state is ClientState.RECONNECTING
    assert shown(stream) == {18: 2.0}
    writer.renew()
    found = [items.get(), items.get()]
    assert [short(item) for item in found] == [("reconnected",), ("instrument:rate", 18, 2.0)]
    assert found[1][2].generation == found[0][1].generation
    assert "no publisher writes it" in caplog.text
    writer.let_go()
    until(items, "close")
    writer.take_over()
    writer.rates(rate_of(18, 4.0))
    assert [short(item) for item in until(items, "instrument:rate")][-1][2] == 4.0
    while stream.state is not ClientState.LIVE:
        pass


def test_without_a_publisher_a_stream_waits_for_one(make: Make, raw: redis.Redis) -> None:
    """It is connected, and not live; there is no gap in what never came."""
    stream = make()
    items = stream.queue(ALL)
    stream.connect()
    assert stream.state is ClientState.RECONNECTING
    writer = FeedWriter(raw)
    writer.rates(rate_of(18, 2.0))
    assert short(items.get()) == ("instrument:rate", 18, 2.0)
    while stream.state is not ClientState.LIVE:
        pass
    assert items.qsize() == 0


def test_orders_of_an_outage_come_later(make: Make, start_redis: StartRedis) -> None:
    """Redis has kept them: the gap is one of prices. None comes twice."""
    own = start_redis()
    with own.client() as raw:
        writer = FeedWriter(raw)
        writer.rates(rate_of(18, 2.0))
        writer.order(WsPrivateEvent(order_id=1))
        stream = make(own.url)
        items = stream.queue(ALL)
        stream.connect()
        writer.order(WsPrivateEvent(order_id=2))
        assert short(until(items, "private:event")[-1]) == ("private:event", 2)
        raw.bgsave()
        own.kill()
        until(items, "reconnecting")
        assert stream.state is ClientState.RECONNECTING
        own.start()
        writer.order(WsPrivateEvent(order_id=3))
        found = until(items, "private:event")
        # As a publisher does that has found Redis without its last orders.
        for number in (2, 3, 4):
            writer.order(WsPrivateEvent(order_id=number))
        again = until(items, "private:event")
    assert short(found[-1]) == ("private:event", 3)
    assert short(again[-1]) == ("private:event", 4)
    stream.disconnect()


def test_orders_that_a_publisher_wrote_before_its_end_are_read(
    make: Make, writer: FeedWriter
) -> None:
    """Also where its end is noticed first: nobody has to come back for them."""
    stream = make()
    writer.rates(rate_of(18, 2.0))
    with stream.queue(ALL) as items, stream:
        writer.let_go()
        until(items, "close")
        writer.order(WsPrivateEvent(order_id=7))
        assert short(items.get(timeout=5.0)) == ("private:event", 7)


def test_a_redis_that_stalls_is_lost_and_comes_back(
    make: Make, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the time that is allowed for an answer; disconnect() is prompt, too."""
    monkeypatch.setattr(reading, "_TIMEOUT", 0.2)
    own = start_redis()
    with own.client() as raw:
        writer = FeedWriter(raw)
        writer.rates(rate_of(18, 2.0))
        stream = make(own.url)
        items = stream.queue(ALL)
        stream.connect()
        own.stall()
        assert until(items, "close")[-1][2].endswith("Check that it runs, and the address.")
        own.go_on()
        gap = until(items, "reconnected")[-1][1]
        assert isinstance(gap, WsGap)
        monkeypatch.setattr(reading, "_TIMEOUT", 60)
        own.stall()
        stream.disconnect()
        own.go_on()


def test_promise_2_the_first_attempt_raises(make: Make, start_redis: StartRedis) -> None:
    """Nobody listens, a wrong password, another layout; nothing is left open."""
    own = start_redis(requirepass="secret-password")
    with assert_no_new_descriptors():
        for url, words in (
            ("unix:///nowhere/redis.sock", "cannot be reached"),
            (own.url, "wants a password"),
            (own.url.replace("unix://", "unix://:wrong-one@"), "Check the user and the password"),
        ):
            stream = make(url)
            with pytest.raises(EToroRedisError, match=words) as caught:
                stream.connect()
            assert "wrong-one" not in str(caught.value)
            assert stream.state is ClientState.FAILED
            stream.disconnect()


def test_a_reader_may_do_no_more_than_read(make: Make, start_redis: StartRedis) -> None:
    """With the rights of a reader, as docs/redis.md has them."""
    text = (Path(__file__).parents[2] / "docs" / "redis.md").read_text(encoding="utf-8")
    (rights,) = re.findall("ACL SETUSER reader on >PASSWORD (.*)", text)
    own = start_redis()
    with own.client() as raw:
        raw.execute_command("ACL", "SETUSER", "reader", "on", ">words", *rights.split())
        writer = FeedWriter(raw)
        writer.rates(rate_of(18, 2.0))
        stream = make(own.url.replace("unix://", "unix://reader:words@"))
        stream.connect()
        writer.let_go()
        while stream.state is not ClientState.RECONNECTING:
            pass
        assert shown(stream) == {18: 2.0}
        # A user who is refused later ends the stream, as keys that eToro refuses.
        raw.execute_command("ACL", "DELUSER", "reader")
        with pytest.raises(EToroRedisError, match="Check the user and the password"):
            stream.run_forever()
        assert stream.state is ClientState.FAILED


def test_another_layout_is_refused(make: Make, writer: FeedWriter, raw: redis.Redis) -> None:
    """At the beginning, and when it comes later: its rows would be misread."""
    stream = make()
    stream.connect()
    raw.hset(writer.keys.meta, "version", "2")
    with pytest.raises(EToroValidationError, match="has version b'2'"):
        make().connect()
    writer.number += 1
    writer.rates(rate_of(18, 2.0))
    with pytest.raises(EToroValidationError, match="has version b'2'"):
        stream.run_forever()
    assert stream.state is ClientState.FAILED


def test_a_state_that_is_larger_than_the_stream(make: Make, writer: FeedWriter) -> None:
    """A hundred writes between two reads; who is behind reads on, or gets the state."""
    stream = make()
    stream.connect()
    total = entries.COUNT * 3
    for n in range(total):
        writer.rates(*(rate_of(key, float(n + 1)) for key in (18, 19)))
        if n % 50 == 0:
            writer.order(WsPrivateEvent(order_id=n))
    while shown(stream) != {18: float(total), 19: float(total)}:
        pass
    assert stream.stats().reconnects == 0
    assert stream.stats().private_events == 4


@pytest.mark.parametrize("key", ["rates", "orders", "events", "last", "meta", "epoch"])
def test_a_key_of_another_type_says_so(make: Make, writer: FeedWriter, key: str) -> None:
    """When it is met: at the beginning by connect(), later as an error and a lost connection."""
    name = getattr(writer.keys, key)
    writer.raw.delete(name)
    writer.raw.sadd(name, "x")
    with pytest.raises(EToroRedisError, match="WRONGTYPE"):
        make().connect()


def test_an_epoch_that_is_no_number_is_set_right_by_a_publisher(
    make: Make, writer: FeedWriter, raw: redis.Redis
) -> None:
    """Until then the feed is lost; nobody can join."""
    stream = make()
    items = stream.queue(ALL)
    stream.connect()
    raw.set(writer.keys.epoch, "many")
    assert "is no number" in until(items, "close")[-1][2]
    with pytest.raises(EToroRedisError, match="is no number: b'many'"):
        make().connect()
    writer.take_over()
    until(items, "reconnected")


def test_a_key_that_changes_its_type_is_a_lost_connection(
    make: Make, writer: FeedWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """Until somebody sets it right."""
    stream = make()
    items = stream.queue(ALL)
    stream.connect()
    writer.raw.delete(writer.keys.events)
    writer.raw.sadd(writer.keys.events, "x")
    assert "use another feed" in until(items, "close")[-1][2]
    writer.raw.delete(writer.keys.events)
    writer.take_over()
    writer.rates(rate_of(18, 2.0))
    until(items, "reconnected")
    while shown(stream) != {18: 2.0}:
        pass


def test_a_standstill_of_the_process_is_followed_by_a_look(
    make: Make, writer: FeedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits to be read: the publisher may have gone meanwhile."""
    monkeypatch.setattr(reading, "_BLOCK", 60.0)
    monkeypatch.setattr(reading, "_TIMEOUT", 90.0)
    monkeypatch.setattr(reading, "_STANDSTILL", -1.0)
    stream = make()
    items = stream.queue(ALL)
    with stream:
        writer.rates(rate_of(18, 2.0))
        assert items.get()[0] == "instrument:rate"
        writer.let_go()
        writer.rates(rate_of(18, 3.0))
        assert "no publisher writes it" in until(items, "close")[-1][2]


def test_a_gap_begins_where_all_was_read(make: Make, writer: FeedWriter) -> None:
    """Not before: the gap is what has to be asked for elsewhere."""
    stream = make()
    items = stream.queue(ALL)
    with stream:
        begun = time.time()
        for ask in (2.0, 3.0):
            writer.rates(rate_of(18, ask))
            items.get()
        writer.number += 1
        writer.rates(rate_of(18, 4.0))
        gap = until(items, "reconnected")[-1][1]
    assert begun <= gap.from_ <= gap.until <= time.time()


def test_prices_of_an_earlier_epoch_are_not_shown(
    make: Make, writer: FeedWriter, raw: redis.Redis
) -> None:
    """The present publisher has not brought them, and nobody keeps them up to date."""
    writer.rates(rate_of(18, 2.0), rate_of(19, 5.0))
    left = raw.hget(writer.keys.last, "18")
    writer.take_over()
    raw.hset(writer.keys.last, "18", str(left))
    writer.rates(rate_of(19, 6.0))
    with make() as stream:
        while shown(stream) != {19: 6.0}:
            pass


def test_a_state_is_no_tick_of_candles(make: Make, writer: FeedWriter) -> None:
    """It says what is known: only what comes later has just come."""
    stream = make()
    items = stream.queue(ALL)
    bars = Candles(stream, "1d", price="ask", instrument_ids=18, timer=None)
    received_at = datetime(2026, 1, 2, 15, tzinfo=timezone.utc).timestamp()
    writer.rates(rate_of(18, 2.0, date="2026-01-02T15:00:00.0Z", received_at=received_at))
    with bars.queue(), stream:
        for second in (1, 2):
            date = f"2026-01-02T15:00:0{second}.0Z"
            writer.rates(rate_of(18, 3.0, date=date, received_at=received_at))
            while stream.rates[18].date != date:
                pass
        assert bars.stats().ticks == 2
        writer.number += 1
        writer.rates(rate_of(19, 4.0))
        while until(items, "instrument:rate")[-1][1] != 19:
            pass
        assert items.qsize() == 0
        assert bars.stats().ticks == 2


def test_a_loop_begins_with_the_present_price(make: Make, writer: FeedWriter) -> None:
    """As it does with a connection, however seldom the instrument has another one."""
    writer.rates(rate_of(18, 2.0), rate_of(19, 5.0))
    with make() as stream, stream.stream([18, 20]) as loop:
        assert next(loop)[1].ask == 2.0
        writer.rates(rate_of(18, 3.0))
        assert next(loop)[1].ask == 3.0


def test_orders_of_two_epochs_are_both_there(
    make: Make, writer: FeedWriter, raw: redis.Redis
) -> None:
    """The last ones of the old publisher and the first ones of the new one, read at once."""
    stream = make()
    items = stream.queue(ALL)
    with stream, raw.pipeline() as pipe:
        writer.raw = pipe
        writer.order(WsPrivateEvent(order_id=1, generation=1))
        pipe.execute()
        assert short(items.get()) == ("private:event", 1)
        writer.order(WsPrivateEvent(order_id=2, generation=1))
        writer.take_over()
        writer.order(WsPrivateEvent(order_id=3, generation=1))
        pipe.execute()
        writer.raw = raw
        found = [short(item) for _ in range(2) for item in until(items, "private:event")]
    assert [item for item in found if item[0] != "close"] == [
        ("private:event", 2),
        ("reconnected",),
        ("private:event", 3),
    ]


def test_tls_is_cut_as_promptly(
    make: Make, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the thread waits in the TLS library."""
    monkeypatch.setattr(reading, "_BLOCK", 60.0)
    monkeypatch.setattr(reading, "_TIMEOUT", 90.0)
    own = start_redis(tls=True)
    with own.client() as raw:
        FeedWriter(raw).rates(rate_of(18, 2.0))
    with assert_no_new_descriptors():
        stream = make(own.tcp_url)
        rates = stream.queue("instrument:rate")
        stream.connect()
        assert rates.get()[1].ask == 2.0
        stream.disconnect()


def test_promise_13_disconnect_is_prompt_and_leaves_nothing(
    make: Make, writer: FeedWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it waits for what comes; and it can be connected again."""
    monkeypatch.setattr(reading, "_BLOCK", 60.0)
    monkeypatch.setattr(reading, "_TIMEOUT", 90.0)
    writer.rates(rate_of(18, 2.0))
    stream = make()
    before = threading.active_count()
    with assert_no_new_descriptors():
        for _ in range(3):
            rates = stream.queue("instrument:rate")
            stream.connect()
            assert rates.get()[1].ask == 2.0
            stream.disconnect()
            assert threading.active_count() == before


def test_mistakes_are_named(server: RedisServer) -> None:
    """Before anything is connected."""
    for arguments, field in (
        (("http://x",), "url"),
        ((server.url, "a b"), "feed"),
        ((server.url, "main", "18"), "instruments"),
        ((server.url, "main", []), "instruments"),
    ):
        with pytest.raises(EToroValidationError) as caught:
            RedisClient(*arguments)
        assert caught.value.field == field
