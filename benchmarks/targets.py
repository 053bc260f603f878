"""The targets of the project, and whether a run has met them."""

from typing import Any

__all__ = ["TARGET_HEADER", "reasons", "targets"]

Results = dict[str, Any]
Line = tuple[str, str, str, str]

TARGET_HEADER = ("figure", "target", "measured", "met")
#: Mix -> how many times etoropy's throughput: with the extra `speed`, and without.
_FACTORS = {"universe": (5.0, 2.5), "liquid": (3.5, 1.8), "full": (3.5, 1.8)}
_CLOSE_TIMEOUT_MS = 1000.0
#: Why a target may be out of reach: the beginning of its figure -> what the other tables show.
_REASONS = {
    "CPU at 12,000/s": (
        "at a steady rate nearly every message comes alone, and most of its cost is waking "
        "threads: the system wakes the reader, and the reader wakes the callbacks' thread. The "
        "stages of the hot path take about 3 us of it (see the end of this page). Even the "
        "ceiling, which has one thread and makes no object, takes {ceiling} of a core where "
        "etoropy takes {etoropy}. So half of etoropy's leaves next to nothing for a second "
        "thread, without which callbacks would delay reading."
    ),
    "throughput, 100 to 12,000 instruments": (
        "the feed goes through all instruments in turn, which is the worst order for caches. "
        "Looking up and merging take longer (see the stages with 12,000 instruments, at the end of "
        "this page): they read some 0.9 KB in a dozen places for each message, and the data of "
        "12,000 instruments do not fit into a core's cache. Clients that keep no state, and so "
        "cannot merge, do not have this cost."
    ),
}


def targets(results: Results) -> list[Line]:
    """Return a line for each target of which both sides were measured."""
    lines: list[Line] = []
    for part in (_throughput, _delivered, _latency, _cpu, _flat, _import, _disconnect):
        lines += part(results)
    return lines


def reasons(results: Results) -> list[str]:
    """Return a sentence for each target that was not met, where the reason is known."""
    shares = {
        row["key"]: f"{row['cpu_share']:.0%}"
        for row in results.get("latency", ())
        if row["rate"] == 12_000
    }
    known = {"ceiling": shares.get("ceiling", "?"), "etoropy": shares.get("etoropy", "?")}
    missed = [figure for figure, _, _, met in targets(results) if met != _met(True)]
    return [
        f"{figure}: {reason.format(**known)}"
        for figure in missed
        for start, reason in _REASONS.items()
        if figure.startswith(start)
    ]


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


def _find(results: Results, group: str, **wanted: Any) -> dict[str, Any] | None:
    for row in results.get(group, ()):
        if all(row.get(name) == value for name, value in wanted.items()):
            return row  # type: ignore[no-any-return]  # results are JSON
    return None


def _throughput(results: Results) -> list[Line]:
    lines = []
    for position, (key, words) in enumerate((("speed", "with `speed`"), ("plain", "without"))):
        for mix, factors in _FACTORS.items():
            wanted = {"mix": mix, "sink": "callback"}
            ours = _find(results, "throughput", key=key, **wanted)
            theirs = _find(results, "throughput", key="etoropy", **wanted)
            if ours and theirs:
                ratio = ours["per_second"] / theirs["per_second"]
                figure = f"throughput against etoropy, `{mix}`, {words}"
                goal = factors[position]
                lines.append((figure, f">= {goal:g} x", f"{ratio:.1f} x", _met(ratio >= goal)))
    return lines


def _delivered(results: Results) -> list[Line]:
    lines = []
    for mix in _FACTORS:
        shares = {}
        for key in ("speed", "etoropy"):
            row = _find(results, "throughput", key=key, mix=mix, sink="callback")
            if row:
                shares[key] = row["delivered"] / row["price_changes"]
        if "speed" in shares:
            measured = f"{shares['speed']:.1%}"
            if "etoropy" in shares:
                measured += f" (etoropy {shares['etoropy']:.1%})"
            met = _met(shares["speed"] == 1)
            lines.append((f"price changes delivered, `{mix}`", "100 %", measured, met))
    return lines


def _latency(results: Results) -> list[Line]:
    ours = _find(results, "latency", key="speed", rate=3000)
    theirs = _find(results, "latency", key="etoropy", rate=3000)
    if not ours or not theirs:
        return []
    lines = []
    for name, words in (("p50_us", "p50"), ("p99_us", "p99")):
        mine, other = ours[name], theirs[name]
        figure = f"latency {words} at 3,000/s, with `speed`"
        goal = f"below etoropy's {other:.0f} us"
        lines.append((figure, goal, f"{mine:.0f} us", _met(mine < other)))
    return lines


def _cpu(results: Results) -> list[Line]:
    ours = _find(results, "latency", key="speed", rate=12_000)
    theirs = _find(results, "latency", key="etoropy", rate=12_000)
    if not ours or not theirs:
        return []
    mine, other = ours["cpu_share"], theirs["cpu_share"]
    goal = f"<= half of etoropy's {other:.0%}"
    return [("CPU at 12,000/s, with `speed`", goal, f"{mine:.0%}", _met(mine <= other / 2))]


def _flat(results: Results) -> list[Line]:
    """What throughput must not depend on."""
    lines = []
    for group, wanted, figure in (
        ("instruments", {}, "throughput, 100 to 12,000 instruments"),
        ("handlers", {"of": "other instruments"}, "throughput, 0 to 10,000 handlers for others"),
        ("queues", {"of": "other instruments"}, "throughput, 0 to 10,000 queues for others"),
    ):
        rows = [row for row in results.get(group, ()) if wanted.items() <= row.items()]
        if len(rows) > 1:
            rows.sort(key=lambda row: row["number"])
            change = min(row["per_second"] for row in rows) / rows[0]["per_second"] - 1
            measured = f"{change:+.0%}" if change < -0.005 else "no loss"
            lines.append((figure, "within 10 %", measured, _met(change >= -0.1)))
    return lines


def _import(results: Results) -> list[Line]:
    ours = _find(results, "imports", what="etoro_sync")
    base = _find(results, "imports", what="the two dependencies")
    if not ours or not base:
        return []
    ratio = ours["ms"] / base["ms"]
    goal = "<= 1.5 x its two dependencies"
    return [("import", goal, f"{ratio:.2f} x", _met(ratio <= 1.5))]


def _disconnect(results: Results) -> list[Line]:
    rows = results.get("ending")
    if not rows:
        return []
    took = rows[0]["ms"]
    goal = f"<= {_CLOSE_TIMEOUT_MS + 100:.0f} ms"
    return [("`disconnect()`, silent peer", goal, f"{took:.0f} ms", _met(took <= 1100))]
