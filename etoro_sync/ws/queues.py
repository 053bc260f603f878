"""Queues of events for loops: ``for instrument_id, rate in client.queue("instrument:rate")``.

The reader thread puts, any threads get. A queue never slows the reader: when it is full, its
overflow policy decides what gives way, and everything is counted.
"""

import logging
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..errors import EToroClosedError, EToroError, EToroValidationError, fresh
from ..numbers import whole
from ..text import count, duration
from .buffers import RATE_EVENT, BoundedBuffer, Buffer
from .conflation import ConflatingBuffer
from .events import MARKET_EVENTS, check_timeout
from .gate import LogGate
from .lifecycle import ProcessGuard
from .log import log
from .monitor import Monitor
from .own_threads import OwnThreads

__all__ = ["OVERFLOW_POLICIES", "ItemQueue", "make_buffer"]

OVERFLOW_POLICIES = ("conflate", "drop_oldest", "drop_newest", "raise")


#: Seconds that a queue which is being read may be behind without a word.
_LAG = 5.0
#: The same for one that skips superseded rates, which then is not waiting to be read at leisure.
_LAG_CONFLATED = 1.0


def make_buffer(
    event: str, maxsize: int | None, overflow: str | None, conflate_after: float | None = None
) -> Buffer:
    """Return the buffer for a queue of *event*, with the defaults of the event.

    :raises EToroValidationError: naming ``maxsize``, ``overflow`` or ``conflate_after``.
    """
    if maxsize is None:
        maxsize = 10_000 if event in MARKET_EVENTS else 100_000
    most = whole(maxsize)
    if most is None or most < 0:
        raise EToroValidationError(
            f"maxsize must be a whole number, 0 (unbounded) or more, not {maxsize!r:.40}.",
            "maxsize",
        )
    if overflow is None:
        overflow = "conflate" if event == "instrument:rate" else "raise"
    if overflow not in OVERFLOW_POLICIES:
        raise EToroValidationError(
            f"overflow must be one of {', '.join(OVERFLOW_POLICIES)}, not {overflow!r:.40}.",
            "overflow",
        )
    after = check_timeout(conflate_after, "conflate_after")
    if after is not None and overflow != "conflate":
        raise EToroValidationError(
            "conflate_after is for queues of 'instrument:rate' with overflow='conflate': of all "
            "others each item counts.",
            "conflate_after",
        )
    if overflow != "conflate":
        return BoundedBuffer(most, overflow, f"the queue of {event!r}")
    if event != "instrument:rate":
        raise EToroValidationError(
            "overflow='conflate' is for 'instrument:rate' only: of all other events each one "
            "counts. Use 'drop_oldest', 'drop_newest' or 'raise'.",
            "overflow",
        )
    return ConflatingBuffer(most, after)


