"""What all clients share: arguments, counting, the clock, and the report on standard output."""

import argparse
import json
import os
import sys
import time
from array import array
from collections.abc import Callable
from typing import Any

from .feeds import FIRST_INSTRUMENT, MARKER_END, MARKER_START
from .server import STAMP_WRAP

__all__ = ["Meter", "arguments", "topics"]


def arguments(description: str | None) -> argparse.Namespace:
    """Return what the runner asks for."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--instruments", type=int, default=1000)
    parser.add_argument("--mode", choices=["count", "latency", "recovery", "end"], default="count")
    parser.add_argument("--sink", choices=["callback", "queue"], default="callback")
    parser.add_argument("--room", type=int, default=None, help="places in the client's queues")
    parser.add_argument("--handlers", type=int, default=0, help="more handlers")
    parser.add_argument("--queues", type=int, default=0, help="more queues")
    parser.add_argument("--others", action="store_true", help="those, for other instruments")
    parser.add_argument("--busy", type=float, default=0.0, help="ms that a callback computes")
    parser.add_argument("--switch", type=float, default=None, help="the switch interval, in ms")
    return parser.parse_args()


def topics(args: argparse.Namespace) -> list[str]:
    """Return the topics of the feed."""
    return [f"instrument:{FIRST_INSTRUMENT + number}" for number in range(args.instruments)]


class Meter:
    """Counts between the two markers.

    :param mode: ``"latency"``: take the age of each price, from its ``price_rate_id``.
    :param on_end: called at the second marker.
    """

    def __init__(self, mode: str, on_end: Callable[[], object]) -> None:
        self.handler = self._latency_handler() if mode == "latency" else self._count_handler()
        self._on_end = on_end
        self._ages = array("q")
        self._began = (0.0, 0.0)
        self.report: dict[str, Any] = {}

    def _count_handler(self) -> Callable[[int, Any], None]:
        count = 0

        def on_rate(instrument_id: int, rate: Any) -> None:
            nonlocal count
            if instrument_id < MARKER_START:
                count += 1
            else:
                count = self._mark(instrument_id, count, rate)

        return on_rate

    def _latency_handler(self) -> Callable[[int, Any], None]:
        clock = time.perf_counter_ns

        def on_rate(instrument_id: int, rate: Any) -> None:
            if instrument_id < MARKER_START:
                self._ages.append(clock() - rate.price_rate_id)
            else:
                self._mark(instrument_id, len(self._ages), rate)

        return on_rate

    def start(self) -> None:
        """Begin to measure."""
        self._began = time.perf_counter(), time.process_time()

    def stop(self, count: int) -> None:
        """End the measurement after *count* price changes."""
        wall, cpu = time.perf_counter(), time.process_time()
        self.report["seconds"] = wall - self._began[0]
        self.report["cpu_seconds"] = cpu - self._began[1]
        self.report["delivered"] = count

    def _mark(self, instrument_id: int, count: int, rate: Any) -> int:
        if instrument_id == MARKER_START:
            del self._ages[:]
            self.start()
            return 0
        if instrument_id == MARKER_END:
            self.stop(count)
            age = time.perf_counter_ns() - getattr(rate, "price_rate_id", 0)
            self.report["marker_age_ms"] = age % STAMP_WRAP / 1e6
            self._on_end()
        return count

    def print(self, **more: Any) -> None:
        """Report to the runner."""
        ages = sorted(age % STAMP_WRAP for age in self._ages)
        if ages:
            for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)):
                self.report[name] = ages[min(int(len(ages) * share), len(ages) - 1)] / 1000
        self.report["peak_mib"] = _peak_mib()
        json.dump({**self.report, **more}, sys.stdout)


def _peak_mib() -> float | None:
    """Return the most memory that this process has held.

    Not from ``getrusage``: Linux carries that over from the process that started this one.
    """
    if os.path.exists("/proc/self/status"):
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024 / 1024


# The runner hides orjson from a client that is to do without: imported here, first of all.
if os.environ.get("BENCHMARK_HIDES"):
    sys.modules[os.environ["BENCHMARK_HIDES"]] = None  # type: ignore[assignment]
