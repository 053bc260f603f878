"""Certificates for a simulator that uses TLS."""

import ssl
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificates:
    """A certificate authority made for one simulator, and the server's SSL contexts.

    :param ca_pem: the authority's certificate, which clients must trust.
    :param context: the server's SSL context.
    :param authority: issues more certificates.
    """

    ca_pem: str
    context: ssl.SSLContext
    authority: Any = field(repr=False)
    _flawed: dict[str, ssl.SSLContext] = field(default_factory=dict, init=False, repr=False)

    def flawed_context(self, flaw: str) -> ssl.SSLContext:
        """Return an SSL context whose certificate clients must reject.

        :param flaw: what is wrong with its certificate: ``"authority"``, ``"expired"``, ``"host"``.
        """
        if flaw not in self._flawed:
            issue = self.authority.issue_cert
            if flaw == "authority":
                certificate = type(self.authority)().issue_cert(*_NAMES)
            elif flaw == "expired":
                past = datetime(2001, 1, 1, tzinfo=timezone.utc)
                certificate = issue(*_NAMES, not_after=past)
            else:
                certificate = issue("other.invalid")
            self._flawed[flaw] = _context(certificate)
        return self._flawed[flaw]

    def client_context(self) -> ssl.SSLContext:
        """Create an SSL context that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.ca_pem)


def make_certificates() -> Certificates:
    """Create an authority and a certificate for this machine's names.

    :raises ImportError: if the ``trustme`` package is not installed.
    """
    try:
        from trustme import CA
    except ImportError as exc:
        but = (
            f", but Python finds {exc.path}. If it is your own, rename it; else" if exc.path else ""
        )
        raise ImportError(
            f'tls=True needs the trustme package{but}: pip install "etoro-sync[simulator]"'
        ) from None
    authority = CA()
    context = _context(authority.issue_cert(*_NAMES))
    return Certificates(authority.cert_pem.bytes().decode(), context, authority)


def _context(certificate: Any) -> ssl.SSLContext:
    """Create a server's SSL context that presents *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
