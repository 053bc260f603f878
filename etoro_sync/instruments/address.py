"""The address of the REST API: where it comes from, and that no key can be read on the way."""

import os
from typing import Any
from urllib.parse import urlsplit

from ..errors import EToroValidationError
from ..text import shorten
from ..ws.transport.target import is_loopback

__all__ = ["DEFAULT_REST_URL", "find_address", "is_local"]

DEFAULT_REST_URL = "https://public-api.etoro.com"


def find_address(given: Any) -> str:
    """Return the address to use, without a slash at its end.

    :param given: None takes ``ETORO_REST_URL``, or else eToro's.
    :raises EToroValidationError: naming ``rest_url``.
    """
    if given is None:
        given = os.environ.get("ETORO_REST_URL", "").strip() or DEFAULT_REST_URL
    # The value itself is never shown: it may hold a password.
    try:
        parts = urlsplit(given)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        host = None
    if not isinstance(given, str) or not host or parts.scheme not in ("http", "https"):
        raise _wrong("must be a string like https://host, with a scheme of https and a host")
    if not given.isascii() or not given.isprintable() or " " in given or "\\" in given:
        raise _wrong("must not hold blanks, backslashes, control or non-ASCII characters")
    if parts.username is not None or parts.query or parts.fragment or ";" in parts.path:
        raise _wrong("must not hold a user, a query, a fragment or a semicolon")
    if parts.scheme == "http" and not is_loopback(host):
        raise _wrong(
            f"must use https:// to reach {shorten(host)}: over plain http:// the keys could be "
            "read on the way. Only loopback addresses are exempt"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_local(address: str) -> bool:
    """Whether an address is of this machine, as that of a simulator is."""
    return is_loopback(urlsplit(address).hostname or "")


def _wrong(words: str) -> EToroValidationError:
    return EToroValidationError(f"rest_url {words}.", "rest_url")
