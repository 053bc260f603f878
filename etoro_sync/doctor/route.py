"""The steps from this machine to an open WebSocket: proxy, DNS, TCP, tunnel, TLS, handshake.

The client takes them all at once. Here each is taken alone, with the same parts, and each has the
whole ``connect_timeout``, so that the step that hangs is the one that fails. Everything runs on the
calling thread.
"""

import ipaddress
import os
import socket
import ssl
from contextlib import suppress
from datetime import datetime, timezone

from .. import clocks
from ..errors import EToroError, EToroTimeoutError, EToroValidationError
from ..redaction import Redactor
from ..ws.failures import ConnectionFailed
from ..ws.options import WsClientOptions
from ..ws.session.connector import Connector
from ..ws.transport.addresses import Address, Addresses
from ..ws.transport.dialer import Dialer, Tunnel
from ..ws.transport.proxy import find_proxy
from ..ws.transport.racing import Race, RaceLost
from ..ws.transport.reasons import reason, reason_to_connect
from ..ws.transport.socket_stream import SocketStream, tune
from ..ws.transport.target import Target, is_loopback
from ..ws.transport.tls import environment_faults
from ..ws.transport.waker import Waker
from . import remedies
from .certificates import is_public, issuer_of, issuer_of_bytes
from .findings import Finding, StepFailed, failure_of, parted
from .privacy import Scrubber

__all__ = ["Route"]

_FAMILIES: dict[int, str] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_PROXY_VARIABLES = ("https_proxy", "http_proxy", "all_proxy")
_CHECK_NAME = (
    "Check the network connection and the name in ETORO_WS_URL. Behind a firewall that resolves no "
    "outside names, set https_proxy to its proxy."
)


