"""From a URL to a connected stream: resolve, connect, tunnel, TLS.

websocket-client can do this too, but with one timeout per step and address, no fallback from a
dead IPv6 address, and no way to interrupt it; here one absolute deadline holds for all of it and
``disconnect()`` ends it at once. Only the name resolution itself, which the operating system does
not let anybody interrupt, can take longer. Everything here runs on the reader thread.
"""

import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ... import clocks
from ...errors import EToroError, EToroTimeoutError, EToroWebSocketError
from ...synchronization import Interrupted
from .addresses import Address, Addresses
from .racing import Failure, Race, RaceLost
from .reasons import reason, reason_to_connect
from .socket_stream import SocketStream
from .target import Target, is_loopback
from .tls import tls_error
from .waker import Waker

__all__ = ["Dialer", "Tunnel"]

_ADVICE = "Check ws_url, the proxy if there is one, and the network."
#: No honest answer has a longer HTTP head.
_MAX_HEAD = 64 * 1024
#: Seconds, but for the last one, which is in milliseconds; a system has some of them. Together
#: they let the kernel give a silent peer up after a minute, for those who switch keepalive off.
_TCP_OPTIONS = {
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": 30,
    "TCP_KEEPALIVE": 30,
    "TCP_KEEPINTVL": 10,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 60_000,
}


class Tunnel(Protocol):
    """A way to the target through another host."""

    @property
    def entry(self) -> Target:
        """The host to connect to."""

    @property
    def advice(self) -> str:
        """What to check when that host cannot be reached."""

    def establish(self, stream: SocketStream, dialer: "Dialer") -> None:
        """Make *stream*, which leads to the entry, lead to the target."""


