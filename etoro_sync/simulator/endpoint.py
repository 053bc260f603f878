"""The listening side: accepts connections, runs a handler per client, and takes all down again."""

import logging
import os
import selectors
import ssl
import threading
import traceback
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from .hub import Hub
from .link import Link
from .listener import Listener, Stopping
from .transport import Transport

_PATH = "/ws"
_CLOSE_TIMEOUT = 1.0
_FAREWELL_TIMEOUT = 0.5  # what a stop grants to clients for answering its close frame
_SEND_TIMEOUT = 5.0
_JOIN_TIMEOUT = 1.0
_GOING_AWAY = 1001

# Clients that come and go are what a simulator is for; nobody wants to read about them.
_quiet = logging.getLogger("etoro_sync.simulator.websockets")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_quiet.setLevel(logging.CRITICAL + 1)


def _noted_by(listener: Listener) -> type[ServerConnection]:
    """Make connections whose two threads the listener knows, so that a stop can wait for them."""

    class NotedConnection(ServerConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            threading.current_thread().name = "etoro-sync-simulator-handle"
            self.recv_events_thread.name = "etoro-sync-simulator-receive"
            listener.note(threading.current_thread(), self.recv_events_thread)

    return NotedConnection


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
        self._backlog = backlog
        self._listener = Listener(host, port, context, _SEND_TIMEOUT)
        self.port: int = self._listener.getsockname()[1]
        self._server = serve(
            self._handle,
            sock=self._listener,
            process_request=self._check_path,
            compression=None,  # eToro's clients don't ask for it, and it would hide sizes
            close_timeout=_CLOSE_TIMEOUT,
            max_size=None,  # the hub has a limit of its own, with another reaction
            ping_interval=None,  # nobody has seen eToro ping
            logger=_quiet,
            create_connection=_noted_by(self._listener),
        )
        self._thread = threading.Thread(
            target=self._accept, name="etoro-sync-simulator-accept", daemon=True
        )
        self._thread.start()

    def _accept(self) -> None:
        """Accept connections until the listener is told to refuse them."""
        try:
            self._server.serve_forever()
        except Stopping as stopping:
            # serve_forever() leaves its selector, and with it a descriptor, to the garbage
            # collector, for which nobody knows the time.
            for frame, _ in traceback.walk_tb(stopping.__traceback__):
                for value in frame.f_locals.values():
                    if isinstance(value, selectors.BaseSelector):
                        value.close()

    @staticmethod
    def _check_path(connection: ServerConnection, request: Request) -> Response | None:
        """Let clients in by eToro's path only, so that a wrong URL is noticed."""
        if urlsplit(request.path).path == _PATH:
            return None
        return connection.respond(HTTPStatus.NOT_FOUND, f"The feed is at {_PATH}\n")

    def _handle(self, connection: ServerConnection) -> None:
        """Serve one client until its connection ends. Runs on the connection's own thread."""
        transport = cast(Transport, connection.socket)
        transport.upgraded = True
        link = Link(connection, transport, next(self._hub.numbers), self._backlog, self._hub.sent)
        self._hub.join(link)
        link.start()
        try:
            for message in connection:
                self._hub.receive(link, message)
        except ConnectionClosed:
            pass  # how it ended is the client's business
        finally:
            link.finish()
            self._hub.leave(link)

    def stop(self) -> None:
        """Part with all clients, then give back every thread and descriptor."""
        self._listener.refuse()
        self._hub.part(lambda peer: peer.close(_GOING_AWAY, "going away"))
        for transport in self._listener.transports:
            if not transport.upgraded:  # still in its opening handshake, or not even that
                transport.reset()
        self._listener.wait_closed(_FAREWELL_TIMEOUT)
        for transport in self._listener.transports:
            transport.reset()
        self._server.shutdown()
        self._thread.join()
        self._listener.join_threads(_JOIN_TIMEOUT)
        # Before version 17 these were the ends of a pipe, which websockets never closes.
        for name in ("shutdown_watcher", "shutdown_notifier"):
            end: Any = getattr(self._server, name, None)
            if isinstance(end, int):
                os.close(end)

    def reset_all(self) -> None:
        """Cut all TCP connections off, whatever state they are in."""
        for transport in self._listener.transports:
            transport.reset()
