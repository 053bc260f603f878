"""The thread that runs callbacks, in order, one at a time.

Callbacks have a thread of their own, so that one that is slow, raises or hangs delays other
callbacks only: the reader thread never waits for them.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from .. import clocks
from ..errors import EToroError, EToroQueueOverflowError
from ..logs import log, name_of, plain_name_of
from ..stats import Counters
from ..synchronization import Bell, join_thread
from ..text import count, duration
from ..throttle import LogThrottle
from .callbacks import Callbacks, Ending
from .lanes import ORDER_EVENT, Lanes, Run
from .registry import Registry

__all__ = ["Dispatcher"]

#: How many orders, and how many connection events, may wait.
_LOSSLESS_SIZE = 100_000
#: How many rates are taken at once, so that the lock is taken once for all of them.
_BATCH = 256
#: Seconds after which the rest of these rates is put back, since newer ones may have come.
_HOLD = 0.01
#: Seconds of lag that are logged, or ``conflate_after`` if that is longer.
_LAG = 1.0
#: The time between two checks of the lag, as a share of that.
_LOOKS = 0.1


class Dispatcher:
    """Runs the callbacks of a client, for one session after the other.

    Each session has a thread. If a callback of an earlier session has not returned, no new thread
    is started: the old one serves the new session as well, once the callback returns. So callbacks
    run one at a time, and one that hangs costs one thread.

    Orders overtake all events that wait, also between two callbacks of one rate. A rate that has
    waited too long is skipped if a newer one of its instrument waits.

    The lock guards the lanes, the number of the present session, and whether the thread is to end
    or has ended. It is never held while user code runs.

    :param name: of the thread.
    :param registry: the listeners.
    :param counters: the client's.
    :param bulk_size: how many rates, and how many other market events, may wait.
    :param conflate_after: seconds after which a superseded rate is skipped; None: only when full.
    :param clock: seconds, for the ages that users see.
    :param in_order: whether orders keep their place instead of overtaking.
    :param on_progress: called on the thread after each look at what waits.
    """

    def __init__(
        self,
        name: str,
        registry: Registry,
        counters: Counters,
        bulk_size: int,
        conflate_after: float | None = None,
        clock: Callable[[], float] = clocks.uptime,
        in_order: bool = False,
        on_progress: Callable[[], None] | None = None,
    ) -> None:
        self._name = name
        self._on_progress = on_progress
        self._on_failure: Callable[[EToroError], None] = lambda error: None
        self._registry = registry
        self._clock = clock
        self._callbacks = Callbacks(registry, counters, self._next_order, clock)
        # Re-entrant, because the garbage collector may run a finalizer that calls disconnect().
        self._lock = threading.RLock()
        # Whether a thread is changing the lanes: a finalizer may call stop() in the middle of that.
        self._in_lanes = False
        self._bell = Bell()
        self._lanes = Lanes(bulk_size, _LOSSLESS_SIZE, conflate_after, in_order)
        self._next_look = 0.0
        self._lag_limit = max(conflate_after or _LAG, _LAG)
        # The present session, and which of its callbacks are still to be called.
        self._session = 0
        self._ending = Ending()
        # What was taken out of the lanes, one run at most; until when its calls may begin; the
        # ending of its session; and when its first event came.
        self._taken: list[Run] = []
        self._call_until = 0.0
        self._taken_ending = self._ending
        self._taken_came: float | None = None
        # When the order came whose callbacks are being called.
        self._order_came: float | None = None
        self._throttle = LogThrottle()
        self._thread: threading.Thread | None = None
        # Whether the thread calls nothing any more, so that the next session needs another one.
        self._ended = False

    def open(self, session: int, on_failure: Callable[[EToroError], None]) -> None:
        """Accept the events of a new session, behind those that earlier sessions have left.

        :param session: its number; no effect if a newer session was opened before.
        :param on_failure: called with the error when the thread cannot go on.
        """
        with self._lock:
            if session > self._session:
                self._session, self._on_failure = session, on_failure
                self._ending = Ending()

    def start(self, session: int) -> None:
        """Start the thread, unless that of an earlier session still runs.

        :raises RuntimeError: when the system cannot start another thread.
        """
        with self._lock:
            thread = self._thread
            if session != self._session or (
                thread is not None and thread.is_alive() and not self._ended
            ):
                return
            # A daemon, so that a script may end in mid-stream; disconnect() joins it.
            self._thread = thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._ended = False
        thread.start()

    # -- the reader thread's side --------------------------------------------------------------

    def extend(
        self,
        session: int,
        rates: Sequence[tuple[Any, ...]],
        others: Sequence[tuple[int, str, tuple[Any, ...]]] = (),
    ) -> None:
        """Add the market events of one read, which may be conflated or dropped. Reader thread.

        :param session: the caller's; no effect if it has ended.
        :param rates: pairs of instrument id and rate.
        :param others: ``(n, event, arguments)`` for each event that came after the first *n* rates.
        """
        now = self._clock()
        with self._lock:
            if self._ending.stopping or session != self._session:
                return
            self._in_lanes = True
            gone = self._lanes.extend(rates, others, now)
            self._leave_lanes()
        self._bell.ring()
        if gone:
            self._warn_of_lag(now)
        elif now >= self._next_look:
            self._watch_lag(now)

    def _watch_lag(self, now: float) -> None:
        """Log a warning if the event whose callbacks are being called came long ago. Any thread."""
        self._next_look = now + self._lag_limit * _LOOKS
        came = self._taken_came
        if came is None:
            came = self._order_came
        if came is not None and now - came > self._lag_limit:
            self._warn_of_lag(now)

    def _warn_of_lag(self, now: float) -> None:
        if self._throttle.passes("lag") is None:
            return
        lanes, running = self._lanes, self._callbacks.running
        log(
            logging.WARNING,
            "The callbacks are too slow: they are %s behind; waiting: %s; skipped for newer ones "
            "until now: %s; dropped: %s. Make the callback return sooner, or read a queue or a "
            "stream in a thread of your own.%s",
            duration(self.lag(now)),
            count(len(lanes), "event"),
            count(lanes.rates.conflated, "rate"),
            count(lanes.dropped, "event"),
            f" Running now: {plain_name_of(running)}." if running is not None else "",
        )

    def post(self, session: int, event: str, *arguments: Any) -> None:
        """Add an event that must not be lost, if it has a listener. Any thread.

        :param session: the caller's; no effect if a newer one was opened.
        """
        if not self._registry.listeners(event).active:
            return
        now = self._clock()
        with self._lock:
            if session != self._session:
                return
            lost = self._lanes.append(event, arguments, now)
            if self._ending.abandoned:
                self._lanes.drop_lossless()
        if event == ORDER_EVENT:
            self._callbacks.orders_wait = True
        self._bell.ring()
        self._watch_lag(now)
        if lost and self._throttle.passes("lossless lane") is not None:
            log(
                logging.ERROR,
                "%r is lost for the callbacks, because %d of such events wait for them already. "
                "Make the callback return sooner, or read a queue instead.",
                event,
                _LOSSLESS_SIZE,
            )

    def barrier(self) -> None:
        """Keep rates of the next connection from replacing waiting ones. Reader thread."""
        with self._lock:
            self._lanes.rates.barrier()

    # -- stopping ------------------------------------------------------------------------------

    def stop(self, session: int) -> None:
        """Let the thread end once orders and connection events are delivered; drop all others.

        :param session: the one to end; no effect if a newer one was opened.
        """
        with self._lock:
            if session != self._session:
                return
            self._ending.stopping = True
            if not self._in_lanes:
                self._lanes.drop_market_events()
        self._bell.ring()

    def _leave_lanes(self) -> None:
        """Do what :meth:`stop` and :meth:`join` put off.

        A finalizer may call them on this thread while it changes the lanes, in spite of the lock.
        """
        self._in_lanes = False
        if self._ending.stopping:
            self._lanes.drop_market_events()
        if self._ending.abandoned:
            self._lanes.drop_lossless()

    def join(self, session: int, timeout: float, caller: str = "disconnect()") -> bool:
        """Wait until the thread has ended, and let it call nothing more if it does not end in time.

        Not to be called where the running callback may wait for the caller.

        :param session: the one that was stopped; a newer one is left alone.
        :param timeout: seconds.
        :param caller: the name of the call that waits, for the log.
        :returns: False when *timeout* has passed: a callback still runs.
        """
        thread = self._thread
        if thread is None or self.is_current or join_thread(thread, timeout):
            return True
        with self._lock:
            if session != self._session:
                return True
            self._ending.abandoned = True
            lost = 0 if self._in_lanes else self._lanes.drop_lossless()
        self._bell.ring()
        running = self._callbacks.running
        # Otherwise the thread is about to end, and nothing is lost.
        if running is not None or lost:
            log(
                logging.WARNING,
                "%s did not wait for %s; no callback gets the events after it.%s",
                caller,
                "the thread of the callbacks"
                if running is None
                else f"the callback {name_of(running)}, which is still running",
                f" Lost for them: {count(lost, 'order or connection event')}." if lost else "",
            )
        return False

    @property
    def is_current(self) -> bool:
        """Whether the calling thread is the one that runs the callbacks."""
        return threading.current_thread() is self._thread

    # -- the dispatcher thread -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            going = True
            while going:
                try:
                    going = self._step()
                except BaseException as exc:
                    if self._callbacks.foreign:
                        raise
                    # Raised outside of callbacks. At most the event that was being taken is lost.
                    self._callbacks.on_defect(exc)
        except BaseException as exc:
            if self._callbacks.foreign:
                raise
            # Before _on_failure(), after which a new session may begin and need another thread.
            self._ended = True
            text = f"The thread of the callbacks was ended by {type(exc).__name__}."
            self._on_failure(exc if isinstance(exc, EToroError) else EToroError(text))

    def _step(self) -> bool:
        """Call the callbacks of what was taken, and take what comes next.

        :returns: False when the thread is to end.
        """
        callbacks = self._callbacks
        if self._taken:
            self._call_taken()
        if callbacks.orders_wait:
            callbacks.call_orders()
        if callbacks.foreign:
            return False
        return self._take()

    def _call_taken(self) -> None:
        """Call the callbacks of what was taken, and put back what was not called in time."""
        event, calls = self._taken[0]
        self._callbacks.call(event, calls, self._call_until)
        if calls:
            with self._lock:
                self._in_lanes = True
                self._lanes.put_back(event, calls, over=self._taken_ending.stopping)
                self._leave_lanes()
        self._taken.clear()  # last, or an error before it would lose all of it
        self._taken_came = None

    def _take(self) -> bool:
        """Wait for the next events, and take them; return False when the thread is to end."""
        while True:
            error: EToroQueueOverflowError | None = None
            with self._lock:
                self._in_lanes = True
                self._callbacks.ending = self._taken_ending = self._ending
                try:
                    if self._lanes.orders.ready:
                        self._callbacks.orders_wait = True
                        return True
                    now = self._clock()
                    self._call_until = now + _HOLD
                    self._taken_came = self._lanes.take(_BATCH, now, self._taken)
                except EToroQueueOverflowError as exc:
                    self._taken.append(("error", deque([(exc,)])))
                    error = exc
                finally:
                    self._leave_lanes()
                if not self._taken and self._ending.stopping:
                    # Under the lock: a session that begins after this needs another thread.
                    self._ended = True
                    return False
            if error is not None:
                self._callbacks.feed_error_queues(error)
            if self._on_progress is not None:
                self._on_progress()
            if self._taken:
                if now >= self._next_look:
                    self._watch_lag(now)
                return True
            self._bell.wait()

    def _next_order(self) -> Run | None:
        """Take the next order, or the error that is raised where some are missing."""
        with self._lock:
            self._in_lanes = True
            self._callbacks.ending = self._ending
            self._order_came = self._lanes.orders.oldest
            try:
                return ORDER_EVENT, deque([self._lanes.orders.pop()])
            except IndexError:
                return None
            except EToroQueueOverflowError as exc:
                error = exc
            finally:
                self._leave_lanes()
        self._callbacks.feed_error_queues(error)
        return "error", deque([(error,)])

    # -- figures -------------------------------------------------------------------------------

    @property
    def lanes(self) -> Lanes:
        """The events that wait, for reading counters only."""
        return self._lanes

    @property
    def is_idle(self) -> bool:
        """Whether all callbacks of all events so far were called, or the thread has ended."""
        with self._lock:
            return self._ended or not (self._taken or self._lanes.ready)

    def lag(self, now: float | None = None) -> float:
        """Return the age of the oldest event that waits for callbacks or is being handled.

        In seconds; 0.0 when there is none, and once the thread has ended. Any thread.
        """
        if self._ended:
            return 0.0
        with self._lock:
            came = [self._lanes.oldest, self._taken_came, self._order_came]
        now = self._clock() if now is None else now
        return max((now - moment for moment in came if moment is not None), default=0.0)
