"""Compares two checkouts of this project: each measurement is made of both in turns.

``python benchmarks/pairs.py OTHER``, where OTHER is the folder of the other one, such as a clone of
the commit before. Both are fed by this one's server, and each has its own client program. Printed
are medians with the least and the most, and the median of the ratios of neighbours, since the speed
of a machine drifts.
"""

import argparse
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.feeds import Scenario
from benchmarks.processes import CLIENTS, FeedServer, child_environment
from benchmarks.session import Row

_HERE = Path(__file__).resolve().parents[1]
_IMPORT = "import time; t = time.perf_counter(); import etoro_sync; print(time.perf_counter() - t)"
_LONE = 1000

Figures = dict[str, float]


def throughput(server: FeedServer, root: Path) -> Figures:
    """Messages per second, sent as fast as they are read."""
    figures = {}
    for sink in ("callback", "queue"):
        row = server.run(CLIENTS["speed"], Scenario("universe", 100_000), "--sink", sink, root=root)
        figures[f"messages/s to a {sink}"] = row["feed"]["messages"] / row["seconds"]
    return figures


def lone(server: FeedServer, root: Path) -> Figures:
    """CPU of the whole process for a message that comes alone, to a queue."""
    scenario = Scenario("full", _LONE, instruments=100, rate=200)
    row = server.run(CLIENTS["speed"], scenario, "--mode", "latency", "--sink", "queue", root=root)
    return {"CPU of a lone message, us": row["cpu_seconds"] / row["feed"]["messages"] * 1e6}


def latency(server: FeedServer, root: Path) -> Figures:
    """Microseconds from send to callback at 3,000 messages/s."""
    scenario = Scenario("universe", 9000, rate=3000)
    row: Row = server.run(CLIENTS["speed"], scenario, "--mode", "latency", root=root)
    return {
        "p50 at 3,000/s, us": row["p50_us"],
        "p99 at 3,000/s, us": row["p99_us"],
        "CPU at 3,000/s, share of a core": row["cpu_seconds"] / row["seconds"],
    }


def imports(server: FeedServer, root: Path) -> Figures:
    """Milliseconds of ``import etoro_sync`` in a new interpreter."""
    command = [sys.executable, "-c", _IMPORT]
    output = subprocess.check_output(command, cwd=root, env=child_environment(), text=True)
    return {"import, ms": float(output) * 1000}


_MEASUREMENTS: tuple[Callable[[FeedServer, Path], Figures], ...] = (
    throughput,
    lone,
    latency,
    imports,
)


def compare(other: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return for each figure its pairs: of the other checkout, and of this one."""
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with FeedServer() as server:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
            for measure in _MEASUREMENTS:
                # Each begins as often as the other.
                order = (other, _HERE) if number % 2 == 0 else (_HERE, other)
                found = {root: measure(server, root) for root in order}
                for name, figure in found[_HERE].items():
                    pairs[name].append((found[other][name], figure))
    return pairs


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=7, help="how often (default: 7)")
    args = parser.parse_args()
    other = args.other.resolve()
    if not (other / "benchmarks" / "clients" / "ours.py").is_file():
        parser.error(f"{args.other} is no checkout of this project with benchmarks.")
    print(f"{'':34}{'other':>34}{'this':>34}{'this/other':>12}")
    for name, values in compare(other, args.rounds).items():
        sides = [_spread([pair[side] for pair in values]) for side in (0, 1)]
        ratio = median(here / there for there, here in values)
        print(f"{name:34}{sides[0]:>34}{sides[1]:>34}{ratio:>12.3f}")
    return 0


def _spread(values: list[float]) -> str:
    return f"{median(values):,.4g} ({min(values):,.4g} to {max(values):,.4g})"


if __name__ == "__main__":
    sys.exit(main())
