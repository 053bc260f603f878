"""From rates to bars. Pure: no threads, no clock.

Time is event time: eToro's date of each price. The watermark is the latest date that has come, of
any instrument, also of a heartbeat. A bar is closed once the watermark is *grace* past its end; a
tick for a closed bar is late. What a feed of 12,000 instruments does often is in
:meth:`Aggregator.take`; what is rare is in other methods.
"""

from collections.abc import Iterable
from math import inf
from typing import Any, NamedTuple

from ..delivery.tap import SNAPSHOT
from ..models.market import middle
from .open_bars import EVER, OpenBars, Track
from .times import DAY, SECOND, Interval, ticks_of

__all__ = ["GAP", "LOST", "NEW", "Aggregator", "Missing"]

#: Entries of :meth:`Aggregator.take`: messages are missing from here on; they come again; they come
#: from another connection, and nothing said that one was lost.
LOST = (0, "lost")
NEW = (0, "new")
GAP = (0, "gap")

#: Seconds of a minute from which rounding to ticks could reach the next one.
_ALMOST = 59.99999995
_MINUTE = 60 * SECOND
_MOST_MINUTES = 10_000
_NO_TIME = (KeyError, ValueError, TypeError, IndexError)


class Missing(NamedTuple):
    """In an entry: messages of some instruments are missing from here on, or come again.

    :param keys: the ids; all others are received.
    :param begins: whether they are missing.
    """

    keys: frozenset[int]
    begins: bool


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
        #: The bars, their watermark, and those to be emitted.
        self.bars = OpenBars(intervals, price, round(grace * SECOND), round(revise * SECOND))
        self._price = price
        # The names of the fields that make a tick.
        self._sides = ("bid", "ask") if price == "mid" else (price, price)
        # Minute, as "2026-03-16T23:11:" -> its begin.
        self._minutes: dict[str, int] = {}
        # Between LOST and GAP.
        self._is_lost = False
        # Instruments of whose next rate it is known that it is a snapshot.
        self._snapshots: set[int] = set()
        # Instruments whose gap has ended, at a time that the next message will tell.
        self._heard_again: list[Track] = []
        #: The date before which messages without a tick change nothing.
        self.quiet_end = ""
        #: Counters: see :class:`~etoro_sync.candles.CandleStats`.
        self.ticks = self.bad = 0

    # -- what comes ------------------------------------------------------------------------------

    def take(self, entries: Iterable[tuple[int, Any]]) -> None:
        """Take entries in the order in which they came.

        :param entries: as of :meth:`Tap.take <etoro_sync.delivery.tap.Tap.take>`; or :data:`LOST`,
            :data:`NEW` or :data:`GAP`; or :class:`Missing`, of a connection beside others.
        """
        minutes, bars, quiet_end, ticks = self._minutes, self.bars, self.quiet_end, 0
        either, other = self._sides
        lanes = bars.lanes
        for key, state in entries:
            if type(state) is not dict:
                self._take_other(key, state)
                quiet_end = ""
                continue
            changed = state["changed"]
            if either not in changed and other not in changed and changed:
                if bars.due < 0 or state["date"] >= quiet_end:
                    self._take_date(key, state)
                continue
            try:
                date = state["date"]
                seconds = float(date[17:-1])
                time = minutes[date[:17]] + int(seconds * 1e7 + 0.5)
                price = state[either] if either is other else middle(state["bid"], state["ask"])
                if (
                    time >= bars.due
                    or not 0.0 < price < inf
                    or not 0.0 <= seconds < _ALMOST
                    or date[-1] != "Z"
                    or ("date" not in changed and changed)
                ):
                    raise ValueError
            except _NO_TIME:
                self._take_plainly(key, state)
                continue
            ticks += 1
            generation = state["generation"]
            if time > bars.watermark:
                bars.watermark = time
            for lane in lanes:
                if lane.start <= time < lane.until:
                    bar = lane.newest.get(key)
                    if bar is not None and bar.last <= time and bar.generation == generation:
                        bar.close = price
                        bar.last = time
                        bar.ticks += 1
                        if price > bar.high:
                            bar.high = price
                        elif price < bar.low:
                            bar.low = price
                        continue
                bars.place_in(lane, key, time, price, generation)
        self.ticks += ticks
        if bars.watermark >= bars.quiet_until:
            self.quiet_end = bars.quiet_end()

    def _take_plainly(self, key: int, state: dict[str, Any]) -> None:
        """Take any state that may be a tick."""
        track, generation = self.bars.track(key), state["generation"]
        is_snapshot = self._is_snapshot(key)
        time, price = self._time_of(state, track), self._price_of(state)
        if time is None:
            self.bad += 1
        elif is_snapshot:
            self._take_snapshot(key, track, time, price, generation)
        else:
            self._hear(time)
            if price is not None:
                self._tick(key, time, price, generation)

    def _tick(self, key: int, time: int, price: float, generation: int) -> None:
        self.ticks += 1
        self.bars.place(key, time, price, generation)

    def _take_date(self, key: int, state: dict[str, Any]) -> None:
        """Take a rate without a price of ours, whose date moves the watermark."""
        if "date" not in state["changed"]:
            return
        track, is_snapshot = self.bars.track(key), self._is_snapshot(key)
        time = self._time(state["date"], state["received_at"])
        if time is None:
            self.bad += 1
        elif is_snapshot:
            self._take_snapshot(key, track, time, None, state["generation"])
        else:
            self._hear(time)

    def _take_other(self, key: int, what: Any) -> None:
        """Take what is no rate."""
        if what == SNAPSHOT:
            self._snapshots.add(key)
            self.bars.look_at_next()
        elif what is LOST[1]:
            self._lose()
            self._is_lost = True
        elif what is NEW[1]:
            if not self._is_lost:
                self._lose()
        elif what is GAP[1]:
            self._end_gap()
        elif isinstance(what, Missing):
            self._mark_some(what)
        else:
            date, received_at, stands_for_next = what
            time = self._time(date, received_at)
            if time is None:
                self.bad += 1
                return
            if stands_for_next:
                self.bars.track(key).told = time
            self._hear(time)

    # -- snapshots -------------------------------------------------------------------------------

    def _is_snapshot(self, key: int) -> bool:
        if key not in self._snapshots:
            return False
        self._snapshots.remove(key)
        if not self._heard_again:
            self.bars.set_due()
        return True

    def _take_snapshot(
        self, key: int, track: Track, time: int, price: float | None, generation: int
    ) -> None:
        """Take the state of an instrument: a tick only where it shows that one was missed.

        What comes before the first tick was made before anybody listened. Later ones follow on a
        time in which the instrument was not received, and may repeat the last price.
        """
        track.generation = generation
        last, last_price = track.latest
        if last < 0:
            self.bars.move(time)
            return
        self.bars.mark_gap(key, track)
        self.bars.move(time)
        if price is not None and time > last and price != last_price:
            self._tick(key, time, price, generation)
            self.bars.mark_gap(key, track)
        self._heard_again.append(track)
        self.bars.look_at_next()

    # -- times and prices ------------------------------------------------------------------------

    def _time_of(self, state: dict[str, Any], track: Track) -> int | None:
        """Return the time of a rate; None: it has none.

        One that came without a date has that of the last rate of its instrument, or is told the
        date of a later heartbeat.
        """
        told, track.told = track.told, None
        if told is not None and "date" not in state["changed"]:
            return told
        return self._time(state["date"], state["received_at"])

    def _time(self, date: Any, received_at: float) -> int | None:
        """Return a date as a time; None: it is none."""
        try:
            seconds = float(date[17:-1])
            if 0.0 <= seconds < _ALMOST and date[-1] == "Z":
                return self._minutes[date[:17]] + int(seconds * 1e7 + 0.5)
        except _NO_TIME:
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
        self._minutes[date[:17]] = time - time % _MINUTE
        return time

    def _price_of(self, state: dict[str, Any]) -> float | None:
        """Return the price of a tick; None: it has none, such as a last execution of 0."""
        try:
            bid, ask = state["bid"], state["ask"]
            price = float(middle(bid, ask) if self._price == "mid" else state[self._price])
        except (TypeError, ValueError):
            return None
        return price if 0.0 < price < inf else None

    # -- gaps ------------------------------------------------------------------------------------

    def _hear(self, time: int) -> None:
        """Take the date of any message that is no snapshot: from here on all are received."""
        if self._heard_again:
            for track in self._heard_again:
                if track.gap_end == EVER:
                    track.gap_end = time
            self._heard_again.clear()
            if not self._snapshots:
                self.bars.set_due()
        self.bars.move(time)

    def _lose(self) -> None:
        """Note that messages of all instruments are missing from here on."""
        for key, track in self.bars.tracks.items():
            self.bars.mark_gap(key, track)
            track.generation = None
        self._heard_again.clear()
        self.bars.set_due()

    def _mark_some(self, missing: Missing) -> None:
        """Note the same of the instruments of one connection, beside which others go on."""
        known = self.bars.tracks
        tracks = {key: known[key] for key in missing.keys if key in known}
        if missing.begins:
            for key, track in tracks.items():
                self.bars.mark_gap(key, track)
                track.generation = None
            lost = set(tracks.values())
            self._heard_again = [each for each in self._heard_again if each not in lost]
            self.bars.set_due()
            return
        for key, track in tracks.items():
            if track.gap_end != EVER:
                self.bars.mark_gap(key, track)
        self._heard_again += tracks.values()
        self.bars.look_at_next()

    def _end_gap(self) -> None:
        """Note that messages of all instruments come again."""
        if not self._is_lost:
            self._lose()
        self._is_lost = False
        self._heard_again += [track for track in self.bars.tracks.values() if track.gap_end == EVER]
        self.bars.look_at_next()
