"""The clocks of a client, each for one purpose.

``monotonic`` drives every timer. On Linux and macOS it stands still while the machine sleeps, so
it cannot tell a user how long no data came: ``uptime`` can. Nobody can set either of them. The wall
clock, which somebody can set, only stamps what users see.
"""

import sys
import time

__all__ = ["monotonic", "uptime", "wall_clock"]

#: Drives timers: seconds from some moment on.
monotonic = time.monotonic
#: For users: seconds since the epoch, UTC.
wall_clock = time.time


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
    uptime = time.monotonic
else:
    _number, _read = _NUMBER, time.clock_gettime

    def uptime() -> float:
        """Seconds from some moment on; counts the time in which the machine slept."""
        return _read(_number)
