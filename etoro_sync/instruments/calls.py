"""Calls that ask eToro: how long each may take, and that another thread can end it."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .. import clocks
from ..errors import EToroClosedError, EToroRestError
from ..synchronization import Interrupted, renew_lock_in_child
from ..ws.transport.waker import Waker
from .pace import Pace

__all__ = ["PATIENCE", "Call", "Calls"]

#: Seconds. A server that asks to wait for longer is not waited for.
PATIENCE = 60.0


@dataclass(frozen=True)
class Call:
    """One call of a user.

    :param waker: ends its waits.
    :param deadline: absolute monotonic time for all of it; None: each step has a bound of its own.
    :param patient: whether it waits for the rate limit, and where the server asks to; without,
        an old answer is at hand.
    """

    waker: Waker
    deadline: float | None
    patient: bool = True

    def impatient(self) -> "Call":
        """Return the same call for what is of no great importance."""
        return replace(self, patient=False)

    def sooner(self, seconds: float) -> float:
        """Return the moment after *seconds*, or the deadline if that is earlier."""
        due = clocks.monotonic() + seconds
        return due if self.deadline is None else min(due, self.deadline)

    def take_turn(self, pace: Pace) -> None:
        """Wait until the rate limit lets a request pass, a minute at most.

        :raises EToroRestError: when that would be too late.
        :raises Interrupted: when the call is to end.
        """
        # A second more, because a wait may end a little early, and is then repeated.
        latest = self.sooner(PATIENCE + 1.0)
        while (wait := pace.reserve()) > 0:
            # Other threads may have taken the turn that was waited for.
            late = clocks.monotonic() + wait > latest
            if late or not self.patient or wait > PATIENCE:
                raise EToroRestError(
                    f"The rate limit of eToro's REST API lets no request pass for {wait:.0f} s. "
                    "Ask later, or for many ids at once with lookup().",
                    "TooManyRequests",
                    wait,
                )
            self.waker.wait(wait)
            if self.waker.stopping:
                raise Interrupted


class Calls:
    """The calls that are in progress. The lock guards their wakers and the flag. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_lock_in_child(self)
        self._wakers: set[Waker] = set()
        self._closed = False

    @contextlib.contextmanager
    def begin(self, deadline: float | None, patient: bool) -> Iterator[Call]:
        """Give what one call needs, for as long as it takes.

        :raises EToroClosedError: when :meth:`close` was called before or meanwhile.
        """
        try:
            waker = Waker()
        except OSError as exc:
            raise EToroRestError(
                f"eToro cannot be asked: {exc.strerror}. Raise the limit of open files "
                "(ulimit -n), or close some."
            ) from exc
        try:
            with self._lock:
                if self._closed:
                    raise EToroClosedError("These Instruments are closed. Make others.")
                self._wakers.add(waker)
            yield Call(waker, deadline, patient)
        except Interrupted:
            raise EToroClosedError("These Instruments were closed while eToro was asked.") from None
        finally:
            with self._lock:
                self._wakers.discard(waker)
                waker.close()

    def close(self) -> None:
        """End all calls, and those to come. Idempotent."""
        with self._lock:
            self._closed = True
            for waker in self._wakers:
                waker.stop()
