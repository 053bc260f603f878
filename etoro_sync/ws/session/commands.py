"""What other threads ask of the reader thread: operations, and to come to its end.

They only put something down and wake it; no lock is needed, since each of these is one step.
"""

import contextlib
import time
from collections import deque

from ... import clocks
from ...errors import EToroClosedError, EToroError
from ..protocol.requests import Operation
from ..transport.waker import Waker

__all__ = ["Commands", "closed"]

#: Seconds between two looks at whether the client is to stop.
_NAP = 0.02


class Commands:
    """Takes what is asked in any thread, until the reader has time for it."""

    def __init__(self) -> None:
        self.waker = Waker()
        #: What was asked and not taken yet.
        self.operations: deque[Operation] = deque()
        self._over = False
        #: The client is to end at once, and not politely.
        self.aborting = False

    # -- any thread ----------------------------------------------------------------------------

    def post(self, operation: Operation) -> None:
        """Hand over an operation; one that comes too late is ended with EToroClosedError."""
        self.operations.append(operation)
        self.waker.wake()
        if self._over:
            self._drop(closed())

    def stop(self) -> None:
        """Ask for the end, with a closing handshake of at most ``close_timeout``."""
        self.waker.stop()

    def abort(self) -> None:
        """Ask for the end at once."""
        self.aborting = True
        self.stop()

    # -- the reader thread ---------------------------------------------------------------------

    def take(self) -> list[Operation]:
        """Return what was asked until now, in order."""
        # As many as there are now: others may post faster than this thread takes.
        return [self.operations.popleft() for _ in range(len(self.operations))]

    def sit_out(self, deadline: float) -> None:
        """Wait in the simplest way, where another one has failed; :meth:`stop` ends it soon.

        :param deadline: absolute monotonic time.
        """
        while not self.waker.stopping and clocks.monotonic() < deadline:
            time.sleep(_NAP)

    def finish(self, error: EToroError | None) -> None:
        """End all operations that were not taken, those that are still to come, too.

        :param error: what ended the session; None: the user did.
        """
        self._over = True
        self._drop(error or closed())

    def _drop(self, error: EToroError) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self.operations.popleft().on_done(error)

    def close(self) -> None:
        """Free the descriptors; idempotent."""
        self.waker.close()


def closed() -> EToroClosedError:
    """Return what operations end with when the user ends the session."""
    return EToroClosedError("The client was disconnected. Call connect() to use it again.")
