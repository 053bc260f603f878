"""Plays the fault matrix and writes docs/faults.md: ``make faults``, or this file with its options.

The exit status is 1 when a promise was broken; there is a line for each.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import time
from concurrent.futures import Future
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.pool import Result, start
from tests.faults.scenario import Scenario
from tests.faults.scenarios import SCENARIOS

_ROOT = Path(__file__).resolve().parents[2]


def chosen(only: list[str] | None, fast: bool) -> list[Scenario]:
    """Return the scenarios that were asked for."""
    patterns = only or ["*"]
    return [
        scenario
        for name, scenario in SCENARIOS.items()
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
        and (scenario.fast or not fast)
    ]


def run(scenarios: list[Scenario], jobs: int) -> tuple[list[Result], list[str]]:
    """Play them; return the results in order, and a line for each broken promise."""
    pool, futures = start([scenario.id for scenario in scenarios], jobs)
    results: list[Result] = []
    lines: list[str] = []
    with pool:
        for number, (name, future) in enumerate(futures.items(), 1):
            new = _lines(name, future, results)
            lines += new
            verdict = "BROKEN" if new else "kept"
            if not future.exception() and (void := future.result()[0].void):
                verdict += f", played again on a busy machine; before: {'; '.join(void)}"
            print(f"{number}/{len(futures)} {name}: {verdict}", file=sys.stderr, flush=True)
    return results, lines


def _lines(name: str, future: Future[Result], results: list[Result]) -> list[str]:
    """Take a result; one that fails to be played breaks a promise, too."""
    try:
        result = future.result()
    except Exception as exc:
        return [f"{name}: could not be played: {exc!r}"]
    results.append(result)
    return [f"{name}: {line}" for line in result[1]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", help="scenarios by name, * for any; repeatable")
    parser.add_argument("--fast", action="store_true", help="the part that the tests play, too")
    parser.add_argument("--jobs", type=int, default=4, help="how many at the same time")
    parser.add_argument("--docs", action="store_true", help="write docs/faults.md")
    parser.add_argument("--list", action="store_true", help="print the names, and play nothing")
    options = parser.parse_args()
    scenarios = chosen(options.only, options.fast)
    if options.list or not scenarios:
        print("\n".join(scenario.id for scenario in scenarios) or "No scenario has such a name.")
        return 0 if scenarios else 1
    began = time.monotonic()
    results, lines = run(scenarios, options.jobs)
    took = time.monotonic() - began
    if options.docs:
        from tests.faults.report import write_page

        write_page(results, took, _ROOT / "docs")
    print("\n".join(lines))
    print(f"{len(scenarios)} scenarios, {len(lines)} broken promises, {took:.0f} s")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
