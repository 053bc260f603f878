"""The clocks of a client, each for one purpose.

``monotonic`` drives every timer. On Linux and macOS it stops while the machine sleeps, so the ages
and gaps that users see are measured with ``uptime``, which goes on. Neither changes when the
system's time is set. The wall clock does, and is used for timestamps only.

A test that freezes the time, for instance with freezegun, freezes the wall clock but no timer: a
timeout that never ends would hang the test.
"""

import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Any

__all__ = ["STANDSTILL", "TIME_TO_READ", "monotonic", "put_off", "uptime", "wall_clock"]

#: Seconds. A wait that ends this late means that the process was stopped, or got no processor.
STANDSTILL = 0.1
#: Seconds that are left after a standstill, to read what came during it.
TIME_TO_READ = 1.0


def _unfrozen() -> Any:
    """Return the module ``time``, or a fresh copy of it if a test has replaced its functions."""
    spec = importlib.util.find_spec("time")
    if type(time.monotonic) is BuiltinFunctionType or spec is None or spec.loader is None:
        return time
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh


#: Drives timers: seconds since an arbitrary moment. A partial, because freezegun replaces every
#: attribute of a module that is the function ``time.monotonic`` itself.
monotonic: Callable[[], float] = partial(_unfrozen().monotonic)


def wall_clock() -> float:
    """Return seconds since the epoch, UTC, for timestamps; frozen if a test has frozen the time."""
    return time.time()


def _clock_that_counts_sleep() -> int | None:
    """Return the id of the system's clock that goes on during a sleep; None if there is none."""
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

#: Measures the ages and gaps that users see: seconds since an arbitrary moment, including those in
#: which the machine slept. On Windows ``monotonic`` counts them; elsewhere, without such a clock,
#: they are left out.
uptime: Callable[[], float] = monotonic if _NUMBER is None else partial(time.clock_gettime, _NUMBER)


def put_off(deadline: float, due: float, now: float) -> float:
    """Return *deadline*, put off by the time for which the process stood still during a wait.

    What came meanwhile is still unread, because the reader thread stood still, too; so there is
    always some time left to read it.

    :param due: when the wait should have ended at the latest, in monotonic seconds.
    :param now: when it has ended.
    """
    late = now - due
    return deadline if late < STANDSTILL else max(deadline + late, now + min(late, TIME_TO_READ))
