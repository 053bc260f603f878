"""From the options to an open connection: which way to take, and all steps in their order."""

import ssl
from dataclasses import replace

from ...errors import EToroValidationError
from ...redaction import Redactor, readings
from ..failures import ConnectionFailed
from ..options import WsClientOptions
from ..transport.addresses import Addresses
from ..transport.connection import Connection
from ..transport.dialer import Dialer
from ..transport.handshake import open_websocket
from ..transport.target import Target, is_loopback
from ..transport.tls import check_verified, is_verified, make_default_context
from ..transport.waker import Waker

__all__ = ["Connector"]


class Connector:
    """Opens the connections of one session. Runs on the reader thread.

    :param options: the client's.
    :param redactor: masks the keys, and learns the password of a proxy of the environment.
    :param waker: ends waits, and says whether the client is to stop.
    :param addresses: what earlier sessions of the client have learnt of them.
    """

    def __init__(
        self,
        options: WsClientOptions,
        redactor: Redactor,
        waker: Waker,
        addresses: Addresses,
    ) -> None:
        # Loaded late, since the standard library's search for proxies is larger than this package;
        # but not with the first connection: an import needs a descriptor, and memory.
        from ..transport import proxy

        self._proxies = proxy
        self._options = options
        self._redactor = redactor
        self._waker = waker
        self._context = options.ssl_context
        self._addresses = addresses
        self._taken: tuple[object, ...] | None = None

    def trust(self) -> None:
        """Note that the last connection was authenticated, so that its address is a good one."""
        if self._taken is not None:
            self._addresses.trust(self._taken)

    def open(self, deadline: float) -> Connection:
        """Return an open connection, nothing sent on it yet.

        :param deadline: absolute monotonic time.
        :raises EToroWebSocketError: when the server is not reached by then.
        :raises ConnectionFailed: when it answers with an HTTP error.
        :raises Interrupted: when the client is to stop.
        """
        options = self._options
        dialer = Dialer(self._waker, deadline, self._addresses)
        target = self._target()
        proxy = self._proxies.find_proxy(options.proxy, target)
        tunnel = None
        if proxy is not None:
            # One of the environment, which the options have not seen.
            for password in readings(proxy.password or ""):
                self._redactor.add(password)
            tunnel = self._proxies.make_tunnel(proxy, target)
        stream = dialer.open(target, self._tls, tunnel)
        self._taken = dialer.taken
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

    def _target(self) -> Target:
        """Return where to; a ``localhost`` that proves nothing must be this machine indeed."""
        target = Target.of(self._options.ws_url)
        lenient = target.secure and not self._options.allow_unverified_tls
        if lenient and is_loopback(target.host) and not is_verified(self._tls()):
            return replace(target, unverified=True)
        return target

    def _tls(self) -> ssl.SSLContext:
        # Making one takes 20 ms, so one serves all connections.
        context = self._context = self._context or make_default_context()
        options = self._options
        if not options.allow_unverified_tls:
            # Checked when the options were made, but a context can be changed; and programs that
            # replace the function which makes the default one often turn verification off.
            given = options.ssl_context is not None
            what = "ssl_context" if given else "What ssl.create_default_context() returns here"
            try:
                check_verified(context, Target.of(options.ws_url).host, what)
            except EToroValidationError as error:
                raise ConnectionFailed(error, fatal=True) from None
        return context
