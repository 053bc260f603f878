"""How fast requests may follow each other."""

import threading
from collections import deque
from collections.abc import Callable

from .. import clocks
from ..synchronization import renew_lock_in_child

__all__ = ["Pace", "pace_of"]

#: Address -> what all objects of this process share that ask there.
_shared: dict[str, "Pace"] = {}


def pace_of(address: str) -> "Pace":
    """Return the pace for an address of eToro, whose limit does not ask which object sends.

    :param address: of the REST API; not of a simulator, whose port another one may get.
    """
    # One step, which no other thread can divide.
    return _shared.setdefault(address, Pace())


class Pace:
    """Lets so many requests pass in a minute, and none while the server asks for patience.

    The lock guards the times of the last requests. Any thread.

    :param most: eToro allows 120 a minute, and allowed 60 in earlier pages. 60 leave room for a
        second process.
    :param period: seconds.
    :param clock: monotonic seconds.
    """

    def __init__(
        self, most: int = 60, period: float = 60.0, clock: Callable[[], float] = clocks.monotonic
    ) -> None:
        self._period = period
        self._clock = clock
        self._lock = threading.Lock()
        renew_lock_in_child(self)
        self._sent: deque[float] = deque([-float("inf")] * most, maxlen=most)
        self._held_until = -float("inf")

    def reserve(self) -> float:
        """Take a turn; 0.0: it may begin now, else the seconds after which to ask again."""
        with self._lock:
            now = self._clock()
            wait = max(self._sent[0] + self._period, self._held_until) - now
            if wait > 0:
                return wait
            self._sent.append(now)
            return 0.0

    def hold(self, seconds: float) -> None:
        """Let no request pass for so long, since the server has asked for that."""
        with self._lock:
            self._held_until = max(self._held_until, self._clock() + seconds)
