"""A recording as a stream: the same callbacks, queues and loops, on what came then."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from . import clocks
from .delivery.registry import Registry
from .errors import EToroValidationError
from .events import EVENTS
from .market.book_state import BookState
from .market.feed_handler import FeedHandler
from .market.rate_book import RateBook
from .models import WsGap
from .numbers import real
from .recording.details import BOOK_KINDS
from .recording.lines import Entry
from .recording.segments import Missing, entries_of, find_segments
from .stats import Counters
from .stream import Feed, MarketStream
from .text import show

__all__ = ["Replay", "moment"]

#: The kinds whose times are the source's. A source with a time of its own has no time before the
#: first of them, so that what else is noted has that of the clock.
_TIMED = frozenset(["texts", "event", "rate"])
_FASTEST = 1e300
#: Times from here on are no seconds since the epoch, but perhaps milliseconds.
_LATEST = 1e11


class Replay(MarketStream):
    """Plays a recording, so that a program runs on it as it runs on a live client.

    Rates, order events, gaps, closes and generations come as they came, and in the same order in
    every run; ``received_at`` and the dates are those of then. It waits for its readers, so nothing
    is skipped or dropped. Where the recording has a hole, ``"reconnected"`` is emitted with a gap
    without topics, followed by rates of the state behind the hole. Errors of the connection are not
    emitted again. See :class:`~etoro_sync.MarketStream` for everything else.

    ::

        with Replay("recordings") as stream:
            for instrument_id, rate in stream.stream([100000]):
                print(rate.timestamp, rate.bid)

    :param path: a segment, or a folder of them, which are played as one stream.
    :param speed: None plays as fast as the readers are; 1.0 by the recorded times, 10.0 ten times
        as fast.
    :param start: play from this time on, in seconds since the epoch or as an aware datetime; what
        was known then is known. None: from the beginning.
    :param until: play what was received before; likewise. None: to the end.
    :raises EToroValidationError: naming the argument.
    :raises EToroError: when there is no recording, or it is of an unknown version. A segment that
        is damaged fails the stream when it is reached.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        speed: float | None = None,
        *,
        start: datetime | float | None = None,
        until: datetime | float | None = None,
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise EToroValidationError(f"path must be a path, not {show(path, 60)}.", "path")
        pace = None if speed is None else _speed(speed)
        begin, end = moment(start, "start"), moment(until, "until")
        where = Path(os.fsdecode(path))
        find_segments(where)  # raises now what is wrong, and not on the stream's thread

        def play(feed: Feed) -> None:
            _Player(feed, pace).play(_from(entries_of(find_segments(where, begin)), begin), end)

        super().__init__(play)


class _Player:
    """Writes entries to a feed at their time. Runs on the stream's thread.

    :param feed: of the run.
    :param speed: how many times as fast as recorded; None: as fast as they are read.
    """

    def __init__(self, feed: Feed, speed: float | None) -> None:
        self._feed = feed
        self._speed = speed
        # Times of the recording and of the clock that belong together.
        self._first: tuple[float, float] | None = None
        self._missing: Missing | None = None
        self._put_off: list[Entry] = []

    def play(self, entries: Iterator[Entry], end: float | None) -> None:
        """Play *entries*, up to the time *end*."""
        generation = 0
        for entry in entries:
            if entry.kind in _TIMED:
                if end is not None and entry.at >= end:
                    break
                if self._speed is not None:
                    self._wait(entry.at, self._speed)
            generation = entry.generation
            if entry.kind == "hole":
                self._missing = entry.details
                continue
            if entry.kind == "clear" or (entry.kind == "lost" and not entry.details):
                # By disconnect(); put off, so that the last rates stay when the recording ends.
                self._put_off.append(entry)
                continue
            if entry.kind != "event":
                for late in self._put_off:
                    self._feed.put(late.kind, late.details, late.at)
                self._put_off.clear()
            self._feed.put(entry.kind, entry.details, entry.at)
            if entry.kind == "state":
                self._show_gap(generation)
        self._show_gap(generation)

    def _show_gap(self, generation: int) -> None:
        """Emit the gap of a hole, behind which the state is known again, or nothing comes."""
        if self._missing is not None:
            since, until = self._missing
            self._missing = None
            gap = WsGap(since, until, generation)
            self._feed.put("event", ("reconnected", (gap,)), until)

    def _wait(self, at: float, speed: float) -> None:
        now = clocks.monotonic()
        if self._first is None:
            self._feed.wait(0)  # until there is a reader, from whose begin on the time counts
            self._first = at, clocks.monotonic()
            return
        begin_at, begin = self._first
        due = begin + (at - begin_at) / speed
        if due > now:
            self._feed.wait(due - now)


def _from(entries: Iterator[Entry], start: float | None) -> Iterator[Entry]:
    """Yield *entries* from a time on, behind the state of that time."""
    if start is None:
        yield from entries
        return
    book = _SilentBook()
    for entry in entries:
        if entry.kind in _TIMED and entry.at >= start:
            yield Entry("state", entry.at, book.generation, book.state)
            yield entry
            yield from entries
            return
        book.put(entry)
    yield Entry("state", start, book.generation, book.state)


class _SilentBook:
    """Merges what comes before the start, of which nobody is to hear."""

    def __init__(self) -> None:
        self._book = RateBook()
        out: Any = _Nobody()
        self._handler = FeedHandler(self._book, Registry(EVENTS), out, Counters(), str)
        self._feed = Feed(self._handler, self._book, out, Counters(), lambda seconds: None)

    @property
    def generation(self) -> int:
        return self._book.generation

    @property
    def state(self) -> BookState:
        return self._book.save()

    def put(self, entry: Entry) -> None:
        if entry.kind in BOOK_KINDS or entry.kind in ("state", "rate", "texts"):
            self._feed.put(entry.kind, entry.details)


class _Nobody:
    """A publisher without listeners."""

    def __init__(self) -> None:
        self.batch: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


def _speed(value: object) -> float:
    number = real(value)
    if number is None or not 0 < number < _FASTEST:
        raise EToroValidationError(
            f"speed must be a number above 0, or None, not {show(value, 60)}.", "speed"
        )
    return float(number)


def moment(value: object, name: str) -> float | None:
    """Return a time as seconds since the epoch.

    :raises EToroValidationError: when it is none, naming the argument.
    """
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    number = None if isinstance(value, datetime) else real(value)
    if number is None or not abs(number) < _LATEST:
        raise EToroValidationError(
            f"{name} must be seconds since the epoch, or a datetime with a time zone, not "
            f"{show(value, 60)}.",
            name,
        )
    return float(number)
