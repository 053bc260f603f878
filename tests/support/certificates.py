"""A private certificate authority, so that TLS is tested with verification on.

The contexts are what a server or a client of a test needs: one that is right, and those that a
client has to refuse.
"""

from __future__ import annotations

import datetime
import ssl

import trustme

__all__ = ["Certificates"]


class Certificates:
    """Contexts whose certificates come from one authority, which nobody but ``client`` trusts.

    :ivar server: a server with a valid certificate for ``localhost`` and ``127.0.0.1``
    :ivar wrong_host: a server with a valid certificate for another name
    :ivar expired: a server with a certificate for ``localhost`` that has expired
    :ivar untrusted: a server with a certificate for ``localhost`` of an authority nobody knows
    :ivar demanding: a server that wants a client certificate of the authority
    :ivar certified: a client as below, with such a certificate
    :ivar client: a client that trusts the authority, and verifies as every client does
    """

    def __init__(self) -> None:
        self._authority = trustme.CA()
        self.server = _server(self._authority.issue_cert("localhost", "127.0.0.1"))
        self.wrong_host = _server(self._authority.issue_cert("example.invalid"))
        past = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
        self.expired = _server(self._authority.issue_cert("localhost", not_after=past))
        self.demanding = _server(self._authority.issue_cert("localhost"))
        self.demanding.verify_mode = ssl.CERT_REQUIRED
        self._authority.configure_trust(self.demanding)
        self.certified = ssl.create_default_context()
        self._authority.configure_trust(self.certified)
        self._authority.issue_cert("client.invalid").configure_cert(self.certified)
        self.untrusted = _server(trustme.CA().issue_cert("localhost"))
        self.client = ssl.create_default_context()
        self._authority.configure_trust(self.client)

    def authority_pem(self) -> bytes:
        """Return the authority's certificate, for a client that takes a file."""
        return self._authority.cert_pem.bytes()


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
