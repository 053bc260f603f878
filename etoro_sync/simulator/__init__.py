"""A local server that speaks eToro's streaming protocol, for demos and tests.

    with EToroSimulator({18: 4800.0}, rate=100) as sim:
        connect(sim.url)

It misbehaves on request: ``sim.fault("mute")``; :data:`FAULTS` lists all faults. It shares no code
with the client, so that a mistake in one of them cannot be hidden by the same mistake in the other.
"""

import sys as _sys

try:
    import websockets.sync.server as _websockets  # noqa: F401 - checks that it is installed
except ImportError:
    _found = getattr(_sys.modules.get("websockets"), "__file__", None)
    _but = (
        f", but Python finds {_found}. If that file is your own, rename it; else" if _found else ""
    )
    raise ImportError(
        f'The simulator needs the websockets package{_but}: pip install "etoro-sync[simulator]"'
    ) from None

from .faults import FAULTS, PHASES, Fault, Script
from .peer import SimulatorClient
from .server import EToroSimulator

__all__ = ["FAULTS", "PHASES", "EToroSimulator", "Fault", "Script", "SimulatorClient"]
