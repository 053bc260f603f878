"""What the tests of candles share: messages, streams of them, and an obvious model of bars."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from etoro_sync import Bar, Candles, Feed, MarketStream, WsGap
from tests.support.threads import Watchdog

MINUTE = 60 * 10**9
#: 2026-03-16T12:00:00Z, in nanoseconds.
NOON = 1_773_662_400 * 10**9

Step = Callable[[Feed], None]


def text(
    instrument_id: int, content: dict[str, str], type_: str = "Trading.Instrument.Rate"
) -> str:
    """One frame as eToro sends it."""
    message = {
        "topic": f"instrument:{instrument_id}",
        "content": json.dumps(content),
        "id": "1",
        "type": type_,
    }
    return json.dumps({"messages": [message]})


def stamp(date: str) -> dict[str, str]:
    """The fields of a heartbeat; *date* is a time of the day, or whole."""
    whole = date if "T" in date else f"2026-03-16T{date}Z"
    return {"Date": whole, "PriceRateID": "7"}


def both(bid: float, date: str, ask: float | None = None) -> dict[str, str]:
    """A full price."""
    return {"Ask": str(bid + 1 if ask is None else ask), "Bid": str(bid), **stamp(date)}


def bid(price: float, date: str | None) -> dict[str, str]:
    """The bid side alone; without a date if that is None."""
    return {"Bid": str(price), **({} if date is None else stamp(date))}


def _play(one: str) -> Step:
    return lambda feed: feed.texts([one])


def rates(*contents: dict[str, str], key: int = 18) -> list[Step]:
    """Steps that play rates of one instrument."""
    return [_play(text(key, each)) for each in contents]


def snapshot(price: float, date: str, key: int = 18) -> list[Step]:
    return [lambda feed: feed.texts([text(key, both(price, date), "Snapshot")])]


def lose(feed: Feed) -> None:
    """The connection is lost."""
    feed.emit("reconnecting", 1, 0.1)
    feed.new_connection()


def find(feed: Feed) -> None:
    """All is subscribed again."""
    feed.emit("reconnected", WsGap(1.0, 2.0, 2))


def stream_of(steps: Iterable[Step]) -> MarketStream:
    steps = list(steps)

    def play(feed: Feed) -> None:
        for step in steps:
            step(feed)

    return MarketStream(play)


def bars_of(steps: Iterable[Step], intervals: Any = "1m", **options: Any) -> list[Bar]:
    """Play *steps*; all bars of them."""
    with Watchdog(20), stream_of(steps) as stream:
        return list(Candles(stream, intervals, **options))


def prices(bars: Iterable[Bar]) -> list[tuple[str, float, float, float, float, int]]:
    """Start, open, high, low, close and ticks."""
    return [(f"{b.start:%H:%M:%S}", b.open, b.high, b.low, b.close, b.ticks) for b in bars]


def written(time: int) -> str:
    """A time in nanoseconds as eToro writes it: seven digits at most, without zeros at the end."""
    from datetime import datetime, timezone

    seconds, rest = divmod(time, 10**9)
    head = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{rest // 100:07d}".rstrip("0")
    return f"{head}.{digits}Z" if digits else f"{head}Z"


@dataclass
class Row:
    """One message, as the reference for bars sees it.

    :param time: in nanoseconds; of a message without a date that of the one before.
    :param price: the bid if it is a tick, else None.
    """

    key: int
    time: int
    price: float | None


@dataclass
class Session:
    """A random market with gaps, late ticks and missing dates, and what came of it.

    :param seed: of all that is random.
    """

    seed: int
    steps: list[Step] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._now = NOON + self._random.randrange(MINUTE)
        self._keys = [18, 28, 100000, 1001][: self._random.randint(2, 4)]
        self._heard: dict[int, int] = {}
        self._last: dict[int, float] = {}
        self._ticked: dict[int, int] = {}
        for key in self._keys:
            # A market that has been closed for hours, or one that is open.
            age = self._random.choice([500_000_000, 3 * 60 * MINUTE])
            self._snapshot(key, self._now - age)
        for _ in range(400):
            self._now += int(self._random.expovariate(1.0) * 1_500) * 1_000_000
            self._now += self._random.randrange(10_000) * 100
            if self._random.random() < 0.01:
                self._reconnect()
            else:
                self._message(self._random.choice(self._keys))

    def _price(self) -> float:
        return 100 + self._random.randrange(40) / 4

    def _send(self, key: int, content: dict[str, str], type_: str = "") -> None:
        self.steps.append(_play(text(key, content, type_ or "Trading.Instrument.Rate")))

    def _message(self, key: int) -> None:
        chance, time = self._random.random(), self._now
        if chance < 0.3:
            self._send(key, stamp(written(time)))
            self._note(key, time, None)
            return
        if chance < 0.4:
            self._send(key, {"Ask": str(self._price() + 20), **stamp(written(time))})
            self._note(key, time, None)
            return
        price = self._price()
        if chance < 0.5:
            self._send(key, bid(price, None))
            time = self._heard[key]
        else:
            if chance < 0.6:
                time -= self._random.randrange(3 * MINUTE)
            make = both if chance < 0.8 else bid
            self._send(key, make(price, written(time)))
            time -= time % 100
        self._note(key, time, price)

    def _note(self, key: int, time: int, price: float | None) -> None:
        self._heard[key] = time - time % 100
        if price is not None and time - time % 100 >= self._ticked.get(key, 0):
            # A snapshot shows the newest price, whatever came late before it.
            self._last[key] = price
            self._ticked[key] = time - time % 100
        self.rows.append(Row(key, time - time % 100, price))

    def _snapshot(self, key: int, time: int) -> None:
        # Often the price is the same, with the old date or a newer one.
        price = self._last.get(key, 100.0) if self._random.random() < 0.5 else self._price()
        self._send(key, both(price, written(time)), "Snapshot")
        time -= time % 100
        news = key in self._last and time > self._ticked[key] and price != self._last[key]
        self._note(key, time, price if news else None)

    def _reconnect(self) -> None:
        self.steps.append(lose)
        before = self._now
        self._now += self._random.randrange(4 * MINUTE)
        for key in self._keys:
            self._snapshot(key, self._random.choice([before - MINUTE, before, self._now]))
        self.steps.append(find)


def model(
    rows: Iterable[Row], length: int, grace: float = 2.0
) -> tuple[dict[tuple[int, int], tuple[float, float, float, float, int]], int]:
    """The bars by instrument and start, and the number of late ticks: slow, and obviously right."""
    watermark, late = -1, 0
    found: dict[tuple[int, int], list[tuple[int, int, float]]] = {}
    for number, row in enumerate(rows):
        watermark = max(watermark, row.time)
        if row.price is None:
            continue
        start = row.time - row.time % length
        if start + length <= watermark - int(grace * 10**9):
            late += 1
        else:
            found.setdefault((row.key, start), []).append((row.time, number, row.price))
    bars = {}
    for where, ticks in found.items():
        values = [price for _, _, price in sorted(ticks)]
        bars[where] = (values[0], max(values), min(values), values[-1], len(values))
    return bars, late


def by_start(bars: Iterable[Bar]) -> dict[tuple[int, int], tuple[float, float, float, float, int]]:
    """Bars in the form of :func:`model`."""
    return {
        (b.instrument_id, int(b.start.timestamp()) * 10**9): (
            b.open,
            b.high,
            b.low,
            b.close,
            b.ticks,
        )
        for b in bars
    }
