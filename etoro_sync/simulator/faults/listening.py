"""Faults of connecting: the port, the certificate, the opening handshake."""

from base64 import b64encode
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from .. import arguments
from ..transport import Transport
from .base import Fault, Limited, Phases, named
from .context import FaultContext
from .interceptors import Attachments, HoldReads, HoldSends, SlowSends


@named("refuse")
@dataclass(kw_only=True, eq=False)
class Refuse(Fault):
    """Refuse TCP connections, like a server that is down. Open connections and the port stay."""

    concerns: ClassVar[str] = "listening"
    phases: ClassVar[Phases] = {"connect": {}}


@dataclass(kw_only=True, eq=False)
class AcceptFault(Limited):
    """A fault of connections that are accepted from now on.

    :param times: how many connections; None is all.
    """

    concerns: ClassVar[str] = "listening"

    def admit(self, transport: Transport) -> bool:
        """Strike a connection; return whether to serve it. Requires the simulator's lock."""
        raise NotImplementedError


@named("accept_drop")
@dataclass(kw_only=True, eq=False)
class AcceptDrop(AcceptFault):
    """Accept TCP connections and reset them at once."""

    phases: ClassVar[Phases] = {"connect": {}}
    fatal: ClassVar[bool] = True

    def admit(self, transport: Transport) -> bool:
        """Reset the connection."""
        transport.reset()
        transport.close()
        return False


@dataclass(kw_only=True, eq=False)
class OpeningFault(AcceptFault):
    """A fault that holds up or slows down the handshake of new connections until it is healed."""

    lingers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._interceptors = Attachments()

    def end(self, context: FaultContext) -> None:
        """Release the connections that are still held up."""
        self._interceptors.detach_all()


@named("no_handshake")
@dataclass(kw_only=True, eq=False)
class NoHandshake(OpeningFault):
    """Do not answer the opening handshake.

    When it is healed, the clients that still wait get their answer.

    :param during: ``"handshake"`` answers TLS, but not the HTTP request; ``"tls"`` does not answer
        a single byte.
    """

    phases: ClassVar[Phases] = {"tls": {"during": "tls"}, "handshake": {"during": "handshake"}}
    during: str = "handshake"

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.choice("during", self.during, ("handshake", "tls"))

    def admit(self, transport: Transport) -> bool:
        """Hold up the handshake."""
        self._interceptors.attach(transport, HoldReads() if self.during == "tls" else HoldSends())
        return True


@named("drip_handshake")
@dataclass(kw_only=True, eq=False)
class DripHandshake(OpeningFault):
    """Answer the opening handshake byte by byte; everything after it is sent as usual.

    :param interval: seconds between two bytes.
    """

    phases: ClassVar[Phases] = {"handshake": {}}
    interval: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.number("interval", self.interval)

    def admit(self, transport: Transport) -> bool:
        """Slow down the handshake."""
        self._interceptors.attach(transport, SlowSends(self.interval, 1, handshake=True))
        return True


@dataclass(kw_only=True, eq=False)
class CertificateFault(Limited):
    """A fault of the certificate presented to new connections.

    :param times: how many connections; None is all.
    """

    concerns: ClassVar[str] = "tls"
    phases: ClassVar[Phases] = {"tls": {}}
    needs_tls: ClassVar[bool] = True
    flaw: ClassVar[str]


@named("wrong_certificate")
@dataclass(kw_only=True, eq=False)
class WrongCertificate(CertificateFault):
    """Present a certificate of an unknown authority."""

    flaw = "authority"


@named("expired_certificate")
@dataclass(kw_only=True, eq=False)
class ExpiredCertificate(CertificateFault):
    """Present a certificate of the right authority that expired long ago."""

    flaw = "expired"


@named("wrong_host")
@dataclass(kw_only=True, eq=False)
class WrongHost(CertificateFault):
    """Present a certificate of the right authority for another host."""

    flaw = "host"


@dataclass(kw_only=True, eq=False)
class HandshakeFault(Limited):
    """A fault of the answer to opening handshakes.

    :param times: how many connections; None is all.
    """

    concerns: ClassVar[str] = "handshake"
    phases: ClassVar[Phases] = {"handshake": {}}
    fatal: ClassVar[bool] = True

    def respond(self, connection: ServerConnection, request: Request) -> Response:
        """Build the answer. Runs on the connection's thread."""
        raise NotImplementedError


@named("http_status")
@dataclass(kw_only=True, eq=False)
class HttpStatus(HandshakeFault):
    """Answer the opening handshake with an HTTP status instead of an upgrade.

    :param status: 400 to 599; for redirects use ``redirect``.
    :param retry_after: seconds for a ``Retry-After`` header; None sends none.
    """

    phases: ClassVar[Phases] = {"handshake": {"status": 503}}
    status: int
    retry_after: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("status", self.status, 400, 599)
        if self.retry_after is not None:
            arguments.integer("retry_after", self.retry_after, 0)

    def respond(self, connection: ServerConnection, request: Request) -> Response:
        """Answer with the status."""
        response = _answer(connection, self.status)
        if self.retry_after is not None:
            response.headers["Retry-After"] = str(self.retry_after)
        return response


@named("redirect")
@dataclass(kw_only=True, eq=False)
class Redirect(HandshakeFault):
    """Redirect clients to another address.

    :param location: the address, for instance ``ws://other.example/ws``.
    :param status: 301, 302, 303, 307 or 308.
    """

    phases: ClassVar[Phases] = {"handshake": {"location": "ws://other.invalid/ws"}}
    location: str
    status: int = 302

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.address("location", self.location)
        if self.status not in (301, 302, 303, 307, 308):
            raise ValueError(f"status must be 301, 302, 303, 307 or 308, not {self.status!r}")

    def respond(self, connection: ServerConnection, request: Request) -> Response:
        """Answer with the redirect."""
        response = _answer(connection, self.status)
        response.headers["Location"] = self.location
        return response


@named("bad_accept_key")
@dataclass(kw_only=True, eq=False)
class BadAcceptKey(HandshakeFault):
    """Upgrade with a ``Sec-WebSocket-Accept`` that does not match the request, like a cache."""

    def respond(self, connection: ServerConnection, request: Request) -> Response:
        """Accept with the wrong key."""
        response = connection.protocol.accept(request)
        del response.headers["Sec-WebSocket-Accept"]
        response.headers["Sec-WebSocket-Accept"] = b64encode(bytes(20)).decode()
        return response


def _answer(connection: ServerConnection, status: int) -> Response:
    """Build an HTTP response; *status* may be one that the library does not know."""
    try:
        known = HTTPStatus(status)
    except ValueError:
        known = HTTPStatus.INTERNAL_SERVER_ERROR
    response = connection.respond(known, f"A fault of the simulator: {status}\n")
    if status != known:
        response.status_code, response.reason_phrase = status, "Unknown"
    return response
