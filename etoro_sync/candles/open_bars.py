"""The bars that may still change, and when they are closed. Pure: no threads, no clock."""

from collections.abc import Iterable

from .bar import Bar, make_bar
from .times import SECOND, Interval, moment

__all__ = ["EVER", "NONE", "OpenBar", "OpenBars", "Track"]

#: Later than all times.
EVER = 1 << 62


class OpenBar:
    """A bar that may change: it is open, or closed and kept for ticks that come late."""

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

    def begin(self, start: int, until: int, time: int, price: float) -> None:
        """Become a bar with one tick. A closed one is used again: that is faster than a new one."""
        self.start = start
        #: The end; 0 once it is closed, so that no time lies in it.
        self.until = until
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


#: Stands for the latest bar where there is none: no time lies in it.
NONE = OpenBar()
NONE.begin(0, 0, 0, 0.0)


class Track:
    """What is known of one instrument.

    :param intervals: how many there are.
    """

    __slots__ = ("begun", "gap_end", "latest", "price", "ticked", "told")

    def __init__(self, intervals: int) -> None:
        #: The latest bar of each interval.
        self.latest = (NONE,) * intervals
        #: The begin of the first bar of each interval.
        self.begun = [EVER] * intervals
        #: Messages may be missing before this time; EVER: not known yet until when.
        self.gap_end = 0
        #: Time and price of the last tick; -1: there was none.
        self.ticked, self.price = -1, 0.0
        #: The time of its next message, should that have no date; None: that of the one before.
        self.told: int | None = None


class _Lane:
    """The bars of one interval."""

    def __init__(self, number: int, interval: Interval) -> None:
        self.number = number
        self.name, self.ticks = interval
        #: End -> instrument id -> bar.
        self.open: dict[int, dict[int, OpenBar]] = {}
        #: Likewise, closed, for ticks that come late.
        self.closed: dict[int, dict[int, OpenBar]] = {}


