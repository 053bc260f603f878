"""How old the prices are that a slow consumer works on, and what a short standstill costs.

The consumers sleep instead of computing, so several of them run at the same time.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .feeds import Scenario
from .processes import Client, FeedServer
from .session import Session

__all__ = ["lag", "run"]

Row = dict[str, Any]
_SLOW = Client("etoro_sync", "slow")
_AT_ONCE = 8
_ALL = "callback, `conflate_after=None`"
#: Name -> arguments.
_CONSUMERS = {
    "callback": ("--consumer", "callback"),
    "`stream()`": ("--consumer", "stream"),
    "`queue()`, `conflate_after=1.0`": ("--consumer", "queue", "--after", "1.0"),
    "`queue()`": ("--consumer", "queue"),
    _ALL: ("--consumer", "callback", "--never"),
}
#: Instruments, changes per second, and milliseconds of work on each.
_LOADS = ((5, 50, 30.0), (41, 410, 100.0))
_AFTER = ("0.0", "0.25", "0.5", "1.0", "2.0", "None")
_STALLS = (0.2, 0.45, 0.9, 1.5)


def lag(session: Session) -> list[Row]:
    """Ages of prices with slow consumers, and ticks lost by standstills, by ``conflate_after``."""
    seconds = session.plan.seconds * 5
    jobs: list[tuple[Row, Scenario, tuple[str, ...]]] = []
    for instruments, rate, work in _LOADS:
        load = {"instruments": instruments, "rate": rate, "work_ms": work}
        scenario = _scenario(instruments, rate, seconds)
        for name, arguments in _CONSUMERS.items():
            if name == _ALL and work > 50:
                continue  # it would work for minutes on what waits when the connection is lost
            row = {"what": "consumer", "consumer": name, **load}
            jobs.append((row, scenario, (*arguments, "--work", str(work))))
    instruments, rate, work = _LOADS[0]
    scenario = _scenario(instruments, rate, seconds)
    for after in _AFTER:
        given = ("--never",) if after == "None" else ("--after", after)
        chosen = ("--consumer", "callback", *given)
        row = {"what": "choice", "after": after, "stall": 0.0}
        jobs.append((row, scenario, (*chosen, "--work", str(work))))
        for stall in _STALLS:
            jobs.append(({**row, "stall": stall}, scenario, (*chosen, "--stall", str(stall))))
    words = f"  lag: {len(jobs)} consumers, {seconds:g} s each, {_AT_ONCE} at a time"
    print(words, file=sys.stderr, flush=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(run, jobs))


def _scenario(instruments: int, rate: int, seconds: float) -> Scenario:
    messages = int(rate * seconds)
    return Scenario("full", messages, instruments, rate=rate, act="drop", orders=1.0)


def run(job: tuple[Row, Scenario, tuple[str, ...]]) -> Row:
    """Let one consumer take one scenario."""
    row, scenario, arguments = job
    # A server of its own: one feeds one client at a time.
    with FeedServer() as server:
        report = server.run(_SLOW, scenario, *arguments)
    close = (report["closed_at"] - report["feed"]["dropped_at"]) / 1e9
    names = ("rates", "seen", "spared", "age_p50", "age_max", "age_end", "orders", "order_max")
    return {**row, **{name: report[name] for name in names}, "close": close}
