"""What a picture shows of an instrument, collected from a stream: prices, gaps, closed markets."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ..models import WsGap, WsInstrumentDelta, WsInstrumentRate
from ..stream import MarketStream

__all__ = ["Collector", "History", "thinned"]

Point = tuple[float, float, float]


@dataclass
class History:
    """One instrument over time; all times are in seconds since the epoch.

    :param points: when a price came, bid and ask. A NaN of both is a break.
    :param closed: from when until when its market was closed; the last may still be.
    """

    points: list[Point] = field(default_factory=list)
    closed: list[tuple[float, float | None]] = field(default_factory=list)

    def set_open(self, is_open: bool, at: float) -> None:
        """Note whether the market is open."""
        closed_now = bool(self.closed) and self.closed[-1][1] is None
        if is_open and closed_now:
            self.closed[-1] = (self.closed[-1][0], at)
        elif not is_open and not closed_now:
            self.closed.append((at, None))

    def interrupt(self, at: float) -> None:
        """Begin a break: from here until the next price nothing is known."""
        if self.points and not math.isnan(self.points[-1][1]):
            self.points.append((at, math.nan, math.nan))


class Collector:
    """Collects the histories of a stream that is not connected yet.

    :param stream: its callbacks are used.
    :param instrument_ids: of these only; None: of all.
    :param on_progress: called with the time of each rate, in seconds since the epoch.
    """

    def __init__(
        self,
        stream: MarketStream,
        instrument_ids: Collection[int] | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        #: Instrument id -> what came of it.
        self.histories: dict[int, History] = {}
        #: The first and the last time at which anything came.
        self.begin = self.end = 0.0
        self._wanted = instrument_ids
        self._on_progress = on_progress
        stream.on("instrument:delta", self._on_delta)
        stream.on("instrument:rate", self._on_rate)
        stream.on("reconnected", self._on_gap)

    def _of(self, instrument_id: int, at: float) -> History | None:
        self.begin = self.begin or at
        self.end = max(self.end, at)
        if self._wanted is not None and instrument_id not in self._wanted:
            return None
        return self.histories.setdefault(instrument_id, History())

    def _on_rate(self, instrument_id: int, rate: WsInstrumentRate) -> None:
        history = self._of(instrument_id, rate.received_at)
        if history is not None:
            history.points.append((rate.received_at, rate.bid, rate.ask))
        if self._on_progress is not None:
            self._on_progress(rate.received_at)

    def _on_delta(self, instrument_id: int, delta: WsInstrumentDelta) -> None:
        flags = [f for f in (delta.is_market_open, delta.is_instrument_active) if f is not None]
        if flags:
            history = self._of(instrument_id, delta.received_at)
            if history is not None:
                # As for "stale": the last message's flags count, and each has to be true.
                history.set_open(all(flags), delta.received_at)

    def _on_gap(self, gap: WsGap) -> None:
        topics = {topic.removeprefix("instrument:") for topic in gap.topics}
        for instrument_id, history in self.histories.items():
            if not topics or str(instrument_id) in topics:
                history.interrupt(gap.from_)


def thinned(points: list[Point], most: int) -> list[Point]:
    """Return fewer points that look the same: the first, lowest, highest and last of each stretch.

    Breaks stay where they are.

    :param points: in the order of time.
    :param most: about how many may stay.
    """
    if len(points) <= most:
        return points
    each = -(-4 * len(points) // most)
    kept: list[Point] = []
    for start in range(0, len(points), each):
        stretch = points[start : start + each]
        prices = [n for n, point in enumerate(stretch) if not math.isnan(point[1])]
        breaks = [n for n, point in enumerate(stretch) if math.isnan(point[1])]
        chosen = {0, len(stretch) - 1, *breaks}
        if prices:
            chosen.add(min(prices, key=lambda n: stretch[n][1]))
            chosen.add(max(prices, key=lambda n: stretch[n][2]))
        kept += [stretch[n] for n in sorted(chosen)]
    return kept
