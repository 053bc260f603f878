"""Between a stream and its candles: takes what the reader thread brings, and emits the bars.

The aggregation runs on the reader thread: what waits for nobody loses nothing, so that no rate is
skipped however slow callbacks are, and a bar is as sure as the rates. No code of the user runs in
it. ``benchmarks.candles`` measures what it costs.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import clocks
from ..delivery.registry import Registry
from ..delivery.tap import NEW_CONNECTION
from ..logs import log
from ..throttle import LogThrottle
from .aggregator import GAP, LOST, NEW, Aggregator, Missing
from .bar import Bar

__all__ = ["Intake"]

#: Seconds between two looks at the clock, at most and at least.
_LONGEST, _SHORTEST = 1.0, 0.05
#: How much longer a wait takes if the process stood still, in seconds.
_STANDSTILL = 0.5
#: Event -> what stands for it among the entries of an aggregator.
_EVENTS = {"reconnecting": LOST, NEW_CONNECTION: NEW, "reconnected": GAP}


class Intake:
    """Feeds an aggregator, as a :class:`~etoro_sync.delivery.tap.Tap`, and hands its bars on.

    The lock guards the aggregator. It is re-entrant, since a signal handler may end the stream.
    Bars are handed on without it, by one thread at a time, in order.

    :param aggregator: makes the bars.
    :param hand_on: called with each list of bars; any thread.
    :param clock: monotonic seconds.
    :param apart: whether the stream has several connections, which are lost apart from each other.
    """

    def __init__(
        self,
        aggregator: Aggregator,
        hand_on: Callable[[list[Bar]], None],
        clock: Callable[[], float] = clocks.monotonic,
        apart: bool = False,
    ) -> None:
        self._aggregator = aggregator
        self._hand_on = hand_on
        self._clock = clock
        self._apart = apart
        self._lock = threading.RLock()
        self._heard_at = clock()
        self._bars: deque[list[Bar]] = deque()
        self._handing_on = threading.Lock()
        self._throttle = LogThrottle()
        self._bell = threading.Lock()
        self._ids: frozenset[int] | None = None
        #: As a tap has it.
        self.quiet_end = ""
        #: Whether no more bars will come.
        self.ended = False

    # -- listening -------------------------------------------------------------------------------

    def listen(self, registry: Registry, ids: tuple[int, ...] | None) -> None:
        """Take events from now on. Any thread.

        :param ids: only of these instruments; None: of all.
        """
        self._ids = None if ids is None else frozenset(ids)
        registry.add_tap(self)

    def leave(self, registry: Registry) -> None:
        """Take no more events. Any thread, also in a finalizer."""
        registry.remove_tap(self)
        self.stop()

    def on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take the event of a gap. Runs on the reader thread."""
        if self._apart:
            if event == "reconnected":
                self._aggregate([(0, Missing(_ids_of(arguments[0].topics), begins=False))])
        elif event in _EVENTS:
            self._aggregate([_EVENTS[event]])

    def on_loss(self, topics: Sequence[str]) -> None:
        """Take the loss of one of several connections. Runs on its reader thread."""
        if self._apart:
            self._aggregate([(0, Missing(_ids_of(topics), begins=True))])

    def take(self, entries: Sequence[tuple[int, Any]]) -> None:
        """Aggregate what one read has brought. Runs on the reader thread; must not raise."""
        ids = self._ids
        if ids is not None:
            entries = [entry for entry in entries if entry[0] in ids]
        if entries:
            self._aggregate(entries)

    def _aggregate(self, entries: Sequence[tuple[int, Any]]) -> None:
        defect: Exception | None = None
        with self._lock:
            if self.ended:
                return
            self._heard_at = self._clock()
            try:
                self._aggregator.take(entries)
            except Exception as exc:
                # Never seen. The bars say that something is missing, and the stream goes on.
                defect = exc
                self._aggregator.take([LOST, GAP])
            self.quiet_end = self._aggregator.quiet_end
            if self._aggregator.bars.out:
                self._collect()
        if self._bars:
            self._emit()
        if defect is not None and self._throttle.passes("defect") is not None:
            log(logging.ERROR, "Candles have missed rates: %r", defect, exc_info=defect)

    def finish(self) -> None:
        """Emit all bars that are open, since nothing more will come. Any thread; idempotent."""
        with self._lock:
            if not self.ended:
                self._aggregator.bars.finish()
                self.ended = True
                self._collect()
        self._emit()
        self.stop()

    def _collect(self) -> None:
        """Take over what is to be emitted. The caller holds the lock."""
        bars = self._aggregator.bars
        if bars.out:
            self._bars.append(bars.out)
            bars.out = []

    def _emit(self) -> None:
        """Hand on what was collected, unless another thread does: it will find these bars, too."""
        while self._bars and self._handing_on.acquire(blocking=False):
            try:
                while self._bars:
                    self._hand_on(self._bars.popleft())
            finally:
                self._handing_on.release()

    # -- the timer's thread ----------------------------------------------------------------------

    def run_timer(self, patience: float) -> None:
        """Close bars while no message comes, until :meth:`stop`.

        The time goes on from the watermark, by the monotonic clock: neither a wrong wall clock nor
        one that is set closes a bar.

        :param patience: seconds past the grace.
        """
        self._bell.acquire(blocking=False)
        while not self.ended:
            wait = self._next_look(patience)
            begun = self._clock()
            self._bell.acquire(timeout=wait)
            overslept = self._clock() - begun - wait
            if overslept > _STANDSTILL:
                # The process stood still, and what came meanwhile has not been read yet.
                self._heard_at += overslept
            self.close_due(patience)

    def close_due(self, patience: float) -> None:
        """Close the bars whose end has passed since the last message.

        :param patience: seconds past the grace.
        """
        with self._lock:
            silent = self._clock() - self._heard_at - patience
            if silent > 0 and not self.ended:
                self._aggregator.bars.close_after(silent)
                self._collect()
        self._emit()

    def _next_look(self, patience: float) -> float:
        with self._lock:
            due = self._aggregator.bars.due_in()
            if due is None:
                return _LONGEST
            due += self._heard_at + patience - self._clock()
        return min(max(due, _SHORTEST), _LONGEST)

    def stop(self) -> None:
        """Let the timer end. Any thread, also in a finalizer."""
        self.ended = True
        with contextlib.suppress(RuntimeError):  # it does not wait
            self._bell.release()


def _ids_of(topics: Iterable[str]) -> frozenset[int]:
    """Return the ids of those topics that are instruments'."""
    return frozenset(int(topic[11:]) for topic in topics if topic.startswith("instrument:"))
