"""Clocks for tests: one that moves when a test says so, one that leaps over a client's waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from etoro_sync import clocks
from etoro_sync.ws.transport.waker import Waker, cap

__all__ = ["FakeClock", "LeapingTime", "leaping_waker"]


class FakeClock:
    """A stand-in for ``time.monotonic``.

    It starts at a number that is not zero, so that code which takes zero for "never" is found out.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Move on, and return the new time."""
        assert seconds >= 0, "a monotonic clock does not go back"
        self.now += seconds
        return self.now


class LeapingTime:
    """A stand-in for the modules ``time`` and ``clocks``, whose clocks run, and leap when told.

    So a real client, with real threads and sockets, lives through a long outage at once.

    :ivar leapt: seconds that were leapt over so far
    :ivar slept: seconds that the machine has slept so far, which the monotonic clock does not count
    :ivar ahead: seconds by which somebody has set the wall clock
    """

    def __init__(self) -> None:
        self.leapt = self.slept = self.ahead = 0.0
        # Guards the appointments, which a test makes while a client's thread leaps.
        self._lock = threading.Lock()
        self._appointments: list[tuple[float, Callable[[], object]]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(clocks if hasattr(clocks, name) else time, name)

    def monotonic(self) -> float:
        return time.monotonic() + self.leapt

    def uptime(self) -> float:
        return clocks.uptime() + self.leapt + self.slept

    def time(self) -> float:
        return time.time() + self.leapt + self.slept + self.ahead

    wall_clock = time

    def at(self, seconds: float, action: Callable[[], object]) -> None:
        """Run *action*, on the thread that leaps, as soon as so many seconds were leapt over."""
        with self._lock:
            self._appointments.append((seconds, action))

    def leap(self, seconds: float) -> None:
        """Move all clocks on, and keep the appointments that have come."""
        self.leapt += seconds
        with self._lock:
            due = [action for moment, action in self._appointments if moment <= self.leapt]
            self._appointments = [pair for pair in self._appointments if pair[0] > self.leapt]
        for action in due:
            action()


def leaping_waker(clock: LeapingTime) -> type[Waker]:
    """Return a waker whose waits take no time and move *clock* instead."""

    class LeapingWaker(Waker):
        def wait(self, seconds: float) -> None:
            clock.leap(cap(seconds))
            # What has woken it is taken notice of, as ever.
            super().wait(0)

    return LeapingWaker
