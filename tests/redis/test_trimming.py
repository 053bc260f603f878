"""Old orders are removed, and none that a group has not acknowledged, up to a limit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest
import redis

from etoro_sync.redis import OrderGroup
from etoro_sync.redis.connection import Address
from etoro_sync.redis.groups.trimming import Trimmer
from tests.redis.orders import KEYS, add_orders, wait_until
from tests.support.redis_server import RedisServer
from tests.support.timing import MS

MakeTrimmer = Callable[..., Trimmer]
#: Redis removes whole nodes, so that some orders more may stay.
NODE = 100


@pytest.fixture
def trimmer(server: RedisServer) -> Iterator[MakeTrimmer]:
    """Make trimmers which keep nothing for its age."""
    address = Address(server.url)
    with address.client() as client:
        yield lambda limit=10_000, keep=-1.0: Trimmer(address, KEYS, client, limit, keep)


def handle(server: RedisServer, name: str, count: int) -> None:
    """Let a group acknowledge so many orders."""
    with OrderGroup(server.url, name, redeliver_after=3600) as group:
        orders = group.orders(0.0)
        for _ in range(count):
            next(orders)
        if count:
            next(orders, None)


def test_what_all_groups_have_acknowledged_is_removed(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer
) -> None:
    """The one that is furthest behind decides; what it holds and what it has not read stays."""
    entries = add_orders(raw, *range(1, 301))
    handle(server, "quick", 300)
    handle(server, "slow", 150)
    found = trimmer().run()
    kept = raw.xrange(KEYS.orders, count=1)[0][0]
    assert entries.index(kept) in range(150 - NODE, 150)
    assert (found.length, found.lost, found.group) == (300 - entries.index(kept), 0, "slow")
    assert found.behind == 150
    left = set(range(151, 301))
    with OrderGroup(server.url, "slow", redeliver_after=100 * MS) as group:
        for order in group:
            left.discard(order.event.order_id)
            if not left:
                group.stop()
    trimmer().run()
    assert raw.xlen(KEYS.orders) <= NODE


def test_without_groups_age_and_limit_decide(raw: redis.Redis, trimmer: MakeTrimmer) -> None:
    """A feed that nobody reads in groups does not grow for ever."""
    add_orders(raw, *range(1, 501))
    assert trimmer(keep=60.0).run().length == 500
    assert trimmer(200, keep=60.0).run().length in range(200, 200 + NODE)
    assert trimmer().run().length <= NODE
    add_orders(raw, *range(1, 501))
    assert trimmer(1000, keep=60.0).run()[1:4] == (0, "", 0)


def test_acknowledged_orders_stay_for_their_time(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer
) -> None:
    """For those who come late."""
    add_orders(raw, *range(1, 301))
    handle(server, "quick", 300)
    assert trimmer(keep=60.0).run().length == 300


def test_a_group_that_is_lost_keeps_its_orders(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer
) -> None:
    """It is made anew when its consumer comes back; until then its position counts."""
    add_orders(raw, *range(1, 301))
    handle(server, "slow", 10)
    raw.xgroup_destroy(KEYS.orders, "slow")
    assert trimmer().run().behind == 300
    with OrderGroup(server.url, "slow") as group:
        orders = [order.event.order_id for order in group.orders(0.0)]
    assert orders == list(range(11, 301))


def test_a_group_that_is_removed_keeps_nothing(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer
) -> None:
    """As one that was made by hand keeps what it has not read."""
    add_orders(raw, *range(1, 301))
    handle(server, "old", 0)
    raw.xgroup_create(KEYS.orders, "by-hand", "0")
    OrderGroup(server.url, "old").remove()
    assert trimmer().run()[2:4] == ("by-hand", 300)
    raw.xgroup_destroy(KEYS.orders, "by-hand")
    assert trimmer().run().length <= NODE


def test_half_of_the_limit_is_warned_of(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer, caplog: pytest.LogCaptureFixture
) -> None:
    """Once an hour, with what to do; before that nothing is said."""
    add_orders(raw, *range(1, 500))
    handle(server, "slow", 0)
    own = trimmer(1000)
    own.run()
    assert caplog.records == []
    add_orders(raw, 500)
    own.run()
    own.run()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "slow has not acknowledged up to 500 order events" in record.getMessage()
    assert "lost when there are 1000: start consumers" in record.getMessage()


def test_what_is_lost_at_the_limit_is_an_error(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted in Redis, too; a consumer that held one is told."""
    add_orders(raw, *range(1, 1001))
    with OrderGroup(server.url, "slow", redeliver_after=50 * MS) as group:
        for _ in group:
            break
        found = trimmer(500).run()
        assert found.lost == 1000 - found.length
        assert found.length in range(500, 500 + NODE)
        assert raw.hget(KEYS.groups, ":lost") == str(found.lost)
        texts = [record.getMessage() for record in caplog.records]
        assert f"About {found.lost} order events were removed" in texts[0]
        assert "Ask eToro's REST API" in texts[0]
        left = [order.event.order_id for order in group.orders(100 * MS)]
        assert left == list(range(1001 - found.length, 1001))
        wait_until(lambda: group.stats().lost or list(group.orders(100 * MS)))
        assert group.stats().lost == 1
    assert trimmer(500).run().lost == 0


def test_acknowledged_orders_beyond_the_limit_are_no_loss(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer, caplog: pytest.LogCaptureFixture
) -> None:
    """They would have stayed for a day only."""
    add_orders(raw, *range(1, 601))
    handle(server, "quick", 600)
    found = trimmer(300, keep=60.0).run()
    assert (found.lost, found.behind) == (0, 0)
    assert found.length in range(300, 300 + NODE)
    assert caplog.records == []


def test_orders_that_are_set_aside_are_warned_of(
    server: RedisServer, raw: redis.Redis, trimmer: MakeTrimmer, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever has not read the error in the log."""
    raw.xadd(KEYS.orders, {"c": "odd"})
    with OrderGroup(server.url, "slow") as group:
        assert list(group.orders(0.0)) == []
    caplog.clear()
    assert trimmer().run().dead == 1
    assert "1 order event of groups are set aside" in caplog.text


def test_an_empty_feed_has_nothing_to_remove(raw: redis.Redis, trimmer: MakeTrimmer) -> None:
    """Whoever comes first."""
    assert trimmer().run() == (0, 0, "", 0, 0)
    trimmer().run_if_due()


def test_consumers_that_are_gone_are_forgotten(
    server: RedisServer,
    raw: redis.Redis,
    trimmer: MakeTrimmer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After an hour, unless they hold an order."""
    add_orders(raw, 1, 2)
    handle(server, "booking", 0)
    raw.xreadgroup("booking", "killed", {KEYS.orders: ">"}, count=1)
    raw.xgroup_createconsumer(KEYS.orders, "booking", "idle")
    trimmer().run()
    assert len(raw.xinfo_consumers(KEYS.orders, "booking")) == 2
    monkeypatch.setattr("etoro_sync.redis.groups.trimming._GONE_SECONDS", -1.0)
    trimmer().run()
    assert [each["name"] for each in raw.xinfo_consumers(KEYS.orders, "booking")] == ["killed"]
