"""How any thread wakes the reader or has it end, and how long a selector may wait."""

import contextlib
import selectors
import socket

from ...logs import tidy

__all__ = ["Waker", "cap"]

#: Bytes of wake-ups that are read at once.
_MOST = 4096
#: A year of heartbeat is a legal option, but more than a selector takes (epoll: 24 days).
_LONGEST_WAIT = 3600.0


def cap(seconds: float) -> float:
    """Return a timeout that every selector takes; who waits for longer has to wait again."""
    return min(max(seconds, 0.0), _LONGEST_WAIT)


class Waker:
    """A socket pair that ends the reader's wait from any thread, and says whether it is to stop."""

    def __init__(self) -> None:
        #: The reader is to come to its end; whoever has waited looks here.
        self.stopping = False
        with contextlib.ExitStack() as cleanup:
            self._receiver, self._sender = socket.socketpair()
            cleanup.callback(self._receiver.close)
            cleanup.callback(self._sender.close)
            self._receiver.setblocking(False)
            self._sender.setblocking(False)
            # Made once: a wait between two attempts must not fail for want of descriptors.
            self._selector = selectors.DefaultSelector()
            cleanup.callback(self._selector.close)
            self._selector.register(self._receiver, selectors.EVENT_READ)
            cleanup.pop_all()

    def wake(self) -> None:
        """End the present wait, or the next one. Any thread; never blocks.

        Every call writes a byte. A flag that saves the second one would have to be lowered at
        the very moment at which the byte is read, or a wake-up in between is lost for good.
        """
        # A full pair wakes just as well, and a closed one has nobody to wake.
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def stop(self) -> None:
        """Have the reader come to its end, out of whatever it waits for. Any thread."""
        self.stopping = True
        self.wake()

    def drain(self) -> None:
        """Make ready for the next wake-up. Runs on the reader thread, before it looks for work."""
        # Once: bytes that come all the time must not hold the reader here, and one that is left
        # only ends the next wait.
        with contextlib.suppress(OSError):
            self._receiver.recv(_MOST)

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._receiver.fileno()

    def wait(self, seconds: float) -> None:
        """Sleep for *seconds*, but at most an hour, or until woken. Runs on the reader thread."""
        self._selector.select(cap(seconds))
        self.drain()

    def close(self) -> None:
        """Free the descriptors; idempotent."""
        # The sender first: to write to it while only the other end is closed means SIGPIPE.
        tidy(self._selector.close, self._sender.close, self._receiver.close)
