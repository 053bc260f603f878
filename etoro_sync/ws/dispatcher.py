"""The thread that runs callbacks, in order, one at a time.

It stands between the reader and user code, so that a slow, raising or hanging callback costs
nothing but its own events: the reader never waits for it.
"""

import contextlib
import inspect
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import EToroError, EToroQueueOverflowError
from .buffers import Lanes, Run
from .events import MARKET_EVENTS
from .gate import LogGate
from .handlers import Handler, Registry
from .lifecycle import Bell, ProcessGuard
from .log import log, name_of
from .stats import Counters

__all__ = ["Dispatcher"]

#: As many order and connection events as a queue of them holds by default.
_LOSSLESS_SIZE = 100_000
#: Events taken at once: few enough to stay fresh, many enough to pay for the lock.
_BATCH = 256


class Dispatcher:
    """Runs the callbacks of one session.

    The lock guards the lanes and :attr:`_stopping`. It is never held while user code runs.

    :param name: of the thread.
    :param registry: who listens.
    :param counters: what is counted.
    :param bulk_size: how many rates and messages may wait.
    :param after: the dispatcher of the session before, which may still be at work: callbacks run
        one at a time, whichever session they belong to.
    """

    def __init__(
        self,
        name: str,
        registry: Registry,
        counters: Counters,
        bulk_size: int,
        after: "Dispatcher | None" = None,
    ) -> None:
        self._after = after
        self._registry = registry
        self._counters = counters
        # Re-entrant, because the garbage collector may run a finalizer that calls disconnect().
        self._lock = threading.RLock()
        self._in_lanes = False
        self._bell = Bell()
        self._lanes = Lanes(bulk_size, _LOSSLESS_SIZE)
        self._stopping = False
        self._abandoned = False
        self._running: Callable[..., Any] | None = None
        self._guard = ProcessGuard()
        self._gate = LogGate()
        # A daemon, so that a script may end in mid-stream; disconnect() joins it.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    # -- the reader thread's side --------------------------------------------------------------

    def extend(
        self,
        rates: Sequence[tuple[Any, ...]],
        others: Sequence[tuple[int, str, tuple[Any, ...]]] = (),
    ) -> None:
        """Add what a read has brought; it may be conflated or dropped. Reader thread.

        :param rates: pairs of instrument id and rate.
        :param others: ``(n, event, arguments)`` for each event that came after the first *n* rates.
        """
        with self._lock:
            if self._stopping:
                return
            self._in_lanes = True
            gone = self._lanes.extend(rates, others)
            self._leave_lanes()
        self._bell.ring()
        if gone and self._gate.passes("bulk lanes") is not None:
            lanes = self._lanes
            log(
                logging.WARNING,
                "The callbacks are too slow: %d events wait for them, and until now %d rates were "
                "replaced by newer ones and %d events dropped. Make the callback return sooner, "
                "raise callback_queue_size, or read a queue instead.",
                len(lanes),
                lanes.rates.conflated,
                lanes.dropped,
            )

    def post(self, event: str, *arguments: Any) -> None:
        """Add an event that must not be lost; nobody listening, it is not kept. Any thread."""
        if not self._registry.listeners(event).active:
            return
        with self._lock:
            lost = self._lanes.append(event, arguments)
        self._bell.ring()
        if lost and self._gate.passes("lossless lane") is not None:
            log(
                logging.ERROR,
                "The callbacks are %d order and connection events behind: %r is lost for them. "
                "Make the callback return sooner, or read a queue instead.",
                _LOSSLESS_SIZE,
                event,
            )

    def barrier(self) -> None:
        """Keep rates of a lost connection apart from those of the next. Reader thread."""
        with self._lock:
            self._lanes.rates.barrier()

    # -- stopping ------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let the thread end once the lossless events are delivered; rates are dropped."""
        with self._lock:
            self._stopping = True
            if not self._in_lanes:
                self._lanes.shed()
        self._bell.ring()

    def _leave_lanes(self) -> None:
        """Do what :meth:`stop` left undone, if a finalizer has called it in their midst."""
        self._in_lanes = False
        if self._stopping:
            self._lanes.shed()

    def join(self, timeout: float, caller: str = "disconnect()") -> bool:
        """Wait until the thread has ended; False: a callback still runs, and its thread will end
        when it returns. Not to be called while user code waits for the caller.

        :param caller: who does not wait any longer, for the log.
        """
        if self.is_current or not self._thread.is_alive():
            return True
        self._thread.join(min(max(timeout, 0.0), threading.TIMEOUT_MAX))
        if not self._thread.is_alive():
            return True
        self._abandoned = True
        if self._running is None:
            log(logging.WARNING, "%s did not wait for the thread of the callbacks.", caller)
        else:
            log(
                logging.WARNING,
                "%s did not wait for the callback %s, which is still running; no callback hears "
                "of the events behind it.",
                caller,
                name_of(self._running),
            )
        return False

    @property
    def is_current(self) -> bool:
        """Whether the caller is a callback, of this session or of one that this one waits for."""
        after = self._after
        current = threading.current_thread() is self._thread
        return current or (after is not None and after.is_current)

    # -- the dispatcher thread -----------------------------------------------------------------

    def _run(self) -> None:
        after = self._after
        if after is not None and after._thread.is_alive():
            after._thread.join()
        self._after = None
        while not self._guard.foreign:
            runs = self._take()
            if not runs:
                return
            for event, calls in runs:
                self._emit_run(event, calls)
            if self._abandoned:
                return

    def _take(self) -> list[Run]:
        """Wait for events; an empty list: the thread is to end."""
        while True:
            with self._lock:
                self._in_lanes = True
                try:
                    runs = self._lanes.take(_BATCH)
                except EToroQueueOverflowError as exc:
                    error = exc
                    break
                finally:
                    self._leave_lanes()
                if runs or self._stopping:
                    return runs
            self._bell.wait()
        self._feed_error_queues(error)
        return [("error", [(error,)])]

    def _emit_run(self, event: str, calls: list[tuple[Any, ...]]) -> None:
        """Tell one event as often as it came. Runs on the dispatcher thread."""
        market = event in MARKET_EVENTS
        listeners = self._registry.listeners(event)
        called = 0
        for arguments in calls:
            if self._abandoned or (self._stopping and market):
                break
            # Looked up anew each time: a callback may have added or removed another.
            handlers = listeners.handlers
            if listeners.handlers_by_id and arguments:
                handlers = listeners.handlers_by_id.get(arguments[0], handlers)
            for handler in handlers:
                if handler.spent:
                    continue
                if handler.once:
                    handler.spent = True
                    self._registry.discard(event, handler)
                self._running = function = handler.function
                called += 1
                try:
                    result = function(*arguments)
                    if result is not None and inspect.iscoroutine(result):
                        result.close()
                        raise TypeError("the callback returned a coroutine, which nobody awaits")
                except BaseException as exc:
                    self._counters.callback_errors += 1
                    # Whatever user code has prepared for us outside of its call must not end this.
                    with contextlib.suppress(BaseException):
                        # Without this frame: its locals are what the server sent, unredacted.
                        trace = exc.__traceback__
                        self._failed(event, handler, exc.with_traceback(trace and trace.tb_next))
        self._running = None
        self._counters.callbacks += called

    def _failed(self, event: str, handler: Handler, exc: BaseException) -> None:
        """Log and report what a callback raised; a callback can end nothing."""
        # By identity: hashing a callable is user code.
        quiet = self._gate.passes((id(handler.function), type(exc)))
        if quiet is not None:
            log(
                logging.ERROR,
                "The callback %s for %r raised %s%s",
                name_of(handler.function),
                event,
                type(exc).__name__,
                f" ({quiet} more since the last report)" if quiet else "",
                exc_info=exc,
            )
        if event != "error":
            error = exc
            if not isinstance(exc, Exception):
                name = name_of(handler.function)
                error = EToroError(f"The callback {name} raised {type(exc).__name__}.")
                error.__cause__ = exc
            self._feed_error_queues(error)
            self._emit_run("error", [(error,)])

    def _feed_error_queues(self, error: BaseException) -> None:
        """Queues of errors are fed by the reader, but for what only this thread knows."""
        for queue in self._registry.listeners("error").queues:
            queue.feed([error])

    # -- figures -------------------------------------------------------------------------------

    @property
    def lanes(self) -> Lanes:
        """For reading counts only."""
        return self._lanes
