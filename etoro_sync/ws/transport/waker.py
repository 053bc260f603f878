"""Lets any thread wake or stop the reader, and limits how long a selector waits."""

import contextlib
import selectors
import socket

from ...logs import tidy

__all__ = ["Waker", "cap"]

#: Bytes of wake-ups that are read at once.
_MOST = 4096
#: Seconds. A heartbeat of a year is a legal option, but selectors overflow (epoll: at 24 days).
_LONGEST_WAIT = 3600.0


def cap(seconds: float) -> float:
    """Return a timeout that every selector accepts; for a longer wait the caller waits again."""
    return min(max(seconds, 0.0), _LONGEST_WAIT)


class Waker:
    """A socket pair that ends the reader's wait from any thread, and says whether it is to stop."""

    def __init__(self) -> None:
        #: Whether the reader is to stop; checked after each wait.
        self.stopping = False
        with contextlib.ExitStack() as cleanup:
            self._receiver, self._sender = socket.socketpair()
            cleanup.callback(self._receiver.close)
            cleanup.callback(self._sender.close)
            self._receiver.setblocking(False)
            self._sender.setblocking(False)
            # Made once, so that a wait cannot fail later because descriptors have run out.
            self._selector = selectors.DefaultSelector()
            cleanup.callback(self._selector.close)
            self._selector.register(self._receiver, selectors.EVENT_READ)
            cleanup.pop_all()

    def wake(self) -> None:
        """End the present wait, or the next one. Any thread; never blocks.

        Every call writes a byte. A flag that avoids a second byte would have to be cleared in the
        same moment in which the byte is read, or a wake-up in between would be lost.
        """
        # If the pair is full, a wake-up is pending already; if it is closed, the reader has ended.
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def stop(self) -> None:
        """Make the reader stop, also if it waits. Any thread."""
        self.stopping = True
        self.wake()

    def drain(self) -> None:
        """Remove pending wake-ups. Runs on the reader thread, before it handles commands."""
        # One read: a loop could run forever if other threads wake all the time, and a byte that is
        # left only ends the next wait.
        with contextlib.suppress(OSError):
            self._receiver.recv(_MOST)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable by a wake-up."""
        return self._receiver.fileno()

    def wait(self, seconds: float) -> None:
        """Sleep for *seconds*, but at most an hour, or until woken. Runs on the reader thread."""
        self._selector.select(cap(seconds))
        self.drain()

    def close(self) -> None:
        """Free the descriptors; idempotent."""
        # The sender first: writing to it while only the receiver is closed raises SIGPIPE.
        tidy(self._selector.close, self._sender.close, self._receiver.close)