class ItemQueue:
    """The items of a queue: the reader thread adds to them, the user takes them.

    Users have an :class:`~etoro_sync.EventQueue`, whose methods of the same names are documented.

    The monitor's lock guards the buffer and the end. It is held for a few operations on
    containers, never while user code runs.

    :param event: what is queued.
    :param buffer: where items wait; from :func:`make_buffer`.
    :param on_close: takes the queue off its client.
    :param own_threads: those of the client, which must not wait for an item.
    :param clock: monotonic seconds, for the ages of items.
    """

    def __init__(
        self,
        event: str,
        buffer: Buffer,
        on_close: Callable[["ItemQueue"], None],
        own_threads: OwnThreads | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.event = event
        self._buffer = buffer
        self._on_close = on_close
        self._own_threads = own_threads or OwnThreads()
        self._clock = clock
        after = buffer.conflate_after
        self._worrying_lag = _LAG if after is None else max(after, _LAG_CONFLATED)
        # Since when all that is read is late, and how late it was then.
        self._late_since: tuple[float, float] | None = None
        self._monitor = Monitor()
        self._ended = False
        self._error: EToroError | None = None
        self._end_reason = ""
        self._guard = ProcessGuard()
        self._gate = LogGate()
        #: What the reader thread has collected since its last :meth:`flush`; touched by it alone.
        self.batch: list[Any] = []

    # -- the reader thread's side --------------------------------------------------------------

    def flush(self) -> None:
        """Hand over :attr:`batch`. Runs on the reader thread."""
        self.feed(self.batch)
        self.batch.clear()

    def feed(self, items: Sequence[Any]) -> None:
        """Add *items* in order. Runs on the reader thread; never blocks on a consumer."""
        with self._monitor.lock:
            if self._ended:
                return
            gone = self._buffer.extend(items, self._clock())
            self._monitor.changed()
        if gone and self._gate.passes("full") is not None:
            log(
                logging.WARNING,
                "A queue of %r is full, because it is not read fast enough; dropped until now: %s; "
                "replaced by newer ones: %s. Read it faster, give it a larger maxsize, or close "
                "it.",
                self.event,
                count(self.dropped, "item"),
                count(self.conflated, "rate"),
            )

    def barrier(self) -> None:
        """Keep rates of a lost connection apart from those of the next. Reader thread."""
        with self._monitor.lock:
            self._buffer.barrier()

    def end(self, reason: str, error: EToroError | None = None) -> None:
        """Accept nothing more and wake all readers. Any thread; the first call counts.

        :param reason: what readers are told once nothing waits any more.
        :param error: what ended the client, if it failed.
        """
        with self._monitor.lock:
            if not self._ended:
                self._ended = True
                self._end_reason = reason
                self._error = error
            self._monitor.changed()

    # -- the user's side -----------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item, or raise, as :meth:`etoro_sync.EventQueue.get` documents."""
        self._guard.check()
        timeout = check_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._monitor.lock:
                if self._buffer.ready:
                    item, lag = self._pop(self._clock())
                    break
                self._late_since = None
                if self._ended:
                    raise self._ending()
            if block and timeout != 0:
                self._own_threads.check("get()", "Use get_nowait(), or another thread.")
            if not block or not self._monitor.wait(self._stirs, deadline):
                raise queue.Empty
        if lag:
            self._warn_of_lag(lag)
        return item

    def _pop(self, now: float) -> tuple[Any, float]:
        """Return the next item, and how late it is, if that is worth a word.

        The caller holds the lock.
        """
        buffer = self._buffer
        item = buffer.pop(now)
        lag = 0.0 if buffer.came is None else now - buffer.came
        if lag * 2 <= self._worrying_lag:
            self._late_since = None
            return item, 0.0
        return item, lag if self._is_worrying(lag, now) else 0.0

    def _is_worrying(self, lag: float, now: float) -> bool:
        """Whether all that was read for some time was late, and no less than at its beginning.

        To read a lot at once, now and then, is no lag: such a reader leaves nothing old behind.
        """
        left = self._buffer.oldest
        if left is None or (now - left) * 2 <= self._worrying_lag:
            self._late_since = None
            return False
        since, before = self._late_since or (now, lag)
        if now - since <= self._worrying_lag:
            self._late_since = since, before
            return False
        self._late_since = now, lag
        return lag > self._worrying_lag and lag > before * 0.9

    def _warn_of_lag(self, lag: float) -> None:
        if self._gate.passes("lag") is None:
            return
        log(
            logging.WARNING,
            "The loop over a queue of %r is too slow: it is %s behind; waiting: %s; skipped for "
            "newer ones until now: %s. Do less in it, or read it in several threads%s.",
            self.event,
            duration(lag),
            count(self.qsize(), "item"),
            count(self.conflated, "rate"),
            "; conflate_after=1.0 would skip rates for which there is a newer one"
            if self.event == RATE_EVENT and self._buffer.conflate_after is None
            else "",
        )

    def _stirs(self) -> bool:
        return self._ended or self._buffer.ready

    def _ending(self) -> EToroError:
        if self._error is not None:
            return fresh(self._error)
        return EToroClosedError(self._end_reason)

    def get_nowait(self) -> Any:
        """Return the next item without waiting."""
        return self.get(block=False)

    def __iter__(self) -> Iterator[Any]:
        """Yield items until the client or the queue is closed.

        :raises EToroError: what ended the client, when it failed.
        """
        while True:
            try:
                item = self.get()
            except EToroClosedError:
                if self._guard.foreign or self._error is not None:
                    raise
                return
            yield item

    def qsize(self) -> int:
        """How many items wait."""
        return len(self._buffer)

    def empty(self) -> bool:
        """Whether :meth:`get_nowait` has neither an item nor an overflow to tell of."""
        return not self._buffer.ready

    def abandon(self) -> None:
        """Collect nothing more: nobody can read it. The garbage collector may call from anywhere.

        It takes no lock of the queue's own: in another thread that may be held by one who waits for
        a lock that this one has.
        """
        if not self._guard.foreign:
            self._on_close(self)

    def close(self) -> None:
        """Stop collecting and wake all readers; what waits can still be read. Idempotent."""
        if self._guard.foreign:
            return
        self._on_close(self)
        self.end("This queue was closed. Make a new one with client.queue().")

    def __enter__(self) -> "ItemQueue":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def received(self) -> int:
        """How many items were put in: delivered + dropped + conflated + waiting."""
        return self._buffer.received

    @property
    def delivered(self) -> int:
        """How many items were read."""
        return self._buffer.delivered

    @property
    def dropped(self) -> int:
        """How many items were lost because the queue was full."""
        return self._buffer.dropped

    @property
    def conflated(self) -> int:
        """How many rates were skipped or replaced for newer ones of their instrument."""
        return self._buffer.conflated

    @property
    def lag(self) -> float:
        """Seconds since the oldest item came that waits; 0.0 when none waits."""
        self._guard.check()
        with self._monitor.lock:
            came = self._buffer.oldest
        return 0.0 if came is None else max(self._clock() - came, 0.0)

    def __repr__(self) -> str:
        return f"<ItemQueue {self.event!r}: {self.qsize()} waiting, {self.dropped} dropped>"
