"""A non-blocking socket for one thread, and the means for other threads to wake that thread.

No lock guards the socket because only the reader thread touches it: OpenSSL forbids two threads
in one connection, and CPython up to 3.12 then loses healthy connections (cpython #77271). The
same loop reads, writes, waits, and notices a wake-up.
"""

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Callable

__all__ = ["Interrupted", "Waker", "Wire"]

READ_SIZE = 65536
_WANTS_RETRY = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Interrupted(Exception):
    """The wait was ended by :meth:`Waker.wake` and the client is to stop."""


class Waker:
    """A socket pair that ends the reader's wait from any thread."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._pending = False

    def wake(self) -> None:
        """End the present wait, or the next one. Any thread; never blocks."""
        if not self._pending:
            self._pending = True
            # A full pair wakes just as well, and a closed one has nobody to wake.
            with contextlib.suppress(OSError):
                self._sender.send(b"\0")

    def drain(self) -> None:
        """Make ready for the next wake-up. Runs on the reader thread, before it looks for work.

        The flag is lowered first: a wake-up in between is then seen as work, or wakes again.
        """
        self._pending = False
        with contextlib.suppress(OSError):
            while len(self._receiver.recv(4096)) == 4096:
                pass

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._receiver.fileno()

    def wait(self, seconds: float) -> None:
        """Sleep for *seconds* or until woken. Runs on the reader thread."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.select(max(seconds, 0.0))
        self.drain()

    def close(self) -> None:
        """Free the descriptors."""
        self._receiver.close()
        self._sender.close()


class Wire:
    """A connected stream socket, plain or TLS. Every method runs on the reader thread.

    :param sock: the socket; from now on non-blocking, and owned by the wire.
    :param waker: ends waits.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        waker: Waker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._waker = waker
        self._clock = clock
        self._unsent = bytearray()
        self._stalled_since: float | None = None
        self._read_wants_write = False
        self._events = selectors.EVENT_READ
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(waker, selectors.EVENT_READ)

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Put TLS on the socket; :meth:`handshake_step` does the rest."""
        self._selector.unregister(self._sock)
        self._sock = context.wrap_socket(
            self._sock, server_hostname=host, do_handshake_on_connect=False
        )
        self._sock.setblocking(False)
        self._events = selectors.EVENT_READ
        self._selector.register(self._sock, self._events)

    def handshake_step(self) -> bool:
        """Do what can be done of the TLS handshake now; return whether it is complete.

        :raises OSError: when the peer, or its certificate, is refused.
        """
        assert isinstance(self._sock, ssl.SSLSocket)
        try:
            self._sock.do_handshake()
        except _WANTS_RETRY as exc:
            self._read_wants_write = isinstance(exc, ssl.SSLWantWriteError)
            return False
        self._read_wants_write = False
        return True

    def read(self) -> bytes | None:
        """Return bytes that are there, b"" at the end of the stream, None when nothing is there.

        :raises OSError: when the connection is lost.
        """
        try:
            data = self._sock.recv(READ_SIZE)
        except _WANTS_RETRY as exc:
            self._read_wants_write = isinstance(exc, ssl.SSLWantWriteError)
            return None
        self._read_wants_write = False
        return data

    def write(self, data: bytes) -> None:
        """Queue *data* and send what can be sent now.

        :raises OSError: when the connection is lost.
        """
        self._unsent += data
        self.flush()

    def flush(self) -> None:
        """Send what can be sent of the queued bytes now.

        :raises OSError: when the connection is lost.
        """
        while self._unsent:
            try:
                sent = self._sock.send(self._unsent)
            except _WANTS_RETRY:
                if self._stalled_since is None:
                    self._stalled_since = self._clock()
                return
            self._stalled_since = None
            del self._unsent[:sent]

    @property
    def unsent(self) -> int:
        """How many queued bytes wait for the peer to read."""
        return len(self._unsent)

    def stalled(self, now: float) -> float:
        """Seconds for which not one queued byte could be sent; 0.0 when all is well."""
        return 0.0 if self._stalled_since is None else now - self._stalled_since

    def wait(self, deadline: float | None) -> None:
        """Sleep until there is something to read or to send, a wake-up, or *deadline*.

        :param deadline: absolute monotonic time; None is never.
        """
        events = selectors.EVENT_READ
        if self._unsent or self._read_wants_write:
            events |= selectors.EVENT_WRITE
        if events != self._events:
            self._selector.modify(self._sock, events)
            self._events = events
        timeout = None if deadline is None else max(deadline - self._clock(), 0.0)
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._waker:
                self._waker.drain()

    def close(self) -> None:
        """Free the descriptor; idempotent."""
        self._selector.close()
        self._sock.close()
