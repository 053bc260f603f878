"""Imports websocket-client, and checks that it is that package and recent enough.

Another package on PyPI installs a module named ``websocket``, too, and a file of that name beside a
user's program is found first. Either could be imported, and would fail at ``connect()``. So the
module is checked here, when etoro_sync is imported; nothing else imports ``websocket``.
"""

import re
from types import ModuleType

from ...extras import file_of

__all__ = [
    "ABNF",
    "WebSocket",
    "WebSocketBadStatusException",
    "WebSocketException",
    "load",
]

_LEAST = (1, 9, 2)
_NAMES = ("ABNF", "WebSocket", "WebSocketBadStatusException", "WebSocketException")
_REPAIR = """
    python -m pip uninstall -y websocket
    python -m pip install --force-reinstall "websocket-client>=1.9.2,<2\""""


def load() -> ModuleType:
    """Import ``websocket`` and return it.

    :raises ImportError: when it is missing, belongs to another package, or is too old. The message
        names the file that was found, and says what to do.
    """
    try:
        import websocket
    except Exception as exc:  # a foreign module may raise anything when imported
        where = file_of("websocket")
        if where is None:
            raise ImportError(
                f"etoro_sync needs websocket-client, which is not installed. Run:\n{_REPAIR}",
                name="websocket",
            ) from exc
        raise ImportError(_foreign(where), name="websocket", path=where) from exc
    module: ModuleType = websocket
    where = getattr(module, "__file__", None) or str([*getattr(module, "__path__", [])])
    if any(not hasattr(module, name) for name in _NAMES):
        raise ImportError(_foreign(where), name="websocket", path=where)
    version = str(getattr(module, "__version__", ""))
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if found is None or tuple(int(part or 0) for part in found.groups()) < _LEAST:
        raise ImportError(
            f"etoro_sync needs websocket-client 1.9.2 or later, but {where} is version "
            f"{version or 'unknown'}. Run:\n{_REPAIR}",
            name="websocket",
            path=where,
        )
    return module


def _foreign(where: str) -> str:
    return (
        "etoro_sync needs websocket-client, but the module websocket that Python finds is "
        f"another: {where}. If that file is your own, rename it. If not, run:\n{_REPAIR}"
    )


_websocket = load()
ABNF = _websocket.ABNF
WebSocket = _websocket.WebSocket
WebSocketBadStatusException = _websocket.WebSocketBadStatusException
WebSocketException = _websocket.WebSocketException
