"""The times in which order events may be missing are in the file, also those between programs."""

from __future__ import annotations

import time
from collections.abc import Callable

from etoro_sync import Feed, MarketStream, WsClient, WsGap
from etoro_sync.simulator import EToroSimulator
from tests.store.conftest import MakeStore
from tests.store.test_file import wait_for
from tests.support.timing import MS

Connect = Callable[..., WsClient]
SOON = 10_000 * MS


def test_a_reconnect_is_a_gap(store: MakeStore, connected: Connect, sim: EToroSimulator) -> None:
    """The same that the client reports, once, and none besides."""
    orders = store()
    client = connected(orders)
    with client.expect("reconnected", timeout=SOON) as expected:
        sim.disconnect()
    gap = expected.value
    (stored,) = orders.gaps()
    assert (stored.from_, stored.until, stored.generation) == (gap.from_, gap.until, 2)
    assert stored.topics == ("private",)
    assert orders.gaps(since=gap.until) == []
    assert orders.gaps(since=gap.until - 0.001) == [stored]


def test_the_time_between_two_programs_is_a_gap(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """From when the first one last received until the second one does; a new file has none."""
    first = store()
    client = connected(first)
    assert first.gaps() == []
    before = time.time()
    first.close()
    closed = time.time()
    client.disconnect()
    second = store()
    assert second.gaps() == []  # nothing receives yet, and the gap goes on
    began = time.time()
    connected(second)
    (gap,) = second.gaps()  # it looks, and does not wait for a second
    assert before <= gap.from_ <= closed
    assert began <= gap.until <= time.time()


def test_a_client_that_was_disconnected_for_a_while_leaves_a_gap(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """Within one program, too; a second client of the account that goes on leaves none."""
    orders = store()
    client = connected(orders)
    assert orders.gaps() == []
    client.disconnect()
    left = time.time()
    client.connect()
    client.subscribe("private")
    (gap,) = orders.gaps()
    assert gap.from_ <= left <= gap.until
    other = connected(orders)
    assert orders.gaps() == [gap]
    client.disconnect()
    client.connect()
    client.subscribe("private")
    sim.fill_order(7)
    wait_for(orders, lambda: orders.stats().stored)
    assert orders.gaps() == [gap]
    other.disconnect()


def test_a_client_without_the_topic_receives_no_order_events(
    store: MakeStore, connected: Connect, sim: EToroSimulator
) -> None:
    """As long as it has not subscribed, the gap goes on."""
    orders = store()
    client = connected(orders)
    client.unsubscribe("private")
    watched = orders._writer._watches[0]
    assert watched.look() is None
    client.subscribe("private")
    assert watched.look() == (1, 1)


def test_the_gaps_of_a_source_of_ones_own_are_kept(store: MakeStore) -> None:
    """As it reports them, odd ones too; what is no gap is left out."""
    orders = store()

    def play(feed: Feed) -> None:
        feed.emit("reconnected", WsGap(5.0, 6.0, 3, ("private",)))
        feed.emit("reconnected", "no gap")
        feed.emit("private:event", "no event")
        feed.emit("reconnected", WsGap(float("nan"), 8.0, 2**70))

    stream = MarketStream(play)
    orders.attach(stream)
    with stream:
        stream.run_forever()
    assert len(orders.gaps()) == 2
    assert orders.gaps()[0] == WsGap(5.0, 6.0, 3, ("private",))
    assert orders.gaps()[1].until == 8.0
    assert orders.stats().received == 0
