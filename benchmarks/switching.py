"""What a callback that computes costs everybody else, on each CPython, by the switch interval.

One thread runs Python at a time. Who wants to run waits until the running thread sleeps, or for
the switch interval (``sys.setswitchinterval``, 5 ms) until it is told to let go.
"""

import sys
from typing import Any

from .feeds import Scenario
from .processes import CLIENTS
from .pythons import environment, pythons
from .session import Session

__all__ = ["switching"]

Row = dict[str, Any]
#: In milliseconds; the first is Python's own.
_INTERVALS = (5.0, 1.0, 0.2)
#: In milliseconds, of each callback. At 200 per second it takes 80 % of the interpreter's time.
_BUSY = 4.0
_RATE = 200
_REPEATS = 3


def switching(session: Session) -> list[Row]:
    """Latency of a queue beside a callback that computes, and throughput, by the interval."""
    rows = []
    client = CLIENTS["plain"]
    paced = Scenario("full", int(_RATE * session.plan.seconds), instruments=100, rate=_RATE)
    full_speed = Scenario("universe", session.plan.messages // 2)
    for version, python in pythons():
        print(f"  switching: CPython {version}", file=sys.stderr, flush=True)
        inside = environment(version, python)
        for interval in _INTERVALS:
            row: Row = {"python": version, "interval_ms": interval, "busy_ms": _BUSY}
            arguments = ["--switch", str(interval)]
            for name, busy in (("idle", 0.0), ("busy", _BUSY)):
                queue = [*arguments, "--mode", "latency", "--sink", "queue", "--busy", str(busy)]
                runs = [session.run(client, paced, *queue, python=inside) for _ in range(_REPEATS)]
                row |= {f"{name}_{key}": min(r[key] for r in runs) for key in ("p50_us", "p99_us")}
            fast = [
                session.run(client, full_speed, *arguments, python=inside) for _ in range(_REPEATS)
            ]
            row["per_second"] = max(r["feed"]["messages"] / r["seconds"] for r in fast)
            rows.append(row)
    return rows
