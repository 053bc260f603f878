"""From rates to bars. Pure: no threads, no clock.

Time is event time: eToro's date of each price. The watermark is the latest date that has come, of
any instrument, also of a heartbeat. A bar is closed once the watermark is *grace* past its end; a
tick for a closed bar is late. All that a feed of 12,000 instruments does often is in
:meth:`Aggregator.take`; what is rare is in other methods.
"""

from collections.abc import Iterable
from math import inf
from typing import Any

from ..models import WsInstrumentRate
from .bar import Bar, make_bar
from .times import DAY, SECOND, Interval, moment, ticks_of

__all__ = ["GAP", "LOST", "Aggregator"]

#: Entries of :meth:`Aggregator.take` besides rates and heartbeats: messages are missing from here
#: on, and: from here on they come again.
LOST = (0, object())
GAP = (0, object())

#: Seconds of a minute from which rounding to ticks could reach the next one.
_ALMOST = 59.99999995
_MOST_MINUTES = 10_000
_EVER = 1 << 62


class _Open:
    """A bar that may change: still open, or closed and kept for ticks that come late."""

    __slots__ = (
        "close",
        "first",
        "gap",
        "high",
        "last",
        "low",
        "open",
        "opened",
        "revision",
        "start",
        "ticks",
        "until",
    )

    def __init__(self, start: int, end: int, time: int, price: float) -> None:
        self.start = start
        #: The end; 0 once it is closed, so that no time lies in it.
        self.until = end
        self.open = self.high = self.low = self.close = price
        #: The times of open and close.
        self.opened = self.last = time
        self.ticks = 1
        self.first = self.gap = False
        self.revision = 0

    def add(self, time: int, price: float) -> None:
        """Add a tick of any time within the bar; of equal times the one that came last is later."""
        self.ticks += 1
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        if time < self.opened:
            self.open, self.opened = price, time
        if time >= self.last:
            self.close, self.last = price, time


#: Stands for the present bar where there is none: no time lies in it.
_NONE = _Open(0, 0, 0, 0.0)


class _Instrument:
    """What is known of one instrument."""

    __slots__ = ("begun", "gap_end", "heard", "present", "price")

    def __init__(self, lanes: int) -> None:
        #: The date of its last message; None: no date is known.
        self.heard: int | None = None
        #: The price of its last tick; 0.0: there was none.
        self.price = 0.0
        #: The latest bar of each interval.
        self.present = [_NONE] * lanes
        #: The begin of the first bar of each interval.
        self.begun = [_EVER] * lanes
        #: Messages may be missing before this time; _EVER: not known yet until when.
        self.gap_end = 0


class _Lane:
    """The bars of one interval."""

    def __init__(self, number: int, interval: Interval) -> None:
        self.number = number
        self.name, self.ticks = interval
        #: End -> instrument id -> bar.
        self.open: dict[int, dict[int, _Open]] = {}
        #: Likewise, closed, for ticks that come late.
        self.closed: dict[int, dict[int, _Open]] = {}


