"""The listening side: accepts connections, runs a handler per client, and takes all down again."""

import logging
import os
import socket
import ssl
import threading
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from .faults import HandshakeFault
from .hub import Hub
from .link import Link
from .listener import Listener
from .transport import Transport

_PATH = "/ws"
_CLOSE_TIMEOUT = 1.0
_CLOSE_REPLY_TIMEOUT = 0.5  # what a stop grants to clients for answering its close frame
_SEND_TIMEOUT = 5.0
_JOIN_TIMEOUT = 1.0
_GOING_AWAY = 1001

# Clients that come and go are what a simulator is for; nobody wants to read about them.
_quiet = logging.getLogger("etoro_sync.simulator.websockets")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_quiet.setLevel(logging.CRITICAL + 1)


def _tracked_by(listener: Listener) -> type[ServerConnection]:
    """Make connections whose receiving thread the listener knows, so a stop can wait for it."""

    class TrackedConnection(ServerConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            try:
                super().__init__(*args, **kwargs)
            except RuntimeError:  # no thread to receive with
                self.shutdown_watcher.close()
                self.shutdown_notifier.close()
                raise
            self.recv_events_thread.name = "etoro-simulator-receive"
            listener.track(self.recv_events_thread)

    return TrackedConnection


class Endpoint:
    """
    Listens from its making until :meth:`stop`.

    :param hub: Where the clients' messages go.
    :param host: A loopback address.
    :param port: 0 takes a free one.
    :param context: The server's side of TLS; None for plain TCP.
    :param backlog: Messages that may wait for one client.
    :raises OSError: If the port is taken.
    """

    def __init__(
        self, hub: Hub, host: str, port: int, context: ssl.SSLContext | None, backlog: int
    ) -> None:
        self._hub = hub
        self._faults = hub.faults
        self._backlog = backlog
        self._listener = Listener(
            host, port, lambda: hub.faults.ssl_context(context), _SEND_TIMEOUT
        )
        self.port: int = self._listener.port
        # Used for what it does with a connection; which ones come to it is decided here.
        self._server = serve(
            self._handle,
            sock=cast(socket.socket, self._listener),
            process_request=self._check_request,
            compression=None,  # eToro's clients don't ask for it, and it would hide sizes
            open_timeout=None,  # a fault may hold a handshake for as long as it likes
            close_timeout=_CLOSE_TIMEOUT,
            max_size=None,  # the hub has a limit of its own, with another reaction
            ping_interval=None,  # nobody has seen eToro ping
            logger=_quiet,
            create_connection=_tracked_by(self._listener),
        )
        self._thread = threading.Thread(
            target=self._accept, name="etoro-simulator-accept", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError:
            self._release()
            raise
        self.update_listening()

    def update_listening(self) -> None:
        """Let the listening socket follow the faults."""
        self._listener.listen(not self._faults.refusing)

    def wait_settled(self) -> None:
        """Wait until it does. Not to be called under the hub's lock."""
        self._listener.wait_settled(_JOIN_TIMEOUT)

    def _accept(self) -> None:
        """Serve connections until the listener is stopped. Runs on the accepting thread."""
        while (transport := self._listener.accept()) is not None:
            if self._faults.admit(transport):
                try:
                    self._begin(transport)
                except (RuntimeError, MemoryError):
                    # The system has no thread left: bad for this client, not for later ones.
                    transport.reset()
                    transport.close()

    def _begin(self, transport: Transport) -> None:
        """Start the thread that serves a connection. Runs on the accepting thread."""
        thread = threading.Thread(
            target=self._serve, args=(transport,), name="etoro-simulator-connection", daemon=True
        )
        thread.start()
        self._listener.track(thread)

    def _serve(self, transport: Transport) -> None:
        """Serve a connection from its handshake to its end. Runs on the connection's own thread."""
        self._server.handler(cast(socket.socket, transport), None)

    def _check_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Let clients in by eToro's path only, so that a wrong URL is noticed."""
        if urlsplit(request.path).path != _PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"The feed is at {_PATH}\n")
        fault = self._faults.strike(HandshakeFault)
        return None if fault is None else fault.respond(connection, request)

    def _handle(self, connection: ServerConnection) -> None:
        """Serve one client until its connection ends. Runs on the connection's own thread."""
        transport = cast(Transport, connection.socket)
        transport.upgraded = True
        link = Link(
            connection,
            transport,
            next(self._hub.connection_ids),
            self._backlog,
            self._hub.message_sent,
        )
        self._hub.add_client(link)
        try:
            link.start()
            for message in connection:
                self._hub.receive(link, message)
        except ConnectionClosed:
            pass  # how it ended is the client's business
        finally:
            link.finish()
            self._hub.remove_client(link)

    def stop(self) -> None:
        """Part with all clients, then give back every thread and descriptor. May be done again."""
        self._listener.stop()
        self._thread.join()
        self._listener.close()
        self._hub.close_all(lambda peer: peer.close(_GOING_AWAY, "going away"))
        for transport in self._listener.transports:
            if not transport.upgraded:  # still in its opening handshake, or not even that
                transport.reset()
        self._listener.wait_closed(_CLOSE_REPLY_TIMEOUT)
        for transport in self._listener.transports:
            transport.reset()
        self._listener.join_threads(_JOIN_TIMEOUT)
        self._release()

    def _release(self) -> None:
        """Give back the descriptors that belong to no connection. May be done again."""
        self._listener.close()
        # What websockets would use to end an accepting of its own: sockets, before version 17
        # descriptors, on Windows nothing.
        for name in ("shutdown_watcher", "shutdown_notifier"):
            end: Any = vars(self._server).pop(name, None)
            if isinstance(end, int):
                os.close(end)
            elif end is not None:
                end.close()

    def reset_all(self) -> None:
        """Cut all TCP connections off, whatever state they are in."""
        for transport in self._listener.transports:
            transport.reset()
