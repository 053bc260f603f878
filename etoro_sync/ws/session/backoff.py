"""How long to wait before the next attempt to reconnect. Pure: no clock, no threads.

Full jitter spreads the clients of a server that comes back; the cap keeps the wait bounded; the
slow lane is for a server that says it is asked too often. One that says how long to wait is obeyed,
up to an hour: a wrong header must not silence a client for days.
"""

import random
from collections.abc import Callable

__all__ = ["Backoff"]

#: Seconds that a server may ask a client to wait, unless its own cap is larger.
_MOST_ASKED = 3600.0


class Backoff:
    """Exponential backoff with full jitter and a cap.

    :param delay: upper bound of the first wait, in seconds; doubled with each attempt.
    :param max_delay: upper bound of any wait that no server asks for, in seconds.
    :param attempts: consecutive attempts allowed; None is unlimited.
    :param uniform: ``random.uniform`` or a stand-in.
    """

    def __init__(
        self,
        delay: float,
        max_delay: float,
        attempts: int | None,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._delay = delay
        self._max_delay = max_delay
        self._attempts = attempts
        self._uniform = uniform
        self.attempt = 0
        self._carried = 0  # attempts before the count began anew, while the waits did not

    def next(self, *, slow: bool = False, asked: float = 0.0) -> float | None:
        """Count one more attempt and return the seconds to wait before it; None: give up.

        :param slow: the server asked for patience: wait between half the cap and the cap.
        :param asked: seconds that the server asked to wait, which is the least then.
        """
        if self._attempts is not None and self.attempt >= self._attempts:
            return None
        self.attempt += 1
        if slow:
            own = self._uniform(self._max_delay / 2, self._max_delay)
        else:
            # Bounded because 2.0 ** 1024 is an OverflowError in a month-long outage.
            ceiling = self._delay * 2.0 ** min(self._carried + self.attempt - 1, 60)
            own = self._uniform(0.0, min(ceiling, self._max_delay))
        least = min(asked, max(self._max_delay, _MOST_ASKED))
        # Spread as ever: all clients were told the same time.
        return own if own >= least else least + self._uniform(0.0, self._delay)

    def reset(self, *, lasting: bool = True) -> None:
        """Count from the beginning again; only a stable session earns this.

        :param lasting: it also lasted, so that the waits begin with the shortest again. Else they
            go on growing: of sessions that bring data and end at once there would be two a second.
        """
        self._carried = 0 if lasting else self._carried + self.attempt
        self.attempt = 0
