"""The items of a queue, which the reader thread adds and any threads take.

A queue never slows the reader thread: when it is full, its overflow policy decides which items are
dropped or replaced, and all of them are counted.
"""

import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import clocks
from ..errors import EToroClosedError, EToroError, fresh
from ..events import check_timeout
from ..logs import log
from ..state import Life
from ..synchronization import Monitor, ProcessGuard
from ..text import count, duration
from ..throttle import LogThrottle
from .buffers import Buffer
from .lag_watch import LagWatch

__all__ = ["ItemQueue"]

#: Seconds that a read may wait for a client that is not connected, before that is logged.
_PATIENCE = 5.0


class ItemQueue:
    """The items behind a user's :class:`~etoro_sync.EventQueue`, which documents the methods.

    The monitor's lock guards the buffer and the end. It is held for a few operations on
    containers, never while user code runs.

    :param event: the name of the event.
    :param buffer: holds the items; from :func:`make_buffer`.
    :param on_close: removes the queue from its client.
    :param lifecycle: the client's: whether events can come, and which threads must not wait.
    :param clock: seconds, for the ages of items that users see.
    """

    #: The queue that is fed with what a read has brought for this one; None: this one.
    collector: "ItemQueue | None" = None

    def __init__(
        self,
        event: str,
        buffer: Buffer,
        on_close: Callable[["ItemQueue"], None],
        lifecycle: Life | None = None,
        clock: Callable[[], float] = clocks.uptime,
    ) -> None:
        self.event = event
        self._buffer = buffer
        self._on_close = on_close
        self._lifecycle = lifecycle
        # Since when a read waits while the client is not connected.
        self._idle_since: float | None = None
        self._idle_logged = lifecycle is None
        self._clock = clock
        self._lag_watch = LagWatch(buffer.conflate_after)
        self._monitor = Monitor()
        self._ended = False
        self._error: EToroError | None = None
        self._end_reason = ""
        self._guard = ProcessGuard()
        self._throttle = LogThrottle()

    # -- the reader thread's side --------------------------------------------------------------

    def batch_in(self, items: list[Any]) -> list[Any]:
        """Return what appends to *items*, with which the collector will be fed. Reader thread."""
        return items

    def feed(self, items: Sequence[Any]) -> None:
        """Add *items* in order. Runs on the reader thread; never waits for a consumer."""
        with self._monitor.lock:
            if self._ended:
                return
            gone = self._buffer.extend(items, self._clock())
            self._monitor.changed()
        if gone and self._throttle.passes("full") is not None:
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
        """Keep rates of the next connection from replacing waiting ones. Reader thread."""
        with self._monitor.lock:
            self._buffer.barrier()

    def end(self, reason: str, error: EToroError | None = None) -> None:
        """Accept no more items and wake all readers. Any thread; the first call counts.

        :param reason: the text of the error that readers raise once no item waits any more.
        :param error: what ended the client, if it failed; readers raise a copy of it then.
        """
        with self._monitor.lock:
            if not self._ended:
                self._ended = True
                self._end_reason = reason
                self._error = error
            self._monitor.changed()

    @property
    def has_room(self) -> bool:
        """Whether a source that waits for its readers may go on. This queue never makes it wait."""
        return True

    # -- the user's side -----------------------------------------------------------------------

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item, or raise, as :meth:`etoro_sync.EventQueue.get` documents."""
        self._guard.check()
        if timeout is not None:
            timeout = check_timeout(timeout)
        deadline: float | None = None
        while True:
            with self._monitor.lock:
                if self._buffer.ready:
                    now, lag = self._clock(), 0.0
                    if now < self._lag_watch.next_look:
                        item = self._buffer.pop(now)
                    else:
                        item, lag = self._pop_and_look(now)
                    break
                self._lag_watch.emptied()
                if self._ended:
                    raise self._ending()
            if not block or timeout == 0:
                raise queue.Empty
            if timeout is not None and deadline is None:
                deadline = clocks.monotonic() + timeout
            if not self._wait(deadline):
                raise queue.Empty
        if lag:
            self._warn_of_lag(lag)
        return item

    def take(self, most: int) -> list[Any]:
        """Return up to *most* items that wait; ``[]``: none waits. Much cheaper than one by one.

        :raises EToroError: as :meth:`get`, but never waits.
        """
        with self._monitor.lock:
            if not self._buffer.ready:
                self._lag_watch.emptied()
                if self._ended:
                    raise self._ending()
                return []
            now, lag = self._clock(), 0.0
            if now < self._lag_watch.next_look:
                items = self._buffer.pop_some(most, now)
            else:
                item, lag = self._pop_and_look(now)
                items = [item]
        if lag:
            self._warn_of_lag(lag)
        return items

    def _wait(self, deadline: float | None) -> bool:
        """Block until there is an item, or the end; return False when *deadline* has passed.

        If the client is not connected, this is logged once: the user may have forgotten connect(),
        and then the wait never ends.
        """
        lifecycle = self._lifecycle
        if lifecycle is not None:
            lifecycle.own_threads.check("get()", "Use get_nowait(), or another thread.")
        while lifecycle is not None and not self._idle_logged and lifecycle.idle:
            now = clocks.monotonic()
            if self._idle_since is None:
                self._idle_since = now
            due = self._idle_since + _PATIENCE
            if now >= due:
                self._idle_logged = True
                log(
                    logging.WARNING,
                    "A loop or a get() waits for %r, but the stream is %s: nothing will come "
                    "until connect() is called.",
                    self.event,
                    lifecycle.state.value,
                )
                break
            until = due if deadline is None else min(due, deadline)
            if self._monitor.wait(self._is_ready, until):
                return True
            if until == deadline:
                return False
        return self._monitor.wait(self._is_ready, deadline)

    def _pop_and_look(self, now: float) -> tuple[Any, float]:
        """Return the next item, and the lag of the reader to log, in seconds; 0.0: none.

        The caller holds the lock.
        """
        buffer = self._buffer
        buffer.settle()
        came = buffer.oldest
        item = buffer.pop(now)
        return item, self._lag_watch.judge(now, came, buffer.oldest)

    def _warn_of_lag(self, lag: float) -> None:
        if self._throttle.passes("lag") is None:
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
            if self.event == "instrument:rate" and self._buffer.conflate_after is None
            else "",
        )

    def _is_ready(self) -> bool:
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

        :raises EToroError: the error that ended the client, if it failed.
        """
        while True:
            try:
                item = self.get()
            except EToroClosedError:
                if self.has_failed:
                    raise
                return
            yield item

    @property
    def has_failed(self) -> bool:
        """Whether it ends by an error, and not because the user has closed something."""
        return self._guard.foreign or self._error is not None

    def qsize(self) -> int:
        """How many items wait."""
        return len(self._buffer)

    def empty(self) -> bool:
        """Whether :meth:`get_nowait` has neither an item to return nor an overflow to raise."""
        return not self._buffer.ready

    def abandon(self) -> None:
        """Collect nothing more, because no reader is left. The garbage collector calls this.

        It does not take the queue's lock: another thread may hold it, and wait for a lock that this
        thread has.
        """
        if not self._guard.foreign:
            self._on_close(self)

    def close(self) -> None:
        """Stop collecting and wake all readers; items that wait can still be read. Idempotent."""
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
        """How many items came in: delivered + dropped + conflated + waiting."""
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
        """How many rates were not delivered because a newer one of the same instrument waited."""
        return self._buffer.conflated

    @property
    def lag(self) -> float:
        """The age of the oldest item that waits, in seconds; 0.0 when none waits."""
        self._guard.check()
        with self._monitor.lock:
            came = self._buffer.oldest
        return 0.0 if came is None else max(self._clock() - came, 0.0)

    def __repr__(self) -> str:
        return f"<ItemQueue {self.event!r}: {self.qsize()} waiting, {self.dropped} dropped>"
