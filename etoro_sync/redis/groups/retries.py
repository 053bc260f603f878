"""Repeats what Redis could not do, until it can."""

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from ... import clocks
from ...errors import EToroRedisError
from ...logs import log
from ...synchronization import Monitor
from ...text import repeated
from ...throttle import LogThrottle

__all__ = ["FINAL_CODES", "Retries"]

Result = TypeVar("Result")

#: Answers of Redis that stay the same until somebody changes the URL, the user or the data.
FINAL_CODES = frozenset(["WRONGPASS", "NOAUTH", "NOPERM", "WRONGTYPE"])
#: Seconds before the second attempt, at most, and before any.
_FIRST_DELAY, _MOST_DELAY = 0.1, 2.0


class Retries:
    """Calls functions that need Redis, again and again while it is away.

    One thread calls; others may stop it. The monitor's lock guards :attr:`stopped`.

    :param name: of whoever needs Redis, for the log.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._monitor = Monitor()
        self._throttle = LogThrottle()
        self._attempt = 0
        self._since = 0.0
        #: How often Redis has begun to be away.
        self.outages = 0
        #: Why Redis cannot be used now; None: all is well.
        self.failure: EToroRedisError | None = None
        self.stopped = False

    def stop(self) -> None:
        """End all waits, now and later. Any thread."""
        with self._monitor.lock:
            self.stopped = True
            self._monitor.changed()

    def call(self, work: Callable[[], Result], deadline: float | None = None) -> Result | None:
        """Return what *work* returns, as soon as Redis can be used; None: it was stopped.

        It is called once at least, also when stopped before.

        :param deadline: in monotonic seconds, for the repetitions; None is no limit.
        :raises EToroRedisError: when the time is up, or the answer will stay the same.
        """
        while True:
            try:
                result = work()
            except EToroRedisError as exc:
                if exc.error_code in FINAL_CODES:
                    raise
                self._pause(exc)
                if deadline is not None and clocks.monotonic() >= deadline:
                    raise
                if self._wait(deadline):
                    return None
            else:
                self._resume()
                return result

    def _wait(self, deadline: float | None) -> bool:
        """Wait for the next attempt; return whether it was stopped."""
        most = min(_FIRST_DELAY * 2.0 ** min(self._attempt, 10), _MOST_DELAY)
        self._attempt += 1
        until = clocks.monotonic() + random.uniform(most / 2, most)
        self._monitor.wait(
            lambda: self.stopped, until if deadline is None else min(until, deadline)
        )
        return self.stopped

    def _pause(self, exc: EToroRedisError) -> None:
        if self.failure is None:
            self.outages += 1
            self._since = clocks.uptime()
        self.failure = exc
        omitted = self._throttle.passes(exc.error_code)
        if omitted is not None:
            log(logging.ERROR, "%s waits for Redis: %s%s", self._name, exc, repeated(omitted))

    def _resume(self) -> None:
        if self.failure is not None:
            seconds = clocks.uptime() - self._since
            self.failure, self._attempt = None, 0
            log(logging.WARNING, "%s goes on, after %.1f s without Redis.", self._name, seconds)
