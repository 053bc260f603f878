"""Candles of a stream, as users hold them."""

import itertools
import math
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from ..closeable import Closeable
from ..collecting import when_collected
from ..delivery.event_queue import EventQueue
from ..delivery.registration import check_callable
from ..delivery.registry import Handler, Registry
from ..errors import EToroClosedError, EToroError, EToroValidationError
from ..events import check_instrument_ids, check_timeout
from ..numbers import real, whole
from ..stream import MarketStream
from ..stream.core import core_of
from ..stream.live import LiveSource
from ..stream.playing import PlayedSource
from ..synchronization import ProcessGuard
from ..text import no_thread, show
from .aggregator import Aggregator
from .bar import Bar
from .bar_output import BarOutput, caller
from .bar_table import to_frame, to_polars
from .intake import Intake
from .times import check_intervals

__all__ = ["CandleStats", "Candles"]

PRICES = ("bid", "ask", "mid", "last_execution")
_numbers = itertools.count(1)
_OMITTED: Any = object()
_HOUR = 3600.0

Function = TypeVar("Function", bound=Callable[[Bar], Any])


@dataclass(frozen=True)
class CandleStats:
    """The counters of candles, from their begin.

    :param ticks: messages that carried the price.
    :param bars: bars that were emitted, revisions included.
    :param late: ticks that came after a bar of theirs was closed; once for each interval. They are
        in no bar, unless ``revise`` has let them change it.
    :param bad: messages whose date is missing, no date, or more than a day in the future; they are
        in no bar.
    """

    ticks: int
    bars: int
    late: int
    bad: int


