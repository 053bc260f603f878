"""What each package may import: the plan of the house, kept by a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Modules at the top that any package may use; they use nothing but each other.
BASE = {
    "_version",
    "closeable",
    "collecting",
    "state",
    "clocks",
    "codec",
    "columns",
    "data_frames",
    "errors",
    "events",
    "extras",
    "lifecycle",
    "logs",
    "models",
    "numbers",
    "own_threads",
    "redaction",
    "stats",
    "synchronization",
    "html_tables",
    "text",
    "throttle",
}
#: Package -> the packages that it may import, besides itself and the modules at the top.
MAY_IMPORT: dict[str, set[str]] = {
    "delivery": set(),
    "market": {"delivery"},
    "recording": {"delivery", "market"},
    "notebook": set(),
    # record() and live() are methods of each stream.
    "stream": {"delivery", "market", "notebook", "recording"},
    "replay": {"delivery", "market", "recording", "stream"},
    "tables": {"recording", "replay"},
    "store": {"delivery", "stream"},
    "candles": {"delivery", "stream"},
    "redis.connection": set(),
    "redis.layout": {"market"},
    "redis.groups": {"redis.connection", "redis.layout"},
    # Who publishes removes old orders, too.
    "redis.publishing": {"delivery", "redis.connection", "redis.groups", "redis.layout", "stream"},
    "redis.subscribing": {"delivery", "market", "redis.connection", "redis.layout", "stream"},
    # Its findings have the form of those of the other doctor.
    "redis.doctor": {"doctor", "redis.connection", "redis.groups", "redis.layout"},
    "redis": {"redis.groups", "redis.publishing", "redis.subscribing"},
    "ws.transport": {"ws.failures"},
    "ws.protocol": {"ws.failures"},
    "ws.session": {
        "delivery",
        "market",
        "ws.transport",
        "ws.protocol",
        "ws.failures",
        "ws.options",
    },
    "ws.failures": set(),
    "ws.message_parser": {"market"},
    # Whether TLS verifies, and whether an address is this machine, is known to the transport.
    "ws.options": {"ws.transport", "ws.option_checks"},
    "ws.option_checks": {"ws.transport"},
    "ws": {
        "delivery",
        "market",
        "stream",
        "ws.session",
        "ws.protocol",
        "ws.options",
    },
    # Each of its connections is one of the client's, with its sessions and its protocol.
    "fleet": {
        "delivery",
        "market",
        "stream",
        "ws",
        "ws.session",
        "ws.protocol",
        "ws.options",
        "ws.transport",
    },
    # Its requests take the way of a connection: keys, proxy and TLS are the client's.
    "instruments": {"ws.session", "ws.protocol", "ws.options", "ws.failures", "ws.transport"},
    # Each step is taken with the part of the client that takes it.
    "doctor": {
        "market",
        "ws.session",
        "ws.protocol",
        "ws.options",
        "ws.failures",
        "ws.transport",
    },
    "plotting": {"candles", "replay", "stream"},
    "": {
        "candles",
        "delivery",
        "fleet",
        "instruments",
        "market",
        "recording",
        "replay",
        "store",
        "stream",
        "tables",
        "ws",
    },
    # They watch any stream: its state, its statistics, and whether its markets are closed.
    "operations": {"stream"},
    "metrics": {"operations"},
    "systemd": {"operations"},
    "cli": {
        "",
        "demo",
        "doctor",
        "fleet",
        "instruments",
        "metrics",
        "operations",
        "plotting",
        "market",
        "recording",
        "redis",
        "redis.doctor",
        "simulator",
        "systemd",
        "tables",
        "ws",
    },
    "demo": {"", "simulator", "ws"},
    "simulator": set(),
    "__main__": {"cli"},
}
#: What the simulator may share with the client: nothing that could make both wrong in the same way.
SIMULATOR_BASE = {"_version"}


def modules() -> dict[str, Path]:
    """Module name within the package -> file."""
    found = {}
    for path in sorted((ROOT / "etoro_sync").rglob("*.py")):
        parts = path.relative_to(ROOT / "etoro_sync").with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """The modules of this package that a module imports, also late."""
    path = MODULES[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [part for part in package if part][: len(package) - node.level + 1]
            target = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                inner = f"{target}.{alias.name}".strip(".")
                yield inner if inner in MODULES else target


def package_of(name: str) -> str:
    """The package of the plan that a module belongs to."""
    return max(
        (p for p in MAY_IMPORT if name == p or name.startswith(f"{p}.")), key=len, default=""
    )


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    """Arrows point downwards, so that a room can be read without those above it."""
    base = SIMULATOR_BASE if package == "simulator" else BASE
    wrong = [
        f"{name} imports {target}"
        for name in MODULES
        if name.partition(".")[0] not in BASE and package_of(name) == package
        for target in imports(name)
        if target.partition(".")[0] not in base
        and package_of(target) not in MAY_IMPORT[package] | {package}
    ]
    assert wrong == []


def test_modules_at_the_top_import_only_each_other() -> None:
    """They are the ground."""
    wrong = [
        f"{name} imports {target}"
        for name in MODULES
        if name.partition(".")[0] in BASE
        for target in imports(name)
        if target.partition(".")[0] not in BASE
    ]
    assert wrong == []
