"""Draw docs/rooms.svg: the rooms of the package and who imports whom, read from the sources.

An arrow that follows from others is left out. Run it after a change of imports:
``python docs/draw_rooms.py``. A test compares the picture with what it would draw now.
"""

from __future__ import annotations

import ast
import html
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "etoro_sync"
PICTURE = Path(__file__).with_name("rooms.svg")
#: Room -> what it knows, from the face down. What is in no room is the ground, which all may use.
ROOMS = {
    "cli": "the command line",
    "doctor": "step by step",
    "fleet": "several connections as one",
    "ws": "the face: the client",
    "instruments": "symbols, ids and names",
    "operations": "metrics, health, systemd",
    "ws.session": "the life of a client",
    "ws.options": "the settings",
    "stream": "the reading surface",
    "market": "messages and prices",
    "notebook": "live tables in Jupyter",
    "ws.protocol": "requests and answers",
    "ws.transport": "sockets, TLS, frames",
    "delivery": "callbacks and queues",
    "simulator": "eToro's side",
}
#: Modules that stand in a room, and belong to the ground.
GROUND = {"ws.failures"}
#: Modules that belong to another room than that of their folder.
ELSEWHERE = {
    "ws.option_checks": "ws.options",
    "metrics": "operations",
    "systemd": "operations",
}
_WIDTH, _HEIGHT, _ACROSS, _DOWN = 210, 56, 250, 120


def room_of(module: str) -> str | None:
    """Return the room of a module by its dotted name within the package; None: the ground."""
    if module.startswith(tuple(GROUND)):
        return None
    for name, room in ELSEWHERE.items():
        if module == name or module.startswith(f"{name}."):
            return room
    inside = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return max(inside, key=len, default=None)


def arrows() -> set[tuple[str, str]]:
    """Return ``(room, room that it imports)`` for each pair of rooms of which that is so."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        here = list(parts[:-1])
        room = room_of(".".join(here if is_package else parts))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if room is None or not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            base = [*here[: len(here) - node.level + 1], *(node.module or "").split(".")]
            names = [".".join(filter(None, [*base, alias.name])) for alias in node.names]
            found |= {
                (room, other) for name in names if (other := room_of(name)) not in (None, room)
            }
    return found


def without_detours(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leave out each arrow that follows from others, for a picture in which the rest is seen."""

    def reaches(room: str, goal: str) -> bool:
        return room == goal or any(reaches(b, goal) for a, b in pairs if a == room)

    return {
        (one, other)
        for one, other in pairs
        if not any(reaches(b, other) for a, b in pairs if a == one and b != other)
    }


def floors(pairs: set[tuple[str, str]]) -> list[list[str]]:
    """Return the rooms by floor, the highest first: each lies above all that it imports."""
    height: dict[str, int] = {}

    def climb(room: str) -> int:
        if room not in height:
            below = [climb(other) for one, other in pairs if one == room]
            height[room] = 1 + max(below, default=-1)
        return height[room]

    top = max(climb(room) for room in ROOMS)
    return [[room for room in ROOMS if height[room] == floor] for floor in range(top, -1, -1)]


def draw() -> str:
    """Return the picture."""
    pairs = arrows()
    plan = floors(pairs)
    width = max(map(len, plan)) * _ACROSS + 40
    height = len(plan) * _DOWN + 70
    place = {
        room: (width / 2 + (n - (len(floor) - 1) / 2) * _ACROSS, 20 + level * _DOWN)
        for level, floor in enumerate(plan)
        for n, room in enumerate(floor)
    }
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0L10 5L0 10z" fill="#567"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for one, other in sorted(without_detours(pairs)):
        (x1, y1), (x2, y2) = place[one], place[other]
        lines.append(
            f'<line x1="{x1:g}" y1="{y1 + _HEIGHT:g}" x2="{x2:g}" y2="{y2:g}" stroke="#567" '
            'stroke-width="1.3" marker-end="url(#tip)"/>'
        )
    for room, (x, y) in place.items():
        lines += [
            f'<rect x="{x - _WIDTH / 2:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
            'fill="#eef3f8" stroke="#345"/>',
            f'<text x="{x:g}" y="{y + 23:g}" text-anchor="middle" font-weight="bold">'
            f"{html.escape(room)}</text>",
            f'<text x="{x:g}" y="{y + 43:g}" text-anchor="middle" fill="#345">'
            f"{html.escape(ROOMS[room])}</text>",
        ]
    lines += [
        f'<rect x="20" y="{height - 50}" width="{width - 40}" height="34" rx="6" fill="#f4f1e8" '
        'stroke="#765"/>',
        f'<text x="{width / 2:g}" y="{height - 28}" text-anchor="middle" fill="#543">the ground: '
        "errors, events, clocks, logs, text, models; all but the simulator use it</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8")
