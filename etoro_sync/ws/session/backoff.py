"""How long to wait before the next attempt to reconnect. Pure: no clock, no threads.

Full jitter spreads the clients when a server comes back, and a cap bounds the wait. After a reply
like TooManyRequests the wait is at least half the cap. A wait that the server itself names is
obeyed up to an hour, so that a wrong header cannot stop a client for days.
"""

import random
from collections.abc import Callable

__all__ = ["Backoff"]

#: Upper bound of a wait that a server names, in seconds; ``max_delay`` if that is larger.
_MOST_RETRY_AFTER = 3600.0


class Backoff:
    """Exponential backoff with full jitter and a cap.

    :param delay: upper bound of the first wait, in seconds; doubled with each attempt.
    :param max_delay: upper bound of a wait, in seconds, unless a server names a longer one.
    :param attempts: consecutive attempts allowed; None is unlimited.
    :param uniform: returns a random number between its two arguments.
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
        self._carried = 0  # attempts that no longer count, but still lengthen the waits

    def next(self, *, slow: bool = False, retry_after: float = 0.0) -> float | None:
        """Count one more attempt and return the seconds to wait before it; None: give up.

        :param slow: wait between half the cap and the cap.
        :param retry_after: seconds that the server requires; the wait is not shorter.
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
        least = min(retry_after, max(self._max_delay, _MOST_RETRY_AFTER))
        # With jitter: the server may have named the same time to all clients.
        return own if own >= least else least + self._uniform(0.0, self._delay)

    def reset(self, *, lasting: bool = True) -> None:
        """Start the count of attempts again, after all subscriptions were acknowledged.

        :param lasting: the connection also lived for a while, so the waits become short again.
            Otherwise they go on growing, so that connections which end right after their first data
            do not follow each other several times a second.
        """
        self._carried = 0 if lasting else self._carried + self.attempt
        self.attempt = 0
