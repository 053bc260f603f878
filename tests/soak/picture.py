"""The picture of a soak as SVG: memory and messages over time, with the gaps marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["draw"]

_WIDTH, _HEIGHT, _LEFT, _TOP = 900, 170, 70, 40
_BETWEEN = 60
Points = Sequence[tuple[float, float]]


def draw(
    path: Path,
    title: str,
    panels: Sequence[tuple[str, Points]],
    gaps: Sequence[tuple[float, float]],
) -> None:
    """Write the picture.

    :param panels: label and points, (seconds, value), of each curve, one below the other.
    :param gaps: from when to when, in the same seconds.
    """
    end = max([point[0] for _, points in panels for point in points], default=0.0) or 1.0
    total = _TOP + len(panels) * (_HEIGHT + _BETWEEN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 30} {total}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="14">{title}</text>',
    ]
    for number, (label, points) in enumerate(panels):
        top = _TOP + number * (_HEIGHT + _BETWEEN)
        parts += _panel(label, points, gaps, end, top)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _panel(
    label: str, points: Points, gaps: Sequence[tuple[float, float]], end: float, top: int
) -> list[str]:
    highest = max([value for _, value in points], default=0.0) * 1.1 or 1.0
    bottom = top + _HEIGHT

    def x(seconds: float) -> float:
        return _LEFT + min(max(seconds, 0.0), end) / end * _WIDTH

    parts = [
        f'<rect class="gap" x="{x(begin):.1f}" y="{top}" height="{_HEIGHT}" fill="#f2c9c0" '
        f'width="{max(x(until) - x(begin), 1.0):.1f}"/>'
        for begin, until in gaps
    ]
    for tick in range(5):
        value, y = highest * tick / 4, bottom - _HEIGHT * tick / 4
        at, seconds = _LEFT + _WIDTH * tick / 4, end * tick / 4
        parts += [
            f'<path d="M{_LEFT} {y}h{_WIDTH}" stroke="#ddd"/>',
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:,.0f}</text>',
            f'<text x="{at}" y="{bottom + 16}" text-anchor="middle">'
            f"{seconds // 60:.0f}:{seconds % 60:02.0f}</text>",
        ]
    line = " ".join(
        f"{x(seconds):.1f},{bottom - value / highest * _HEIGHT:.1f}" for seconds, value in points
    )
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>')
    parts.append(f'<text x="{_LEFT}" y="{top - 6}">{label}; time without data marked</text>')
    return parts
