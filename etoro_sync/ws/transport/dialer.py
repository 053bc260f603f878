"""Opens a stream to a host: resolves, connects, goes through a proxy if needed, and does TLS.

websocket-client can do this, too, but with one timeout for each step and address, without fallback
from a dead IPv6 address, and without a way to interrupt it. Here one deadline holds for everything,
and ``disconnect()`` ends it at once. Only name resolution can take longer, because operating
systems do not allow to interrupt it. Everything here runs on the reader thread.
"""

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
from .socket_stream import SocketStream, tune
from .target import Target, is_loopback
from .tls import tls_error
from .waker import Waker

__all__ = ["Dialer", "Tunnel"]

_ADVICE = "Check ws_url, the proxy if there is one, and the network."
#: Longest HTTP head that is accepted, in bytes.
_MAX_HEAD = 64 * 1024


class Tunnel(Protocol):
    """A connection to the target through another host."""

    @property
    def entry(self) -> Target:
        """The host to connect to first."""

    @property
    def advice(self) -> str:
        """A sentence on what to check when that host cannot be reached."""

    def establish(self, stream: SocketStream, dialer: "Dialer") -> None:
        """Make *stream*, which is connected to the entry, lead to the target."""


class Dialer:
    """Opens one connection.

    :param waker: ends waits, and says whether the client is to stop.
    :param deadline: absolute monotonic time for all steps together.
    :param addresses: decides which address is tried first, and remembers which have failed.
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
        #: The address that the connection leads to; None: not connected yet.
        self.address: tuple[object, ...] | None = None

    def open(
        self,
        target: Target,
        context: Callable[[], ssl.SSLContext],
        tunnel: Tunnel | None = None,
    ) -> SocketStream:
        """Return a connected stream, with TLS complete if the target requires it.

        The host's addresses are tried in parallel; with a tunnel, those of its entry.

        :param target: where to connect.
        :param context: makes the TLS context; called only when it is needed.
        :param tunnel: None: connect directly.
        :raises EToroWebSocketError: when no address can be connected to, or TLS fails.
        :raises EToroTimeoutError: at the deadline.
        :raises Interrupted: when the client is to stop.
        """
        # Target and entry are both checked, because ``localhost`` may resolve to any address.
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
                    self.secure(stream, target, context)
        except BaseException:
            stream.close()
            raise
        return stream

    def wait(self, stream: SocketStream, what: str) -> None:
        """Wait until something can be read from *stream* or sent.

        :param what: what is being done, for the error.
        :raises EToroTimeoutError: at the deadline, naming *what*.
        :raises Interrupted: when the client is to stop.
        """
        self._check(what)
        stream.wait(self._deadline)
        self._check(what)

    def send(self, stream: SocketStream, data: bytes, what: str) -> None:
        """Send all of *data*.

        If that fails, :meth:`read` raises the error, but only after what the peer has sent before,
        which may say why.

        :param what: as for :meth:`wait`.
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
        """Wait for the next bytes and return them, at least one.

        :param what: as for :meth:`wait`.
        :raises OSError: when the connection is lost.
        :raises EToroTimeoutError: at the deadline, naming *what*.
        :raises EToroWebSocketError: when the other end has closed the connection.
        """
        while (data := stream.read()) is None and self._send_error is None:
            self.wait(stream, what)
        if data:
            return data
        if self._send_error is not None:
            raise self._send_error
        raise EToroWebSocketError(f"The other end closed the connection during {what}. {_ADVICE}")

    def read_head(self, stream: SocketStream, what: str) -> tuple[bytes, bytes]:
        """Return the head of an HTTP answer with its empty line, and the bytes read after it.

        :param what: as for :meth:`wait`.
        :raises OSError: when the connection is lost.
        :raises EToroTimeoutError: at the deadline, naming *what*.
        :raises EToroWebSocketError: when the head is too long, or the other end closes.
        """
        buffer = bytearray()
        size = -1
        while size < 0 and len(buffer) <= _MAX_HEAD:
            data = self.read(stream, what)
            searched = max(len(buffer) - 3, 0)
            buffer += data
            size = buffer.find(b"\r\n\r\n", searched)
        if not 0 <= size <= _MAX_HEAD:
            raise EToroWebSocketError(
                f"The answer to {what} has more than {_MAX_HEAD} bytes of headers. {_ADVICE}"
            )
        return bytes(buffer[: size + 4]), bytes(buffer[size + 4 :])

    def _check(self, what: str) -> None:
        """Compare the deadline with the previous reading of the clock, and read the clock again.

        So what was there at a reading before the deadline, and was read from the socket after it,
        is in time, even if the process was paused meanwhile.
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

        :param advice: what to check, for errors.
        :param loopback_only: as for :meth:`resolve`.
        :param context: makes the TLS context; None: TCP only.
        """
        found = self.resolve(target, advice, loopback_only=loopback_only)
        # Before self._addresses changes: resolving may have taken so long that this session has
        # ended, and the next one uses them.
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
            message = f"{late} Another of its addresses failed: {_failed(race.failure)}."
            raise EToroTimeoutError(message) from race.failure.error
        except OSError as exc:
            raise EToroWebSocketError(f"Cannot connect to {target}: {reason(exc)}.") from exc
        finally:
            for address in race.losers:
                self._addresses.mark_unproven(address)
        self._addresses.mark_unproven(self.address)
        tune(sock)
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
        """Return the addresses of a host, in the resolver's order.

        :param advice: what to check, for errors.
        :param loopback_only: leave out addresses of other machines.
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
                    f"{target.host} resolves to another machine, and without TLS that is verified "
                    "the keys could be read on the way. Use wss:// with a certificate that can be "
                    "verified, or find out why it does not resolve to 127.0.0.1."
                )
        if not found:
            raise EToroWebSocketError(f"Cannot connect to {target}: it has no address. {advice}")
        return found  # type: ignore[return-value]  # typeshed's AddressFamily

    def secure(
        self, stream: SocketStream, target: Target, context: Callable[[], ssl.SSLContext]
    ) -> None:
        """Do the TLS handshake on *stream*, which leads to the target.

        :raises EToroWebSocketError: when it fails.
        :raises EToroTimeoutError: at the deadline.
        """
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
