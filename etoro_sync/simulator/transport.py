"""The socket below a server connection, and the interceptors through which faults act on it.

It can be reset at any moment, and never lets two threads use TLS at the same time.
"""

import contextlib
import functools
import selectors
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from typing import Any

_LINGER_OFF = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
# poll() needs no descriptor and has no limit on their numbers; select() is for Windows.
Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


class Interceptor:
    """Can delay, change or drop the data between a connection and its peer.

    This base class passes everything on; faults override its methods. A transport calls all
    interceptors that are attached to it, in order.
    """

    splits = False
    """Whether it splits frames; such interceptors are called after those that need whole frames."""
    silent = False
    """Whether the peer does not see the end of the stream either."""

    def before_message(self, transport: "Transport") -> None:
        """Called on the sending thread before each message; may wait."""

    def before_read(self, transport: "Transport") -> None:
        """Called on the receiving thread before each read; may wait."""

    def send(self, transport: "Transport", data: bytes, onward: Callable[[bytes], None]) -> None:
        """Pass *data* to *onward*, or not.

        After the handshake, *data* is one whole frame, unless another interceptor has split it.
        """
        onward(data)


class Transport:
    """The part of the socket interface that a WebSocket connection uses.

    OpenSSL does not allow two threads in one TLS object, even if one only reads and the other only
    writes (cpython #77271). So the socket is non-blocking, every operation on it is brief and done
    under a lock, and threads wait without the lock. A wake-up socket ends all waiting when the
    transport is reset or closed.

    :param sock: a connected socket, possibly TLS, on which no handshake has been done.
    :param send_timeout: seconds without progress after which a peer that does not read is cut off.
    :param on_close: called once when the transport is closed, on whichever thread closed it.
    """

    def __init__(
        self, sock: socket.socket, send_timeout: float, on_close: "Callable[[Transport], None]"
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._send_timeout = send_timeout
        self._on_close = on_close
        self._timeout: float | None = None
        self._waker, self._wakee = socket.socketpair()
        #: Guards the socket, the flags below, the interceptors and the number of waiting threads.
        self._lock = threading.Lock()
        #: Uses the same lock; notified when the transport or its interceptors change.
        self._changed = threading.Condition(self._lock)
        self._interceptors: tuple[Interceptor, ...] = ()
        self._hidden_shutdown: int | None = None  # put off while an interceptor is silent
        self._waiting = 0
        self._was_reset = False
        self._closed = False
        self.stalled = False
        """Whether the peer was cut off because it did not read."""
        self.upgraded = False
        """Whether the opening handshake is over."""

    @property
    def family(self) -> int:
        """The address family."""
        return self._sock.family

    def fileno(self) -> int:
        """Return the file descriptor, for selectors."""
        return self._sock.fileno()

    def getsockname(self) -> Any:
        """Return the local address."""
        return self._sock.getsockname()

    def getpeername(self) -> Any:
        """Return the peer's address."""
        return self._sock.getpeername()

    def setsockopt(self, *args: Any) -> None:
        """Set an option of the socket."""
        self._sock.setsockopt(*args)

    def settimeout(self, timeout: float | None) -> None:
        """Limit each later operation to *timeout* seconds, as for a socket."""
        self._timeout = timeout

    def recv(self, size: int) -> bytes:
        """Wait for data and return it; empty at the end of the stream."""
        while True:
            for interceptor in self._interceptors:
                interceptor.before_read(self)
            with self._lock:
                self._check()
                try:
                    return self._sock.recv(size)
                except _WOULD_BLOCK as exc:
                    events = _events(exc, selectors.EVENT_READ)
            self._wait(events, self._timeout)

    def sendall(self, data: bytes) -> None:
        """Send all data through the interceptors; a peer that reads nothing for long is reset."""
        onward: Callable[[bytes], None] = self._send
        for interceptor in reversed(self._interceptors):
            onward = functools.partial(interceptor.send, self, onward=onward)
        onward(data)

    def _send(self, data: bytes) -> None:
        """Send all data to the socket."""
        rest = memoryview(data)
        while rest:
            with self._lock:
                self._check()
                try:
                    rest = rest[self._sock.send(rest) :]
                    continue
                except _WOULD_BLOCK as exc:
                    events = _events(exc, selectors.EVENT_WRITE)
            limit = self._send_timeout
            try:
                self._wait(events, limit if self._timeout is None else min(limit, self._timeout))
            except TimeoutError:
                self.stalled = True
                self.reset()
                raise

    def shutdown(self, how: int) -> None:
        """Close one or both directions; put off while an interceptor is silent."""
        with self._lock:
            self._check()
            if self._hides_end():
                self._hidden_shutdown = how
            else:
                self._shut(how)

    def _hides_end(self) -> bool:
        """Whether the peer must not see the end of the stream yet. Requires the lock."""
        return any(interceptor.silent for interceptor in self._interceptors)

    def _shut(self, how: int) -> None:
        """Close one or both directions. Requires the lock."""
        # The TLS class's own shutdown() would drop its TLS object first and let
        # a concurrent recv() read ciphertext.
        socket.socket.shutdown(self._sock, how)

    # Interceptors

    def attach(self, interceptor: Interceptor) -> None:
        """Add an interceptor for all data from now on."""
        with self._changed:
            self._interceptors = tuple(
                sorted((*self._interceptors, interceptor), key=lambda one: one.splits)
            )

    def detach(self, interceptor: Interceptor) -> None:
        """Remove an interceptor, if it is attached, and wake the threads that it holds.

        A shutdown that was put off is done when no silent interceptor is left.
        """
        with self._changed:
            self._interceptors = tuple(
                other for other in self._interceptors if other is not interceptor
            )
            if self._hidden_shutdown is not None and not self._hides_end():
                how, self._hidden_shutdown = self._hidden_shutdown, None
                if not (self._was_reset or self._closed):
                    with contextlib.suppress(OSError):  # the peer may have gone
                        self._shut(how)
            self._changed.notify_all()

    def before_message(self) -> None:
        """Wait until all interceptors allow the next message."""
        for interceptor in self._interceptors:
            interceptor.before_message(self)

    def hold(self, interceptor: Interceptor, timeout: float | None = None) -> bool:
        """Wait until an interceptor is detached.

        :param interceptor: an attached interceptor.
        :param timeout: seconds to wait at most; None is no limit.
        :returns: whether it is still attached.
        :raises ConnectionResetError: when the transport is reset or closed.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: interceptor not in self._interceptors or self._was_reset or self._closed,
                timeout,
            )
            self._check()
            return interceptor in self._interceptors

    # Ending the connection

    def reset(self) -> None:
        """Reset the connection; nothing more is sent or received.

        The thread that reads the connection is woken and closes it, which sends the TCP reset.
        """
        with self._lock:
            if self._was_reset or self._closed:
                return
            self._was_reset = True
            with contextlib.suppress(OSError):
                self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
                # Sends nothing, but wakes a selector that waits for the socket.
                socket.socket.shutdown(self._sock, socket.SHUT_RD)
            self._waker.send(b"x")
            self._changed.notify_all()

    def close(self) -> None:
        """Close the socket. If threads wait for it, they are woken and the last one closes it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
            if self._waiting:
                self._waker.send(b"x")
            else:
                self._release()
        self._on_close(self)

    def _check(self) -> None:
        """Raise if the transport was reset or closed. Requires the lock."""
        if self._was_reset or self._closed:
            raise ConnectionResetError("the simulator has reset or closed this connection")

    def _release(self) -> None:
        """Close all descriptors. Requires the lock, and that no thread waits for them."""
        self._sock.close()
        self._waker.close()
        self._wakee.close()

    def _wait(self, events: int, timeout: float | None) -> None:
        """Wait until the socket is ready, or the transport is reset or closed."""
        with self._lock:
            self._check()
            self._waiting += 1
        try:
            with Selector() as selector:
                selector.register(self._sock, events)
                selector.register(self._wakee, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise TimeoutError("timed out")
        finally:
            with self._lock:
                self._waiting -= 1
                if self._closed and not self._waiting:
                    self._release()


def _events(exc: Exception, usual: int) -> int:
    """Return what to wait for: TLS may need to write before it can read, and vice versa."""
    if isinstance(exc, ssl.SSLWantReadError):
        return selectors.EVENT_READ
    return selectors.EVENT_WRITE if isinstance(exc, ssl.SSLWantWriteError) else usual
