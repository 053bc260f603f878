"""One outcome for the parts of a call, which several connections carry out."""

import threading
from collections.abc import Callable

from ..errors import EToroError

__all__ = ["Gathering"]


class Gathering:
    """Reports the end of an operation once all of its parts have ended.

    The lock guards how many have not, and the first error.

    :param on_done: called once, with None or the first error, on the thread of the last part.
    """

    def __init__(self, on_done: Callable[[EToroError | None], None]) -> None:
        self._on_done = on_done
        self._lock = threading.Lock()
        self._waiting = 0
        self._error: EToroError | None = None

    def part(
        self, before: Callable[[EToroError | None], None] = lambda error: None
    ) -> Callable[[EToroError | None], None]:
        """Return what reports the end of one more part.

        :param before: called first with the outcome of that part.
        """
        with self._lock:
            self._waiting += 1

        def done(error: EToroError | None) -> None:
            try:
                before(error)
            finally:
                self._end(error)

        return done

    def _end(self, error: EToroError | None) -> None:
        with self._lock:
            self._waiting -= 1
            self._error = self._error or error
            over, outcome = self._waiting == 0, self._error
        if over:
            self._on_done(outcome)
