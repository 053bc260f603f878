"""Times in tests: their unit, and a watch that does not count what the machine was busy with."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

__all__ = ["MS", "SCALE", "Stopwatch", "count_ended_threads", "queued"]

#: How many times slower than a quiet desktop machine the present one may be.
SCALE = float(os.environ.get("ETORO_SYNC_TEST_TIME_SCALE", "1"))

#: One millisecond, in seconds, scaled: ``timeout=50 * MS``.
MS = 0.001 * SCALE


#: What threads that have ended knew, in nanoseconds.
_ended: list[int] = []


def count_ended_threads() -> None:
    """Let :func:`queued` know threads that have ended, too; to be called once in a process.

    The system forgets them: the reader thread of an attempt that was late, for lack of a processor,
    may be gone when somebody asks why.
    """
    run = threading.Thread.run

    def counted(self: threading.Thread) -> None:
        try:
            run(self)
        finally:
            _ended.append(_queued_of(Path("/proc/thread-self/schedstat")))

    threading.Thread.run = counted  # type: ignore[method-assign]


def queued() -> float:
    """Return for how many seconds this process's threads could run and had no processor.

    All of them together; 0.0 where the system does not tell.
    """
    tasks = Path("/proc/self/task").glob("*/schedstat")
    return (sum(_ended) + sum(map(_queued_of, tasks))) / 1e9


def _queued_of(schedstat: Path) -> int:
    # A thread may end at any time, and not every system has this file.
    with contextlib.suppress(OSError):
        return int(schedstat.read_text().split()[1])
    return 0


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
