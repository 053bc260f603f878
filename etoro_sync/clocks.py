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

__all__ = ["STANDSTILL", "TIME_TO_READ", "monotonic", "put_off", "uptime", "wall_clock"]

#: A wait that ends so many seconds late has not run: the process was stopped, or got no processor.
STANDSTILL = 0.1
#: Seconds in which what came meanwhile, or had no room in the socket, is read then.
TIME_TO_READ = 1.0


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
    # It must run as fast as time.monotonic(), or their difference looks like a sleep after a while.
    # On macOS that is CLOCK_MONOTONIC_RAW: CLOCK_MONOTONIC is steered by the network's time there.
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC_RAW"}.get(sys.platform)
    number: int | None = getattr(time, name, None) if name is not None else None
    if number is not None:
        try:
            time.clock_gettime(number)
        except OSError:  # a kernel that is older than the C library
            return None
    return number


_NUMBER = _clock_that_counts_sleep()

#: For the ages and the gaps that users see: seconds from some moment on, in which the machine slept
#: or not. Where the system has no such clock a sleep is not counted; that of Windows counts it.
uptime: Callable[[], float] = monotonic if _NUMBER is None else partial(time.clock_gettime, _NUMBER)


def put_off(deadline: float, due: float, now: float) -> float:
    """Return *deadline*, later by the time for which the process stood still in a wait.

    What came meanwhile is still to be read, and the thread that reads it has stood still as well:
    in any case there is some time left for that.

    :param due: when the wait was to end at the latest.
    :param now: when it did.
    """
    late = now - due
    return deadline if late < STANDSTILL else max(deadline + late, now + min(late, TIME_TO_READ))