class Aggregator:
    """Makes bars of one price in several intervals.

    :param intervals: the shortest first.
    :param price: ``"bid"``, ``"ask"``, ``"mid"`` or ``"last_execution"``.
    :param grace: seconds past the end of a bar that the watermark waits for ticks that come late.
    :param revise: seconds past the close of a bar during which a late tick changes it; 0: never.
    """

    def __init__(
        self, intervals: Iterable[Interval], price: str, grace: float, revise: float
    ) -> None:
        self._lanes = [_Lane(number, interval) for number, interval in enumerate(intervals)]
        self._price = price
        #: The names of the fields that make a tick.
        self._sides = ("bid", "ask") if price == "mid" else (price, price)
        self._grace = round(grace * SECOND)
        self._revise = round(revise * SECOND)
        self._instruments: dict[int, _Instrument] = {}
        # Minute, as "2026-03-16T23:11:" -> its begin.
        self._minutes: dict[str, int] = {}
        #: The latest date that has come; -1 before the first.
        self.watermark = -1
        # Bars that end no later are closed.
        self._closed_to = -1
        # The watermark at which the next bar is to be closed.
        self._due = -1
        self._generation: int | None = None
        # Between LOST and GAP.
        self._is_lost = False
        # Instruments of whose next rate it is known that it is a snapshot.
        self._snapshots: set[int] = set()
        # Instruments whose gap has ended, at a time that the next message will tell.
        self._heard_again: list[_Instrument] = []
        # What new_wanted_from() has returned, and whether it may be another.
        self._wanted_from = _EVER
        self._changed = True
        #: Bars to be emitted, in order.
        self.out: list[Bar] = []
        #: Counters: see :class:`~etoro_sync.candles.CandleStats`.
        self.ticks = self.late = self.bad = 0

    # -- what comes ------------------------------------------------------------------------------

    def take(self, entries: Iterable[tuple[int, Any]]) -> None:
        """Take entries in the order in which they came.

        :param entries: instrument id and rate; or instrument id with the date and the time of
            reception of a message without a price; or instrument id and None, where its next rate
            is a snapshot; or :data:`LOST`, or :data:`GAP`.
        """
        instruments, minutes = self._instruments, self._minutes
        either, other = self._sides
        field = None if self._price == "mid" else self._price
        for key, rate in entries:
            if rate.__class__ is not WsInstrumentRate:
                self._take_other(key, rate)
                continue
            state = rate.__dict__
            changed = state["changed"]
            if either not in changed and other not in changed and changed:
                self._take_date(key, state)
                continue
            try:
                date = state["date"]
                seconds = float(date[17:-1])
                if not 0.0 <= seconds < _ALMOST or date[-1] != "Z":
                    raise ValueError
                time = minutes[date[:17]] + int(seconds * 1e7 + 0.5)
                known = instruments[key]
                price = state[field] if field is not None else rate.mid
                if (
                    time >= self._due
                    or not 0.0 < price < inf
                    or "date" not in changed
                    or state["generation"] != self._generation
                    or self._snapshots
                ):
                    raise ValueError
            except (KeyError, ValueError, TypeError, IndexError):
                self._take_plainly(key, rate)
                continue
            self.ticks += 1
            if time > self.watermark:
                self.watermark = time
            known.heard = time
            known.price = price
            for number, bar in enumerate(known.present):
                if bar.last <= time < bar.until:
                    bar.close = price
                    bar.last = time
                    bar.ticks += 1
                    if price > bar.high:
                        bar.high = price
                    elif price < bar.low:
                        bar.low = price
                else:
                    self._place(self._lanes[number], key, known, time, price)

    def _take_plainly(self, key: int, rate: WsInstrumentRate) -> None:
        """Take any rate that may be a tick."""
        state = vars(rate)
        known = self._known(key)
        is_snapshot = key in self._snapshots
        self._snapshots.discard(key)
        if state["generation"] != self._generation:
            if self._generation is not None and not self._is_lost:
                self._lose()
            self._generation = state["generation"]
        time, price = self._time_of(state, known), self._price_of(rate)
        if time is None:
            self.bad += 1
            return
        if is_snapshot:
            self._take_snapshot(key, known, time, price)
            return
        self._hear(known, time)
        if price is not None:
            self._tick(key, known, time, price)

    def _take_snapshot(self, key: int, known: _Instrument, time: int, price: float | None) -> None:
        """Take the state of an instrument: a tick only where it shows that one was missed.

        The first one shows what was before. Each later one follows on a time in which the
        instrument was not received, and may repeat the last price with a newer date.
        """
        before = known.heard
        known.heard = time
        if before is None or not known.price:
            self._move_watermark(time)
            return
        self._lose_one(key, known)
        self._move_watermark(time)
        if price is not None and time > before and price != known.price:
            self._tick(key, known, time, price)
            self._lose_one(key, known)
        self._heard_again.append(known)
        self._changed = True
        self._due = -1

    def _tick(self, key: int, known: _Instrument, time: int, price: float) -> None:
        self.ticks += 1
        known.price = price
        for lane in self._lanes:
            self._place(lane, key, known, time, price)

    def _take_date(self, key: int, state: dict[str, Any]) -> None:
        """Take a rate without a price of ours, whose date moves the watermark."""
        if "date" not in state["changed"]:
            return
        known = self._known(key)
        time = self._time_of(state, known)
        if key in self._snapshots:
            self._snapshots.discard(key)
            if time is not None:
                self._take_snapshot(key, known, time, None)
        elif time is None:
            self.bad += 1
        else:
            self._hear(known, time)

    def _take_other(self, key: int, sent: Any) -> None:
        """Take what is no rate."""
        if sent is None:
            self._snapshots.add(key)
        elif sent is LOST[1]:
            self._lose()
            self._is_lost = True
        elif sent is GAP[1]:
            self._end_gap()
        else:
            time = self._time(*sent)
            if time is None:
                self.bad += 1
            else:
                self._hear(self._known(key), time)

    # -- times and prices ------------------------------------------------------------------------

    def _known(self, key: int) -> _Instrument:
        known = self._instruments.get(key)
        if known is None:
            known = self._instruments[key] = _Instrument(len(self._lanes))
        return known

    def _time_of(self, state: dict[str, Any], known: _Instrument) -> int | None:
        """Return the time of a rate; None: it has none."""
        changed = state["changed"]
        if changed and "date" not in changed and known.heard is not None:
            return known.heard
        return self._time(state["date"], state["received_at"])

    def _time(self, date: Any, received_at: float) -> int | None:
        """Return a date as a time; None: it is none."""
        try:
            seconds = float(date[17:-1])
            if 0.0 <= seconds < _ALMOST and date[-1] == "Z":
                return self._minutes[date[:17]] + int(seconds * 1e7 + 0.5)
        except (KeyError, ValueError, TypeError, IndexError):
            pass
        return self._parse(date, received_at)

    def _parse(self, date: Any, received_at: float) -> int | None:
        """Return a date as a time, unless it is more than a day later than its reception.

        One wrong date in the future would close all bars until then.
        """
        time = ticks_of(date)
        if time is None or (received_at > 0 and time > received_at * SECOND + DAY):
            return None
        if len(self._minutes) >= _MOST_MINUTES:
            self._minutes.clear()
        self._minutes[date[:17]] = time - time % (60 * SECOND)
        return time

    def _price_of(self, rate: WsInstrumentRate) -> float | None:
        """Return the price of a tick; None: it has none, such as a last execution of 0."""
        try:
            price = float(getattr(rate, self._price))
        except (TypeError, ValueError):
            return None
        return price if 0.0 < price < inf else None

    # -- the watermark ---------------------------------------------------------------------------

    def _hear(self, known: _Instrument, time: int) -> None:
        """Take the date of any message that is no snapshot."""
        known.heard = time
        if self._heard_again:
            for one in self._heard_again:
                if one.gap_end == _EVER:
                    one.gap_end = time
            self._heard_again.clear()
            self._changed = True
            self._set_due()
        self._move_watermark(time)

    def _move_watermark(self, time: int) -> None:
        self.watermark = max(self.watermark, time)
        if time >= self._due:
            self.close_until(self.watermark - self._grace)

    def _set_due(self) -> None:
        ends = [end for lane in self._lanes for end in lane.open]
        self._due = min(ends, default=_EVER - self._grace) + self._grace

    def new_wanted_from(self) -> str | None:
        """Return before which date one without a price changes nothing; None: as last time.

        Up to the second. That is the end of the first bar that is open or may still be opened.
        """
        limit = self.watermark - self._grace
        if not self._changed and limit < self._wanted_from:
            return None
        self._changed = False
        ends = [end for lane in self._lanes for end in lane.open]
        if self._heard_again or not ends:
            self._wanted_from = _EVER
            return ""
        ends += [limit - limit % lane.ticks + lane.ticks for lane in self._lanes]
        self._wanted_from = min(ends)
        return f"{moment(self._wanted_from):%Y-%m-%dT%H:%M:%S}"

    def due_in(self) -> float | None:
        """Return how many seconds the watermark is behind the close of the next bar; None: none."""
        ends = [end for lane in self._lanes for end in lane.open]
        return (min(ends) + self._grace - self.watermark) / SECOND if ends else None

    def close_after(self, seconds: float) -> None:
        """Close what would be due if the watermark had moved on by so many seconds."""
        if self.watermark >= 0:
            self.close_until(self.watermark + round(seconds * SECOND) - self._grace)

    def close_until(self, limit: int) -> None:
        """Close all bars that end at *limit* or before."""
        self._closed_to = max(self._closed_to, limit)
        self._changed = True
        ripe = [(end, lane) for lane in self._lanes for end in lane.open if end <= limit]
        for end, lane in sorted(ripe, key=lambda one: (one[0], one[1].number)):
            group = lane.open.pop(end)
            self._emit(lane, end, group)
            for bar in group.values():
                bar.until = 0
            if self._revise:
                lane.closed[end] = {**lane.closed.get(end, {}), **group}
        if self._revise:
            for lane in self._lanes:
                for end in [end for end in lane.closed if end <= limit - self._revise]:
                    del lane.closed[end]
        self._set_due()

    def finish(self) -> None:
        """Emit all bars that are open: nothing more will come."""
        ripe = [(end, lane) for lane in self._lanes for end in lane.open]
        for end, lane in sorted(ripe, key=lambda one: (one[0], one[1].number)):
            self._emit(lane, end, lane.open.pop(end), complete=end <= self.watermark)
        self._closed_to = _EVER
        self._due = _EVER

    # -- bars ------------------------------------------------------------------------------------

    def _place(self, lane: _Lane, key: int, known: _Instrument, time: int, price: float) -> None:
        """Put a tick into its bar of one interval."""
        start = time - time % lane.ticks
        end = start + lane.ticks
        limit = max(self._closed_to, self.watermark - self._grace)
        if end <= limit:
            self.late += 1
            if end > limit - self._revise:
                self._revise_bar(lane, key, known, time, price)
            return
        group = lane.open.get(end)
        if group is None:
            group = lane.open[end] = {}
            self._changed = True
            self._due = min(self._due, end + self._grace)
        bar = group.get(key)
        if bar is None:
            bar = group[key] = self._new_bar(lane, known, time, price)
        else:
            bar.add(time, price)
            bar.gap = bar.gap or start < known.gap_end
        if start >= known.present[lane.number].start:
            known.present[lane.number] = bar
        if known.gap_end == _EVER:
            known.gap_end = time + 1  # it is received again

    def _new_bar(self, lane: _Lane, known: _Instrument, time: int, price: float) -> _Open:
        start = time - time % lane.ticks
        bar = _Open(start, start + lane.ticks, time, price)
        if start < known.begun[lane.number]:
            bar.first = True
            known.begun[lane.number] = start
        bar.gap = start < known.gap_end
        return bar

    def _revise_bar(
        self, lane: _Lane, key: int, known: _Instrument, time: int, price: float
    ) -> None:
        """Put a late tick into its closed bar, and emit that again."""
        end = time - time % lane.ticks + lane.ticks
        group = lane.closed.setdefault(end, {})
        bar = group.get(key)
        if bar is None:
            bar = group[key] = self._new_bar(lane, known, time, price)
            bar.until = 0
        else:
            bar.add(time, price)
            bar.revision += 1
        self._emit(lane, end, {key: bar})

    def _emit(self, lane: _Lane, end: int, group: dict[int, _Open], complete: bool = True) -> None:
        begin, until = moment(end - lane.ticks), moment(end)
        name, price = lane.name, self._price
        self.out += [
            make_bar(
                {
                    "instrument_id": key,
                    "interval": name,
                    "start": begin,
                    "end": until,
                    "open": bar.open,
                    "high": bar.high,
                    "low": bar.low,
                    "close": bar.close,
                    "ticks": bar.ticks,
                    "complete": complete,
                    "first": bar.first,
                    "gap": bar.gap,
                    "revision": bar.revision,
                    "price": price,
                }
            )
            for key, bar in group.items()
        ]

    # -- gaps ------------------------------------------------------------------------------------

    def _lose(self) -> None:
        """Note that messages of all instruments are missing from here on."""
        for key, known in self._instruments.items():
            self._lose_one(key, known)
        self._heard_again.clear()
        self._changed = True
        self._set_due()

    def _lose_one(self, key: int, known: _Instrument) -> None:
        for lane in self._lanes:
            for group in lane.open.values():
                if key in group:
                    group[key].gap = True
        # So that the next tick comes to _place().
        known.present = [_NONE] * len(self._lanes)
        known.gap_end = _EVER

    def _end_gap(self) -> None:
        """Note that messages of all instruments come again."""
        if not self._is_lost:
            self._lose()
        self._is_lost = False
        lost = [known for known in self._instruments.values() if known.gap_end == _EVER]
        self._heard_again.extend(lost)
        self._changed = True
        self._due = -1
