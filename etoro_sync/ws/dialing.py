"""From a URL to a connected :class:`~etoro_sync.ws.wire.Wire`: resolve, connect, TLS.

websocket-client can do this too, but with one timeout per step and address, no fallback from a
dead IPv6 address, and no way to interrupt it; here one absolute deadline holds for all of it and
``disconnect()`` ends it at once. Only the name resolution itself, which the operating system does
not let anybody interrupt, can take longer. Everything here runs on the reader thread.
"""

import os
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import EToroTimeoutError, EToroWebSocketError
from .wire import Interrupted, Waker, Wire

__all__ = ["Dialer", "Target"]


@dataclass(frozen=True)
class Target:
    """Where a WebSocket URL leads.

    :param host: name or address, without brackets.
    :param port: from the URL, else 443 or 80.
    :param secure: whether TLS is spoken.
    """

    host: str
    port: int
    secure: bool

    @classmethod
    def of(cls, url: str) -> "Target":
        """Parse a ``ws://`` or ``wss://`` URL that was validated before."""
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        return cls(parts.hostname or "", parts.port or (443 if secure else 80), secure)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Dialer:
    """Opens one connection.

    :param waker: ends waits.
    :param stopping: says whether the client is to stop.
    :param deadline: absolute monotonic time for all steps together.
    """

    def __init__(self, waker: Waker, stopping: Callable[[], bool], deadline: float) -> None:
        self._waker = waker
        self._stopping = stopping
        self._deadline = deadline

    def open(
        self,
        target: Target,
        context: Callable[[], ssl.SSLContext],
        tunnel: socket.socket | None = None,
    ) -> Wire:
        """Return a connected wire, with TLS done.

        :param target: where to.
        :param context: makes the TLS context when it is needed.
        :param tunnel: a socket that leads there already, through a proxy.
        :raises EToroWebSocketError: when no address answers, or TLS fails.
        :raises Interrupted: when the client is to stop.
        """
        wire = Wire(tunnel or self._connect(target), self._waker)
        try:
            if target.secure:
                self._secure(wire, target, context())
        except BaseException:
            wire.close()
            raise
        return wire

    def wait(self, wire: Wire, what: str) -> None:
        """Wait for *wire*; :raises EToroTimeoutError: at the deadline, naming *what*."""
        self._check(what)
        wire.wait(self._deadline)
        self._check(what)

    def _check(self, what: str) -> None:
        if self._stopping():
            raise Interrupted
        if time.monotonic() >= self._deadline:
            raise EToroTimeoutError(
                f"Connecting timed out: {what} did not finish in connect_timeout. "
                "Check the network, or raise connect_timeout."
            )

    def _connect(self, target: Target) -> socket.socket:
        """Try the addresses in turn, each with its share of the time that is left."""
        addresses = self._resolve(target)
        failure: OSError | None = None
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            self._check(f"the TCP connection to {target}")
            left = self._deadline - time.monotonic()
            share = time.monotonic() + left / (len(addresses) - index)
            sock = None
            try:
                sock = socket.socket(family, kind, protocol)
                self._connect_one(sock, address, share)
                _tune(sock)
                return sock
            except OSError as exc:
                failure = exc
                if sock is not None:
                    sock.close()
            except BaseException:
                if sock is not None:
                    sock.close()
                raise
        self._check(f"the TCP connection to {target}")
        raise EToroWebSocketError(
            f"Cannot connect to {target}: {_words(failure)}. Check ws_url and the network."
        ) from failure

    def _resolve(self, target: Target) -> list[tuple[int, int, int, str, tuple[object, ...]]]:
        self._check(f"resolving {target.host}")
        try:
            return socket.getaddrinfo(  # type: ignore[return-value]  # typeshed's AddressFamily
                target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except (OSError, UnicodeError) as exc:
            raise EToroWebSocketError(
                f"Cannot resolve {target.host}: {_words(exc)}. Check ws_url and the network."
            ) from exc

    def _connect_one(
        self, sock: socket.socket, address: tuple[object, ...], deadline: float
    ) -> None:
        sock.setblocking(False)
        try:
            sock.connect(address)
        except BlockingIOError:
            pass
        else:
            return
        probe = _Probe(sock, self._waker)
        try:
            while not probe.writable(deadline):
                if self._stopping():
                    raise Interrupted
                if time.monotonic() >= deadline:
                    raise TimeoutError(f"no answer from {address[0]}")
        finally:
            probe.close()
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, f"{os.strerror(error)} ({address[0]})")

    def _secure(self, wire: Wire, target: Target, context: ssl.SSLContext) -> None:
        try:
            wire.secure(context, target.host)
            while not wire.handshake_step():
                self.wait(wire, f"the TLS handshake with {target}")
        except ssl.SSLCertVerificationError as exc:
            raise EToroWebSocketError(
                f"The certificate of {target} is not trusted: {exc.verify_message}. "
                "If a proxy of your own inspects TLS, pass an ssl_context that trusts it."
            ) from exc
        except (OSError, ValueError) as exc:
            if isinstance(exc, EToroTimeoutError):
                raise
            raise EToroWebSocketError(
                f"The TLS handshake with {target} failed: {_words(exc)}."
            ) from exc


class _Probe:
    """Waits until a connecting socket is connected or has failed."""

    def __init__(self, sock: socket.socket, waker: Waker) -> None:
        self._waker = waker
        self._sock = sock
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_WRITE)
        self._selector.register(waker, selectors.EVENT_READ)

    def writable(self, deadline: float) -> bool:
        ready = False
        for key, _ in self._selector.select(max(deadline - time.monotonic(), 0.0)):
            if key.fileobj is self._sock:
                ready = True
            else:
                self._waker.drain()
        return ready

    def close(self) -> None:
        self._selector.close()


def _tune(sock: socket.socket) -> None:
    """Send small frames at once, and let the kernel help to notice a dead peer."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _words(error: BaseException | None) -> str:
    """Return what an OSError says, without its number."""
    return (getattr(error, "strerror", None) or str(error)).rstrip(".") if error else "no address"
