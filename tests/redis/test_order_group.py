"""Each order is delivered to a group at least once, and acknowledged after it was handled."""

from __future__ import annotations

import itertools
import logging
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from etoro_sync import (
    EToroClosedError,
    EToroRedisError,
    EToroTypeError,
    EToroValidationError,
)
from etoro_sync.redis import GroupOrder, OrderGroup
from etoro_sync.redis.connection import Address
from etoro_sync.redis.groups import consumer
from etoro_sync.redis.groups.commands import GroupCommands
from tests.redis.conftest import StartRedis
from tests.redis.orders import KEYS, add_orders, order_fields, wait_until
from tests.support.redis_server import RedisServer
from tests.support.threads import run_in_thread
from tests.support.timing import MS

ROOT = Path(__file__).parents[2]
#: Seconds after which an order comes again, and in which all that is to come has come.
SOON, QUIET = 50 * MS, 150 * MS


@pytest.fixture
def group(server: RedisServer) -> Iterator[OrderGroup]:
    """A group of the server of all tests."""
    with OrderGroup(server.url, "booking", redeliver_after=SOON) as made:
        yield made


def pending(raw: redis.Redis, name: str = "booking") -> int:
    """How many orders were delivered and not acknowledged."""
    count: int = raw.xpending(KEYS.orders, name)["pending"]
    return count


def handled(group: OrderGroup, count: int = 0) -> list[GroupOrder]:
    """Handle all orders that come, at least so many."""
    found: list[GroupOrder] = []

    def is_enough() -> bool:
        found.extend(group.orders(QUIET))
        return len(found) >= count

    wait_until(is_enough)
    return found


def ids(group: OrderGroup, count: int = 0) -> list[int | None]:
    """Handle all orders that come, at least so many, and return their ids."""
    return [order.event.order_id for order in handled(group, count)]


def run(group: OrderGroup, handler: Callable[[GroupOrder], None], calls: list[Any], n: int) -> None:
    """Let *handler* handle all orders that come, until it has noted so many calls."""

    def is_enough() -> bool:
        group.run(handler, QUIET)
        return len(calls) >= n

    wait_until(is_enough)


# Delivery and acknowledgement --------------------------------------------------------------------


def test_each_order_comes_once_and_in_order(group: OrderGroup, raw: redis.Redis) -> None:
    """With one consumer that acknowledges all; each with what it is known by."""
    entries = add_orders(raw, 1, 2, 3)
    orders = handled(group, 3)
    assert [order.event.order_id for order in orders] == [1, 2, 3]
    assert [order.id for order in orders] == entries
    assert {order.attempt for order in orders} == {1}
    assert len({order.digest for order in orders}) == 3
    assert pending(raw) == 0
    assert group.stats().handled == 3


def test_the_next_step_acknowledges(group: OrderGroup, raw: redis.Redis) -> None:
    """And nothing before it."""
    add_orders(raw, 1, 2)
    orders = group.orders(QUIET)
    next(orders)
    assert pending(raw) == 1
    assert next(orders).event.order_id == 2
    assert pending(raw) == 1
    assert next(orders, None) is None
    assert pending(raw) == 0


@pytest.mark.parametrize("how", ["break", "raise"])
def test_a_loop_that_is_left_acknowledges_nothing(
    how: str, group: OrderGroup, raw: redis.Redis
) -> None:
    """The order comes again, as the next attempt."""
    add_orders(raw, 1)

    def leave() -> None:
        for _ in group:
            if how == "raise":
                raise KeyError
            break

    if how == "raise":
        with pytest.raises(KeyError):
            leave()
    else:
        leave()
    assert pending(raw) == 1
    (order,) = handled(group, 1)
    assert (order.event.order_id, order.attempt) == (1, 2)
    assert group.stats().redelivered == 1


