"""The public surface is documented, typed, and spelled as etoropy spells it."""

from __future__ import annotations

import ast
import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import etoro_sync
from etoro_sync import WsClient, WsClientOptions, ws
from etoro_sync.ws import WsSubscriptionTracker

PACKAGE = Path(etoro_sync.__file__).parent


def public_members() -> list[tuple[str, Any]]:
    """Return every public class and function of the package, and the classes' own members."""
    found: list[tuple[str, Any]] = []
    for name in etoro_sync.__all__:
        thing = getattr(etoro_sync, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        found.append((name, thing))
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                is_member = isinstance(value, property) or callable(value)
                if not member.startswith("_") and is_member:
                    found.append((f"{name}.{member}", value))
    return [(name, thing) for name, thing in found if not isinstance(thing, type(Any))]


@pytest.mark.parametrize(
    ("name", "thing"), [pytest.param(*pair, id=pair[0]) for pair in public_members()]
)
def test_every_public_member_is_documented_with_its_parameters(name: str, thing: Any) -> None:
    """A docstring, and a ``:param`` for each parameter that it does not inherit."""
    function = thing.fget if isinstance(thing, property) else thing
    function = getattr(function, "__func__", function)
    doc = inspect.getdoc(function)
    assert doc, f"{name} has no docstring"
    if inspect.isfunction(function) and not isinstance(thing, property):
        for parameter in inspect.signature(function).parameters:
            if parameter in ("self", "cls", "overrides", "items"):
                continue
            assert f":param {parameter}:" in doc, f"{name} does not explain {parameter}"


def test_the_options_that_the_mission_fixes_are_first_and_in_order() -> None:
    """Programs that pass them by position keep working; the rest is keyword-only."""
    parameters = list(inspect.signature(WsClientOptions).parameters.values())
    first = [(p.name, p.default) for p in parameters[:8]]
    assert first == [
        ("api_key", ""),
        ("user_key", ""),
        ("ws_url", "wss://ws.etoro.com/ws"),
        ("reconnect_attempts", 10),
        ("reconnect_delay", 1.0),
        ("auth_timeout", 10.0),
        ("heartbeat_interval", 30.0),
        ("heartbeat_timeout", 10.0),
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters[8:])
    assert {p.name: p.default for p in parameters[8:]} == {
        "conflate_after": 1.0,
        "reconnect_max_delay": 60.0,
        "connect_timeout": 10.0,
        "request_timeout": 10.0,
        "close_timeout": 1.0,
        "stale_after": 0.0,
        "callback_queue_size": 10_000,
        "allow_unverified_tls": False,
        "max_message_bytes": 16 * 1024 * 1024,
        "proxy": None,
        "ssl_context": None,
    }


def test_the_names_are_etoropys() -> None:
    """Porting is changing the import and dropping ``await``."""
    client = "on off once remove_all_listeners connect subscribe unsubscribe disconnect"
    state = "last_pong_at is_connected is_authenticated"
    assert set(f"{client} {state}".split(" ")) <= set(dir(WsClient))
    tracker = "add remove get_all has clear size"
    assert set(tracker.split(" ")) <= set(dir(WsSubscriptionTracker))
    assert {"ParsedMessage", "parse_envelope", "parse_messages"} <= set(ws.__all__)


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports at its top, by their dotted names."""
    package = ["etoro_sync", *path.relative_to(PACKAGE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def test_websocket_is_imported_by_one_module_only() -> None:
    """By the module that checks it."""
    users = {
        path.name
        for path in PACKAGE.rglob("*.py")
        if any(re.match(r"websocket(\.|$)", module) for module in imports_of(path))
    }
    assert users == {"websocket_client.py"}


PURE = [
    "instruments/answers",
    "instruments/instrument",
    "instruments/stored",
    "delivery/arrivals",
    "delivery/buffers",
    "delivery/conflation",
    "delivery/lag_watch",
    "delivery/lanes",
    "events",
    "market/merging",
    "market/message_parser",
    "market/rate_book",
    "market/shapes",
    "stats",
    "ws/protocol/control",
    "ws/protocol/in_flight",
    "ws/protocol/replies",
    "ws/protocol/requests",
    "ws/protocol/restoration",
    "ws/session/backoff",
    "ws/transport/frames",
    "ws/transport/keepalive",
]


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_know_neither_threads_nor_sockets(module: str) -> None:
    """They are tested with plain values."""
    imported = imports_of(PACKAGE / f"{module}.py")
    assert not imported & {"threading", "socket", "selectors", "ssl", "queue", "websocket"}


def test_imports_have_no_circles() -> None:
    """Every module of the package can be put above those that it imports."""
    modules = {}
    for path in PACKAGE.rglob("*.py"):
        parts = ["etoro_sync", *path.relative_to(PACKAGE).with_suffix("").parts]
        modules[".".join(parts).removesuffix(".__init__")] = path
    edges = {name: {m for m in imports_of(path) if m in modules} for name, path in modules.items()}
    # `from . import name` also names the package itself, which is no dependency of its parts.
    for name in edges:
        edges[name] -= {name, *(p for p in modules if name.startswith(f"{p}."))}
    placed: set[str] = set()
    while len(placed) < len(edges):
        ready = {name for name, needs in edges.items() if name not in placed and needs <= placed}
        assert ready, f"a circle among {sorted(set(edges) - placed)}"
        placed |= ready


def test_the_help_of_the_package_fits_on_a_few_screens() -> None:
    """It says what to use first, and has every public name; the help of a class stays whole."""
    text = pydoc.plain(pydoc.render_doc(etoro_sync))
    assert len(text.splitlines()) <= 150
    assert max(map(len, text.splitlines())) <= 100
    assert text.index("WsClient ") < text.index("WsInstrumentRate ") < text.index("MarketStream ")
    names = set(etoro_sync.__all__) - {"EToroError", "__version__"}
    listed = re.findall(r"^ {8}(\w+) {2,}\S", text, flags=re.MULTILINE)
    assert sorted(listed) == sorted(names)
    assert "connect(self" in pydoc.plain(pydoc.render_doc(etoro_sync.WsClient))


def test_all_names_are_found_by_everything_but_help() -> None:
    """By completion, by inspect, and by ``from etoro_sync import *``."""
    assert set(etoro_sync.__all__) <= set(dir(etoro_sync))
    assert set(etoro_sync.__all__) <= {name for name, _ in inspect.getmembers(etoro_sync)}
    found: dict[str, Any] = {}
    exec("from etoro_sync import *", found)
    assert set(found) - {"__builtins__"} == set(etoro_sync.__all__)


@pytest.mark.heavy
def test_importing_the_package_needs_no_extra() -> None:
    """typer, rich, websockets and orjson are not imported, or not needed."""
    code = (
        "import sys; sys.modules['orjson'] = None; sys.modules['websockets'] = None; "
        "sys.modules['typer'] = None; import etoro_sync, etoro_sync.codec as codec; "
        "print(codec.JSON_BACKEND, 'rich' in sys.modules, 'asyncio' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["json", "False", "False"]


def test_the_version_is_that_of_the_distribution() -> None:
    """One place holds it."""
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", etoro_sync.__version__)
    assert (PACKAGE / "py.typed").exists()
