"""A rule for proxy.py, as a company would write one: nobody may go anywhere."""

from __future__ import annotations

from proxy.http.exception import HttpRequestRejected
from proxy.http.parser import HttpParser
from proxy.http.proxy import HttpProxyBasePlugin

__all__ = ["Refuse"]


class Refuse(HttpProxyBasePlugin):
    """Answers each CONNECT with 403 and a page."""

    def before_upstream_connection(self, request: HttpParser) -> HttpParser | None:
        raise HttpRequestRejected(status_code=403, reason=b"Forbidden", body=b"<p>No.</p>")
