"""A non-blocking socket for one thread, and the means for other threads to wake that thread.

No lock guards the socket because only the reader thread touches it: OpenSSL forbids two threads
in one connection, and CPython up to 3.12 then loses healthy connections (cpython #77271). The
same loop reads, writes, waits, and notices a wake-up.
"""

import _socket
import contextlib
import selectors
import socket
import ssl
import traceback
from collections.abc import Callable
from typing import Any, cast

from ... import clocks
from ...logs import tidy
from .waker import Waker, cap

__all__ = ["SocketStream", "end_stream", "start_tls"]

#: What eventlet, gevent and others put into ``socket`` in place of the standard library's class may
#: be no subclass of this one, which nobody replaces.
_PlainSocket = _socket.socket
_READ_SIZE = 262144
#: What one TLS record holds. OpenSSL counts a write only when all of it is sent, so a larger one
#: would look like a stall; and it wants a write that has to be repeated to be at least as long,
#: which the next piece is, because the queue only grows until a piece is sent.
_WRITE_SIZE = 16384
_WANTS_RETRY = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class SocketStream:
    """A connected stream socket, plain or TLS. Every method runs on the reader thread.

    :param sock: the socket; from now on non-blocking, and owned by the stream, which closes it
        also when it cannot be made.
    :param waker: ends waits.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        sock: socket.socket,
        waker: Waker,
        clock: Callable[[], float] = clocks.monotonic,
    ) -> None:
        self._sock = sock
        self._waker = waker
        self._clock = clock
        self._plain = not hasattr(sock, "do_handshake")
        #: Queued bytes that the peer has not taken yet.
        self.unsent = bytearray()
        self._stalled_since: float | None = None
        # TLS may have to write in order to read, and the other way round, as when keys change in
        # mid-stream. To wait for the wrong one is to wait for ever, or not at all.
        self._read_wants_write = False
        self._write_wants_read = False
        #: Whether the last read has taken all that was there, so that the next would be in vain.
        #: Never known of TLS, which reads record by record.
        self.drained = False
        self._events = selectors.EVENT_READ
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(sock.close)
            sock.setblocking(False)
            self._selector = selectors.DefaultSelector()
            cleanup.callback(self._selector.close)
            self._selector.register(sock, self._events)
            self._selector.register(waker, selectors.EVENT_READ)
            cleanup.pop_all()

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Put TLS on the socket; :meth:`handshake_step` does the rest.

        :raises OSError: when the peer has left.
        :raises ValueError: when *host* cannot be the name in a certificate.
        """
        self._selector.unregister(self._sock)
        self._plain = self.drained = False
        self._sock = start_tls(self._sock, context, host)
        self._events = selectors.EVENT_READ
        self._selector.register(self._sock, self._events)

    def handshake_step(self) -> bool:
        """Do what can be done of the TLS handshake now; return whether it is complete.

        :raises OSError: when the peer, or its certificate, is refused.
        """
        # Not by its class: a context of another library makes others.
        secured = cast(ssl.SSLSocket, self._sock)
        try:
            secured.do_handshake()
        except _WANTS_RETRY as exc:
            self._read_wants_write = isinstance(exc, ssl.SSLWantWriteError)
            return False
        self._read_wants_write = False
        return True

    def read(self) -> bytes | None:
        """Return bytes that are there, b"" at the end of the stream, None when nothing is there.

        To be repeated until it returns None, or :attr:`drained`, before :meth:`wait`: a selector
        does not know of bytes that TLS has already taken from the socket.

        :raises OSError: when the connection is lost.
        """
        try:
            data = self._sock.recv(_READ_SIZE)
        except _WANTS_RETRY as exc:
            self._read_wants_write = isinstance(exc, ssl.SSLWantWriteError)
            return None
        self._read_wants_write = False
        self.drained = self._plain and len(data) < _READ_SIZE
        return data

    def write(self, data: bytes) -> None:
        """Queue *data* and send what can be sent now.

        :raises OSError: when the connection is lost.
        """
        self.unsent += data
        self.flush()

    def flush(self) -> None:
        """Send what can be sent of the queued bytes now.

        :raises OSError: when the connection is lost; what was queued is dropped then.
        """
        while self.unsent:
            try:
                sent = self._sock.send(self.unsent[:_WRITE_SIZE])
            except _WANTS_RETRY as exc:
                self._write_wants_read = isinstance(exc, ssl.SSLWantReadError)
                if self._stalled_since is None:
                    self._stalled_since = self._clock()
                return
            except OSError:
                # Nothing that can never be sent may make a wait look for room to send it.
                self.unsent.clear()
                self._stalled_since = None
                raise
            self._write_wants_read = False
            self._stalled_since = None
            # Linear in all: a bytearray forgets its beginning without moving the rest.
            del self.unsent[:sent]

    def stalled(self, now: float) -> float:
        """Seconds for which not one queued byte could be sent; 0.0 when all is well."""
        return 0.0 if self._stalled_since is None else now - self._stalled_since

    def wait(self, deadline: float | None) -> None:
        """Sleep until there is something to read or to send, a wake-up, or *deadline*.

        It may also end for no reason. The caller then looks for work, whatever has ended it.

        :param deadline: absolute monotonic time; None is never.
        """
        if self.unsent or self._read_wants_write or self._events != selectors.EVENT_READ:
            self._watch(self._awaited_events())
        timeout = None if deadline is None else cap(deadline - self._clock())
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._waker:
                self._waker.drain()

    def _watch(self, events: int) -> None:
        if events != self._events:
            self._selector.modify(self._sock, events)
            self._events = events

    def _awaited_events(self) -> int:
        if self._read_wants_write:
            # Not EVENT_READ: unread bytes would end the wait, and could not be read.
            return selectors.EVENT_WRITE
        if self.unsent and not self._write_wants_read:
            return selectors.EVENT_READ | selectors.EVENT_WRITE
        return selectors.EVENT_READ

    def close(self) -> None:
        """End the stream and free the descriptors; idempotent, and without errors."""
        tidy(self._selector.close, self._end_stream, self._sock.close)

    def _end_stream(self) -> None:
        end_stream(self._sock)


def end_stream(sock: Any) -> None:
    """Tell the peer that nothing more comes, also where a forked child has a copy of *sock*."""
    with contextlib.suppress(OSError):
        if isinstance(sock, _PlainSocket):
            # The base class's method leaves TLS as it is.
            _PlainSocket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.shutdown(socket.SHUT_RDWR)


def start_tls(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """Return *sock* with TLS on it, whose handshake is still to be done.

    :raises OSError: when the peer has left.
    :raises ValueError: when *host* cannot be the name in a certificate.
    """
    # Asked first: CPython takes a socket whose peer has left for one still to be connected.
    sock.getpeername()
    try:
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as exc:
        _close_lost_sockets(exc)
        raise
    secured.setblocking(False)
    return secured


def _close_lost_sockets(error: Exception) -> None:
    """Close the socket that a failed ``wrap_socket()`` has made, and that nobody else knows.

    When the peer leaves at that very moment, or the host cannot be a name, CPython (up to 3.13)
    forgets the descriptor, which then stays open for as long as anybody keeps the error.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        lost: Any = frame.f_locals.get("self")
        # Not by its class: others put one of theirs into ``ssl``.
        if hasattr(lost, "do_handshake"):
            tidy(lost.close)
