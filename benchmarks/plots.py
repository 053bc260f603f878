"""The plots of the page, as SVG that is the same for the same figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["draw"]

Results = dict[str, Any]
Rows = list[dict[str, Any]]

_COLOURS = {
    "speed": "#1f5fa8",
    "plain": "#7fb0de",
    "etoropy": "#e08a2e",
    "naive": "#b5b5b5",
    "ceiling": "#4a4a4a",
}
_SETTINGS = {
    "svg.hashsalt": "etoro_sync",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "figure.facecolor": "white",
}


def draw(results: Results, folder: Path) -> dict[str, str]:
    """Draw what was measured; return group -> file name. Without matplotlib, nothing."""
    try:
        import matplotlib
    except ImportError:
        return {}
    matplotlib.use("svg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for group, plot in _PLOTS.items():
        if not results.get(group):
            continue
        with pyplot.rc_context(_SETTINGS):
            figure = plot(pyplot, results)
            figure.savefig(folder / f"{group}.svg", metadata={"Date": None}, bbox_inches="tight")
            pyplot.close(figure)
        drawn[group] = f"{group}.svg"
    return drawn


def _clients(rows: Rows) -> dict[str, str]:
    return {row["key"]: row["client"] for row in rows if row["key"] in _COLOURS}


def _throughput(pyplot: Any, results: Results) -> Any:
    rows = [row for row in results["throughput"] if row["sink"] == "callback"]
    clients, mixes = _clients(rows), list(dict.fromkeys(row["mix"] for row in rows))
    figure, axes = pyplot.subplots(figsize=(8, 4))
    width = 0.8 / len(clients)
    for place, (key, name) in enumerate(clients.items()):
        for mix in mixes:
            found = [r for r in rows if (r["key"], r["mix"]) == (key, mix)]
            for row in found:
                x = mixes.index(mix) + (place - (len(clients) - 1) / 2) * width
                label = name if mix == mixes[0] else None
                bar = axes.bar(x, row["per_second"] / 1000, width, color=_COLOURS[key], label=label)
                axes.bar_label(bar, fmt="%.0f", fontsize=7, padding=1)
    axes.set_xticks(range(len(mixes)), mixes)
    axes.set_ylabel("thousand messages/s, to a callback")
    axes.grid(axis="x", visible=False)
    figure.legend(frameon=False, fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 0.9))
    return figure


def _latency(pyplot: Any, results: Results) -> Any:
    rows = results["latency"]
    rates = list(dict.fromkeys(row["rate"] for row in rows))
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4))
    for key, name in _clients(rows).items():
        mine = [row for row in rows if row["key"] == key]
        timely = [row for row in mine if row["keeps_up"]]
        look = {"color": _COLOURS[key], "marker": "o", "markersize": 4}
        places = [rates.index(row["rate"]) for row in timely]
        for field, style in (("p50_us", "-"), ("p99_us", ":")):
            left.plot(places, [row[field] for row in timely], style, **look)
        places = [rates.index(row["rate"]) for row in mine]
        right.plot(places, [row["cpu_share"] * 100 for row in mine], label=name, **look)
    left.set_yscale("log")
    left.set_ylabel("us from send to callback\nsolid: p50, dotted: p99")
    right.set_ylabel("% of a core")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xticks(range(len(rates)), [f"{rate:,}" for rate in rates])
        axes.set_xlabel("messages/s")
    figure.tight_layout()
    figure.legend(frameon=False, fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _scaling(pyplot: Any, results: Results) -> Any:
    figure, panels = pyplot.subplots(1, 3, figsize=(10, 3.2), sharey=True)
    highest = 0.0
    for axes, group, name in zip(
        panels,
        ("instruments", "handlers", "queues"),
        ("instruments", "handlers of other instruments", "queues of other instruments"),
        strict=True,
    ):
        rows = [
            row for row in results.get(group, ()) if row.get("of") in (None, "other instruments")
        ]
        look = {"color": _COLOURS["speed"], "marker": "o", "markersize": 4}
        speeds = [row["per_second"] / 1000 for row in rows]
        axes.plot(range(len(rows)), speeds, **look)
        highest = max([highest, *speeds])
        axes.set_xticks(range(len(rows)), [f"{row['number']:,}" for row in rows])
        axes.set_xlabel(name)
    panels[0].set_ylim(0, highest * 1.1 or 1.0)
    panels[0].set_ylabel("thousand messages/s")
    figure.tight_layout()
    return figure


def _stages(pyplot: Any, results: Results) -> Any:
    rows = [row for row in results["stages"] if row["instruments"] == 1000]
    kinds = list(dict.fromkeys((row["mix"], row["json"]) for row in rows))[::-1]
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    figure, axes = pyplot.subplots(figsize=(9, 3.2))
    colours = pyplot.get_cmap("viridis")
    starts = [0.0] * len(kinds)
    for number, stage in enumerate(stages):
        us = {(row["mix"], row["json"]): row["us"] for row in rows if row["stage"] == stage}
        widths = [max(us[kind], 0.0) for kind in kinds]
        colour = colours(number / max(len(stages) - 1, 1))
        axes.barh(range(len(kinds)), widths, left=starts, color=colour, label=stage)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    axes.set_yticks(range(len(kinds)), [f"{mix}, {backend}" for mix, backend in kinds])
    axes.set_xlabel("us of CPU per message")
    axes.grid(axis="y", visible=False)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


_PLOTS: dict[str, Callable[[Any, Results], Any]] = {
    "throughput": _throughput,
    "latency": _latency,
    "instruments": _scaling,
    "stages": _stages,
}
