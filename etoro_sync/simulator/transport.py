"""
The socket under a connection of the server, so that a peer can be cut off at any moment and TLS
is never used by two threads at once. Whatever is to go wrong on the wire belongs here, too.
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
# poll() needs no descriptor of its own and knows no limit; select() is for Windows.
Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.SelectSelector
)


class Interceptor:
    """
    Something on the way between a connection and its peer. This one lets everything pass; faults
    are made by overriding. A transport asks all interceptors that are attached to it, in order.
    """

    splits = False
    """Whether it cuts frames into pieces; such interceptors come behind those that want whole frames."""
    silent = False
    """Whether the end of the stream is kept from the peer, too."""

    def before_message(self, transport: "Transport") -> None:
        """Runs on the sending thread, before each message; may wait."""

    def before_read(self, transport: "Transport") -> None:
        """Runs on the receiving thread, before each look at what has come; may wait."""

    def send(self, transport: "Transport", data: bytes, onward: Callable[[bytes], None]) -> None:
        """Pass data on, or not. What is sent after the handshake comes frame by frame."""
        onward(data)


class Transport:
    """
    The part of a socket's interface that a WebSocket connection uses, over a non-blocking socket.

    OpenSSL forbids two threads in one TLS object, even for reading and writing (cpython #77271).
    So every operation on the socket is brief and done under a lock, and waiting is done outside
    of it. A wake-up socket ends any waiting when the transport is reset or closed.

    :param sock: A connected socket, possibly TLS, on which no handshake has been done.
    :param send_timeout: Seconds without progress after which a peer that doesn't read is cut off.
    :param on_close: Called once when the transport is closed, on whichever thread closed it.
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
        #: Over the same lock; notified when the transport or its interceptors change.
        self._changed = threading.Condition(self._lock)
        self._interceptors: tuple[Interceptor, ...] = ()
        self._hidden_shutdown: int | None = None  # what a silent interceptor keeps from the peer
        self._waiting = 0
        self._was_reset = False
        self._closed = False
        self.stalled = False
        """Whether the peer was cut off because it didn't read."""
        self.upgraded = False
        """Whether the opening handshake is over."""

    @property
    def family(self) -> int:
        """The address family."""
        return self._sock.family

    def fileno(self) -> int:
        """Give the descriptor, for others' selectors."""
        return self._sock.fileno()

    def getsockname(self) -> Any:
        """Give the local address."""
        return self._sock.getsockname()

    def getpeername(self) -> Any:
        """Give the peer's address."""
        return self._sock.getpeername()

    def setsockopt(self, *args: Any) -> None:
        """Set an option of the socket."""
        self._sock.setsockopt(*args)

    def settimeout(self, timeout: float | None) -> None:
        """Limit each later operation, as for a socket."""
        self._timeout = timeout

    def recv(self, size: int) -> bytes:
        """Wait for data and give it; nothing at the end of the stream."""
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
        """Send all data by way of the interceptors, or cut off a peer that takes none of it for long."""
        onward: Callable[[bytes], None] = self._send
        for interceptor in reversed(self._interceptors):
            onward = functools.partial(interceptor.send, self, onward=onward)
        onward(data)

    def _send(self, data: bytes) -> None:
        """Send all data."""
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
        """Close one or both directions, as soon as nothing keeps the peer from learning of it."""
        with self._lock:
            self._check()
            if self._hides_end():
                self._hidden_shutdown = how
            else:
                self._shut(how)

    def _hides_end(self) -> bool:
        """Whether the peer is not to learn of an end. Requires the lock."""
        return any(interceptor.silent for interceptor in self._interceptors)

    def _shut(self, how: int) -> None:
        """Close one or both directions. Requires the lock."""
        # The TLS class's own shutdown() would drop its TLS object first and let
        # a concurrent recv() read ciphertext.
        socket.socket.shutdown(self._sock, how)

    # Lines

    def attach(self, interceptor: Interceptor) -> None:
        """Put an interceptor in the way of everything from now on."""
        with self._changed:
            self._interceptors = tuple(
                sorted((*self._interceptors, interceptor), key=lambda one: one.splits)
            )

    def detach(self, interceptor: Interceptor) -> None:
        """
        Take an interceptor out of the way, if it is there, and wake whoever it holds. An end of the stream
        that the last silent interceptor has kept from the peer shows now.
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
        """Wait for as long as the interceptors want no message to be sent."""
        for interceptor in self._interceptors:
            interceptor.before_message(self)

    def hold(self, interceptor: Interceptor, timeout: float | None = None) -> bool:
        """
        Wait until an interceptor is detached.

        :param interceptor: An attached interceptor.
        :param timeout: Seconds; None waits for ever.
        :return: Whether it is still attached.
        :raises ConnectionResetError: When the transport is reset or closed.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: interceptor not in self._interceptors or self._was_reset or self._closed,
                timeout,
            )
            self._check()
            return interceptor in self._interceptors

    # The end

    def reset(self) -> None:
        """
        Cut the connection off: the peer sees a TCP reset, and nothing more is sent or received.

        The thread that reads the connection notices and closes it, which sends the reset.
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
        """Close the socket; a thread that is waiting for it is woken and does it."""
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
        """Raise when the transport can't be used any more. Requires the lock."""
        if self._was_reset or self._closed:
            raise ConnectionResetError("the simulator has cut this connection")

    def _release(self) -> None:
        """Give back all descriptors. Requires the lock, and that nobody waits for them."""
        self._sock.close()
        self._waker.close()
        self._wakee.close()

    def _wait(self, events: int, timeout: float | None) -> None:
        """Wait until the socket is ready or the transport reset or closed."""
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
    """Say what to wait for: TLS may have to write in order to read, and the other way round."""
    if isinstance(exc, ssl.SSLWantReadError):
        return selectors.EVENT_READ
    return selectors.EVENT_WRITE if isinstance(exc, ssl.SSLWantWriteError) else usual
