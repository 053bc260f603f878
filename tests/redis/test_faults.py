"""Whatever happens to Redis: all that use it go on by themselves, or say what to do."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator

import pytest
import redis

from etoro_sync import ClientState, EToroRedisError
from etoro_sync.redis import GroupOrder, OrderGroup, Publisher, RedisClient
from etoro_sync.redis.subscribing import reading
from tests.redis.conftest import StartRedis
from tests.redis.orders import KEYS, wait_until
from tests.support.amounts import amount
from tests.support.live_stream import LiveStream, rate
from tests.support.redis_server import RedisServer
from tests.support.threads import run_in_thread
from tests.support.timing import MS

pytestmark = pytest.mark.heavy

LEASE = 500 * MS
IDS = (1, 1001, 100000)


class Chain:
    """A stream with a publisher, a subscriber that reads it, and a group that handles its orders.

    All the time a rate of each instrument comes, with a bid that rises, and an order.

    :param server: the Redis between them.
    """

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.stream = LiveStream()
        self.publisher = Publisher(self.stream, server.url, lease=LEASE)
        self.client = RedisClient(server.url)
        self.group = OrderGroup(server.url, "booking", redeliver_after=LEASE)
        self.gaps = 0
        self.handled: set[int | None] = set()
        self.bid = 0
        self._ending = threading.Event()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Chain:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.stream)
            stack.enter_context(self.publisher)
            self.client.on("reconnected", self._count)
            stack.callback(self.client.disconnect)
            self.client.connect()
            stack.enter_context(self.group)
            self.working = run_in_thread(lambda: self.group.run(self._handle))
            stack.callback(self._stop_group)
            bringing = threading.Thread(target=self._bring)
            bringing.start()
            stack.callback(bringing.join)
            stack.callback(self._ending.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _stop_group(self) -> None:
        self.group.stop()
        self.working.wait()

    def _count(self, gap: object) -> None:
        self.gaps += 1

    def _handle(self, order: GroupOrder) -> None:
        self.handled.add(order.event.order_id)

    def _bring(self) -> None:
        for self.bid in itertools.count(1):
            self.stream.bring(*(rate(key, float(self.bid)) for key in IDS))
            self.stream.order(self.bid)
            if self._ending.wait(10 * MS):
                return

    def is_well(self) -> bool:
        """Whether what comes from now on is shown, and handled."""
        return self.shows(self.bid + 1)

    def shows(self, bid: int) -> bool:
        """Wait a moment for the subscriber to show it; return whether it does."""
        with contextlib.suppress(AssertionError):
            wait_until(lambda: self._has(bid) and bid in self.handled, 500 * MS)
            return True
        return False

    def _has(self, bid: int) -> bool:
        rates = [self.client.rates.get(key) for key in IDS]
        return self.client.state is ClientState.LIVE and all(
            found is not None and found.bid >= bid for found in rates
        )

    def finish(self) -> None:
        """Wait until all is well again; then check that all of what came was handled and shown."""
        wait_until(self.is_well, 20_000 * MS)
        assert self.publisher.stats().failure is None
        assert self.group.stats().failure is None
        assert not self.working.done()
        self._ending.set()
        self.stream.settle()
        wait_until(lambda: self.handled >= set(range(1, self.bid)), 10_000 * MS)
        wait_until(lambda: self._has(self.bid - 1), 10_000 * MS)
        assert self.publisher.stats().lost == 0


@pytest.fixture
def chain(start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    """All of it, on a server of its own, and well."""
    monkeypatch.setattr(reading, "_LONGEST", 500 * MS)
    # Shorter than the stall below; in the long form these are those of the library.
    monkeypatch.setattr(reading, "_BLOCK", amount(200, 1000) * MS)
    monkeypatch.setattr(reading, "_TIMEOUT", amount(600, 3000) * MS)
    with Chain(start_redis()) as made:
        wait_until(made.is_well)
        yield made


@contextlib.contextmanager
def admin(chain: Chain) -> Iterator[redis.Redis]:
    """Yield a client of the tests' own."""
    with chain.server.client() as raw:
        yield raw


def kill(chain: Chain) -> None:
    """SIGKILL, and a restart on what was on the disk."""
    chain.server.restart()


def flush(chain: Chain) -> None:
    """Everything is removed."""
    with admin(chain) as raw:
        raw.flushall()


def cut(chain: Chain) -> None:
    """All connections are closed, several times."""
    for _ in range(3):
        with admin(chain) as raw:
            raw.execute_command("CLIENT", "KILL", "TYPE", "normal")
        wait_until(chain.is_well)


