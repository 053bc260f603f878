"""Opens connections as the options say: through a proxy or not, then TLS and the handshake."""

import ssl
from dataclasses import replace

from ...errors import EToroValidationError
from ...redaction import Redactor, readings
from ..failures import ConnectionFailed
from ..options import WsClientOptions
from ..transport.addresses import Addresses
from ..transport.connection import Connection
from ..transport.dialer import Dialer, Tunnel
from ..transport.handshake import open_websocket
from ..transport.socket_stream import SocketStream
from ..transport.target import Target, is_loopback
from ..transport.tls import check_verified, is_verified, make_default_context
from ..transport.waker import Waker

__all__ = ["Connector"]


class Connector:
    """Opens the connections of one session. Runs on the reader thread.

    :param options: the client's.
    :param redactor: masks the keys; a proxy's password from the environment is added to it.
    :param waker: ends waits, and says whether the client is to stop.
    :param addresses: which of the server's addresses have worked; shared by the client's sessions.
    """

    def __init__(
        self,
        options: WsClientOptions,
        redactor: Redactor,
        waker: Waker,
        addresses: Addresses,
    ) -> None:
        # Not at the top, because it imports much of the standard library; not at the first attempt
        # either, because an import fails when descriptors or memory have run out.
        from ..transport import proxy

        self._proxies = proxy
        self._options = options
        self._redactor = redactor
        self._waker = waker
        self._context = options.ssl_context
        self._addresses = addresses
        self._address: tuple[object, ...] | None = None

    def mark_address_proven(self) -> None:
        """Note that the last connection was authenticated, so that its address is tried first."""
        if self._address is not None:
            self._addresses.mark_proven(self._address)

    def reach(self, deadline: float) -> tuple[SocketStream, Dialer]:
        """Return a stream to the server, with TLS done, on which nothing was sent yet.

        :param deadline: absolute monotonic time.
        :raises EToroWebSocketError: when the server cannot be reached.
        :raises EToroTimeoutError: when *deadline* has passed.
        :raises ConnectionFailed: when a proxy asks to wait, or when the TLS context does not
            verify enough.
        :raises Interrupted: when the client is to stop.
        """
        dialer = Dialer(self._waker, deadline, self._addresses)
        target = self.target()
        stream = dialer.open(target, self.context, self.tunnel(target))
        self._address = dialer.address
        return stream, dialer

    def open(self, deadline: float) -> Connection:
        """Return an open connection on which nothing was sent yet.

        :param deadline: absolute monotonic time.
        :raises EToroWebSocketError: when the server cannot be reached.
        :raises EToroTimeoutError: when *deadline* has passed.
        :raises ConnectionFailed: when the server answers with an HTTP error, or when the TLS
            context does not verify enough.
        :raises Interrupted: when the client is to stop.
        """
        options = self._options
        stream, dialer = self.reach(deadline)
        try:
            early = open_websocket(options.ws_url, stream, dialer, self._redactor)
            return Connection(
                stream,
                early,
                max_message_bytes=options.max_message_bytes,
                heartbeat_interval=options.heartbeat_interval,
                heartbeat_timeout=options.heartbeat_timeout,
                redact=self._redactor,
            )
        except BaseException:
            stream.close()
            raise

    def target(self) -> Target:
        """Return where to connect.

        A loopback host may use TLS that is not verified; the target is marked then, so that its
        name is resolved to this machine only.
        """
        target = Target.of(self._options.ws_url)
        lenient = target.secure and not self._options.allow_unverified_tls
        if lenient and is_loopback(target.host) and not is_verified(self.context()):
            return replace(target, unverified=True)
        return target

    def tunnel(self, target: Target) -> Tunnel | None:
        """Return the tunnel through the proxy, not established yet; None: there is no proxy.

        :raises EToroWebSocketError: when the proxy cannot be used.
        """
        proxy = self._proxies.find_proxy(self._options.proxy, target)
        if proxy is None:
            return None
        # A proxy of the environment is not in the options, so its password is new here.
        for password in readings(proxy.password or ""):
            self._redactor.add(password)
        return self._proxies.make_tunnel(proxy, target)

    def context(self) -> ssl.SSLContext:
        """Return the TLS context.

        :raises EToroWebSocketError: when none can be made.
        :raises ConnectionFailed: when it does not verify enough.
        """
        # Cached, because creating one takes 20 ms.
        context = self._context = self._context or make_default_context()
        options = self._options
        if not options.allow_unverified_tls:
            # Checked again, because a context can change after the options were made, and programs
            # that replace ssl.create_default_context() often turn verification off.
            given = options.ssl_context is not None
            what = "ssl_context" if given else "What ssl.create_default_context() returns here"
            try:
                check_verified(context, Target.of(options.ws_url).host, what)
            except EToroValidationError as error:
                raise ConnectionFailed(error, fatal=True) from None
        return context