class Candles(Closeable):
    """Bars of a stream's prices: open, high, low, close.

    ::

        with WsClient() as client:
            client.subscribe([100000], snapshot=True)
            for bar in Candles(client, "1m"):
                print(bar)

    A bar has the ticks from its start up to its end, in UTC, by eToro's dates. A tick is a message
    that carries the price, also if the price is the same as before. A snapshot is none, unless it
    shows a price that was missed in a gap. A bar is emitted when the latest date of any message has
    passed its end by *grace*; where nothing comes, by a timer, unless the stream is a recording. A
    tick that comes later is counted, and may change its bar (*revise*). When the stream ends, the
    bars that are open are emitted with ``complete=False``.

    It listens from the first callback, queue or loop on, or at once with *keep*. Rates are taken on
    the stream's background thread, so none is skipped. Callbacks run on the stream's thread of
    callbacks. Every method may be called from any thread and any callback.

    :param source: a client, a :class:`~etoro_sync.Replay`, or any other stream.
    :param intervals: ``"1s"`` to ``"1d"``, one or several, each of which divides a day evenly.
    :param price: ``"bid"``, which eToro's own candles follow, ``"ask"``, ``"mid"`` or
        ``"last_execution"``.
    :param instrument_ids: only of these instruments; None: of all that the stream has.
    :param grace: seconds that a bar waits for ticks that come late, by the dates of later messages.
    :param timer: seconds without any message, past the grace, after which bars are closed by the
        clock; None: never.
    :param revise: seconds past the close of a bar during which a late tick still changes it: it is
        emitted again, with a higher ``revision``. 0: never.
    :param keep: how many of the last bars of each instrument and interval are kept, for
        :attr:`bars` and :meth:`to_frame`.
    :raises EToroValidationError: naming the argument.
    """

    _no_copies = (
        "Candles cannot be copied or pickled: a thread of this process feeds them. Pass on "
        "their bars."
    )

    def __init__(
        self,
        source: MarketStream,
        intervals: str | Iterable[str] = "1m",
        *,
        price: str = "bid",
        instrument_ids: Iterable[int] | int | None = None,
        grace: float = 2.0,
        timer: float | None = 5.0,
        revise: float = 0.0,
        keep: int = 0,
    ) -> None:
        if not isinstance(source, MarketStream):
            raise EToroValidationError(
                f"source must be a client or another stream, not {show(source, 60)}.", "source"
            )
        if price not in PRICES:
            raise EToroValidationError(
                f"price must be one of {', '.join(PRICES)}, not {show(price, 60)}.", "price"
            )
        lengths = check_intervals(intervals)
        core = core_of(source)
        core.guard.check()
        self._guard = ProcessGuard()
        self._core = core
        self._source = core.source  # keeps the stream alive, as a queue does
        self._ids = None if instrument_ids is None else check_instrument_ids(instrument_ids)
        self._number = next(_numbers)
        self._timer = check_timeout(timer, "timer")
        self._aggregator = Aggregator(
            lengths, price, _seconds(grace, "grace", _HOUR), _seconds(revise, "revise", 24 * _HOUR)
        )
        #: The names of the intervals, the shortest first.
        self.intervals = tuple(interval.name for interval in lengths)
        #: Which price the bars are of.
        self.price = price
        self._out = BarOutput(core.registry, self._source, self._number, _count(keep))
        apart = core.generations is not None
        self._intake = Intake(self._aggregator, self._out.hand_on, apart=apart)
        self._handlers: list[tuple[Any, Handler]] = []
        self._begun = threading.Lock()
        # They know the user's callbacks, which may know this object.
        registry, out, intake = (
            weakref.ref(core.registry),
            weakref.ref(self._out),
            weakref.ref(self._intake),
        )
        weakref.finalize(self, _forget, self._guard, registry, out, intake).atexit = False
        if keep:
            self._begin()

    # -- reading ---------------------------------------------------------------------------------

    @overload
    def on(
        self, event: str, handler: Callable[[Bar], Any], *, interval: str | None = None
    ) -> "Candles": ...

    @overload
    def on(self, event: str, *, interval: str | None = None) -> Callable[[Function], Function]: ...

    def on(
        self, event: str, handler: Callable[[Bar], Any] = _OMITTED, *, interval: str | None = None
    ) -> Any:
        """Call *handler* with each :class:`Bar`, on the stream's thread of callbacks.

        An exception of it is logged, counted, and emitted as the stream's ``"error"``.

        :param event: ``"bar"``; there is no other.
        :param handler: any callable; if omitted, this returns a decorator.
        :param interval: only for bars of this one.
        :returns: the candles themselves, or the decorator.
        :raises EToroValidationError: naming the argument.
        :raises EToroClosedError: when the candles have ended.
        """
        self._check(event)
        self._check_going()
        if interval is not None and interval not in self.intervals:
            raise EToroValidationError(
                f"interval must be one of {', '.join(self.intervals)}, not {show(interval, 60)}.",
                "interval",
            )

        def register(function: Function) -> Function:
            check_callable(function, "(Bar)")
            registered = Handler(caller(function, interval), self._number, once=False)
            self._handlers.append((function, registered))
            self._core.registry.add("bar", registered)
            self._begin()
            return function

        if handler is _OMITTED:
            return register
        register(handler)
        return self

    def off(self, event: str, handler: Callable[[Bar], Any]) -> "Candles":
        """Remove all registrations of *handler*.

        :param event: ``"bar"``.
        :param handler: what was passed to :meth:`on`.
        :returns: the candles themselves.
        :raises EToroValidationError: for another event.
        """
        self._check(event)
        for pair in [pair for pair in self._handlers if pair[0] == handler]:
            self._core.registry.discard("bar", pair[1])
            pair[1].spent = True
            self._handlers.remove(pair)
        return self

    def queue(self, *, maxsize: int | None = None, overflow: str | None = None) -> EventQueue[Bar]:
        """Return a queue of the bars from now on, until the stream ends.

        :param maxsize: the most bars that wait; 0 is unbounded; None is 100,000. A recording waits
            while the queue is full.
        :param overflow: as :meth:`~etoro_sync.MarketStream.queue`, but not ``"conflate"``; None is
            ``"raise"``.
        :raises EToroValidationError: naming the argument.
        :raises EToroClosedError: when the stream has ended: make new candles then.
        """
        self._check("bar")
        self._check_going()
        items = self._source.make_items(
            "bar", maxsize, overflow, None, self._core.registry.remove_queue
        )
        new: EventQueue[Bar] = EventQueue(items, self)
        self._core.feed(items, (self._number,))
        self._begin()
        return new

    def __iter__(self) -> Iterator[Bar]:
        """Yield the bars from now on, until the stream ends.

        :raises EToroError: the error that ended the stream, if it failed.
        """
        # Made now, and not at the first step, so that nothing is missed in between.
        return _iterate(self.queue())

    # -- what was kept ---------------------------------------------------------------------------

    @property
    def bars(self) -> list[Bar]:
        """The bars that were kept, by their end; of a revised bar its last form."""
        self._guard.check()
        return self._out.kept_bars()

    def to_frame(self) -> Any:
        """Return :attr:`bars` as a pandas DataFrame (extra ``pandas``); see :func:`to_frame`.

        :raises EToroError: when pandas is not installed.
        """
        return to_frame(self.bars)

    def to_polars(self) -> Any:
        """Return :attr:`bars` as a polars DataFrame (extra ``polars``); see :func:`to_polars`.

        :raises EToroError: when polars is not installed.
        """
        return to_polars(self.bars)

    def stats(self) -> CandleStats:
        """Return all counters, as they are now."""
        made = self._aggregator
        return CandleStats(made.ticks, self._out.bars, made.bars.late, made.bad)

    # -- beginning and end -----------------------------------------------------------------------

    def _begin(self) -> None:
        """Listen to the stream, unless it was begun before. Any thread."""
        if not self._begun.acquire(blocking=False):
            return
        self._intake.listen(self._core.registry, self._ids)
        # What waits for its readers has no time of its own.
        waits = isinstance(self._source, PlayedSource) and not isinstance(self._source, LiveSource)
        if self._timer is not None and not waits:
            self._start_timer(self._timer)
        self._source.listeners_changed()

    def _start_timer(self, patience: float) -> None:
        try:
            threading.Thread(
                target=self._intake.run_timer,
                args=(patience,),
                name=f"etoro-sync-candles-{self._number}",
                daemon=True,
            ).start()
        except RuntimeError as exc:
            self.close()
            raise EToroError(f"Cannot start the timer of candles: {no_thread(exc)}") from exc
        # A client that nobody uses any more is collected without an end of its queues.
        when_collected(self._source, self._intake.stop)

    def close(self) -> None:
        """Emit the bars that are open, and take no more rates. The stream goes on. Idempotent."""
        if self._guard.foreign:
            return
        self._intake.finish()
        self._intake.leave(self._core.registry)
        self._out.end()

    def _check(self, event: Any) -> None:
        self._guard.check()
        if event != "bar":
            raise EToroValidationError(
                f"Candles have one event, 'bar', not {show(event, 60)}.", "event"
            )

    def _check_going(self) -> None:
        if self._intake.ended:
            raise EToroClosedError(
                "These candles have ended, with their stream or by close(). Make new ones."
            )

    def __repr__(self) -> str:
        stats = self.stats()
        return f"<Candles {', '.join(self.intervals)} of {self.price}, {stats.bars} bars>"


def _iterate(queue: EventQueue[Bar]) -> Iterator[Bar]:
    with queue:
        yield from queue


def _forget(
    guard: ProcessGuard,
    registry: "weakref.ref[Registry]",
    out: "weakref.ref[BarOutput]",
    intake: "weakref.ref[Intake]",
) -> None:
    """Listen no more, unless a callback does. The garbage collector calls this."""
    listeners, output, tap = registry(), out(), intake()
    if listeners is None or output is None or tap is None:
        return  # the stream was collected, too
    # In a forked child a lock may be held by a thread that is gone.
    if not guard.foreign and not output.has_callbacks:
        tap.leave(listeners)


def _seconds(value: Any, name: str, most: float) -> float:
    number = real(value)
    if number is None or not 0 <= number <= most or math.isnan(number):
        raise EToroValidationError(
            f"{name} must be from 0 to {most:g} seconds, not {show(value, 60)}.", name
        )
    return float(number)


def _count(keep: Any) -> int:
    number = whole(keep)
    if number is None or number < 0:
        raise EToroValidationError(
            f"keep must be a number of bars, 0 or more, not {show(keep, 60)}.", "keep"
        )
    return number
