"""What the figures were measured on; nothing that names a host, a user or a path."""

import os
import platform
import re
from importlib import metadata

__all__ = ["machine", "versions"]

_DISTRIBUTIONS = (
    *("etoro-sync", "websocket-client", "dataclasses-json", "orjson"),
    *("etoropy", "websockets", "pydantic", "picows"),
)


def machine() -> dict[str, str]:
    """Return CPU, cores and operating system."""
    release = re.match(r"[\d.]*\d", platform.release())
    return {
        "CPU": _cpu_model(),
        "cores": str(os.cpu_count()),
        "OS": f"{platform.system()} {release[0] if release else ''}".strip(),
        "architecture": platform.machine(),
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            for line in info:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def versions() -> dict[str, str]:
    """Return the versions of the interpreter and of all that take part."""
    found = {platform.python_implementation(): platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
