"""The clocks of a client, each for one purpose.

``monotonic`` drives every timer. On Linux and macOS it stands still while the machine sleeps, so
it cannot tell a user how long no data came: ``uptime`` can. Nobody can set either of them. The wall
clock, which somebody can set, only stamps what users see.

A test that freezes the time, as with freezegun, freezes the wall clock and no timer: a timeout that
never ends would hang it.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Any

__all__ = ["monotonic", "uptime", "wall_clock"]


def _unfrozen() -> Any:
    """Return the module ``time``, or another one where somebody has replaced what is in it."""
    spec = importlib.util.find_spec("time")
    if type(time.monotonic) is BuiltinFunctionType or spec is None or spec.loader is None:
        return time
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


#: Drives timers: seconds from some moment on. The system's clock is wrapped, because freezegun goes
#: through the attributes of all modules and replaces those that are this very function.
monotonic: Callable[[], float] = partial(_unfrozen().monotonic)


def wall_clock() -> float:
    """Seconds since the epoch, UTC, for users; where a test has frozen it, as it sees it."""
    return time.time()


def _clock_that_counts_sleep() -> int | None:
    """Return the number of the system's clock that goes on while the machine sleeps."""
    # On macOS CLOCK_MONOTONIC is such a clock, and time.monotonic() reads another one.
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform)
    number: int | None = getattr(time, name, None) if name is not None else None
    if number is not None:
        try:
            time.clock_gettime(number)
        except OSError:  # a kernel that is older than the C library
            return None
    return number


_NUMBER = _clock_that_counts_sleep()

if _NUMBER is None:
    # On Windows it counts sleep. Elsewhere a sleep is not counted, which nobody can help.
    uptime = monotonic
else:
    _number, _read = _NUMBER, time.clock_gettime

    def uptime() -> float:
        """Seconds from some moment on; counts the time in which the machine slept."""
        return _read(_number)
