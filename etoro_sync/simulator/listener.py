"""The listening socket.

It can refuse connections for a while and still keep its port. It knows all its connections and
their threads, so that a stop can end all of them.
"""

import selectors
import socket
import ssl
import sys
import threading
from collections.abc import Callable

from .transport import Selector, Transport

_BACKLOG = 128
_RETRY_DELAY = 0.05  # seconds until the next attempt to accept when no descriptor is left


def _wrap_tls(sock: socket.socket, context: ssl.SSLContext) -> socket.socket:
    """Wrap a connection in TLS; if its peer has gone, return a socket that is at its end."""
    try:
        sock.getpeername()  # fails for a reset connection, on which wrap_socket() leaks
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    except OSError:
        sock.close()
        ended, other = socket.socketpair()
        other.close()
        return ended


def _bind(host: str, port: int) -> socket.socket:
    """Bind a port without listening on it, so that connections are refused."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there, this option would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.setblocking(False)  # a client may be gone before it is accepted
    except OSError:
        sock.close()
        raise
    return sock


class Listener:
    """Accepts connections and returns them as :class:`Transport` objects.

    :param host: a loopback address.
    :param port: 0 lets the system choose.
    :param context: called for each connection; returns the SSL context to use, or None.
    :param send_timeout: see :class:`Transport`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: Callable[[], ssl.SSLContext | None],
        send_timeout: float,
    ) -> None:
        self._host = host
        self._socket = _bind(host, port)
        try:
            self._socket.listen(_BACKLOG)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._context = context
        self._send_timeout = send_timeout
        self._waker, self._wakee = socket.socketpair()
        #: Guards the sets and the flags; notified when one of them changes.
        self._changed = threading.Condition()
        self._open: set[Transport] = set()
        self._threads: set[threading.Thread] = set()
        self._listening = True
        self._wanted = True
        self._stopping = False

    # For the accepting thread, which alone uses the listening socket.

    def accept(self) -> Transport | None:
        """Wait for a connection and return it; None after :meth:`stop`."""
        while True:
            with self._changed:
                if self._stopping:
                    return None
            try:
                transport = self._next()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError:
                self._wait_before_retry()
                continue
            if transport is not None:
                return transport

    def _next(self) -> Transport | None:
        """Wait for a connection and return it; None after a wake-up."""
        with self._changed:
            if self._wanted != self._listening or self._socket.fileno() < 0:
                self._switch()
        for key in self._ready():
            if key is self._wakee:
                self._wakee.recv(1)
            else:
                return self._make_transport(self._socket.accept()[0])
        return None

    def _wait_before_retry(self) -> None:
        """Wait a moment, until the system may have descriptors or memory again."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping, _RETRY_DELAY)

    def _switch(self) -> None:
        """Listen or refuse, whichever is wanted. Requires the lock."""
        if not self._wanted:
            # Only closing stops listening, so a new socket is bound to the same port below.
            self._socket.close()
            self._listening = False
        if self._socket.fileno() < 0:
            self._socket = _bind(self._host, self.port)
        if self._wanted:
            self._socket.listen(_BACKLOG)
        self._listening = self._wanted
        self._changed.notify_all()

    def _ready(self) -> list[object]:
        """Wait for a connection or a wake-up; return the sockets that are ready."""
        with Selector() as selector:
            selector.register(self._wakee, selectors.EVENT_READ)
            if self._listening:
                selector.register(self._socket, selectors.EVENT_READ)
            return [key.fileobj for key, _ in selector.select()]

    def _make_transport(self, sock: socket.socket) -> Transport:
        """Make a transport of a connection."""
        try:
            context = self._context()
            if context is not None:
                sock = _wrap_tls(sock, context)
            transport = Transport(sock, self._send_timeout, self._discard)
        except OSError:
            sock.close()
            raise
        with self._changed:
            self._open.add(transport)
        return transport

    # For any thread

    def listen(self, wanted: bool) -> None:
        """Accept connections, or refuse them and keep the port.

        The accepting thread does this; :meth:`wait_settled` waits for it.
        """
        with self._changed:
            if self._wanted != wanted and not self._stopping:
                self._wanted = wanted
                self._waker.send(b"x")

    def wait_settled(self, timeout: float) -> None:
        """Wait until the last :meth:`listen` has taken effect.

        :param timeout: seconds to wait at most.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or self._wanted == self._listening, timeout
            )

    def stop(self) -> None:
        """Accept no more connections; :meth:`accept` returns None."""
        with self._changed:
            if not self._stopping:
                self._waker.send(b"x")
                self._stopping = True
                self._changed.notify_all()

    def close(self) -> None:
        """Close the port and all descriptors. No thread may be in :meth:`accept`."""
        self._socket.close()
        self._waker.close()
        self._wakee.close()

    # Connections

    def _discard(self, transport: Transport) -> None:
        """Remove a transport that has been closed."""
        with self._changed:
            self._open.discard(transport)
            self._changed.notify_all()

    def track(self, *threads: threading.Thread) -> None:
        """Remember threads that serve a connection.

        :param threads: running threads.
        """
        with self._changed:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            self._threads.update(threads)

    def join_threads(self, timeout: float) -> None:
        """Join the threads that serve connections. All transports must be closed or reset.

        :param timeout: seconds to wait at most for each thread.
        """
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout)

    @property
    def transports(self) -> list[Transport]:
        """The open transports, whether their handshake is over or not."""
        with self._changed:
            return list(self._open)

    def wait_closed(self, timeout: float) -> bool:
        """Wait until all transports are closed.

        :param timeout: seconds to wait at most.
        :returns: whether all are closed.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout)
