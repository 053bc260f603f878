"""One end of a TCP or TLS connection: bytes in, bytes out, and every way to end it.

The thread of the connection's script alone reads and writes the socket: a TLS socket must not be
used by two threads at once. Only :meth:`Stream.abort` is called by another thread.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable

from etoro_sync.clocks import monotonic

from .timing import MS

__all__ = ["Disconnected", "Stream"]


class Disconnected(ConnectionError):
    """The connection ended, or the server stopped, while a script waited.

    It ends the script, and is no failure.
    """


class Stream:
    """An accepted connection as a stream of bytes.

    :ivar tls_error: why the TLS handshake failed, or None
    :ivar timeout: seconds that a read or a write may take before the script fails
    """

    def __init__(self, sock: socket.socket, stopping: threading.Event) -> None:
        self.tls_error: OSError | None = None
        self.timeout = 10_000 * MS
        self._socket = sock
        self._stopping = stopping
        self._buffer = bytearray()
        self._closed = False
        # What the script waits for, so that a stopping server can end the wait.
        self._awaited: threading.Event | None = None
        # Guards _closed, _awaited and the identity of _socket, all of which abort() reads.
        self._lock = threading.Lock()

    # Bytes

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._socket.settimeout(self.timeout)
        self._socket.sendall(raw)

    def drip(
        self,
        data: bytes,
        size: int = 1,
        gate: Callable[[], object] | threading.Event | None = None,
        pause: float = 0,
    ) -> None:
        """Send in pieces, each in a write of its own.

        Without a gate or a pause the kernel may still hand several pieces to the client at once.

        :param gate: called before each piece; an event lets one piece pass each time it is set
        :param pause: seconds between two pieces
        """
        for start in range(0, len(data), size):
            if isinstance(gate, threading.Event):
                self.wait(gate)
                gate.clear()
            elif gate is not None:
                gate()
            self.send(data[start : start + size])
            if pause:
                self.pause(pause)

    def read_bytes(self, count: int) -> bytes:
        """Return exactly so many bytes of what the client sends."""
        return self._take(count, monotonic() + self.timeout)

    def wait_closed(self, timeout: float | None = None) -> None:
        """Block until the client's end of stream; what it still sends is thrown away.

        :param timeout: None waits until the server stops
        :raises TimeoutError: the client kept its end open
        """
        deadline = None if timeout is None else monotonic() + timeout
        # A reset is an end of stream too: it is what a client that leaves in a hurry produces.
        with contextlib.suppress(ConnectionError):
            while True:
                self._fill(deadline)
                self._buffer.clear()
        self._check_stopping()

    # Waiting without the socket

    def wait(self, event: threading.Event, timeout: float | None = None) -> None:
        """Block until the event is set or, unlike with its own wait, the server stops."""
        with self._lock:
            self._awaited = event
        try:
            self._check_stopping()
            if not event.wait(timeout):
                raise TimeoutError(f"nobody set the event within {timeout} s")
            self._check_stopping()
        finally:
            with self._lock:
                self._awaited = None

    def pause(self, seconds: float) -> None:
        """Do nothing for a while, or until the server stops."""
        self._stopping.wait(seconds)
        self._check_stopping()

    def hold(self) -> None:
        """Neither read nor write until the server stops: what a client sends piles up."""
        self.wait(self._stopping)

    # Ends

    def shutdown_write(self) -> None:
        """Send the end of stream, and keep reading."""
        # The method of the base class: the one of a TLS socket forgets its encryption first.
        socket.socket.shutdown(self._socket, socket.SHUT_WR)

    def close(self) -> None:
        """Close at once. When the client has sent what was not read, it gets a reset instead."""
        with self._lock:
            self._closed = True
            self._socket.close()

    def reset(self) -> None:
        """Close with a reset: the client gets an error where it would get the end of stream."""
        with self._lock:
            self._closed = True
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.close()

    @property
    def closed(self) -> bool:
        """Whether this end is closed."""
        return self._closed

    # For the server

    def start_tls(self, context: ssl.SSLContext) -> bool:
        """Do the TLS handshake; return False, and keep the reason, when it fails."""
        try:
            with self._lock:
                self._check_stopping()
                # Without a handshake, for that one blocks, and abort() must get the lock.
                self._socket = context.wrap_socket(
                    self._socket, server_side=True, do_handshake_on_connect=False
                )
            self._socket.settimeout(self.timeout)
            self._socket.do_handshake()
        except OSError as error:
            self.tls_error = error
            return False
        return True

    def finish(self) -> None:
        """Send the end of stream, then read until the client's, so that no reset loses data."""
        if not self._closed:
            with contextlib.suppress(OSError):
                self.shutdown_write()
                self.wait_closed()
        self.close()

    def abort(self) -> None:
        """End whatever the script waits for. Runs on the thread that stops the server."""
        with self._lock:
            if self._awaited is not None:
                self._awaited.set()
            if not self._closed:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _take(self, count: int, deadline: float) -> bytes:
        while len(self._buffer) < count:
            self._fill(deadline)
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _fill(self, deadline: float | None) -> None:
        """Append what the socket has to the buffer; wait for at least one byte."""
        remaining = None if deadline is None else deadline - monotonic()
        if remaining is not None and remaining <= 0:
            raise TimeoutError("the client sent too little, too late")
        self._socket.settimeout(remaining)
        try:
            data = self._socket.recv(65536)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise Disconnected("the client's stream ended") from error
        if not data:
            raise Disconnected("the client's stream ended")
        self._buffer += data

    def _check_stopping(self) -> None:
        if self._stopping.is_set():
            raise Disconnected("the server stops")
