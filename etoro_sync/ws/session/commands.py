"""What other threads request from the reader thread: operations, and its end.

They set or append a value, each in one atomic step that needs no lock, and wake the reader.
"""

import contextlib
import time
from collections import deque

from ... import clocks
from ...errors import EToroClosedError, EToroError
from ..protocol.requests import Operation
from ..transport.waker import Waker

__all__ = ["Commands", "closed"]

#: Seconds between two checks in :meth:`Commands.poll_until`.
_POLL_INTERVAL = 0.02


class Commands:
    """Holds the requests of other threads until the reader thread handles them."""

    def __init__(self) -> None:
        self.waker = Waker()
        #: Posted and not taken yet.
        self.operations: deque[Operation] = deque()
        self._over = False
        #: Whether the session is to end at once, without a closing handshake.
        self.aborting = False

    # -- any thread ----------------------------------------------------------------------------

    def post(self, operation: Operation) -> None:
        """Hand over an operation; after :meth:`finish` it ends at once with EToroClosedError."""
        self.operations.append(operation)
        self.waker.wake()
        if self._over:
            self._drop(closed())

    def stop(self) -> None:
        """Request the end, with a closing handshake of at most ``close_timeout``."""
        self.waker.stop()

    def abort(self) -> None:
        """Request the end at once, without a closing handshake."""
        self.aborting = True
        self.stop()

    # -- the reader thread ---------------------------------------------------------------------

    def take(self) -> list[Operation]:
        """Return the operations that were posted until now, in order."""
        # Counted first, because other threads may post faster than this one takes.
        return [self.operations.popleft() for _ in range(len(self.operations))]

    def poll_until(self, deadline: float) -> None:
        """Sleep until *deadline* or :meth:`stop`, without the waker, in case that has failed.

        :param deadline: absolute monotonic time.
        """
        while not self.waker.stopping and clocks.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL)

    def finish(self, error: EToroError | None) -> None:
        """End all operations that were not taken, and from now on those that are posted.

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
    """Return the error for operations of a session that the user has ended."""
    return EToroClosedError("The client was disconnected. Call connect() to use it again.")
