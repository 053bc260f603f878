"""The bars that may still change, and when they are closed. Pure: no threads, no clock."""

from collections.abc import Iterable

from .bar import Bar, make_bar
from .times import SECOND, Interval, moment

__all__ = ["EVER", "Lane", "OpenBar", "OpenBars", "Track"]

#: Later than all times.
EVER = 1 << 62


class OpenBar:
    """A bar that may change: it is open, or closed and kept for ticks that come late.

    It begins with one tick.
    """

    __slots__ = (
        "close",
        "first",
        "gap",
        "generation",
        "held",
        "high",
        "last",
        "low",
        "open",
        "opened",
        "revision",
        "start",
        "ticks",
    )

    def __init__(self, start: int, time: int, price: float, generation: int) -> None:
        self.open = self.high = self.low = self.close = price
        #: The times of open and close. While the latter is EVER, it is in *held*, and the next tick
        #: does not take the short way.
        self.opened = self.last = self.held = time
        self.ticks = 1
        self.start = start
        #: The connection of the last tick, by its number.
        self.generation = generation
        self.first = self.gap = False
        self.revision = 0

    def add(self, time: int, price: float) -> None:
        """Add a tick of any time within the bar; of equal times the one that came last is later."""
        self.resume()
        self.ticks += 1
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        if time < self.opened:
            self.open, self.opened = price, time
        if time >= self.last:
            self.close, self.last = price, time

    def mark_gap(self) -> None:
        """Note that messages are missing; the next tick does not take the short way."""
        self.resume()
        self.gap = True
        self.held, self.last = self.last, EVER

    def resume(self) -> None:
        """Let ticks take the short way again."""
        if self.last == EVER:
            self.last = self.held


class Track:
    """What is known of one instrument."""

    __slots__ = ("bar", "earliest", "gap_end", "generation", "late", "told")

    def __init__(self) -> None:
        #: The latest bar of the shortest interval.
        self.bar: OpenBar | None = None
        #: Time and price of the latest tick that was in no bar, because it came late.
        self.late = (-1, 0.0)
        #: The earliest time with which a bar was begun.
        self.earliest = EVER
        #: Messages may be missing before this time; EVER: not known yet until when.
        self.gap_end = 0
        #: The number of its connection; None: any, since what was lost with another one is marked.
        self.generation: int | None = None
        #: The time of its next message, should that have no date; None: that of the one before.
        self.told: int | None = None

    @property
    def latest(self) -> tuple[int, float]:
        """Time and price of the tick with the latest time; -1: there was none."""
        bar = self.bar
        if bar is None:
            return self.late
        last = bar.held if bar.last == EVER else bar.last
        return self.late if self.late[0] >= last else (last, bar.close)


class Lane:
    """The bars of one interval."""

    def __init__(self, number: int, interval: Interval) -> None:
        self.number = number
        self.name, self.ticks = interval
        #: End -> instrument id -> bar.
        self.open: dict[int, dict[int, OpenBar]] = {}
        #: Likewise, closed, for ticks that come late.
        self.closed: dict[int, dict[int, OpenBar]] = {}
        self.forget_newest()

    def forget_newest(self) -> None:
        """Let no tick take the short way."""
        #: Begin and end of the latest of the open bars, and these by instrument id.
        self.start = self.until = 0
        self.newest: dict[int, OpenBar] = {}

    def group(self, start: int, end: int) -> dict[int, OpenBar]:
        """Return the open bars of this time, which may be none yet."""
        group = self.open.get(end)
        if group is None:
            group = self.open[end] = {}
            if end > self.until:
                self.start, self.until, self.newest = start, end, group
        return group


