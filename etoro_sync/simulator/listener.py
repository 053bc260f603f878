"""The listening socket. It knows all its connections, so that a stop can leave nothing behind."""

import socket
import ssl
import sys
import threading
from typing import Any, cast

from .transport import Transport


def _secured(sock: socket.socket, context: ssl.SSLContext) -> socket.socket:
    """Make a connection speak TLS; if its peer has gone, give one that ends at once instead."""
    try:
        sock.getpeername()  # fails for a reset connection, on which wrap_socket() leaks
        return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    except OSError:
        sock.close()
        ended, other = socket.socketpair()
        other.close()
        return ended


class Stopping(Exception):
    """Ends the accepting of connections."""


class Listener(socket.socket):
    """
    A listening socket whose connections are :class:`Transport` objects, and which knows them all.

    :param host: A loopback address.
    :param port: 0 lets the system choose.
    :param context: Makes the connections speak TLS.
    :param send_timeout: See :class:`Transport`.
    """

    def __init__(
        self, host: str, port: int, context: ssl.SSLContext | None, send_timeout: float
    ) -> None:
        super().__init__(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if sys.platform != "win32":  # there, this option would let two servers share a port
                self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.bind((host, port))
            self.listen(128)
        except OSError:
            self.close()
            raise
        self._context = context
        self._send_timeout = send_timeout
        #: Guards the two sets and the flag; notified when a transport is closed.
        self._changed = threading.Condition()
        self._open: set[Transport] = set()
        self._threads: set[threading.Thread] = set()
        self._refusing = False

    def accept(self) -> tuple[socket.socket, Any]:
        """
        Accept a connection. An error ends all accepting, so it must only fail at the end.

        :raises Stopping: If no more connections are to be accepted.
        """
        try:
            sock, address = super().accept()
        except OSError:
            if self._refusing:
                raise Stopping from None
            raise
        if self._context is not None:
            sock = _secured(sock, self._context)
        transport = Transport(sock, self._send_timeout, self._forget)
        with self._changed:
            refused = self._refusing
            if not refused:
                self._open.add(transport)
        if refused:
            transport.close()
            raise Stopping
        return cast(socket.socket, transport), address

    def _forget(self, transport: Transport) -> None:
        """Take out a transport that has been closed."""
        with self._changed:
            self._open.discard(transport)
            self._changed.notify_all()

    def note(self, *threads: threading.Thread) -> None:
        """
        Remember threads that serve a connection.

        :param threads: Running threads.
        """
        with self._changed:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            self._threads.update(threads)

    def join_threads(self, timeout: float) -> None:
        """
        Wait for the threads that serve connections. All transports must be closed or reset.

        :param timeout: Seconds for each.
        """
        with self._changed:
            threads = list(self._threads)
        for thread in threads:
            thread.join(timeout)

    def refuse(self) -> None:
        """Accept no connection from now on, neither before nor after the socket is closed."""
        with self._changed:
            self._refusing = True

    @property
    def transports(self) -> list[Transport]:
        """The open ones, upgraded or not."""
        with self._changed:
            return list(self._open)

    def wait_closed(self, timeout: float) -> bool:
        """
        Wait until all transports are closed.

        :param timeout: Seconds.
        :return: Whether they are.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout)
