"""The thread that runs callbacks, in order, one at a time.

It stands between the reader and user code, so that a slow, raising or hanging callback costs
nothing but its own events: the reader never waits for it.
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

#: As many order and connection events as a queue of them holds by default.
_LOSSLESS_SIZE = 100_000
#: Rates taken at once, to pay for the lock once, and for how many seconds they are called out
#: without a look at whether they are still the newest.
_BATCH = 256
_HOLD = 0.01
#: Seconds of lag that are worth a word in the log where nothing is conflated by age.
_LAG = 1.0
#: How often to look for one, as a share of that.
_LOOKS = 0.1


class Dispatcher:
    """Runs the callbacks of a client, for one session after the other.

    The thread begins with a session and ends with it. Where a callback of an earlier session does
    not return, its thread takes over the new session once it does: callbacks run one at a time, and
    one that hangs costs one thread.

    Orders come first: they overtake all that waits, also between two callbacks of one rate. A rate
    whose turn comes late is skipped if a newer one of its instrument waits.

    The lock guards the lanes, which session is the present one, and whether its thread is to end or
    has ended. It is never held while user code runs.

    :param name: of the thread.
    :param registry: who listens.
    :param counters: what is counted.
    :param bulk_size: how many rates and messages may wait.
    :param conflate_after: seconds after which a superseded rate is skipped; None: when full.
    :param clock: seconds, for the ages that users see.
    :param in_order: orders overtake nothing.
    :param on_progress: called on the thread whenever it takes something, and when nothing is left.
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
        self._in_lanes = False
        self._bell = Bell()
        self._lanes = Lanes(bulk_size, _LOSSLESS_SIZE, conflate_after, in_order)
        self._look_at = 0.0
        self._worrying_lag = max(conflate_after or _LAG, _LAG)
        # The present session, and how far its events are still to be called out.
        self._session = 0
        self._ending = Ending()
        # What was taken out of the lanes and is being called out, one run at most; until when the
        # next call may begin; when the first event of it came; and how far it is to be called out.
        self._hand: list[Run] = []
        self._hand_until = 0.0
        self._hand_ending = self._ending
        self._hand_came: float | None = None
        # When the order came whose callbacks are being called, if any.
        self._order_came: float | None = None
        self._gate = LogThrottle()
        self._thread: threading.Thread | None = None
        # The thread calls nothing any more; the next session needs another one.
        self._ended = False

    def open(self, session: int, on_failure: Callable[[EToroError], None]) -> None:
        """Take the events of a new session, behind what earlier ones have left.

        :param session: its number, higher than those before; without effect for one overtaken.
        :param on_failure: called with the error when the thread cannot go on.
        """
        with self._lock:
            if session > self._session:
                self._session, self._on_failure = session, on_failure
                self._ending = Ending()

    def start(self, session: int) -> None:
        """Start the thread, unless that of an earlier session is still at work.

        :raises RuntimeError: when the system has no thread left.
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
        """Add what a read has brought; it may be conflated or dropped. Reader thread.

        :param session: whose reader calls; events of one that is over are left out.
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
        elif now >= self._look_at:
            self._watch_lag(now)

    def _watch_lag(self, now: float) -> None:
        """Log it when what is being called out came long ago. Any thread."""
        self._look_at = now + self._worrying_lag * _LOOKS
        came = self._hand_came
        if came is None:
            came = self._order_came
        if came is not None and now - came > self._worrying_lag:
            self._warn_of_lag(now)

    def _warn_of_lag(self, now: float) -> None:
        if self._gate.passes("lag") is None:
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
        """Add an event that must not be lost; nobody listening, it is not kept. Any thread.

        :param session: whose reader calls; events of one that was overtaken are left out.
        """
        if not self._registry.listeners(event).active:
            return
        now = self._clock()
        with self._lock:
            if session != self._session:
                return
            lost = self._lanes.append(event, arguments, now)
            if self._ending.abandoned:
                self._lanes.lose()
        if event == ORDER_EVENT:
            self._callbacks.hurry = True
        self._bell.ring()
        self._watch_lag(now)
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

    def stop(self, session: int) -> None:
        """Let the thread end once the lossless events are delivered; rates are dropped.

        :param session: the one to end; without effect when a newer one is at work.
        """
        with self._lock:
            if session != self._session:
                return
            self._ending.stopping = True
            if not self._in_lanes:
                self._lanes.shed()
        self._bell.ring()

    def _leave_lanes(self) -> None:
        """Do what :meth:`stop` left undone, if a finalizer has called it in their midst."""
        self._in_lanes = False
        if self._ending.stopping:
            self._lanes.shed()
        if self._ending.abandoned:
            self._lanes.lose()

    def join(self, session: int, timeout: float, caller: str = "disconnect()") -> bool:
        """Wait until the thread has ended; False: a callback still runs, and nothing is called out
        behind it. Not to be called while user code waits for the caller.

        :param session: that was stopped; a newer one is left alone.
        :param timeout: seconds.
        :param caller: who does not wait any longer, for the log.
        """
        thread = self._thread
        if thread is None or self.is_current or join_thread(thread, timeout):
            return True
        with self._lock:
            if session != self._session:
                return True
            self._ending.abandoned = True
            lost = 0 if self._in_lanes else self._lanes.lose()
        self._bell.ring()
        running = self._callbacks.running
        # Else it is about to end, or in a handler of the log, and costs nobody anything.
        if running is not None or lost:
            log(
                logging.WARNING,
                "%s did not wait for %s; no callback gets the events behind it.%s",
                caller,
                "the thread of the callbacks"
                if running is None
                else f"the callback {name_of(running)}, which is still running",
                f" Lost for them: {count(lost, 'order or connection event')}." if lost else "",
            )
        return False

    @property
    def is_current(self) -> bool:
        """Whether the caller is a callback."""
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
                    # Raised outside of callbacks. What was taken off is lost, and no more.
                    self._callbacks.on_defect(exc)
        except BaseException as exc:
            if self._callbacks.foreign:
                raise
            # Before a new session can begin, which then needs another thread.
            self._ended = True
            words = f"The thread of the callbacks ended by {type(exc).__name__}."
            self._on_failure(exc if isinstance(exc, EToroError) else EToroError(words))

    def _step(self) -> bool:
        """Call the callbacks of what was taken, and take what comes next; False: the end."""
        callbacks = self._callbacks
        if self._hand:
            self._call_hand()
        if callbacks.hurry:
            callbacks.call_orders()
        if callbacks.foreign:
            return False
        return self._take()

    def _call_hand(self) -> None:
        """Call the callbacks of what was taken, and put back what has become late meanwhile."""
        event, calls = self._hand[0]
        self._callbacks.call(event, calls, self._hand_until)
        if calls:
            with self._lock:
                self._in_lanes = True
                self._lanes.put_back(event, calls, over=self._hand_ending.stopping)
                self._leave_lanes()
        self._hand.clear()  # not before, or an error in between would lose all of it
        self._hand_came = None

    def _take(self) -> bool:
        """Wait for what comes next, and take it; False: the thread is to end."""
        while True:
            error: EToroQueueOverflowError | None = None
            with self._lock:
                self._in_lanes = True
                self._callbacks.ending = self._hand_ending = self._ending
                try:
                    if self._lanes.orders.ready:
                        self._callbacks.hurry = True
                        return True
                    now = self._clock()
                    self._hand_until = now + _HOLD
                    self._hand_came = self._lanes.take(_BATCH, now, self._hand)
                except EToroQueueOverflowError as exc:
                    self._hand.append(("error", deque([(exc,)])))
                    error = exc
                finally:
                    self._leave_lanes()
                if not self._hand and self._ending.stopping:
                    # Under the lock: a session that begins behind this needs another thread.
                    self._ended = True
                    return False
            if error is not None:
                self._callbacks.feed_error_queues(error)
            if self._on_progress is not None:
                self._on_progress()
            if self._hand:
                if now >= self._look_at:
                    self._watch_lag(now)
                return True
            self._bell.wait()

    def _next_order(self) -> Run | None:
        """Take the next order, or the error that stands where some are missing."""
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
        """For reading counts only."""
        return self._lanes

    @property
    def is_idle(self) -> bool:
        """Whether everything was called out that has come until now, or the thread has ended."""
        with self._lock:
            return self._ended or not (self._hand or self._lanes.ready)

    def lag(self, now: float | None = None) -> float:
        """Seconds since the oldest event came that callbacks are still to get, or are getting now.

        0.0 when there is none, and once the thread has ended. Any thread.
        """
        if self._ended:
            return 0.0
        with self._lock:
            came = [self._lanes.oldest, self._hand_came, self._order_came]
        now = self._clock() if now is None else now
        return max((now - moment for moment in came if moment is not None), default=0.0)
