"""What candles cost: microseconds for each message of all of eToro's instruments.

Prints a table. The reader's work is timed with and without candles, over the same frames, in reads
of one frame and of many: in all for each message, what candles add to it, and, for each rate, what
their own work is: taking what a read brings, and making the bars that end. Processor time of the
thread; nothing else of the machine should be busy::

    python -m benchmarks.candles
"""

import argparse
import gc
import time
from collections.abc import Sequence
from typing import Any

from etoro_sync.candles.aggregator import Aggregator
from etoro_sync.candles.bar import Bar
from etoro_sync.candles.intake import Intake
from etoro_sync.candles.times import check_intervals
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.delivery.registry import Handler, Registry
from etoro_sync.events import EVENTS
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.market.merging import make_rate
from etoro_sync.market.rate_book import RateBook
from etoro_sync.stats import Counters
from etoro_sync.ws.transport.frames import FrameParser

from . import feeds

__all__ = ["main"]

_INSTRUMENTS = 12_000
#: Their dates go on by half a millisecond a message.
_MESSAGES = 360_000
_REPEATS = 5
#: Messages before the measurement, one minute of them: each instrument has its first bar.
_WARM_UP = 120_000


class _Nobody:
    """Takes the callbacks' events, and forgets them."""

    def extend(self, *_: object) -> None:
        pass


class _Timed(Intake):
    """Counts bars, and the time for what candles do with a read."""

    def __init__(self, aggregator: Aggregator) -> None:
        super().__init__(aggregator, self._count)
        self.bars, self.seconds = 0, 0.0

    def take(self, entries: Sequence[tuple[int, Any]]) -> None:
        begun = time.thread_time()
        super().take(entries)
        self.seconds += time.thread_time() - begun

    def _count(self, bars: list[Bar]) -> None:
        self.bars += len(bars)


def _texts(messages: int) -> tuple[list[str], list[str]]:
    """Return a snapshot of each instrument, and the messages of all of them."""
    parser = FrameParser(1 << 30)
    ids = range(feeds.FIRST_INSTRUMENT, feeds.FIRST_INSTRUMENT + _INSTRUMENTS)
    snapshots = [text for key in ids for text in parser.feed(feeds.snapshot(key))]
    frames = feeds.build("universe", messages, _INSTRUMENTS).frames
    return snapshots, [text for frame in frames for text in parser.feed(frame)]


def _run(
    snapshots: list[str], texts: list[str], read: int, intervals: list[str]
) -> tuple[float, Counters, _Timed]:
    """Return the seconds for *texts* behind the warm-up, what was counted, and the candles.

    :param read: how many texts come at once.
    :param intervals: of the candles; empty: none are made.
    """
    registry, counters, book, nobody = Registry(EVENTS), Counters(), RateBook(), _Nobody()
    callbacks: Any = nobody
    # A program that listens: the objects of rates are made in any case.
    registry.add("instrument:rate", Handler(lambda *_: None, None, False))
    out = Publisher(registry, callbacks, make_rate, 1)
    feed = FeedHandler(book, registry, out, counters, str)
    book.begin_generation(())
    candles = _Timed(Aggregator(check_intervals(intervals or "1m"), "bid", 2.0, 0.0))
    if intervals:
        candles.listen(registry, None)
    _drive(feed, snapshots, 1)
    _drive(feed, texts[:_WARM_UP], read)
    counters.rates = counters.heartbeats = 0
    candles.seconds = 0.0
    gc.collect()
    begun = time.thread_time()
    _drive(feed, texts[_WARM_UP:], read)
    return time.thread_time() - begun, counters, candles


def _drive(feed: FeedHandler, texts: list[str], read: int) -> None:
    for start in range(0, len(texts), read):
        feed.begin_read()
        feed.on_texts(texts[start : start + read], lambda reply: None)
        feed.out.flush()


def main() -> None:
    """Measure all cases in turns, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=_MESSAGES)
    parser.add_argument("--repeats", type=int, default=_REPEATS)
    arguments = parser.parse_args()
    snapshots, texts = _texts(arguments.messages)
    count = len(texts) - _WARM_UP
    cases = {"none": [], "1m": ["1m"], "1m, 5m, 1h": ["1m", "5m", "1h"]}
    print("read   candles       us/message  more/message  own/rate    bars")
    for read in (1, 64):
        best: dict[str, float] = {}
        own: dict[str, float] = {}
        made: dict[str, int] = {}
        for _ in range(arguments.repeats):
            for name, intervals in cases.items():
                seconds, counters, candles = _run(snapshots, texts, read, intervals)
                best[name] = min(seconds, best.get(name, seconds))
                own[name] = min(candles.seconds, own.get(name, seconds))
                made[name] = candles.bars
        for name in cases:
            each = best[name] / count * 1e6
            more = (best[name] - best["none"]) * 1e6
            print(
                f"{read:4}   {name:12} {each:11.2f} {more / count:13.2f} "
                f"{own[name] * 1e6 / counters.rates:9.2f} {made[name]:7}"
            )


if __name__ == "__main__":
    main()
