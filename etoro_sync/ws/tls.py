"""Whether a TLS context proves who the other end is."""

import ssl

from ..errors import EToroValidationError
from .hosts import is_loopback

__all__ = ["check_verified"]


def check_verified(context: ssl.SSLContext, host: str, what: str = "ssl_context") -> None:
    """Refuse a context with which anybody could pass for *host*.

    :param what: where the context comes from, for the error.
    :param host: where the keys are to go; to this machine itself any context will do.
    :raises EToroValidationError: naming ``ssl_context``.
    """
    if is_loopback(host):
        return
    if getattr(context, "verify_mode", ssl.CERT_NONE) == ssl.CERT_NONE:
        fault = "verifies no certificate (verify_mode is ssl.CERT_NONE)"
    elif not getattr(context, "check_hostname", False):
        fault = "accepts the certificate of any host (check_hostname is False)"
    else:
        return
    raise EToroValidationError(
        f"{what} {fault}, so that whoever is on the way to {host} could read the keys. Use "
        "ssl.create_default_context(), and its load_verify_locations() for an authority of your "
        "own. For a test without secrets there is allow_unverified_tls=True.",
        "ssl_context",
    )