def test_run_acknowledges_after_the_handler(group: OrderGroup, raw: redis.Redis) -> None:
    """While it runs, the order is pending."""
    add_orders(raw, 1, 2)
    seen = []
    group.run(lambda order: seen.append((order.event.order_id, pending(raw))), QUIET)
    assert seen == [(1, 1), (2, 1)]
    assert pending(raw) == 0


def test_a_handler_that_raises_gets_the_order_again(
    group: OrderGroup, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Later; others come meanwhile. It is logged with its traceback."""
    add_orders(raw, 1, 2)
    seen = []

    def handler(order: GroupOrder) -> None:
        seen.append((order.event.order_id, order.attempt))
        if seen == [(1, 1)]:
            raise KeyError("odd")

    run(group, handler, seen, 3)
    assert seen == [(1, 1), (2, 1), (1, 2)]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "attempt 1 of 10" in record.getMessage()
    assert record.exc_info is not None
    assert (group.stats().failed, group.stats().handled) == (1, 2)
    assert pending(raw) == 0


def test_a_handler_that_takes_too_long_is_logged(
    group: OrderGroup, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Its order may have come to another consumer, too; once a minute."""
    add_orders(raw, 1, 2)
    group.run(lambda order: threading.Event().wait(2 * SOON), QUIET)
    (record,) = caplog.records
    assert f"make redeliver_after longer than {SOON:g} s" in record.getMessage()
    assert group.stats().handled == 2


def test_memory_of_what_was_handled_is_bounded(
    group: OrderGroup, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is forgotten; and what is older than a day."""
    monkeypatch.setattr(consumer, "_REMEMBERED", 1)
    add_orders(raw, 1, 2)
    assert ids(group, 2) == [1, 2]
    add_orders(raw, 2, 1)
    assert ids(group, 1) == [1]
    monkeypatch.setattr(consumer, "_LONGEST", 0.0)
    add_orders(raw, 1)
    assert ids(group, 1) == [1]


def test_ctrl_c_in_a_handler_ends_the_loop(group: OrderGroup, raw: redis.Redis) -> None:
    """And acknowledges nothing."""
    add_orders(raw, 1)

    def handler(order: GroupOrder) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        group.run(handler)
    assert pending(raw) == 1


def test_ctrl_c_before_an_answer_does_not_mix_answers_up(
    group: OrderGroup, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook, where the loop is run again while Redis still waits to answer."""
    client = group._consumer._commands.client
    parse = client.parse_response

    def interrupt(connection: Any, command: str, **options: Any) -> Any:
        if command == "XREADGROUP":
            raise KeyboardInterrupt
        return parse(connection, command, **options)

    monkeypatch.setattr(client, "parse_response", interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(iter(group))
    monkeypatch.undo()
    # So that the next command is another one.
    group._consumer._claim_at = float("-inf")
    assert ids(group) == []
    add_orders(raw, 1, 2)
    assert sorted(map(str, ids(group, 2))) == ["1", "2"]


def test_an_order_that_is_never_handled_is_set_aside(
    server: RedisServer, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """After so many attempts: logged as an error, kept, and no longer pending."""
    add_orders(raw, 1, 2)
    attempts = []

    def handler(order: GroupOrder) -> None:
        if order.event.order_id == 1:
            attempts.append(order.attempt)
            raise KeyError

    with OrderGroup(server.url, "booking", redeliver_after=SOON, attempts=3) as group:
        run(group, handler, attempts, 3)
        wait_until(lambda: run(group, handler, attempts, 3) or group.stats().set_aside)
        assert attempts == [1, 2, 3]
        assert pending(raw) == 0
        assert "was set aside: it was delivered to the group booking 3 times" in caplog.text
        (order,) = group.set_aside()
        assert (order.event.order_id, order.attempt) == (1, 3)
        assert group.stats().set_aside == 1
        assert OrderGroup(server.url, "other").set_aside() == []
        assert group.forget(order)
        assert not group.forget(order)
        assert group.set_aside() == []


@pytest.mark.parametrize("content", ["[]", "{", '{"order_id": "x"}', None])
def test_an_order_that_cannot_be_read_is_set_aside(
    content: str | None, group: OrderGroup, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, and those behind it come."""
    fields = order_fields(1)
    fields.pop("c")
    raw.xadd(KEYS.orders, fields if content is None else {**fields, "c": content})
    add_orders(raw, 2)
    assert ids(group, 1) == [2]
    assert "cannot be read: etoro-sync:{main}:orders" in caplog.text
    (order,) = group.set_aside()
    assert order.event.extra == {"content": content or ""}
    assert pending(raw) == 0


def test_an_order_is_set_aside_once(server: RedisServer, raw: redis.Redis) -> None:
    """Also where the answer to the first attempt was lost."""
    raw.xadd(KEYS.orders, {"c": "odd"})
    group = commands(server, "booking")
    group.ensure("0-0")
    found = group.read(0.0)
    for _ in range(2):
        group.set_aside(found, "unreadable")
    assert len(group.dead()) == 1


def test_an_order_that_cannot_be_set_aside_stays_pending(start_redis: StartRedis) -> None:
    """With a full memory; it is not lost."""
    own = start_redis()
    with own.client() as raw:
        raw.xadd(KEYS.orders, {"c": "odd"})
        group = commands(own, "booking")
        group.ensure("0-0")
        found = group.read(0.0)
        raw.config_set("maxmemory", 1)
        with pytest.raises(EToroRedisError, match="raise maxmemory"):
            group.set_aside(found, "unreadable")
        assert pending(raw) == 1
        raw.config_set("maxmemory", 0)
        group.set_aside(found, "unreadable")
        assert pending(raw) == 0
        assert len(group.dead()) == 1


def test_an_order_that_was_handled_here_is_not_handled_again(
    group: OrderGroup, raw: redis.Redis
) -> None:
    """Where two publishers have written it, with other message ids: the content decides."""
    raw.xadd(KEYS.orders, order_fields(1, message_id="a"))
    assert ids(group, 1) == [1]
    raw.xadd(KEYS.orders, order_fields(1, message_id="b", received_at=5.0))
    raw.xadd(KEYS.orders, order_fields(1, executed_units=2.0))
    assert [order.event.executed_units for order in handled(group, 1)] == [2.0]
    assert group.stats().repeated == 1
    assert pending(raw) == 0


def test_an_order_that_failed_here_is_no_repetition(group: OrderGroup, raw: redis.Redis) -> None:
    """Only what was handled is left out."""
    add_orders(raw, 1)
    for _ in group:
        break
    add_orders(raw, 1)
    found = ids(group, 1)

    def both_have_come() -> bool:
        found.extend(ids(group))
        return group.stats().repeated == 1

    wait_until(both_have_come)
    assert found == [1]


# Several consumers, several groups ---------------------------------------------------------------


def test_consumers_of_a_group_share_the_orders(server: RedisServer, raw: redis.Redis) -> None:
    """What one holds does not come to another, until its time is up."""
    with (
        OrderGroup(server.url, "booking", redeliver_after=3600) as one,
        OrderGroup(server.url, "booking", redeliver_after=3600) as other,
        OrderGroup(server.url, "booking", redeliver_after=SOON) as third,
    ):
        add_orders(raw, 1, 2)
        assert next(one.orders(QUIET)).event.order_id == 1
        assert ids(other, 1) == [2]
        (order,) = handled(third, 1)
        assert (order.event.order_id, order.attempt) == (1, 2)


def test_each_group_gets_each_order(server: RedisServer, raw: redis.Redis) -> None:
    """And each feed has its own."""
    add_orders(raw, 1)
    for name, feed, expected in (("a", "main", [1]), ("b", "main", [1]), ("a", "other", [])):
        with OrderGroup(server.url, name, feed=feed) as group:
            assert ids(group, len(expected)) == expected


def test_a_new_group_may_begin_now(server: RedisServer, raw: redis.Redis) -> None:
    """Without what came before it was made; the next consumer does not begin anew."""
    add_orders(raw, 1)
    with OrderGroup(server.url, "late", begin="now"):
        add_orders(raw, 2)
    with OrderGroup(server.url, "late", begin="now") as group:
        assert ids(group, 1) == [2]


def test_a_consumer_leaves_nothing_behind(server: RedisServer, raw: redis.Redis) -> None:
    """Unless it holds an order, which would be lost with it."""
    add_orders(raw, 1)
    with OrderGroup(server.url, "booking", "tidy", redeliver_after=SOON) as group:
        for _ in group:
            break
    assert [each["name"] for each in raw.xinfo_consumers(KEYS.orders, "booking")] == ["tidy"]
    with OrderGroup(server.url, "booking", "next", redeliver_after=SOON) as group:
        assert ids(group, 1) == [1]
    names = [each["name"] for each in raw.xinfo_consumers(KEYS.orders, "booking")]
    assert names == ["tidy"]


# Lost groups -------------------------------------------------------------------------------------


def test_a_destroyed_group_is_made_anew_at_its_place(
    group: OrderGroup, raw: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is skipped: not what nobody has read, and not what was read and not acknowledged."""
    add_orders(raw, 1, 2, 3)
    orders = group.orders(QUIET)
    assert next(orders).event.order_id == 1
    assert next(orders).event.order_id == 2
    raw.xgroup_destroy(KEYS.orders, "booking")
    add_orders(raw, 4)
    # The one that was being handled then is acknowledged, as far as that is possible.
    assert [order.event.order_id for order in orders] == [3, 4]
    assert group.stats().repeated == 1
    assert "was missing" in caplog.text


def test_another_consumer_finds_a_destroyed_group_at_its_place(
    server: RedisServer, raw: redis.Redis
) -> None:
    """The place is in Redis, too."""
    with OrderGroup(server.url, "booking", redeliver_after=SOON) as group:
        add_orders(raw, 1, 2)
        assert ids(group, 2) == [1, 2]
    add_orders(raw, 3)
    raw.xgroup_destroy(KEYS.orders, "booking")
    with OrderGroup(server.url, "booking", redeliver_after=SOON) as group:
        assert ids(group, 1) == [3]


@pytest.mark.parametrize("begin", ["kept", "now"])
def test_nothing_is_skipped_after_a_flush(
    begin: str, server: RedisServer, raw: redis.Redis
) -> None:
    """All that comes behind it is delivered, also if Redis's clock has been set back."""
    with OrderGroup(server.url, "booking", redeliver_after=SOON, begin=begin) as group:
        add_orders(raw, 1)
        assert ids(group, 1) == [1]
        raw.flushall()
        raw.xadd(KEYS.orders, order_fields(2), id="5-1")
        add_orders(raw, 3)
        assert ids(group, 2) == [2, 3]


def test_nothing_is_skipped_where_the_group_is_lost_before_an_acknowledgement(
    server: RedisServer, raw: redis.Redis
) -> None:
    """The consumer remembers that its group is not a new one."""
    with OrderGroup(server.url, "booking", redeliver_after=SOON, begin="now") as group:
        add_orders(raw, 1)
        orders = group.orders(QUIET)
        next(orders)
        raw.flushall()
        add_orders(raw, 2)
        assert next(orders).event.order_id == 2


def test_a_group_of_the_lost_last_second_goes_on(server: RedisServer, raw: redis.Redis) -> None:
    """Redis has forgotten the group, and the last order: what is there was handled before."""
    add_orders(raw, 1)
    group = commands(server, "booking")
    assert group.ensure("0-0")
    first = group.read(0.0)
    assert first is not None
    second = add_orders(raw, 2)[0]
    found = group.read(0.0)
    assert found is not None
    group.acknowledge(first.id)
    group.acknowledge(found.id)
    assert group.position == second
    raw.xgroup_destroy(KEYS.orders, "booking")
    raw.hdel(KEYS.groups, "booking")
    raw.delete(KEYS.orders)
    raw.xadd(KEYS.orders, order_fields(1), id=first.id)
    assert group.ensure("0-0")
    assert group.position == first.id
    assert group.read(0.0) is None
    add_orders(raw, 3)
    assert group.read(0.0) is not None


def commands(server: RedisServer, name: str) -> Any:
    """What a consumer asks of Redis."""
    return GroupCommands(Address(server.url), KEYS, name, "test")


# The position ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_position_is_before_the_first_that_is_not_acknowledged(
    order: tuple[int, ...], server: RedisServer, raw: redis.Redis
) -> None:
    """In whichever order they are acknowledged."""
    entries = add_orders(raw, 1, 2, 3)
    group = commands(server, "booking")
    group.ensure("0-0")
    for _ in entries:
        group.read(0.0)
    done: set[int] = set()
    for number in order:
        assert group.acknowledge(entries[number])
        assert not group.acknowledge(entries[number])
        done.add(number)
        first = next((n for n in range(3) if n not in done), 3)
        assert group.position == raw.hget(KEYS.groups, "booking")
        assert group.position == (["0-0", *entries][first])


# Ends and errors ---------------------------------------------------------------------------------


def test_stop_ends_a_loop_that_waits(group: OrderGroup) -> None:
    """From another thread; also later loops."""
    waiting = run_in_thread(lambda: list(group))
    group.stop()
    assert waiting.result() == []
    assert list(group) == []


def test_the_present_order_is_acknowledged_after_a_stop(
    group: OrderGroup, raw: redis.Redis
) -> None:
    """Its handler returns, so it was handled."""
    add_orders(raw, 1, 2)
    group.run(lambda order: group.stop())
    assert pending(raw) == 0
    assert group.stats().handled == 1


def test_a_server_that_is_not_there_is_an_error_at_the_beginning() -> None:
    """A typing error in the address must not look like a quiet day."""
    group = OrderGroup("redis://127.0.0.1:1", "booking")
    with pytest.raises(EToroRedisError, match="cannot be reached"):
        next(iter(group))
    group.close()


def test_redis_may_be_away_for_a_while(
    start_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once; the loop goes on by itself, and nothing is lost."""
    own = start_redis(appendfsync="always")
    with OrderGroup(own.url, "booking", redeliver_after=SOON) as group, own.client() as raw:
        add_orders(raw, 1, 2)
        orders = group.orders()
        assert next(orders).event.order_id == 1
        own.kill()
        following = run_in_thread(lambda: next(orders).event.order_id)
        assert wait_until(lambda: group.stats().failure).startswith("Redis at unix://")
        own.start()
        assert following.result() == 2
        assert (group.stats().outages, group.stats().failure) == (1, None)
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert texts[0].startswith("The group booking waits for Redis: Redis at unix://")
    assert texts[1].startswith("The group booking goes on, after ")


def test_stop_ends_a_wait_for_redis(start_redis: StartRedis) -> None:
    """The order that could not be acknowledged comes again: it is logged."""
    own = start_redis()
    with OrderGroup(own.url, "booking", redeliver_after=SOON) as group, own.client() as raw:
        add_orders(raw, 1)
        orders = group.orders()
        next(orders)
        own.kill()
        last = run_in_thread(lambda: next(orders, None))
        group.stop()
        assert last.result() is None


def test_an_outage_longer_than_the_timeout_is_an_error(start_redis: StartRedis) -> None:
    """Not an end without orders, which would look like a quiet day."""
    own = start_redis()
    with OrderGroup(own.url, "booking") as group:
        own.kill()
        with pytest.raises(EToroRedisError, match="cannot be reached"):
            list(group.orders(QUIET))


def test_a_right_that_is_withdrawn_ends_the_loop(start_redis: StartRedis) -> None:
    """What stays refused is not tried again for ever."""
    own = start_redis(port=True)
    with own.client() as raw:
        raw.acl_setuser("worker", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all"])
        url = own.tcp_url.replace("redis://", "redis://worker:pw@")
        with OrderGroup(url, "booking") as group:
            raw.acl_setuser("worker", commands=["-xreadgroup"])
            with pytest.raises(EToroRedisError, match="no permissions") as caught:
                next(iter(group))
        assert caught.value.error_code == "NOPERM"
        assert "pw" not in repr(group)


def test_the_rights_of_the_page_are_enough(start_redis: StartRedis) -> None:
    """For all that a consumer does; the line stands in docs/redis_orders.md."""
    text = (ROOT / "docs" / "redis_orders.md").read_text()
    (rights,) = re.findall(r"ACL SETUSER worker on >PASSWORD (.*)", text)
    own = start_redis(port=True)
    with own.client() as raw:
        raw.execute_command("ACL", "SETUSER", "worker", "on", ">pw", *rights.split())
        url = own.tcp_url.replace("redis://", "redis://worker:pw@")
        raw.xadd(KEYS.orders, {"c": "odd"})
        add_orders(raw, 1, 2)
        with OrderGroup(url, "booking", redeliver_after=SOON, attempts=1) as group:
            for _ in group:
                break
            raw.xgroup_destroy(KEYS.orders, "booking")
            assert ids(group, 2) == [1, 2]
            for order in group.set_aside():
                assert group.forget(order)
            group.remove()


def test_the_programs_of_the_page_run(
    server: RedisServer, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand there, but that their loops end."""
    text = (ROOT / "docs" / "redis_orders.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    run = OrderGroup.run
    monkeypatch.setattr(OrderGroup, "__iter__", lambda group: group.orders(QUIET))
    monkeypatch.setattr(OrderGroup, "run", lambda group, handler: run(group, handler, QUIET))
    assert len(programs) == 3
    for number, program in enumerate(programs):
        raw.xadd(KEYS.orders, {"c": "odd"})
        add_orders(raw, number)
        said: list[Any] = []
        code = compile(program.replace("redis://localhost", server.url), "redis_orders.md", "exec")
        exec(code, {"print": lambda *values, said=said: said.append(values)})
        assert said
    assert OrderGroup(server.url, "booking").set_aside() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "http://x"),
        ("url", None),
        ("group", ""),
        ("group", "a:b"),
        ("group", None),
        ("consumer", "a b"),
        ("feed", "a}"),
        ("redeliver_after", 0),
        ("redeliver_after", "1"),
        ("redeliver_after", float("nan")),
        ("attempts", 0),
        ("attempts", 1.5),
        ("begin", "today"),
        ("begin", None),
    ],
)
def test_arguments_are_checked(name: str, value: Any) -> None:
    """With the name of the argument; nothing is connected."""
    arguments = {"url": "redis://localhost", "group": "booking", name: value}
    with pytest.raises(EToroValidationError) as caught:
        OrderGroup(**arguments)
    assert caught.value.field == name


def test_it_is_of_no_use_in_a_forked_child(group: OrderGroup) -> None:
    """Its connection belongs to the parent."""
    group._guard._pid = 1
    for call in (group.open, group.orders, group.set_aside, group.remove):
        with pytest.raises(EToroClosedError, match="fork"):
            call()
    group.close()
    group._guard = type(group._guard)()


def test_it_belongs_to_its_process() -> None:
    """It cannot be copied."""
    group = OrderGroup("redis://localhost", "booking")
    with pytest.raises(EToroTypeError):
        pickle.dumps(group)
    with pytest.raises(EToroValidationError, match="handler"):
        group.run(None)  # type: ignore[arg-type]
    with pytest.raises(EToroValidationError, match="timeout"):
        group.orders(-1)
