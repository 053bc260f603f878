"""What follows in the streams: its order, its numbers, and whose it is, without a Redis."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync import WsPrivateEvent
from etoro_sync.redis.layout.keys import Keys
from etoro_sync.redis.layout.order_rows import encode_order
from etoro_sync.redis.layout.rows import encode_rate, encode_rates
from etoro_sync.redis.subscribing.entries import COUNT, Broken, Entries
from etoro_sync.redis.subscribing.freshness import Freshness
from etoro_sync.redis.subscribing.generations import Generations
from etoro_sync.redis.subscribing.moment import Moment, States, Stream
from tests.redis.test_freshness import Noted
from tests.redis.writing import rate_of

NO_STREAM = Stream(None, (0, 0), None)


def moment(epoch: int = 2, **streams: Stream) -> Moment:
    known = dict.fromkeys(("rates", "orders", "events"), NO_STREAM)
    return Moment(epoch, 1000, {**known, **streams})


def rates_entry(place: int, number: int, *asks: float, epoch: int = 2) -> list[Any]:
    rows = encode_rates([encode_rate(rate_of(18, ask)) for ask in asks])
    pairs = [b"e", b"%d" % epoch, b"n", b"%d" % number, b"r", rows]
    return [b"%d-0" % place, pairs]


def order_entry(place: int, after: int, number: int, epoch: int = 2) -> list[Any]:
    content = encode_order(WsPrivateEvent(order_id=number)).encode()
    pairs = [b"e", b"%d" % epoch, b"n", b"%d" % after, b"d", b"%d" % number, b"c", content]
    return [b"%d-0" % place, pairs]


def event_entry(place: int, after: int, name: bytes, a: bytes = b"[]") -> list[Any]:
    return [b"%d-0" % place, [b"e", b"2", b"n", b"%d" % after, b"k", name, b"a", a]]


def calls(noted: Noted) -> list[Any]:
    """Asks and order ids, in the order in which they were handed on."""
    found: list[Any] = []
    for name, *arguments in noted.take():
        if name == "states":
            found.append([state["ask"] for _, state in arguments[0]])
        elif name == "order":
            found.append(arguments[0].order_id)
    return found


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def fresh(noted: Noted) -> Freshness:
    feed: Any = noted
    made = Freshness(feed, "main")
    made.held = made.connected = True
    return made


@pytest.fixture
def entries(noted: Noted, fresh: Freshness) -> Entries:
    """Behind the state of an epoch in which nothing was written."""
    feed: Any = noted
    made = Entries(feed, Keys("main"), None, fresh, Generations())
    made.begin(States(moment(), []))
    noted.take()
    return made


def test_an_order_stands_behind_the_rates_before_it(entries: Entries, noted: Noted) -> None:
    """Which may be in the middle of an entry."""
    everything = {
        "rates": [rates_entry(1, 1, 1.0, 2.0, 3.0), rates_entry(2, 4, 4.0)],
        "orders": [order_entry(1, 0, 7), order_entry(2, 2, 8), order_entry(3, 4, 9)],
    }
    assert entries.handle(everything)
    assert [each for each in calls(noted) if each] == [7, [1.0, 2.0], 8, [3.0], [4.0], 9]
    assert entries.at == {"rates": (2, 0), "orders": (3, 0), "events": (0, 0)}


def test_what_stands_behind_rates_that_are_not_read_yet_waits(
    entries: Entries, noted: Noted
) -> None:
    """It is read again, with them."""
    many = [rates_entry(n, n, float(n)) for n in range(1, COUNT + 1)]
    orders = [order_entry(1, 1, 7), order_entry(2, COUNT + 5, 8)]
    assert not entries.handle({"rates": many, "orders": orders})
    assert 8 not in calls(noted)
    assert entries.at["orders"] == (1, 0)


def test_orders_of_earlier_epochs_are_handed_on_up_to_the_state(
    entries: Entries, noted: Noted
) -> None:
    """Those that came while this stream was away; later ones are of the next publisher."""
    entries.at["orders"] = (3, 0)
    entries.begin(States(moment(orders=Stream((1, 0), (5, 0), None)), []))
    assert entries.at["orders"] == (3, 0)
    noted.take()
    entries.handle({"orders": [order_entry(4, 9, 7, epoch=1)]})
    assert calls(noted) == [7]
    with pytest.raises(Broken, match="another publisher"):
        entries.handle({"orders": [order_entry(6, 0, 8, epoch=3)]})
    assert calls(noted) == []
    assert entries.at["orders"] == (4, 0)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (moment(epoch=3), "another publisher"),
        (moment(orders=Stream((1, 0), (4, 0), None)), "lost"),
        (moment(orders=Stream((7, 0), (8, 0), None)), "removed"),
        (moment(orders=Stream((1, 0), (8, 0), None)), ""),
        (moment(orders=Stream(None, (5, 0), None)), ""),
    ],
)
def test_a_look_finds_what_no_entry_says(entries: Entries, now: Moment, words: str) -> None:
    """Streams that were lost, trimmed or written by another publisher, while nothing comes."""
    entries.at["orders"] = (5, 0)
    if not words:
        entries.check(now)
        return
    with pytest.raises(Broken, match=words):
        entries.check(now)


def test_the_next_number_is_known_from_the_last_entry() -> None:
    """Of this epoch; in a new one the first is 1, unless the stream was emptied."""
    entry = dict(zip(*[iter(rates_entry(1, 5, 1.0, 2.0)[1])] * 2, strict=True))
    last = Stream((1, 0), (1, 0), entry)
    assert moment(rates=last).next_number == 7
    assert moment(epoch=3, rates=last).next_number == 1
    assert moment().next_number == 1
    assert moment(rates=Stream(None, (9, 0), None)).next_number is None


def test_a_publisher_is_there_with_its_first_sign(
    entries: Entries, noted: Noted, fresh: Freshness
) -> None:
    """That it says so, or a rate; not that it has taken over: it may have to connect first."""
    fresh.connected = None
    entries.handle({"events": [event_entry(1, 0, b"takeover")]})
    assert ("live",) not in noted.take()
    entries.handle({"events": [event_entry(2, 0, b"connected", b"[true]")]})
    assert ("live",) in noted.take()
    entries.handle({"events": [event_entry(3, 0, b"connected", b"[false]")]})
    assert noted.take() == [("lost",)]
    entries.handle({"rates": [rates_entry(1, 1, 1.0)]})
    assert ("live",) not in noted.take()
    fresh.connected = None
    entries.handle({"rates": [rates_entry(2, 2, 1.0)]})
    assert ("live",) in noted.take()
