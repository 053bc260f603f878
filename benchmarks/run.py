"""Runs the benchmarks: ``make bench``, ``make bench-quick``, or this file with its options."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measure, scaling
from benchmarks.imports import imports
from benchmarks.lag import lag
from benchmarks.machine import machine, versions
from benchmarks.processes import CLIENTS, ClientFailed, FeedServer
from benchmarks.quotes import quote
from benchmarks.recording import recordings
from benchmarks.report import server_line, write_page
from benchmarks.session import QUICK, THOROUGH, Session
from benchmarks.switching import switching
from benchmarks.tables import tables

_ROOT = Path(__file__).resolve().parents[1]
_DEFAULT_JSON = _ROOT / "benchmarks" / "results" / "latest.json"


def stages(session: Session) -> list[dict[str, Any]]:
    """What each stage of the hot path costs, with both JSON parsers."""
    rows = []
    for key, backend in (("speed", "orjson"), ("plain", "json")):
        if not CLIENTS[key].missing:
            print(f"  stages, {backend}", file=sys.stderr, flush=True)
            rows += [{"json": backend, **row} for row in session.stages(CLIENTS[key].hides)]
    return rows


GROUPS: dict[str, Callable[[Session], list[dict[str, Any]]]] = {
    "throughput": measure.throughput,
    "latency": measure.latency,
    "wake": measure.wake,
    "memory": measure.memory,
    "instruments": scaling.instruments,
    "handlers": scaling.handlers,
    "queues": scaling.queues,
    "switching": switching,
    "lag": lag,
    "recording": recordings,
    "imports": imports,
    "recovery": measure.recovery,
    "ending": measure.ending,
    "stages": stages,
}
_QUICK_GROUPS = ("throughput", "latency", "imports", "ending")


def run(session: Session, groups: list[str]) -> dict[str, Any]:
    """Measure *groups*; return everything that is reported."""
    results: dict[str, Any] = {"machine": machine(), "versions": versions()}
    for number, group in enumerate(groups, 1):
        print(f"{group} ({number} of {len(groups)})", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            results[group] = GROUPS[group](session)
        except ClientFailed as exc:
            session.note(f"No figures of {group!r}: {exc}")
        print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    results["notes"] = session.notes
    return results


def show(results: dict[str, Any]) -> None:
    """Print all tables."""
    for name in ("machine", "versions"):
        print("; ".join(f"{key} {value}" for key, value in results[name].items()))
    for group in tables(results).values():
        for table in group:
            print(f"\n{table.text()}")
    print(f"\n{server_line(results)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the most important, in a minute")
    parser.add_argument("--only", action="append", choices=GROUPS, help="this group; repeatable")
    parser.add_argument("--json", type=Path, default=_DEFAULT_JSON, help="where figures go")
    parser.add_argument(
        "--docs",
        action="store_true",
        help="write docs/benchmarks.md and its quotes",
    )
    parser.add_argument("--from-json", type=Path, help="measure nothing: report these figures")
    args = parser.parse_args()
    began = time.monotonic()
    if args.from_json:
        results = json.loads(args.from_json.read_text())
    else:
        with FeedServer() as server:
            session = Session(QUICK if args.quick else THOROUGH, server)
            groups = args.only or list(_QUICK_GROUPS if args.quick else GROUPS)
            results = run(session, groups)
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=1) + "\n")
    show(results)
    if args.docs:
        write_page(results, _ROOT / "docs")
        page = (_ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
        for file in (_ROOT / "README.md", _ROOT / "CHANGELOG.md"):
            file.write_text(quote(page, file.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; nothing was written.")
