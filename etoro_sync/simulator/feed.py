"""The feed's thread: it sends rates, order events and keepalives, and runs the timers."""

import threading
from collections.abc import Callable
from random import Random

from . import wire
from .clocks import monotonic
from .hub import Hub
from .message_schedule import MessageSchedule
from .orders import AutomaticOrders

_BATCH = 64  # messages per turn, so that other threads get the hub's lock in between
_MIN_WAIT = 0.0005  # seconds between two turns
_LONGEST_WAIT = 3600.0
_DEFAULT_INSTRUMENT = 100000


class DueCounter:
    """Counts how many actions are due, at a steady rate.

    When it is more than a second behind (after a suspend, or at a rate that the machine cannot
    keep), the older actions are skipped.

    :param per_second: the rate; 0 means never.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most_owed = max(1, int(per_second))
        self._origin: float | None = None
        self._done = 0

    def reset(self) -> None:
        """Stop counting; the next :meth:`due` starts again from zero."""
        self._origin = None

    def due(self, now: float) -> int:
        """Return how many actions are due by *now* and not yet done."""
        if self._origin is None:
            self._origin, self._done = now, 0
        owed = int((now - self._origin) * self._per_second) - self._done
        if owed > self._most_owed:
            self._done += owed - self._most_owed
            owed = self._most_owed
        return owed

    def mark_done(self, count: int) -> None:
        """Record that *count* actions are done."""
        self._done += count

    def wait_time(self, now: float) -> float:
        """Return the seconds until the next action is due."""
        if self._origin is None or not self._per_second:
            return _LONGEST_WAIT
        return max(0.0, self._origin + (self._done + 1) / self._per_second - now)


class Feed:
    """Sends rates, order events and NUL keepalives automatically.

    :param hub: sends the messages. Its lock also guards this object.
    :param rate: rate messages per second over all instruments; None lets each instrument send at
        its own intervals.
    :param order_interval: seconds between order events; None sends none.
    :param nul_interval: seconds between keepalives; 0 sends none.
    :param seed: the same seed gives the same choices.
    """

    def __init__(
        self,
        hub: Hub,
        rate: float | None,
        order_interval: float | None,
        nul_interval: float,
        seed: int = 0,
    ) -> None:
        self._hub = hub
        self._random = Random(f"{seed}/feed")
        self._rates = DueCounter(rate or 0)
        self._schedule = MessageSchedule(self._gap) if rate is None else None
        self._orders = DueCounter(1 / order_interval if order_interval else 0)
        self._automatic = AutomaticOrders(self._random)
        self._nuls = DueCounter(1 / nul_interval if nul_interval else 0)
        self._paused = False
        self._running = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._running = True
        thread = threading.Thread(target=self._run, name="etoro-simulator-feed", daemon=True)
        thread.start()
        self._thread = thread  # set last: a thread that failed to start cannot be joined

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._change(running=False)
        if self._thread is not None:
            self._thread.join()

    def pause(self, paused: bool) -> None:
        """Pause or resume rates and order events. Keepalives go on."""
        self._change(paused=paused)

    def _change(self, *, running: bool = True, paused: bool | None = None) -> None:
        """Change a flag and wake the thread."""
        with self._hub.changed:
            self._running = self._running and running
            self._paused = self._paused if paused is None else paused
            self._hub.changed.notify_all()

    def _run(self) -> None:
        """Send what is due, wait, and repeat. Runs on the feed's thread."""
        hub = self._hub
        with hub.changed:
            while self._running:
                now = monotonic()
                hub.run_due(now)
                flowing = not self._paused
                waits = (
                    self._send_rates(flowing, now),
                    self._send_due(self._orders, flowing, self._send_order, now),
                    self._send_due(self._nuls, True, self._send_nul, now),
                    hub.timers.wait_time(monotonic(), _LONGEST_WAIT),
                )
                hub.changed.wait(max(_MIN_WAIT, min(waits)))

    def _gap(self, instrument_id: int) -> float:
        """Return random seconds until the next message of an instrument."""
        return self._hub.market.instrument(instrument_id).profile.gap(self._random)

    def _send_rates(self, flowing: bool, now: float) -> float:
        """Send the rates that are due; return the seconds until the next."""
        if self._schedule is None:
            return self._send_due(
                self._rates, flowing and bool(self._hub.live), self._send_rate, now
            )
        self._schedule.set_live(self._hub.live if flowing else (), now)
        for _ in range(_BATCH):
            instrument_id = self._schedule.pop_due(now)
            if instrument_id is None:
                break
            self._hub.tick(instrument_id)
        return self._schedule.wait_time(monotonic())

    def _send_rate(self) -> None:
        """Send a rate of a random instrument."""
        if live := self._hub.live:  # empty if a fault has just ended the only connection
            self._hub.tick(live[int(self._random.random() * len(live))])

    def _send_order(self) -> None:
        """Send the next event of an order."""
        if self._hub.has_private_subscribers:
            event = self._automatic.next_event(self._hub.live or [_DEFAULT_INSTRUMENT])
            self._automatic.sent(self._hub.publish_order(*event))

    def _send_nul(self) -> None:
        """Send one keepalive to all clients."""
        self._hub.broadcast(wire.NUL)

    @staticmethod
    def _send_due(
        counter: DueCounter, wanted: bool, action: Callable[[], None], now: float
    ) -> float:
        """Run *action* as often as is due, at most one batch; return seconds until the next."""
        if not wanted:
            counter.reset()
            return _LONGEST_WAIT
        count = min(counter.due(now), _BATCH)
        for _ in range(count):
            action()
        counter.mark_done(count)
        return counter.wait_time(monotonic())
