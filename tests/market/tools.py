"""What the tests of merging, of the book and of the view share."""

from __future__ import annotations

from typing import Any

from etoro_sync.market.merging import make_rate
from etoro_sync.market.rate_book import RateBook
from etoro_sync.market.rate_view import RateView
from etoro_sync.models import WsInstrumentRate

RATE = "Trading.Instrument.Rate"
TOPIC = "instrument:18"


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