class Route:
    """The way to the server.

    :param options: the client's.
    :param redactor: masks keys; the proxy's password is added to it.
    :param scrubber: names of the proxy and private addresses are added to it.
    :param waker: ends waits.
    """

    def __init__(
        self, options: WsClientOptions, redactor: Redactor, scrubber: Scrubber, waker: Waker
    ) -> None:
        self._options = options
        self._scrubber = scrubber
        self._waker = waker
        self._connector = Connector(options, redactor, waker, Addresses())
        self._target = Target.of(options.ws_url)
        self._tunnel: Tunnel | None = None
        self._found: list[Address] = []
        self._stream: SocketStream | None = None

    @property
    def host(self) -> str:
        """Host and port of the server."""
        return str(self._target)

    @property
    def has_tunnel(self) -> bool:
        """Whether the way leads through a proxy."""
        return self._tunnel is not None

    @property
    def _entry(self) -> Target:
        return self._target if self._tunnel is None else self._tunnel.entry

    @property
    def _advice(self) -> str:
        """What to check where the proxy cannot be reached; ``""``: there is none."""
        return "" if self._tunnel is None else self._tunnel.advice

    def dialer(self) -> Dialer:
        """Return what has the deadline of one step."""
        return Dialer(self._waker, clocks.monotonic() + self._options.connect_timeout)

    def take(self) -> SocketStream:
        """Return the stream of the steps; whoever takes it closes it."""
        stream, self._stream = self._stream, None
        assert stream is not None, "the steps before have not been taken"
        return stream

    def again(self) -> tuple[SocketStream, Dialer]:
        """Return another stream by the same way, with TLS done, and what has its deadline.

        :raises EToroError: when the way does not lead there this time.
        :raises ConnectionFailed: when the proxy asks to wait.
        """
        return self._connector.reach(clocks.monotonic() + self._options.connect_timeout)

    def close(self) -> None:
        """Free what a step has left; idempotent."""
        if self._stream is not None:
            self.take().close()

    # -- the steps -----------------------------------------------------------------------------

    def choose_proxy(self) -> Finding:
        """Decide whether the way leads through a proxy."""
        try:
            self._target = self._connector.target()
            self._tunnel = self._connector.tunnel(self._target)
            proxy = find_proxy(self._options.proxy, self._target)
        except (EToroError, ConnectionFailed) as error:
            raise failure_of(error) from None
        given = [n for n in _PROXY_VARIABLES if os.environ.get(n) or os.environ.get(n.upper())]
        if proxy is None or self._tunnel is None:
            unused = given and self._options.proxy is None
            notes = (
                (f"{' and '.join(given)} does not apply to {self.host} (see no_proxy).",)
                if unused
                else ()
            )
            return Finding(f"none; {self.host} is connected to directly", notes)
        if not is_loopback(self._entry.host):
            self._scrubber.hide(self._entry.host, "<proxy>")
        self._scrubber.hide(proxy.username or "", "<user>")
        source = "the option" if self._options.proxy is not None else self._source(given)
        login = ", with a login" if proxy.username is not None else ""
        text = f"{proxy.scheme}://{self._entry}{login}, from {source}"
        return Finding(text, details={"scheme": proxy.scheme, "from": source})

    def _source(self, given: list[str]) -> str:
        wanted = "https_proxy" if self._target.secure else "http_proxy"
        named = [name for name in (wanted, "all_proxy") if name in given]
        return named[0] if named else "the settings of this system"

    def resolve(self) -> Finding:
        """Find the addresses of the server, or of the proxy."""
        try:
            self._found = self.dialer().resolve(
                self._entry, loopback_only=self._target.loopback_only
            )
        except EToroError as error:
            raise failure_of(error, self._advice or _CHECK_NAME) from None
        hosts = [str(each[4][0]) for each in self._found]
        inside = [host for host in hosts if _is_private(host)]
        for host in hosts:
            if self._tunnel is not None and not is_loopback(host):
                # Also a public one: it says whose proxy that is.
                self._scrubber.hide(host, "<address of the proxy>")
            elif host in inside:
                self._scrubber.hide(host, "<private address>")
        notes: tuple[str, ...] = ()
        if inside and self._tunnel is None:
            notes = (
                "An address is a private one: a filter, a VPN or a hosts file answers for "
                f"{self._target.host}.",
            )
        shown = ", ".join(hosts[:4]) + ", ..." * (len(hosts) > 4)
        families = sorted({_FAMILIES.get(each[0], str(each[0])) for each in self._found})
        return Finding(
            f"{self._entry.host} is {shown} ({' and '.join(families)})",
            notes,
            {"addresses": hosts, "families": families},
        )

    def connect(self) -> Finding:
        """Connect to one of the addresses."""
        sock, address, losers = self._race()
        tune(sock)
        self._stream = SocketStream(sock, self._waker)
        notes = tuple(f"{host[0]} has failed or was slower." for host in losers)
        family = _FAMILIES.get(sock.family, "another family")
        return Finding(
            f"{address[0]} answered, port {self._entry.port} ({family})",
            notes,
            {"address": str(address[0]), "port": self._entry.port, "family": family},
        )

    def _race(self) -> tuple[socket.socket, tuple[object, ...], list[tuple[object, ...]]]:
        seconds = self._options.connect_timeout
        deadline = clocks.monotonic() + seconds

        def check(connected: bool) -> None:
            if clocks.monotonic() >= deadline:
                raise EToroTimeoutError(f"{self._entry} did not answer within {seconds:g} s.")

        race = Race(Addresses().order(self._found), None, self._waker, check, deadline)
        remedy = self._advice or remedies.to_connect(is_loopback(self._entry.host))
        try:
            sock, address = race.run()
        except RaceLost as lost:
            why = f"{reason_to_connect(lost.failure.error)} ({lost.failure.address[0]})"
            raise StepFailed(f"Cannot connect to {self._entry}: {why}.", remedy) from None
        except EToroTimeoutError as late:
            raise failure_of(late, remedy) from None
        except OSError as error:
            raise StepFailed(f"Cannot connect: {reason(error)}.", remedy) from None
        return sock, address, race.losers

    def pass_proxy(self) -> Finding:
        """Let the proxy connect to the server."""
        assert self._tunnel is not None
        assert self._stream is not None
        try:
            self._tunnel.establish(self._stream, self.dialer())
        except (EToroError, ConnectionFailed) as error:
            found, advice = parted(error)
            remedy = remedies.of_tunnel(found, self.host, self._advice or advice)
            raise StepFailed(found, remedy) from None
        return Finding(f"the proxy has connected to {self.host}")

    def secure(self) -> Finding:
        """Do the TLS handshake, and report the certificate."""
        if not self._target.secure:
            return Finding("ws:// to this machine has none", skipped=True)
        assert self._stream is not None
        try:
            self.dialer().secure(self._stream, self._target, self._connector.context)
        except (EToroError, ConnectionFailed) as error:
            raise self._insecure(error) from None
        return self._describe_tls(self._stream)

    def _describe_tls(self, stream: SocketStream) -> Finding:
        details = {"version": "unknown", "cipher": "", "issuer": "", "not_after": ""}
        notes: list[str] = []
        # An object of another library's context may lack any of these.
        with suppress(AttributeError, TypeError, ValueError):
            sock = stream.tls
            assert sock is not None
            details["version"] = sock.version() or "unknown"
            details["cipher"] = (sock.cipher() or ("",))[0]
            certificate = sock.getpeercert() or {}
            details["issuer"] = issuer_of(certificate)
            details["not_after"] = str(certificate.get("notAfter", ""))
        issuer = details["issuer"]
        if issuer and not is_public(issuer) and not is_loopback(self._target.host):
            notes.append(_inspected(issuer))
            self._hide_issuer(issuer)
        text = f"{details['version']}, certificate issued by {issuer or 'nobody known'}"
        until = details["not_after"]
        return Finding(f"{text}, valid until {until}" if until else text, tuple(notes), details)

    def _insecure(self, error: EToroError | ConnectionFailed) -> StepFailed:
        """Return the failure of TLS, with the issuer of a certificate that is not trusted."""
        found, advice = parted(error)
        cause = error.__cause__
        if isinstance(error, EToroValidationError):  # the context verifies nothing
            return StepFailed(found, advice, of_user=True)
        if not isinstance(cause, ssl.SSLCertVerificationError):
            return StepFailed(found, remedies.of_tls())
        issuer = self._issuer_of_untrusted()
        remedy = remedies.of_certificate(
            cause.verify_code,
            environment_faults(os.environ),
            is_public(issuer),
            is_loopback(self._target.host),
            datetime.fromtimestamp(clocks.wall_clock(), timezone.utc),
        )
        if not issuer:
            return StepFailed(found, remedy)
        self._hide_issuer(issuer)
        return StepFailed(found, remedy, notes=(f"The certificate was issued by {issuer}.",))

    def _issuer_of_untrusted(self) -> str:
        """Look at the certificate once more, without verification; nothing is sent there."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.close()
        try:
            sock, *_ = self._race()
            self._stream = SocketStream(sock, self._waker)
            if self._tunnel is not None:
                self._tunnel.establish(self._stream, self.dialer())
            self.dialer().secure(self._stream, self._target, lambda: context)
            secured = self._stream.tls
            assert secured is not None
            return issuer_of_bytes(secured.getpeercert(binary_form=True) or b"")
        except (StepFailed, EToroError, ConnectionFailed, OSError):
            return ""
        finally:
            self.close()

    def _hide_issuer(self, issuer: str) -> None:
        if not is_public(issuer):
            # It may be the name of the user's employer.
            self._scrubber.hide(issuer, "<not a public authority>")


def _inspected(issuer: str) -> str:
    return (
        f"{issuer} is none of the usual public authorities: a proxy or a security program on the "
        "way may inspect TLS."
    )


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (address.is_private or address.is_unspecified) and not address.is_loopback
