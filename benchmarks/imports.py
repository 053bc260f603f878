"""How long an import takes, each in a new interpreter."""

import subprocess
import sys
from pathlib import Path

from .processes import CLIENTS, child_environment
from .session import Row, Session

__all__ = ["imports"]

_ROOT = Path(__file__).resolve().parents[1]
_CODE = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
_IMPORTS = {
    "the two dependencies": "websocket, dataclasses_json",
    "etoro_sync": "etoro_sync",
    "etoropy": "etoropy",
}
_TURNS = 5


def imports(session: Session) -> list[Row]:
    """The best of many imports of each, in turns."""
    best: dict[str, float] = {}
    turns = _TURNS * session.plan.repeats
    print(f"  imports: {turns} turns", file=sys.stderr, flush=True)
    for _ in range(turns):
        for name, modules in _IMPORTS.items():
            if name == "etoropy" and CLIENTS["etoropy"].missing:
                continue
            command = [sys.executable, "-c", _CODE.format(modules)]
            output = subprocess.check_output(command, cwd=_ROOT, env=child_environment(), text=True)
            best[name] = min(best.get(name, float("inf")), float(output) * 1000)
    return [{"what": name, "ms": ms} for name, ms in best.items()]
