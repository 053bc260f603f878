"""What the tests of this package share: a book that is fed, and a feed whose events are seen."""

from __future__ import annotations

from typing import Any

from etoro_sync import EVENTS
from etoro_sync.codec import loads
from etoro_sync.delivery.dispatcher import Dispatcher
from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.delivery.queues import ItemQueue
from etoro_sync.delivery.registry import Registry
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.market.merging import make_rate
from etoro_sync.market.rate_book import RateBook
from etoro_sync.market.rate_view import RateView
from etoro_sync.models import WsInstrumentRate
from etoro_sync.stats import Counters
from tests.support.clocks import FakeClock

RATE = "Trading.Instrument.Rate"
TOPIC = "instrument:18"
FULL = {"Ask": "2.5", "Bid": "2.0", "Date": "2026-04-20T17:24:50.3Z", "PriceRateID": "7"}


class Feed:
    """A book of one connection, and a short way to feed it."""

    def __init__(self, topics: tuple[str, ...] = (TOPIC,), **options: float) -> None:
        self.book = RateBook(**options)
        self.now = 1000.0
        self.reports: list[tuple[str, Exception]] = []
        self.book.begin_generation(topics)

    def send(self, content: dict[str, Any], type_: str = RATE, topic: str = TOPIC) -> Any:
        """Merge one message; the rate that it makes, or None."""
        self.now += 0.1
        instrument = self.book.instrument(topic, self.now)
        assert instrument is not None
        state = self.book.merge(
            instrument, content, type_, self.now, self.now + 5, lambda *r: self.reports.append(r)
        )
        return None if state is None else make_rate(state)

    @property
    def rate(self) -> WsInstrumentRate | None:
        """What users see."""
        return RateView(self.book).get(18)


class Bench:
    """A feed whose every event goes to a queue."""

    def __init__(self, json_loads: Any = loads, redact: Any = str) -> None:
        self.registry = Registry(EVENTS)
        self.counters = Counters()
        self.book = RateBook()
        self.book.begin_generation([])
        self.clock = FakeClock()
        dispatcher = Dispatcher("etoro-sync-test", self.registry, self.counters, 100)
        dispatcher.open(1, lambda error: None)
        self.feed = FeedHandler(
            self.book,
            self.registry,
            Publisher(self.registry, dispatcher, make_rate, 1),
            self.counters,
            redact,
            json_loads,
            self.clock,
            lambda: 1_700_000_000.0,
        )
        self.queues: dict[str, ItemQueue] = {}

    def listen(self, *events: str, ids: tuple[int, ...] | None = None) -> Bench:
        for event in events:
            buffer = make_buffer(event, None, None)
            self.queues[event] = ItemQueue(event, buffer, self.registry.remove_queue)
            self.registry.add_queue(self.queues[event], ids)
        return self

    def take(self, text: str) -> dict[str, Any] | None:
        self.feed.begin_read()
        replies: list[dict[str, Any]] = []
        self.feed.on_texts([text], replies.append)
        self.feed.out.flush()
        return replies[0] if replies else None

    def got(self, event: str) -> list[Any]:
        q = self.queues[event]
        return [q.get_nowait() for _ in range(q.qsize())]