def stall(chain: Chain) -> None:
    """Its process stands still."""
    chain.server.stall()
    threading.Event().wait(amount(1500, 10_000) * MS)
    chain.server.go_on()


FAULTS: list[Callable[[Chain], None]] = [kill, flush, cut, stall]


@pytest.mark.long_form
@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_all_go_on_by_themselves(fault: Callable[[Chain], None], chain: Chain) -> None:
    """The last price of each instrument is shown, and each order was handled."""
    for _ in range(1 if fault is stall else amount(1, 20)):
        fault(chain)
        wait_until(chain.is_well, 20_000 * MS)
    chain.finish()
    assert chain.gaps


def test_a_full_memory(chain: Chain) -> None:
    """The publisher says what to do; the group goes on; prices are not shown as those of now."""
    with admin(chain) as raw:
        raw.config_set("maxmemory", int(raw.info("memory")["used_memory"]) - 100_000)
        wait_until(lambda: chain.publisher.stats().failure)
        assert "raise maxmemory" in str(chain.publisher.stats().failure)
        wait_until(lambda: chain.client.state is ClientState.RECONNECTING)
        # What was written before is handled and acknowledged, which needs no memory.
        wait_until(lambda: raw.xpending(KEYS.orders, "booking")["pending"] == 0)
        assert not chain.working.done()
        raw.config_set("maxmemory", 0)
        chain.finish()
    assert chain.gaps


def test_a_primary_that_becomes_a_replica(chain: Chain) -> None:
    """As after a fail-over of Redis: each says so, and goes on when it can be written to again."""
    with admin(chain) as raw:
        raw.execute_command("REPLICAOF", "127.0.0.1", "1")
        for part in (chain.publisher, chain.group):
            # The server cuts some connections, which is said first.
            wait_until(lambda: "use the address of the primary" in str(part.stats().failure))  # noqa: B023 - at once
        wait_until(lambda: chain.client.state is ClientState.RECONNECTING)
        raw.execute_command("REPLICAOF", "NO", "ONE")
        chain.finish()


def test_a_password_that_changes(chain: Chain) -> None:
    """Readers end with an error, the publisher waits, since it has what nobody else has."""
    with admin(chain) as raw:
        raw.config_set("requirepass", "another")
        raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(EToroRedisError, match="wants a password"):
            chain.working.result()
        with pytest.raises(EToroRedisError, match="wants a password"):
            chain.client.run_forever(10_000 * MS)
        assert chain.client.state is ClientState.FAILED
        wait_until(lambda: chain.publisher.stats().failure)
        assert "wants a password" in str(chain.publisher.stats().failure)
        raw.config_set("requirepass", "")
        wait_until(lambda: chain.publisher.stats().failure is None)


@pytest.mark.parametrize("kind", ["password", "replica"])
def test_what_is_wrong_at_the_beginning_is_said(kind: str, start_redis: StartRedis) -> None:
    """A publisher of a replica waits until it is none; all else is an error, with what to do."""
    if kind == "password":
        own = start_redis(requirepass="another")
        words = "wants a password"
    else:
        own = start_redis(replicaof="127.0.0.1 1")
        words = "use the address of the primary"
    with LiveStream() as stream, contextlib.closing(Publisher(stream, own.url)) as publisher:
        if kind == "password":
            with pytest.raises(EToroRedisError, match=words):
                publisher.start()
        else:
            publisher.start()
            assert words in str(wait_until(lambda: publisher.stats().failure))
    with (
        contextlib.closing(OrderGroup(own.url, "booking")) as group,
        pytest.raises(EToroRedisError, match=words),
    ):
        next(iter(group))
    client = RedisClient(own.url)
    if kind == "password":
        with pytest.raises(EToroRedisError, match=words):
            client.connect()
    else:  # a replica may be read
        with client:
            assert client.state is ClientState.RECONNECTING


def test_a_replica_may_be_read(start_redis: StartRedis) -> None:
    """It shows what the primary has, and that its publisher is there, or is not any more."""
    primary = start_redis(port=True, repl_diskless_sync_delay=0)
    replica = start_redis(replicaof=f"localhost {primary.tcp_url.rpartition(':')[2]}")
    with (
        LiveStream() as stream,
        Publisher(stream, primary.url, lease=LEASE) as publisher,
        RedisClient(replica.url) as client,
    ):
        wait_until(lambda: client.state is ClientState.LIVE)
        stream.bring(rate(7, 5.0))
        wait_until(lambda: client.rates.get(7) is not None)
        publisher.close()
        wait_until(lambda: client.state is ClientState.RECONNECTING)
