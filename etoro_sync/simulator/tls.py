"""Certificates for a simulator that speaks TLS."""

import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Certificates:
    """
    A certificate authority made for one simulator, and the server's side of TLS.

    :param ca_pem: What a client has to trust.
    :param context: The server's context.
    """

    ca_pem: str
    context: ssl.SSLContext

    def client_context(self) -> ssl.SSLContext:
        """Make a context that trusts this authority and no other."""
        return ssl.create_default_context(cadata=self.ca_pem)


def make_certificates() -> Certificates:
    """
    Make an authority and a certificate for this machine's names.

    :raises ImportError: Without the ``trustme`` package.
    """
    try:
        import trustme
    except ImportError:
        raise ImportError(
            'tls=True needs the trustme package: pip install "etoro-sync[simulator]"'
        ) from None
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1", "::1").configure_cert(context)
    return Certificates(authority.cert_pem.bytes().decode(), context)