class OpenBars:
    """All bars that may change, and those to be emitted.

    :param intervals: the shortest first.
    :param price: what the bars are of, for their marks.
    :param grace: how long the watermark waits past the end of a bar, in ticks of time.
    :param revise: how long past its close a bar may be changed by a late tick; 0: not at all.
    """

    def __init__(self, intervals: Iterable[Interval], price: str, grace: int, revise: int) -> None:
        self._lanes = [_Lane(number, interval) for number, interval in enumerate(intervals)]
        self._price = price
        self._grace = grace
        self._revise = revise
        #: The latest date that has come; -1 before the first.
        self.watermark = -1
        #: The watermark at which the next bar is to be closed, or at which it has to be looked
        #: what is to be done.
        self.due = EVER
        # Bars that end no later are closed, also before the watermark says so.
        self._closed_to = -1
        #: The watermark from which on :meth:`quiet_end` may be another.
        self.quiet_until = -1
        #: Bars to be emitted, in order.
        self.out: list[Bar] = []
        #: How many ticks came for a closed bar.
        self.late = 0

    def new_track(self) -> Track:
        """Return what is known of an instrument of which nothing has come."""
        return Track(len(self._lanes))

    # -- ticks -----------------------------------------------------------------------------------

    def place(self, key: int, track: Track, time: int, price: float) -> None:
        """Put a tick into its bar of each interval."""
        for number in range(len(self._lanes)):
            self.place_in(number, key, track, time, price)

    def place_in(self, number: int, key: int, track: Track, time: int, price: float) -> None:
        """Put a tick into its bar of one interval.

        :param number: of the interval.
        """
        lane, latest = self._lanes[number], track.latest[number]
        start = time - time % lane.ticks
        end = start + lane.ticks
        if end <= self._closed_to or end <= self.watermark - self._grace:
            self._take_late(lane, key, track, time, price)
            return
        group = lane.open.get(end)
        if group is None:
            group = lane.open[end] = {}
            self.due = min(self.due, end + self._grace)
            self.quiet_until = -1
        bar = group.get(key)
        if bar is None:
            used = not latest.until and not self._revise and latest is not NONE
            bar = group[key] = self._begin(latest if used else OpenBar(), lane, track, time, price)
        else:
            bar.add(time, price)
            bar.gap = bar.gap or start < track.gap_end
        if start >= latest.start:
            track.latest = (*track.latest[:number], bar, *track.latest[number + 1 :])
        if track.gap_end == EVER:
            track.gap_end = time + 1  # it is received again

    def _begin(self, bar: OpenBar, lane: _Lane, track: Track, time: int, price: float) -> OpenBar:
        start = time - time % lane.ticks
        bar.begin(start, start + lane.ticks, time, price)
        if start < track.begun[lane.number]:
            bar.first = True
            track.begun[lane.number] = start
        bar.gap = start < track.gap_end
        return bar

    def _take_late(self, lane: _Lane, key: int, track: Track, time: int, price: float) -> None:
        """Count a late tick; where it may, put it into its closed bar and emit that again."""
        self.late += 1
        end = time - time % lane.ticks + lane.ticks
        if end <= max(self._closed_to, self.watermark - self._grace) - self._revise:
            return
        group = lane.closed.setdefault(end, {})
        bar = group.get(key)
        if bar is None:
            bar = group[key] = self._begin(OpenBar(), lane, track, time, price)
            bar.until = 0
        else:
            bar.add(time, price)
            bar.revision += 1
        self._emit(lane, end, {key: bar})

    # -- the watermark ---------------------------------------------------------------------------

    def move(self, time: int) -> None:
        """Move the watermark to *time*, unless it is later already."""
        self.watermark = max(self.watermark, time)
        if time >= self.due:
            self.close_until(self.watermark - self._grace)

    def set_due(self) -> None:
        """Set when the next bar is to be closed."""
        self.due = min(self._ends(), default=EVER - self._grace) + self._grace
        self.quiet_until = -1

    def look_at_next(self) -> None:
        """Let the next message be looked at, whatever its date."""
        self.due = -1
        self.quiet_until = -1

    def _ends(self) -> list[int]:
        return [end for lane in self._lanes for end in lane.open]

    def quiet_end(self) -> str:
        """Return before which date a message without a tick changes nothing.

        That is the end of the first bar that is open, or may still be opened. Up to the second, as
        dates are compared that have not been parsed.
        """
        ends = self._ends()
        if self.due < 0 or not ends:
            self.quiet_until = EVER
            return ""
        limit = self.watermark - self._grace
        first = min(ends + [limit - limit % lane.ticks + lane.ticks for lane in self._lanes])
        self.quiet_until = first + self._grace
        return f"{moment(first):%Y-%m-%dT%H:%M:%S}"

    def due_in(self) -> float | None:
        """Return how many seconds the watermark is behind the close of the next bar; None: none."""
        ends = self._ends()
        return (min(ends) + self._grace - self.watermark) / SECOND if ends else None

    def close_after(self, seconds: float) -> None:
        """Close what would be due if the watermark had moved on by so many seconds."""
        if self.watermark >= 0:
            self.close_until(self.watermark + round(seconds * SECOND) - self._grace)

    def close_until(self, limit: int) -> None:
        """Close all bars that end at *limit* or before, the earliest first."""
        self._closed_to = max(self._closed_to, limit)
        for end, lane in self._by_end(limit):
            group = lane.open.pop(end)
            self._emit(lane, end, group)
            for bar in group.values():
                bar.until = 0
            if self._revise:
                lane.closed[end] = {**lane.closed.get(end, {}), **group}
        for lane in self._lanes:
            for end in [end for end in lane.closed if end <= limit - self._revise]:
                del lane.closed[end]
        self.set_due()

    def finish(self) -> None:
        """Emit all bars that are open: nothing more will come."""
        for end, lane in self._by_end(EVER):
            self._emit(lane, end, lane.open.pop(end), complete=end <= self.watermark)
        self._closed_to = self.due = EVER

    def _by_end(self, limit: int) -> list[tuple[int, _Lane]]:
        """Return ends up to *limit* with their intervals, of which the shortest come first."""
        ripe = [(end, lane) for lane in self._lanes for end in lane.open if end <= limit]
        return sorted(ripe, key=lambda one: (one[0], one[1].number))

    def _emit(
        self, lane: _Lane, end: int, group: dict[int, OpenBar], complete: bool = True
    ) -> None:
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

    def mark_gap(self, key: int, track: Track) -> None:
        """Mark the open bars of an instrument, of which messages are missing from here on."""
        for lane in self._lanes:
            for group in lane.open.values():
                if key in group:
                    group[key].gap = True
        # So that the next tick comes to place_in().
        track.latest = (NONE,) * len(self._lanes)
        track.gap_end = EVER
