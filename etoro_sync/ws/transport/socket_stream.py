"""A non-blocking socket for one thread, whose waits other threads can end.

No lock guards the socket, because only the reader thread uses it: OpenSSL forbids two threads in
one connection, and CPython up to 3.12 then loses healthy connections (cpython #77271).
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

__all__ = ["SocketStream", "end_stream", "start_tls", "tune"]

#: The base class of ``socket.socket``. Unlike that one, eventlet and gevent do not replace it.
_PlainSocket = _socket.socket
_READ_SIZE = 262144
#: The size of a TLS record. OpenSSL reports a write only when all of it is sent, so a larger one
#: would look like a stall. A write that is repeated must be at least as long as the first time; the
#: next piece is, because the queue only grows until a piece is sent.
_WRITE_SIZE = 16384
_WANTS_RETRY = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
#: In seconds, the last one in milliseconds; each system has some of them. They make the kernel give
#: up a silent peer after a minute, also with heartbeat_interval=0.
_TCP_OPTIONS = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPALIVE": 30,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 60_000,
}


class SocketStream:
    """A connected stream socket, plain or TLS. Every method runs on the reader thread.

    :param sock: made non-blocking, and owned by the stream; closed also when this raises.
    :param waker: ends waits.
    :param clock: monotonic seconds.
    :raises OSError: when no selector can be made, because descriptors have run out.
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
        #: Queued bytes that the system has not accepted yet.
        self.unsent = bytearray()
        self._stalled_since: float | None = None
        # TLS may have to write in order to read, and the other way round, as when keys are renewed.
        # Waiting for the wrong event would last forever, or become a busy loop.
        self._read_wants_write = False
        self._write_wants_read = False
        #: Whether the last read has returned all that was there, so that another read is useless.
        #: Always False with TLS, which reads record by record.
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
        """Start TLS on the socket; :meth:`handshake_step` does the handshake.

        :raises OSError: when the peer has closed the connection.
        :raises ValueError: when *host* cannot be the name in a certificate.
        """
        self._selector.unregister(self._sock)
        self._plain = self.drained = False
        self._sock = start_tls(self._sock, context, host)
        self._events = selectors.EVENT_READ
        self._selector.register(self._sock, self._events)

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The TLS socket, to ask for its version and certificate; None: there is no TLS."""
        return None if self._plain else cast(ssl.SSLSocket, self._sock)

    def handshake_step(self) -> bool:
        """Continue the TLS handshake without blocking; return whether it is complete.

        :raises OSError: when the handshake fails.
        """
        # A cast instead of isinstance(), because other libraries' contexts make other classes.
        secured = cast(ssl.SSLSocket, self._sock)
        try:
            secured.do_handshake()
        except _WANTS_RETRY as exc:
            self._read_wants_write = isinstance(exc, ssl.SSLWantWriteError)
            return False
        self._read_wants_write = False
        return True

    def read(self) -> bytes | None:
        """Return received bytes; b"" at the end of the stream; None: there is nothing to read now.

        Call it until it returns None or :attr:`drained` is set, and only then :meth:`wait`: a
        selector does not see bytes that TLS has already read from the socket.

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
                # Otherwise wait() would return at once, again and again, to send them.
                self.unsent.clear()
                self._stalled_since = None
                raise
            self._write_wants_read = False
            self._stalled_since = None
            # Cheap: a bytearray drops its beginning without moving the rest.
            del self.unsent[:sent]

    def stalled(self, now: float) -> float:
        """Return the seconds for which no queued byte could be sent; 0.0: nothing is held up."""
        return 0.0 if self._stalled_since is None else now - self._stalled_since

    def wait(self, deadline: float | None) -> None:
        """Sleep until something can be read or sent, until a wake-up, or until *deadline*.

        It may also end earlier; the caller checks what there is to do in any case.

        :param deadline: absolute monotonic time; None: no deadline.
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
            # Without EVENT_READ: unread bytes would end the wait, but cannot be read yet.
            return selectors.EVENT_WRITE
        if self.unsent and not self._write_wants_read:
            return selectors.EVENT_READ | selectors.EVENT_WRITE
        return selectors.EVENT_READ

    def close(self) -> None:
        """End the stream and free the descriptors; idempotent, and never raises."""
        tidy(self._selector.close, self._end_stream, self._sock.close)

    def _end_stream(self) -> None:
        end_stream(self._sock)


def tune(sock: socket.socket) -> None:
    """Send small frames at once, and let the kernel help to notice a dead peer."""
    # Each is optional, and some systems lack or refuse it.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


def end_stream(sock: Any) -> None:
    """Shut the connection down, so that the peer notices even if a forked child has a copy."""
    with contextlib.suppress(OSError):
        if isinstance(sock, _PlainSocket):
            # The base class's method, because that of an SSLSocket would also drop its TLS state.
            _PlainSocket.shutdown(sock, socket.SHUT_RDWR)
        else:
            sock.shutdown(socket.SHUT_RDWR)


def start_tls(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    """Return *sock* wrapped in TLS, non-blocking, with the handshake still to be done.

    :raises OSError: when the peer has closed the connection.
    :raises ValueError: when *host* cannot be the name in a certificate.
    """
    # Raises if the peer has left; CPython would treat that socket as not connected yet.
    sock.getpeername()
    try:
        secured = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    except (OSError, ValueError) as exc:
        _close_lost_sockets(exc)
        raise
    secured.setblocking(False)
    return secured


def _close_lost_sockets(error: Exception) -> None:
    """Close the socket that a failed ``wrap_socket()`` has made, found through the traceback.

    CPython (up to 3.13) does not close it when the peer leaves at that moment, or when the host
    cannot be a name; the descriptor would stay open for as long as the error is kept.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        lost: Any = frame.f_locals.get("self")
        # Not isinstance(), because other libraries replace the class in ``ssl``.
        if hasattr(lost, "do_handshake"):
            tidy(lost.close)
