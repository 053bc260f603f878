"""The state of a rate book, saved and restored."""

from __future__ import annotations

import random
from typing import Any

import pytest

from etoro_sync.market.rate_book import RateBook

TOPICS = [f"instrument:{number}" for number in range(1, 7)]


class Driver:
    """Leads a book through random changes; equal seeds give equal ones."""

    def __init__(self, book: RateBook, seed: int) -> None:
        self.book = book
        self.random = random.Random(seed)
        self.seen: list[Any] = []

    def step(self, now: float) -> None:
        book, topics = self.book, self.random.sample(TOPICS, self.random.randrange(1, 4))
        kind = self.random.randrange(12)
        if kind == 0:
            book.begin_generation(topics)
        elif kind == 1:
            book.connection_lost(topics)
        elif kind == 2:
            book.expect_snapshots(topics)
        elif kind == 3:
            self.seen += book.expect_none(topics)
        elif kind == 4:
            book.subscribed(topics, now)
        elif kind == 5:
            book.forget(topics)
        else:
            self.merge(topics[0], now)
        self.seen.append({key: one.visible for key, one in book.latest.items()})

    def merge(self, topic: str, now: float) -> None:
        sides = self.random.sample(["Ask", "Bid"], self.random.randrange(3))
        content = {side: str(self.random.randrange(5)) for side in sides}
        content |= {"Date": f"2026-01-01T00:00:{self.random.randrange(60):02}Z", "PriceRateID": "1"}
        if self.random.random() < 0.2:
            content["IsMarketOpen"] = self.random.choice(["true", "false"])
        type_ = self.random.choice(["Snapshot", "Trading.Instrument.Rate"])
        instrument = self.book.instrument(topic, now)
        assert instrument is not None
        self.seen.append(
            self.book.merge(instrument, content, type_, now, now, lambda name, error: None)
        )


@pytest.mark.parametrize("seed", range(40))
def test_a_restored_book_behaves_as_the_one_that_was_saved(seed: int) -> None:
    """Whatever has happened before, and whatever comes: the same rates, shown and published."""
    book = RateBook()
    driver = Driver(book, seed)
    for number in range(60):
        driver.step(1000.0 + number)
    other = RateBook()
    other.restore(book.save(), 1060.0)
    assert other.save() == book.save()
    one, two = Driver(book, seed + 1000), Driver(other, seed + 1000)
    for number in range(120):
        one.step(2000.0 + number)
        two.step(2000.0 + number)
        assert two.seen == one.seen
        assert other.save() == book.save()


def test_a_saved_state_does_not_change_with_the_book() -> None:
    """The thread that encodes it runs while the stream goes on."""
    book = RateBook()
    driver = Driver(book, 1)
    book.begin_generation(TOPICS)
    for topic in TOPICS:
        driver.merge(topic, 1.0)
    saved, copies = book.save(), [dict(one.state) for one in book.save().instruments]
    for number in range(200):
        driver.step(2.0 + number)
    assert [one.state for one in saved.instruments] == copies
