"""The picture of the fault matrix, as SVG that is the same for the same figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from .checks import detection_bound, recovery_bound
from .expectations import seconds
from .measurement import Measurement
from .scenario import PHASES
from .scenarios import SCENARIOS

__all__ = ["draw"]

_SETTINGS: Any = {
    "svg.hashsalt": "etoro_sync",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "figure.facecolor": "white",
}


def draw(measured: list[Measurement], path: Path) -> bool:
    """Draw all times against their bounds; without matplotlib, nothing, and return False."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    from matplotlib import pyplot

    path.parent.mkdir(parents=True, exist_ok=True)
    faults = list(dict.fromkeys(SCENARIOS[each.scenario].fault for each in measured))[::-1]
    with pyplot.rc_context(_SETTINGS):
        size = (10, 1 + 0.16 * len(faults))
        figure, panels = pyplot.subplots(1, 2, figsize=size, sharey=True)
        colours = {phase: f"C{number}" for number, phase in enumerate(PHASES)}
        for (panel, phase, marker), (xs, ys) in _points(measured, faults).items():
            look = {"color": colours[phase], "markersize": 3 if marker == "o" else 7}
            panels[panel].plot(xs, ys, marker, alpha=0.8, **look)
        for axes, title in zip(panels, ("until it is reported", "until all is back"), strict=True):
            axes.set_xlabel(f"seconds {title}; |: the bound")
            axes.set_xlim(left=-0.02)
        panels[0].set_yticks(range(len(faults)), faults)
        for phase, colour in colours.items():
            panels[0].plot([], [], "o", color=colour, markersize=4, label=phase)
        figure.tight_layout()
        above = (0.5, 1)
        figure.legend(frameon=False, ncols=len(PHASES), loc="lower center", bbox_to_anchor=above)
        figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
        pyplot.close(figure)
    return True


def _points(
    measured: list[Measurement], faults: list[str]
) -> dict[tuple[int, str, str], tuple[Any, ...]]:
    """Return what is drawn: panel, phase and marker -> all that look the same, each once."""
    points: dict[tuple[int, str, str], dict[tuple[float, int], None]] = {}
    for each in measured:
        scenario = replace(SCENARIOS[each.scenario], slowness=each.slowness)
        times = (
            (detection_bound(scenario), each.detected),
            (recovery_bound(scenario), each.recovered),
        )
        for panel, (bound, value) in enumerate(times):
            if bound is None or value is None:
                continue
            for marker, x in (("o", value), ("|", seconds(bound, scenario.all_options))):
                place = round(x, 3), faults.index(scenario.fault)
                points.setdefault((panel, scenario.phase, marker), {})[place] = None
    return {look: tuple(zip(*places, strict=True)) for look, places in points.items()}
