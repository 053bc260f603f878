"""What is measured of this process, and how fast it grows."""

from __future__ import annotations

import os
import statistics
import threading
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from etoro_sync import WsClient

__all__ = ["MB", "Sample", "count_descriptors", "growth_per_hour", "measure"]

MB = 1024 * 1024
#: A slope is taken through so many points at most: it looks at every pair.
_MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment.

    :param at: monotonic seconds.
    :param rss: resident memory in bytes; None where the system does not tell.
    :param traced: bytes that Python objects take, when tracemalloc runs.
    """

    at: float
    rss: int | None
    traced: int | None
    messages: int
    threads: int
    descriptors: int | None


def measure(client: WsClient) -> Sample:
    """Measure this process now."""
    traced = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None
    messages = client.stats().messages
    return Sample(
        time.monotonic(), _rss(), traced, messages, threading.active_count(), count_descriptors()
    )


def _rss() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def count_descriptors() -> int | None:
    """Count the open descriptors of this process; None where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # without the one that lists them
    except OSError:
        return None


def growth_per_hour(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the median slope between any two of the points, per hour.

    Unlike a line of least squares it does not follow a few moments of high load (Theil and Sen).

    :param points: seconds and values.
    """
    step = max(len(points) // _MOST_POINTS, 1)
    chosen = points[::step]
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for number, earlier in enumerate(chosen)
        for later in chosen[number + 1 :]
        if later[0] > earlier[0]
    ]
    return statistics.median(slopes) * 3600 if slopes else None
