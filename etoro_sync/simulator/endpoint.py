"""The listening side: accepts connections, serves each on its own thread, and ends all of them."""

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
from .rest import RestEndpoints
from .transport import Transport

_PATH = "/ws"
_CLOSE_TIMEOUT = 1.0
_CLOSE_REPLY_TIMEOUT = 0.5  # seconds that clients have to answer the close frame of a stop
_SEND_TIMEOUT = 5.0
_JOIN_TIMEOUT = 1.0
_GOING_AWAY = 1001

# Clients that connect and disconnect are normal for a simulator, so they are not logged.
_quiet = logging.getLogger("etoro_sync.simulator.websockets")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_quiet.setLevel(logging.CRITICAL + 1)


def _tracked_by(listener: Listener) -> type[ServerConnection]:
    """Return a connection class that tracks its receiving thread, so that a stop can join it."""

    class TrackedConnection(ServerConnection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            try:
                super().__init__(*args, **kwargs)
            except RuntimeError:  # the receiving thread could not be started
                self.shutdown_watcher.close()
                self.shutdown_notifier.close()
                raise
            self.recv_events_thread.name = "etoro-simulator-receive"
            listener.track(self.recv_events_thread)

    return TrackedConnection


class Endpoint:
    """Listens from its creation until :meth:`stop`.

    :param hub: receives the clients' messages.
    :param host: a loopback address.
    :param port: 0 chooses a free one.
    :param context: the server's SSL context; None for plain TCP.
    :param backlog: how many messages may wait for one client.
    :param rest: answers requests for names on the same port; None: there is only the feed.
    :raises OSError: if the port is taken.
    """

    def __init__(
        self,
        hub: Hub,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        backlog: int,
        rest: RestEndpoints | None = None,
    ) -> None:
        self._hub = hub
        self._rest = rest
        self._faults = hub.faults
        self._backlog = backlog
        self._listener = Listener(
            host, port, lambda: hub.faults.ssl_context(context), _SEND_TIMEOUT
        )
        self.port: int = self._listener.port
        # Only its handler is used; connections are accepted by the listener.
        self._server = serve(
            self._handle,
            sock=cast(socket.socket, self._listener),
            process_request=self._check_request,
            compression=None,  # eToro's clients do not request it, and it would hide sizes
            open_timeout=None,  # a fault may hold back a handshake for any time
            close_timeout=_CLOSE_TIMEOUT,
            max_size=None,  # the hub has a limit of its own and resets the connection
            ping_interval=None,  # eToro was never seen to send pings
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
        """Listen or refuse connections, as the faults require."""
        self._listener.listen(not self._faults.refusing)

    def wait_settled(self) -> None:
        """Wait until :meth:`update_listening` has taken effect; not under the hub's lock."""
        self._listener.wait_settled(_JOIN_TIMEOUT)

    def _accept(self) -> None:
        """Serve connections until the listener is stopped. Runs on the accepting thread."""
        while (transport := self._listener.accept()) is not None:
            if self._faults.admit(transport):
                try:
                    self._begin(transport)
                except (RuntimeError, MemoryError):
                    # No thread could be started: only this client is turned away.
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
        """Serve a connection from its handshake to its end. Runs on the connection's thread."""
        self._server.handler(cast(socket.socket, transport), None)

    def _check_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Accept eToro's path only, so that a wrong URL is noticed; apply handshake faults."""
        answer = self._answer_rest(connection, request)
        if answer is not None:
            return answer
        if urlsplit(request.path).path != _PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, f"The feed is at {_PATH}\n")
        fault = self._faults.strike(HandshakeFault)
        return None if fault is None else fault.respond(connection, request)

    def _answer_rest(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request for names; None: it is none."""
        if self._rest is None:
            return None
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        with self._hub.changed:
            answer = self._rest.answer(request.path, headers)
            self._hub.changed.notify_all()
        if answer is None:
            return None
        response = connection.respond(answer.status, answer.body)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "application/json; charset=utf-8"
        return response

    def _handle(self, connection: ServerConnection) -> None:
        """Receive one client's messages until its end. Runs on the connection's thread."""
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
            pass  # clients may end their connection in any way
        finally:
            link.finish()
            self._hub.remove_client(link)

    def stop(self) -> None:
        """Disconnect all clients, join all threads, close all descriptors. Can be repeated."""
        self._listener.stop()
        self._thread.join()
        self._listener.close()
        self._hub.close_all(lambda peer: peer.close(_GOING_AWAY, "going away"))
        for transport in self._listener.transports:
            if not transport.upgraded:  # its opening handshake is not over: no close frame yet
                transport.reset()
        self._listener.wait_closed(_CLOSE_REPLY_TIMEOUT)
        for transport in self._listener.transports:
            transport.reset()
        self._listener.join_threads(_JOIN_TIMEOUT)
        self._release()

    def _release(self) -> None:
        """Close the descriptors that belong to no connection. Can be repeated."""
        self._listener.close()
        # websockets made these to stop its own accept loop, which is not used: sockets, before
        # version 17 file descriptors, on Windows none.
        for name in ("shutdown_watcher", "shutdown_notifier"):
            end: Any = vars(self._server).pop(name, None)
            if isinstance(end, int):
                os.close(end)
            elif end is not None:
                end.close()

    def reset_all(self) -> None:
        """Reset all TCP connections, whatever state they are in."""
        for transport in self._listener.transports:
            transport.reset()