class OpenBars:
    """All bars that may change, and those to be emitted.

    :param intervals: the shortest first.
    :param price: what the bars are of, for their marks.
    :param grace: how long the watermark waits past the end of a bar, in ticks of time.
    :param revise: how long past its close a bar may be changed by a late tick; 0: not at all.
    """

    def __init__(self, intervals: Iterable[Interval], price: str, grace: int, revise: int) -> None:
        #: The bars of each interval.
        self.lanes = [Lane(number, interval) for number, interval in enumerate(intervals)]
        #: Instrument id -> what is known of it.
        self.tracks: dict[int, Track] = {}
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

    def track(self, key: int) -> Track:
        """Return what is known of an instrument."""
        track = self.tracks.get(key)
        if track is None:
            track = self.tracks[key] = Track()
        return track

    # -- ticks -----------------------------------------------------------------------------------

    def place(self, key: int, time: int, price: float, generation: int) -> None:
        """Put a tick into its bar of each interval."""
        for lane in self.lanes:
            self.place_in(lane, key, time, price, generation)

    def place_in(self, lane: Lane, key: int, time: int, price: float, generation: int) -> None:
        """Put a tick into its bar of one interval.

        :param generation: the number of its connection. Another one than before is a gap of this
            instrument alone, since there may be several connections at a time.
        """
        start = time - time % lane.ticks
        end = start + lane.ticks
        if end <= self._closed_to or end <= self.watermark - self._grace:
            self._take_late(lane, key, time, price, generation)
            return
        if end == lane.until:
            group = lane.newest
        else:
            group = lane.group(start, end)
            if not group:
                self.due = min(self.due, end + self._grace)
                self.quiet_until = -1
        track, bar = self.track(key), group.get(key)
        if generation != track.generation:
            if track.generation is not None:
                self.mark_gap(key, track)
            track.generation = generation
        if bar is None:
            bar = OpenBar(start, time, price, generation)
            group[key] = self._begin(lane, track, bar, time)
        else:
            bar.add(time, price)
            bar.generation = generation
            bar.gap = bar.gap or start < track.gap_end
        if track.gap_end == EVER:
            track.gap_end = time + 1  # it is received again

    def _begin(self, lane: Lane, track: Track, bar: OpenBar, time: int) -> OpenBar:
        start = bar.start
        bar.first, bar.gap = start <= track.earliest, start < track.gap_end
        if time < track.earliest:
            track.earliest = time
        if not lane.number and (track.bar is None or start >= track.bar.start):
            track.bar = bar
        return bar

    def _take_late(self, lane: Lane, key: int, time: int, price: float, generation: int) -> None:
        """Count a late tick; where it may, put it into its closed bar and emit that again."""
        self.late += 1
        track = self.track(key)
        start = time - time % lane.ticks
        end = start + lane.ticks
        if end <= max(self._closed_to, self.watermark - self._grace) - self._revise:
            if not lane.number and time >= track.latest[0]:
                track.late = time, price
            return
        group = lane.closed.setdefault(end, {})
        bar = group.get(key)
        if bar is None:
            bar = OpenBar(start, time, price, generation)
            group[key] = self._begin(lane, track, bar, time)
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
        return [end for lane in self.lanes for end in lane.open]

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
        first = min(ends + [limit - limit % lane.ticks + lane.ticks for lane in self.lanes])
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
            if end == lane.until:
                lane.forget_newest()
            if self._revise:
                lane.closed[end] = {**lane.closed.get(end, {}), **group}
        for lane in self.lanes:
            for end in [end for end in lane.closed if end <= limit - self._revise]:
                del lane.closed[end]
        self.set_due()

    def finish(self) -> None:
        """Emit all bars that are open: nothing more will come."""
        for end, lane in self._by_end(EVER):
            self._emit(lane, end, lane.open.pop(end), complete=end <= self.watermark)
            lane.forget_newest()
        self._closed_to = self.due = EVER

    def _by_end(self, limit: int) -> list[tuple[int, Lane]]:
        """Return ends up to *limit* with their intervals, of which the shortest come first."""
        ripe = [(end, lane) for lane in self.lanes for end in lane.open if end <= limit]
        return sorted(ripe, key=lambda one: (one[0], one[1].number))

    def _emit(self, lane: Lane, end: int, group: dict[int, OpenBar], complete: bool = True) -> None:
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
        for lane in self.lanes:
            for group in lane.open.values():
                if key in group:
                    group[key].mark_gap()
        track.gap_end = EVER
