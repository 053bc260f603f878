"""Times in tests: their unit, and a watch that does not count what the machine was busy with."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

__all__ = ["MS", "SCALE", "Stopwatch", "queued"]

#: How many times slower than a quiet desktop machine the present one may be.
SCALE = float(os.environ.get("ETORO_SYNC_TEST_TIME_SCALE", "1"))

#: One millisecond, in seconds, scaled: ``timeout=50 * MS``.
MS = 0.001 * SCALE


def queued() -> float:
    """Return for how many seconds this process's threads could run and had no processor.

    All of them together; 0.0 where the system does not tell.
    """
    nanoseconds = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        # A thread may end at any time.
        with contextlib.suppress(OSError):
            nanoseconds += int(task.read_text().split()[1])
    return nanoseconds / 1e9


class Stopwatch:
    """Runs from when it is made.

    It does not count the time for which threads of this process could have run and had no
    processor: promises hold on a machine that is not overloaded, and tests that run at the same
    time may overload it. What the client itself wastes by sleeping or by a lock is counted.
    """

    def __init__(self) -> None:
        self._began, self._queued = time.monotonic(), queued()

    @property
    def seconds(self) -> float:
        """How long it has been running; without what the system tells of its queue, if it does."""
        waited = max(queued() - self._queued, 0.0)
        return time.monotonic() - self._began - waited
