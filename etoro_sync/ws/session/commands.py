"""What other threads ask of the reader thread: operations, and to come to its end.

They only put something down and wake it; no lock is needed, since each of these is one step.
"""

import contextlib
import time
from collections import deque

from ... import clocks
from ...errors import EToroClosedError, EToroError
from ...logs import tidy
from ...market.rate_book import RateBook
from ..protocol.control import ControlChannel, Operation
from ..transport.waker import Waker

__all__ = ["Commands"]

#: Seconds between two looks at whether the client is to stop.
_NAP = 0.02


class Commands:
    """Takes what is asked in any thread, until the reader has time for it.

    :param protocol: gets the operations.
    :param book: forgets what is not wanted any more.
    """

    def __init__(self, protocol: ControlChannel, book: RateBook) -> None:
        self._protocol = protocol
        self._book = book
        self.waker = Waker()
        self._operations: deque[Operation] = deque()
        self._over = False
        #: The client is to end, politely.
        self.stopping = False
        #: It is to end at once.
        self.aborting = False

    # -- any thread ----------------------------------------------------------------------------

    def post(self, operation: Operation) -> None:
        """Hand over an operation; one that comes too late is ended with EToroClosedError."""
        self._operations.append(operation)
        self.waker.wake()
        if self._over:
            self._drop(_closed())

    def stop(self) -> None:
        """Ask for the end, with a closing handshake of at most ``close_timeout``."""
        self.stopping = True
        self.waker.wake()

    def abort(self) -> None:
        """Ask for the end at once."""
        self.aborting = True
        self.stop()

    def is_stopping(self) -> bool:
        """Whether the client is to end, for those who are to ask."""
        return self.stopping

    # -- the reader thread ---------------------------------------------------------------------

    def deliver(self) -> None:
        """Hand over the operations to the protocol."""
        # As many as there are now: others may post faster than this thread takes.
        for _ in range(len(self._operations)):
            operation = self._operations.popleft()
            if operation.name == "Unsubscribe" and not self._protocol.authenticated:
                topics = operation.topics
                self._book.forget([t for t in topics if not self._protocol.is_of_use(t)])
            self._protocol.submit(operation)

    def pause(self, seconds: float) -> None:
        """Wait, and take operations meanwhile; :meth:`stop` ends the wait."""
        deadline = clocks.monotonic() + seconds
        while not self.stopping and (left := deadline - clocks.monotonic()) > 0:
            self.waker.wait(left)
            self.deliver()

    def sit_out(self, deadline: float) -> None:
        """Wait in the simplest way, where :meth:`pause` has failed; :meth:`stop` ends it soon.

        :param deadline: absolute monotonic time.
        """
        while not self.stopping and clocks.monotonic() < deadline:
            time.sleep(_NAP)

    def finish(self, error: EToroError | None) -> None:
        """End all operations, those that are still to come, too.

        :param error: what ended the session; None: the user did.
        """
        self._over = True
        reason = error or _closed()
        tidy(lambda: self._protocol.fail_all(reason), lambda: self._drop(reason))

    def _drop(self, error: EToroError) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._operations.popleft().on_done(error)

    def close(self) -> None:
        """Free the descriptors; idempotent."""
        self.waker.close()


def _closed() -> EToroClosedError:
    return EToroClosedError("The client was disconnected. Call connect() to use it again.")