class Dialer:
    """Opens one connection.

    :param waker: ends waits, and says whether the client is to stop.
    :param deadline: absolute monotonic time for all steps together.
    :param addresses: decides which one to try first, and remembers which have failed.
    """

    def __init__(
        self,
        waker: Waker,
        deadline: float,
        addresses: Addresses | None = None,
    ) -> None:
        self._waker = waker
        self._deadline = deadline
        self._checked_at = clocks.monotonic()
        self._addresses = addresses or Addresses()
        self._send_error: OSError | None = None
        #: Where the connection leads to, once it is there.
        self.address: tuple[object, ...] | None = None

    def open(
        self,
        target: Target,
        context: Callable[[], ssl.SSLContext],
        tunnel: Tunnel | None = None,
    ) -> SocketStream:
        """Return a connected stream, with TLS done.

        The addresses race for it; with a tunnel, those of the host that it begins at, over TCP.

        :param target: where to.
        :param context: makes the TLS context when it is needed.
        :param tunnel: the way there; None is the direct one.
        :raises EToroWebSocketError: when no address answers, or TLS fails.
        :raises Interrupted: when the client is to stop.
        """
        # Every name on the way is checked, since ``localhost`` may lead anywhere.
        loopback_only = target.loopback_only
        if tunnel is None:
            sock = self._connect(target, _ADVICE, loopback_only, context)
        else:
            if loopback_only:
                self.resolve(target, loopback_only=True)
            sock = self._connect(tunnel.entry, tunnel.advice, loopback_only, None)
        try:
            stream = SocketStream(sock, self._waker)
        except OSError as exc:
            raise EToroWebSocketError(f"Cannot connect to {target}: {reason(exc)}.") from exc
        try:
            if tunnel is not None:
                tunnel.establish(stream, self)
                if target.secure:
                    self._secure(stream, target, context)
        except BaseException:
            stream.close()
            raise
        return stream

    def wait(self, stream: SocketStream, what: str) -> None:
        """Wait for *stream*, so that a read or a write that could not go on is tried again.

        :raises EToroTimeoutError: at the deadline, naming *what*.
        """
        self._check(what)
        stream.wait(self._deadline)
        self._check(what)

    def send(self, stream: SocketStream, data: bytes, what: str) -> None:
        """Send all of *data*.

        If that fails, :meth:`read` raises the error, but only after what the peer has sent before,
        which may say why.

        :raises EToroTimeoutError: at the deadline, naming *what*.
        """
        try:
            stream.write(data)
            while stream.unsent:
                self.wait(stream, what)
                stream.flush()
        except EToroTimeoutError:
            raise
        except OSError as exc:
            self._send_error = exc

    def read(self, stream: SocketStream, what: str) -> bytes:
        """Return what comes next, at least one byte.

        :raises OSError: when the connection is lost.
        :raises EToroTimeoutError: at the deadline, naming *what*.
        :raises EToroWebSocketError: when nothing more will come.
        """
        while (data := stream.read()) is None and self._send_error is None:
            self.wait(stream, what)
        if data:
            return data
        if self._send_error is not None:
            raise self._send_error
        raise EToroWebSocketError(f"The other end closed the connection during {what}. {_ADVICE}")

    def read_head(self, stream: SocketStream, what: str) -> tuple[bytes, bytes]:
        """Return the head of an HTTP answer with its empty line, and the bytes read behind it.

        :raises OSError: when the connection is lost.
        :raises EToroTimeoutError: at the deadline, naming *what*.
        :raises EToroWebSocketError: when there is no such head.
        """
        buffer = bytearray()
        size = -1
        while size < 0 and len(buffer) <= _MAX_HEAD:
            data = self.read(stream, what)
            searched = max(len(buffer) - 3, 0)
            buffer += data
            size = buffer.find(b"\r\n\r\n", searched)
        if not 0 <= size <= _MAX_HEAD:
            raise EToroWebSocketError(f"The answer to {what} is over {_MAX_HEAD} B.")
        return bytes(buffer[: size + 4]), bytes(buffer[size + 4 :])

    def _check(self, what: str) -> None:
        """Judge the deadline by the last look at the clock, and look again.

        So what was there at the first of two looks, and is read between them, is in time, even if
        the process stood still meanwhile.
        """
        if self._waker.stopping:
            raise Interrupted
        checked_at, self._checked_at = self._checked_at, clocks.monotonic()
        if checked_at >= self._deadline:
            raise EToroTimeoutError(
                f"Connecting timed out: {what} did not finish in connect_timeout. "
                "Check the network, or raise connect_timeout."
            )

    def _connect(
        self,
        target: Target,
        advice: str,
        loopback_only: bool,
        context: Callable[[], ssl.SSLContext] | None,
    ) -> socket.socket:
        """Return a socket that is connected to one of a host's addresses.

        :param context: for TLS; None: TCP is all that is wanted.
        """
        found = self.resolve(target, advice, loopback_only=loopback_only)
        # Before what all sessions remember is touched: resolving may have taken very long.
        self._check_connecting(target, False)
        race = Race(
            self._addresses.order(found),
            (context, target.host) if context and target.secure else None,
            self._waker,
            partial(self._check_connecting, target),
            self._deadline,
            clocks.monotonic,
        )
        try:
            sock, self.address = race.run()
        except RaceLost as lost:
            raise self._race_lost(target, lost.failure, advice) from lost.failure.error
        except EToroTimeoutError as late:
            if race.failure is None:
                raise
            words = f"{late} Another of its addresses failed: {_failed(race.failure)}."
            raise EToroTimeoutError(words) from race.failure.error
        except OSError as exc:
            raise EToroWebSocketError(f"Cannot connect to {target}: {reason(exc)}.") from exc
        finally:
            for address in race.losers:
                self._addresses.mark_unproven(address)
        self._addresses.mark_unproven(self.address)
        _tune(sock)
        return sock

    def _race_lost(self, target: Target, failure: Failure, advice: str) -> EToroError:
        if failure.connected:
            return tls_error(target, failure.error)
        return EToroWebSocketError(f"Cannot connect to {target}: {_failed(failure)}. {advice}")

    def _check_connecting(self, target: Target, connected: bool) -> None:
        step = "TLS handshake with" if connected else "TCP connection to"
        self._check(f"the {step} {target}")

    def resolve(
        self, target: Target, advice: str = _ADVICE, *, loopback_only: bool = False
    ) -> list[Address]:
        """Return the addresses of a host, the best first.

        :param loopback_only: leave out those of other machines.
        :raises EToroWebSocketError: when there are none.
        """
        self._check(f"resolving {target.host}")
        try:
            found = socket.getaddrinfo(
                target.host, target.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
        except (OSError, ValueError) as exc:  # ValueError: no host can have this name
            raise EToroWebSocketError(
                f"Cannot resolve {target.host}: {reason(exc)}. {advice}"
            ) from exc
        if loopback_only and found:
            found = [each for each in found if is_loopback(str(each[4][0]))]
            if not found:
                raise EToroWebSocketError(
                    f"{target.host} is another machine here, and without TLS that is verified the "
                    "keys could be read on the way. Use wss:// with a certificate that can be "
                    "verified, or see why it is not 127.0.0.1."
                )
        if not found:
            raise EToroWebSocketError(f"Cannot connect to {target}: it has no address. {advice}")
        return found  # type: ignore[return-value]  # typeshed's AddressFamily

    def _secure(
        self, stream: SocketStream, target: Target, context: Callable[[], ssl.SSLContext]
    ) -> None:
        """Do the TLS handshake through a tunnel."""
        try:
            stream.secure(context(), target.host)
            while not stream.handshake_step():
                self.wait(stream, f"the TLS handshake with {target}")
        except EToroError:  # of ours already; some are an OSError, too
            raise
        except (OSError, ValueError) as exc:
            raise tls_error(target, exc) from exc


def _failed(failure: Failure) -> str:
    return f"{reason_to_connect(failure.error)} ({failure.address[0]})"


def _tune(sock: socket.socket) -> None:
    """Send small frames at once, and let the kernel help to notice a dead peer."""
    # Each is an improvement that some system lacks or refuses, and none is a need.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
