"""The thread that runs callbacks, in order, one at a time.

It stands between the reader and user code, so that a slow, raising or hanging callback costs
nothing but its own events: the reader never waits for it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .. import clocks
from ..errors import EToroError, EToroQueueOverflowError
from ..logs import log, name_of, plain_name_of
from ..stats import Counters
from ..synchronization import Bell, join_thread
from ..text import count, duration
from ..throttle import LogThrottle
from .buffers import ORDER_EVENT, Lanes, Run
from .callbacks import Callbacks
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
    """Runs the callbacks of one session.

    Orders come first: they overtake all that waits, also between two callbacks of one rate. A rate
    whose turn comes late is skipped if a newer one of its instrument waits.

    The lock guards the lanes, and how far the thread has come: whether it is its turn, and whether
    it is to end. It is never held while user code runs.

    :param name: of the thread.
    :param registry: who listens.
    :param counters: what is counted.
    :param bulk_size: how many rates and messages may wait.
    :param after: the dispatcher of the session before, which may still be at work: callbacks run
        one at a time, whichever session they belong to.
    :param on_failure: called with the error when the thread cannot go on.
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
        after: "Dispatcher | None" = None,
        on_failure: Callable[[EToroError], None] = lambda error: None,
        conflate_after: float | None = None,
        clock: Callable[[], float] = clocks.uptime,
        in_order: bool = False,
        on_progress: Callable[[], None] | None = None,
    ) -> None:
        self._on_progress = on_progress
        self._after = after
        # Of all that wait until the callbacks of earlier sessions have ended; the client's.
        self._waiting: set[Bell] = after._waiting if after is not None else set()
        self._at_turn = self._ended = self._given_up = False
        self._on_failure = on_failure
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
        self._stopping = False
        # What was taken out of the lanes and is being called out, one run at most; until when the
        # next call may begin; and when the first event of it came.
        self._hand: list[Run] = []
        self._hand_until = 0.0
        self._hand_came: float | None = None
        # When the order came whose callbacks are being called, if any.
        self._order_came: float | None = None
        self._gate = LogThrottle()
        # A daemon, so that a script may end in mid-stream; disconnect() joins it.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        if after is not None:
            # Else each session under a callback that does not return would keep its thread.
            after._give_up("connect()")

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
        now = self._clock()
        with self._lock:
            if self._stopping:
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
        if came is not None:
            if now - came > self._worrying_lag:
                self._warn_of_lag(now)
        # Behind a callback of an earlier session nothing is called out at all.
        elif not self._at_turn and self.lag(now) > self._worrying_lag:
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

    def post(self, event: str, *arguments: Any) -> None:
        """Add an event that must not be lost; nobody listening, it is not kept. Any thread."""
        if not self._registry.listeners(event).active:
            return
        now = self._clock()
        with self._lock:
            lost = self._lanes.append(event, arguments, now)
            if self._given_up:
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

    def stop(self) -> None:
        """Let the thread end once the lossless events are delivered; rates are dropped."""
        with self._lock:
            self._stopping = self._callbacks.stopping = True
            if not self._in_lanes:
                self._lanes.shed()
        self._bell.ring()

    def _leave_lanes(self) -> None:
        """Do what :meth:`stop` left undone, if a finalizer has called it in their midst."""
        self._in_lanes = False
        if self._stopping:
            self._lanes.shed()
        if self._given_up:
            self._lanes.lose()

    def join(self, timeout: float, caller: str = "disconnect()") -> bool:
        """Wait until the thread has ended; False: a callback still runs, and its thread will end
        when it returns. Not to be called while user code waits for the caller.

        :param caller: who does not wait any longer, for the log.
        """
        if self.is_current or join_thread(self._thread, timeout) or self._give_up(caller):
            return True
        self._callbacks.abandoned = True
        running = self._callbacks.running
        if running is None:
            log(logging.WARNING, "%s did not wait for the thread of the callbacks.", caller)
        else:
            log(
                logging.WARNING,
                "%s did not wait for the callback %s, which is still running; no callback hears "
                "of the events behind it.",
                caller,
                name_of(running),
            )
        return False

    def _give_up(self, caller: str) -> bool:
        """End without having begun, if a callback of an earlier session still runs.

        :param caller: who does not wait any longer, for the log.
        """
        with self._lock:
            if self._at_turn or self._earlier() is None:
                return False
            self._given_up = self._callbacks.abandoned = True
            lost = 0 if self._in_lanes else self._lanes.lose()
        self._bell.ring()
        if lost:
            log(
                logging.WARNING,
                "%s did not wait for a callback of an earlier session, which is still running; "
                "lost behind it for the callbacks: %s.",
                caller,
                count(lost, "order or connection event"),
            )
        return True

    @property
    def is_current(self) -> bool:
        """Whether the caller is a callback, of this session or of one that this one waits for."""
        current = threading.current_thread()
        one: Dispatcher | None = self
        while one is not None and one._thread is not current:
            one = one._after
        return one is not None

    # -- the dispatcher thread -----------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._survives():
                pass
        except BaseException as exc:
            if self._callbacks.foreign:
                raise
            words = f"The thread of the callbacks ended by {type(exc).__name__}."
            self._on_failure(exc if isinstance(exc, EToroError) else EToroError(words))
        finally:
            self._ended = True
            for bell in list(self._waiting):
                bell.ring()

    def _await_turn(self) -> bool:
        """Wait until the callbacks of earlier sessions have ended; False: this one is over."""
        self._waiting.add(self._bell)  # before the first look, or an end could be missed
        try:
            while True:
                with self._lock:
                    if self._given_up:
                        return False
                    if self._earlier() is None:
                        self._at_turn = True
                        return True
                    if self._stopping and not self._lanes.is_owing:
                        return False
                self._bell.wait()
        finally:
            self._waiting.discard(self._bell)

    def _earlier(self) -> "Dispatcher | None":
        """Return the one whose callbacks must have ended before these may begin.

        One that has ended without its turn, or never began, leaves the one before it.
        """
        after = self._after
        while after is not None and (after._ended or not after._thread.is_alive()):
            after = self._after = after._after
        return after

    def _survives(self) -> bool:
        """Tell what there is to tell, until the end (False) or an error outside of callbacks.

        :raises EToroError: when there is one such error after the other.
        """
        try:
            while self._tell_next():
                pass
        except BaseException as exc:
            if self._callbacks.foreign or self._callbacks.hopeless:
                raise
            self._callbacks.on_defect(exc)
            return True
        return False

    def _tell_next(self) -> bool:
        """Call the callbacks of what comes next; False: the thread is to end."""
        callbacks = self._callbacks
        if not self._at_turn and not self._await_turn():
            return False
        if self._hand:
            self._tell_hand()
        if callbacks.hurry:
            callbacks.tell_orders()
        if callbacks.abandoned or callbacks.foreign:
            return False
        return self._take()

    def _tell_hand(self) -> None:
        """Call the callbacks of what was taken, and put back what has become late meanwhile."""
        event, calls = self._hand[0]
        # An iterator, so that an error just behind a call finds nothing to be called out again.
        calls = iter(calls)
        self._hand[0] = event, calls
        left = self._callbacks.tell(event, calls, self._hand_until)
        self._hand[0] = event, left
        rest = list(left)
        if rest:
            self._hand[0] = event, rest  # they are not in that iterator any more
            with self._lock:
                self._in_lanes = True
                self._lanes.put_back(event, rest)
                self._leave_lanes()
        self._hand.clear()  # not before, or an error in between would lose it
        self._hand_came = None

    def _take(self) -> bool:
        """Wait for what comes next, and take it; False: the thread is to end."""
        while True:
            error: EToroQueueOverflowError | None = None
            with self._lock:
                self._in_lanes = True
                try:
                    if self._lanes.orders.ready:
                        self._callbacks.hurry = True
                        return True
                    now = self._clock()
                    self._hand_until = now + _HOLD
                    self._hand_came = self._lanes.take(_BATCH, now, self._hand)
                except EToroQueueOverflowError as exc:
                    self._hand.append(("error", [(exc,)]))
                    error = exc
                finally:
                    self._leave_lanes()
                if not self._hand and self._stopping:
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

    def _next_order(self, hand: list[Run]) -> bool:
        """Put the next order into *hand*, or the error that stands where some are missing."""
        with self._lock:
            self._in_lanes = True
            self._order_came = self._lanes.orders.oldest
            try:
                hand.append((ORDER_EVENT, [self._lanes.orders.pop()]))
                return True
            except IndexError:
                return False
            except EToroQueueOverflowError as exc:
                hand.append(("error", [(exc,)]))
                error = exc
            finally:
                self._leave_lanes()
        self._callbacks.feed_error_queues(error)
        return True

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
