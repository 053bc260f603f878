"""The results of a run as tables, for the terminal and for the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .targets import TARGET_HEADER, targets

__all__ = ["Table", "tables"]

Results = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Table:
    """A title, and text in rows; all but the first column is numbers."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table for the page."""
        aligned = ["---", *["---:"] * (len(self.header) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in (self.header, aligned, *self.rows)]
        return "\n".join(lines)

    def text(self) -> str:
        """Return the table for the terminal."""
        rows = [[cell.replace("**", "") for cell in row] for row in (self.header, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        return "\n".join([self.title, "-" * len(self.title), *lines])


def tables(results: Results) -> dict[str, list[Table]]:
    """Return the tables of each group that was measured."""
    found: dict[str, list[Table]] = {}
    lines = targets(results)
    if lines:
        found["targets"] = [Table("Targets", TARGET_HEADER, lines)]
    for name, make in _MAKERS.items():
        if results.get(name):
            found[name] = make(results[name])
    return found


def _throughput(rows: Rows) -> list[Table]:
    header = ("client", "messages/s", "CPU per message", "price changes delivered")
    made = []
    for mix, sink in dict.fromkeys((row["mix"], row["sink"]) for row in rows):
        lines = [
            (
                row["client"],
                f"{row['per_second']:,.0f}",
                f"{row['cpu_us']:.1f} us",
                f"{row['delivered'] / row['price_changes']:.1%}",
            )
            for row in rows
            if (row["mix"], row["sink"]) == (mix, sink) and row["key"] != "sink"
        ]
        made.append(Table(f"`{mix}`, to a {sink}", header, lines))
    return made


def _latency(rows: Rows) -> list[Table]:
    header = ("client", "p50", "p99", "p99.9", "CPU, share of a core")
    made = []
    for rate in dict.fromkeys(row["rate"] for row in rows):
        lines = [
            (row["client"], *_times(row), f"{row['cpu_share']:.0%}")
            for row in rows
            if row["rate"] == rate
        ]
        made.append(Table(f"{rate:,} messages/s", header, lines))
    return made


def _times(row: dict[str, Any]) -> tuple[str, ...]:
    if not row["keeps_up"]:
        return ("falls behind", "", "")
    return tuple(_duration(row[name]) for name in ("p50_us", "p99_us", "p999_us"))


def _duration(us: float) -> str:
    return f"{us:,.0f} us" if us < 10_000 else f"{us / 1000:,.0f} ms"


def _wake(rows: Rows) -> list[Table]:
    header = ("client", "p50", "p99", "p99.9")
    lines = [(f"{row['client']}, {row['sink']}", *_times(row)) for row in rows]
    return [Table("Waking a thread", header, lines)]


def _memory(rows: Rows) -> list[Table]:
    lines = [(row["client"], f"{row['peak_mib']:.0f} MiB") for row in rows if row["peak_mib"]]
    return [Table("Peak memory, 12,000 instruments", ("client", "peak"), lines)]


def _instruments(rows: Rows) -> list[Table]:
    lines = [(f"{row['number']:,}", f"{row['per_second']:,.0f}") for row in rows]
    return [Table("Instruments", ("instruments", "messages/s"), lines)]


def _handlers(rows: Rows) -> list[Table]:
    lines = [
        (
            f"{row['number']:,} of {row['of']}",
            f"{row['per_second']:,.0f}",
            f"{row['callbacks'] * row['per_second'] / row['messages']:,.0f}",
        )
        for row in rows
    ]
    return [Table("Handlers", ("handlers", "messages/s", "calls/s"), lines)]


def _queues(rows: Rows) -> list[Table]:
    lines = [(f"{row['number']:,} of {row['of']}", f"{row['per_second']:,.0f}") for row in rows]
    return [Table("Queues", ("queues", "messages/s"), lines)]


def _switching(rows: Rows) -> list[Table]:
    header = ("CPython", "interval", "p50", "p99", "p50 beside", "p99 beside", "messages/s")
    times = ("idle_p50_us", "idle_p99_us", "busy_p50_us", "busy_p99_us")
    lines = [
        (
            row["python"],
            f"{row['interval_ms']:g} ms",
            *(_duration(row[name]) for name in times),
            f"{row['per_second']:,.0f}",
        )
        for row in rows
    ]
    return [Table("A queue beside a callback that computes", header, lines)]


def _lag(rows: Rows) -> list[Table]:
    made = []
    slow = [row for row in rows if row["what"] == "consumer"]
    header = ("consumer", "age, median", "oldest", "seen", "skipped", "order", "`close`")
    for rate, work in dict.fromkeys((row["rate"], row["work_ms"]) for row in slow):
        lines = [
            (
                row["consumer"],
                *(f"{row[name]:.2f} s" for name in ("age_p50", "age_max")),
                *(f"{row['seen'] / row['rates']:.0%}", _share(row["spared"], row["rates"])),
                *(f"{row[name]:.2f} s" for name in ("order_max", "close")),
            )
            for row in slow
            if (row["rate"], row["work_ms"]) == (rate, work)
        ]
        title = f"{rate} changes/s, {work:g} ms of work on each"
        made.append(Table(title, header, lines))
    return [*made, _lag_by_option([row for row in rows if row["what"] == "choice"])]


def _lag_by_option(rows: Rows) -> Table:
    stalls = list(dict.fromkeys(row["stall"] for row in rows if row["stall"]))
    words = [f"skipped, stalls of {stall:g} s" for stall in stalls]
    lines = []
    for after in dict.fromkeys(row["after"] for row in rows):
        by_stall = {row["stall"]: row for row in rows if row["after"] == after}
        shares = [_share(by_stall[stall]["spared"], by_stall[stall]["rates"]) for stall in stalls]
        always = by_stall[0.0]
        lines.append((after, f"{always['age_p50']:.2f} s", f"{always['close']:.2f} s", *shares))
    header = ("`conflate_after`", "age, median", "`close`", *words)
    return Table("What `conflate_after` gives and takes", header, lines)


def _share(number: int | None, of: int) -> str:
    return "" if number is None else f"{number / of:.0%}"


def _recording(rows: Rows) -> list[Table]:
    lines = [(row["what"], f"{row['value']:,.1f} {row['unit']}".rstrip()) for row in rows]
    return [Table("Recording and replay", ("figure", "value"), lines)]


def _imports(rows: Rows) -> list[Table]:
    lines = [(row["what"], f"{row['ms']:.0f} ms") for row in rows]
    return [Table("Import", ("what", "time"), lines)]


def _recovery(rows: Rows) -> list[Table]:
    lines = [(row["client"], f"{row['ms']:.0f} ms") for row in rows]
    return [Table("Reconnecting with 4,999 topics", ("client", "time"), lines)]


def _ending(rows: Rows) -> list[Table]:
    lines = [(row["client"], f"{row['ms']:.0f} ms") for row in rows]
    return [Table("disconnect() while the server is silent", ("client", "time"), lines)]


def _stages(rows: Rows) -> list[Table]:
    return [
        _stages_of(f"us per message, {number:,} instruments", number, rows)
        for number in dict.fromkeys(row["instruments"] for row in rows)
    ]


def _stages_of(title: str, instruments: int, rows: Rows) -> Table:
    rows = [row for row in rows if row["instruments"] == instruments]
    kinds = list(dict.fromkeys((row["mix"], row["json"]) for row in rows))
    header = ("stage", *(f"`{mix}`, {backend}" for mix, backend in kinds))
    lines = []
    for stage in dict.fromkeys(row["stage"] for row in rows):
        by_kind = {(r["mix"], r["json"]): r["us"] for r in rows if r["stage"] == stage}
        lines.append((stage, *(f"{by_kind[kind]:.2f}" for kind in kinds)))
    sums = [sum(r["us"] for r in rows if (r["mix"], r["json"]) == kind) for kind in kinds]
    lines.append(("all", *(f"{total:.2f}" for total in sums)))
    return Table(title, header, lines)


_MAKERS: dict[str, Callable[[Rows], list[Table]]] = {
    "throughput": _throughput,
    "latency": _latency,
    "wake": _wake,
    "memory": _memory,
    "instruments": _instruments,
    "handlers": _handlers,
    "queues": _queues,
    "switching": _switching,
    "lag": _lag,
    "recording": _recording,
    "imports": _imports,
    "recovery": _recovery,
    "ending": _ending,
    "stages": _stages,
}
