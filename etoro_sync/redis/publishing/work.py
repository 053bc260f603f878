"""What the thread of a publisher does: stand by, or write what the stream brings."""

import logging
import threading
from collections import deque

from ... import clocks
from ...errors import EToroError, EToroRedisError
from ...logs import log
from ...models import WsInstrumentRate
from ...stream import MarketStream
from ...stream.core import core_of
from ...synchronization import Monitor
from ...text import count
from ..layout.event_rows import TAKEOVER
from .engine import MOST, Engine, Fenced, Order, Written
from .intake import Intake, Over

__all__ = ["Publishing"]

#: Seconds for which rates are collected for one entry.
_TOGETHER = 0.02
#: Seconds between two attempts while Redis is away.
_SHORTEST, _LONGEST = 0.05, 1.0
#: Seconds for which a cold publisher may be without a connection, since connecting takes some.
_TO_CONNECT = 30.0


class Publishing:
    """The work of one publisher.

    All but :meth:`stop` and :meth:`outlast` runs on the publisher's own thread, and others only
    read the counters. The monitor guards whether it has ended.

    :param source: the stream.
    :param engine: where to, and who may.
    :param cold: whether the stream is connected only while this publisher has the lease.
    """

    def __init__(self, source: MarketStream, engine: Engine, cold: bool) -> None:
        self._redact = core_of(source).source.redact
        self._engine = engine
        self.lease, self._writer = engine.lease, engine.writer
        self.intake = Intake(source, cold)
        self._stopping = threading.Event()
        self._monitor, self._over = Monitor(), False
        self._close_by = 0.0
        # What a new epoch begins with, as far as it is not written yet.
        self._backlog: deque[WsInstrumentRate] = deque()
        self._orders: deque[Order] = deque()
        self._attempt_at = self._batch_at = self._renewed_at = self._live_at = float("-inf")
        self._failures = 0
        self._has_learnt = False
        #: Counters; see :class:`~etoro_sync.redis.publishing.publisher.PublisherStats`.
        self.rates = self.orders = self.repeated = self.events = self.batches = 0
        self.lost = self.takeovers = self.fenced = self.failed = 0
        #: Why nothing can be written now; None: all is well.
        self.failure: str | None = None
        #: What has ended the publisher; None: it runs, or was closed.
        self.error: EToroError | None = None

    def stop(self, seconds: float = 2.0) -> None:
        """Write what waits, and end. Any thread, also in a finalizer; does not wait.

        :param seconds: how long writing what waits may take.
        """
        if not self._stopping.is_set():
            self._close_by = clocks.monotonic() + seconds
            self._stopping.set()
        self.intake.close()  # wakes the thread

    def outlast(self, deadline: float | None) -> bool:
        """Block until it has ended; False: the deadline has passed. Any thread but its own.

        :param deadline: in monotonic seconds; None is no limit.
        """
        return self._monitor.wait(lambda: self._over, deadline)

    @property
    def waiting(self) -> int:
        """How many rates, orders and events wait. Any thread."""
        return len(self._backlog) + self.intake.waiting

    @property
    def given_up(self) -> int:
        """How many orders and events were lost. Any thread."""
        return self.lost + self.intake.lost + self.intake.held.lost

    # -- the publisher's thread --------------------------------------------------------------------

    def run(self) -> None:
        """Publish until the stream ends, or :meth:`stop`."""
        try:
            while not self._stopping.is_set():
                self._step()
        except Over as exc:
            self.error = exc.error
        except Exception as exc:  # a defect must not end in silence
            self.error = EToroError(f"Internal error of a publisher: {self._redact(repr(exc))}.")
            log(logging.ERROR, "%s", self.error, exc_info=exc)
        finally:
            try:
                self._finish()
            finally:
                with self._monitor.lock:
                    self._over = True
                    self._monitor.changed()

    def _step(self) -> None:
        try:
            if self.lease.held:
                self._publish()
            else:
                self._stand_by()
        except EToroRedisError as exc:
            self._pause(exc)
        except Fenced as exc:
            self._fence(exc)

    # -- standing by

    def _stand_by(self) -> None:
        """Read the stream until it is time to ask for the lease; then ask."""
        now = clocks.monotonic()
        left = self._attempt_at - now
        if left > 0:
            if self.intake.is_open:
                self.intake.keep(left)
            else:
                self._stopping.wait(left)
            return
        if not (self.intake.is_live or self.intake.is_cold):
            # A stream without a connection has nothing to publish; another one may have.
            self._attempt_at = now + self.lease.seconds / 4
            return
        if not self._has_learnt:
            self.intake.held.learn(self._writer.past_orders())
            self._has_learnt = True
        again = self.lease.acquire()
        if again is None:
            self._take_over()
        else:
            self.intake.look_up(self._writer)
            self._attempt_at = clocks.monotonic() + again
        self._resumed()

    def _take_over(self) -> None:
        """Begin an epoch: with all that is known, since Redis may have something else."""
        self.takeovers += 1
        self._live_at = clocks.monotonic()
        self._writer.begin()
        self._writer.publish_event(TAKEOVER)
        self.intake.say_state(self._writer, again=True)
        self.intake.begin()
        self._orders = deque(self.intake.held.all())
        self._backlog = deque(self.intake.known.values())
        log(logging.INFO, "Publishing to %s in epoch %d.", self._engine, self.lease.epoch)

    # -- being active

    def _publish(self) -> None:
        """Write one batch, or renew the lease."""
        self.intake.connect()
        if not self._writer.is_full:
            self._fill()
        written = self._writer.flush()
        self._note(written)
        self._resumed()
        self._engine.tidy()
        now = clocks.monotonic()
        if self.intake.is_live:
            self._live_at = now
            return
        patience = _TO_CONNECT if self.intake.is_cold else self.lease.seconds
        if now - self._live_at > patience and self._has_standby(written):
            log(logging.WARNING, "The stream is not connected: another publisher may take over.")
            self.lease.release()
            self._step_down()
            self._attempt_at = now + self.lease.seconds

    def _has_standby(self, written: Written) -> bool:
        return written.standby is not None and written.standby < self.lease.seconds

    def _fill(self) -> None:
        """Fill the batch: first with what a new epoch begins with, then with what comes."""
        writer, backlog = self._writer, self._backlog
        self.intake.say_state(writer)
        while self._orders and writer.urgent < MOST:
            writer.publish_order(self._orders.popleft())
        if backlog:
            some = [backlog.popleft() for _ in range(min(MOST, len(backlog)))]
            self.intake.refused += writer.publish_rates(some)
        if backlog or self._orders or writer.is_full:
            return
        now = clocks.monotonic()
        left = self._batch_at + _TOGETHER - now
        if left > 0 and self.intake.waiting < MOST:
            self._stopping.wait(left)
            now += left
        self._batch_at = now
        due = self._renewed_at + self.lease.seconds / 3 - now
        self.intake.collect(writer, 0.0 if writer.urgent else max(due, 0.0))

    def _note(self, written: Written) -> None:
        """Count what was written."""
        self._renewed_at = now = clocks.monotonic()
        self.rates += written.rates
        self.orders += written.orders
        self.repeated += len(written.digests) - written.orders
        self.events += written.events
        self.batches += 1
        self.intake.held.confirm(written.digests, now)

    # -- what goes wrong

    def _fence(self, exc: Fenced) -> None:
        """Go on as a standby: another publisher writes, or all has to be written anew."""
        if exc.lost:
            log(logging.WARNING, "Redis has lost what was written last; all is written anew.")
        else:
            self.fenced += 1
            log(logging.WARNING, "Another publisher writes this feed now; this one stands by.")
        self._step_down(keep_stream=exc.lost)

    def _step_down(self, *, keep_stream: bool = False) -> None:
        self.lease.held = False
        self._writer.begin()
        self._backlog.clear()
        self._orders.clear()
        self._attempt_at = clocks.monotonic()
        if not keep_stream:
            self.intake.leave()

    def _pause(self, exc: EToroRedisError) -> None:
        """Wait before the next attempt; a standby reads the stream meanwhile."""
        if self.failure is None:
            log(
                logging.ERROR,
                "Nothing can be published now: %s Prices are conflated, and order events wait, "
                "until it works again.",
                exc,
            )
        self.failure = str(exc)
        self.failed += 1
        seconds = min(_SHORTEST * 2.0 ** min(self._failures, 10), _LONGEST)
        self._failures += 1
        if self.lease.held:
            self._stopping.wait(seconds)
        else:
            self._attempt_at = clocks.monotonic() + seconds

    def _resumed(self) -> None:
        self._failures = 0
        if self.failure is not None:
            self.failure = None
            log(logging.WARNING, "Redis at %s works again.", self._engine)

    # -- the end

    def _finish(self) -> None:
        """Write what waits, if there is time, and give the lease up."""
        was_active = self.lease.held
        self._close_by = self._close_by or clocks.monotonic() + 2.0
        self.intake.close()
        try:
            while self.lease.held and not self._write_rest():
                pass
            self.lease.release()
        except EToroRedisError:
            pass  # the lease expires by itself
        except Fenced:
            was_active = False  # another one has received what is left
        finally:
            self.lease.held = False
            self._stopping.set()
            left = self.intake.count_orders() if was_active else 0
            if left:
                self.lost += left
                what = count(left, "order")
                log(logging.ERROR, "%s could not be published before the end.", what)
            self.intake.end()
            self._engine.close()

    def _write_rest(self) -> bool:
        """Write one batch; return whether nothing is left.

        :raises EToroRedisError: when there is no time left to wait for Redis.
        """
        over = not self.intake.is_open
        try:
            if not self._writer.is_full:
                self._fill()
        except Over:
            over = True
        try:
            self._note(self._writer.flush())
        except EToroRedisError:
            if clocks.monotonic() + _SHORTEST > self._close_by:
                raise
            threading.Event().wait(_SHORTEST)
            return False
        return over
