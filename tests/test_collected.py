"""What has ended is collected, also where its own handlers refer to it, as handlers often do."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etoro_sync import Candles, EToroError, MarketStream, Replay, WsClient, WsFleet
from etoro_sync.collecting import when_collected
from etoro_sync.redis import Publisher, RedisClient
from etoro_sync.simulator import EToroSimulator
from etoro_sync.store import OrderStore
from tests.support.clients import quick_options
from tests.support.redis_server import REDIS_SERVER, RedisServer
from tests.support.threads import join_stragglers

needs_redis = pytest.mark.skipif(REDIS_SERVER is None, reason="redis-server is not installed")


def client(sim: EToroSimulator, folder: Path) -> list[Any]:
    """With a queue and a loop that were never closed."""
    own = WsClient(quick_options(sim.url))
    orders, loop = own.queue("private:event"), own.stream([18])
    own.on("open", lambda: (own.state, orders.qsize(), loop))
    own.connect()
    own.disconnect()
    return [own, orders, loop]


def failed_client(sim: EToroSimulator, folder: Path) -> list[Any]:
    """Of which nobody has called ``disconnect()``."""
    own = WsClient(quick_options(sim.url, reconnect_attempts=1))
    own.on("open", lambda: own.state)
    own.connect()
    sim.stop()
    with pytest.raises(EToroError, match="Gave up"):
        own.run_forever()
    return [own]


def fleet(sim: EToroSimulator, folder: Path) -> list[Any]:
    """Of several connections."""
    own = WsFleet(quick_options(sim.url))
    own.on("open", lambda: own.state)
    own.subscribe([18])
    own.connect()
    own.disconnect()
    return [own]


def played_stream(sim: EToroSimulator, folder: Path) -> list[Any]:
    """That has come to its end by itself."""
    own = MarketStream(lambda feed: None)
    own.on("close", lambda *_: own.state)
    own.connect()
    own.run_forever()
    return [own]


def candles(sim: EToroSimulator, folder: Path) -> list[Any]:
    """With a timer; nobody has closed them."""
    own = WsClient(quick_options(sim.url))
    bars = Candles(own, "1m", timer=5)
    bars.on("bar", lambda bar: (bars.stats(), own.state))
    own.connect()
    own.disconnect()
    return [own, bars]


def order_store(sim: EToroSimulator, folder: Path) -> list[Any]:
    """And the client whose orders it has stored."""
    own = WsClient(quick_options(sim.url))
    store = OrderStore(folder / "orders.db").attach(own)
    own.on("private:event", lambda event: (store.stats(), own.state))
    own.connect()
    own.disconnect()
    store.close()
    return [own, store]


def recording(sim: EToroSimulator, folder: Path) -> list[Any]:
    """And the client that was recorded, and its replay."""
    own = WsClient(quick_options(sim.url))
    own.connect()
    with own.record(folder) as recorder:
        own.on("open", lambda: (recorder.stats(), own.state))
    own.disconnect()
    replay = Replay(folder)
    replay.on("open", lambda: replay.state)
    replay.connect()
    replay.run_forever()
    return [own, recorder, replay]


def published_client(sim: EToroSimulator, folder: Path) -> list[Any]:
    """Publisher and reader."""
    with RedisServer() as server:
        own, reader = WsClient(quick_options(sim.url)), RedisClient(server.url)
        own.connect()
        publisher = Publisher(own, server.url).start()
        own.on("open", lambda: (publisher.stats(), own.state))
        reader.on("open", lambda: reader.state)
        reader.connect()
        for each in (reader, own):
            each.disconnect()
        publisher.close()
    return [own, publisher, reader]


@pytest.mark.parametrize(
    "make",
    [
        client,
        failed_client,
        fleet,
        played_stream,
        candles,
        order_store,
        recording,
        pytest.param(published_client, marks=needs_redis),
    ],
)
def test_what_has_ended_is_collected(
    make: Callable[[EToroSimulator, Path], list[Any]], tmp_path: Path
) -> None:
    """A program that makes clients again and again does not grow."""
    with EToroSimulator(rate=0, nul_interval=0) as sim:
        left = [weakref.ref(each) for each in make(sim, tmp_path)]
        assert join_stragglers(prefix="etoro-sync") == []
        gc.collect()
        assert [each() for each in left] == [None] * len(left)


class Thing:
    """What may be referred to weakly."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def note(self) -> None:
        self.calls.append("called")


def test_a_method_is_called_while_its_own_object_lives() -> None:
    """Which is not kept alive by that."""
    owner, other = Thing(), Thing()
    calls = other.calls
    when_collected(owner, other.note)
    del owner
    assert calls == ["called"]
    owner = Thing()
    when_collected(owner, other.note)
    gone = weakref.ref(other)
    del other
    assert gone() is None
    del owner
    assert calls == ["called"]
