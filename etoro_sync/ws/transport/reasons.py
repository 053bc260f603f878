"""Why a connection failed, in words that help users. Pure.

The system's messages for some errors mislead ("Invalid argument" means a blackhole route), and
OpenSSL's describe its internals.
"""

import errno
import ssl

__all__ = ["reason", "reason_to_connect"]

_CONNECTING = {
    errno.EINVAL: "this machine has no route to it (as with a blackhole route)",
    errno.EACCES: "a firewall or a route of this machine forbids it",
    errno.EPERM: "a firewall of this machine forbids it",
    errno.EADDRNOTAVAIL: "this machine has no address of that kind, or no free port left",
    errno.EAFNOSUPPORT: "this machine has no addresses of that kind",
}
_CLIENT_CERTIFICATE = "load one with ssl_context.load_cert_chain()"
#: Part of OpenSSL's name for an error -> what it means for users.
_TLS = {
    "ALERT_CERTIFICATE_REQUIRED": f"the server wants a client certificate: {_CLIENT_CERTIFICATE}",
    "ALERT_HANDSHAKE_FAILURE": "the server refused it (handshake failure): it may want a client "
    f"certificate ({_CLIENT_CERTIFICATE}), or another version of TLS",
    "ALERT_BAD_CERTIFICATE": "the server refuses the client certificate as a bad one",
    "ALERT_CERTIFICATE_EXPIRED": "the server says that the client certificate has expired",
    "ALERT_CERTIFICATE_REVOKED": "the server says that the client certificate was revoked",
    "ALERT_CERTIFICATE_UNKNOWN": "the server refuses the client certificate",
    "ALERT_UNKNOWN_CA": "the server does not trust the authority of the client certificate",
    "ALERT_PROTOCOL_VERSION": "the server and this machine have no version of TLS in common",
    "UNSUPPORTED_PROTOCOL": "the server and this machine have no version of TLS in common",
    "WRONG_VERSION_NUMBER": "the other end does not speak TLS on this port",
    "HTTP_REQUEST": "the other end does not speak TLS on this port",
    "RECORD_LAYER_FAILURE": "the other end does not speak TLS on this port",
}


def reason(error: BaseException | None) -> str:
    """Return why something failed, without a full stop.

    :param error: what was raised; None: there was no address to try.
    """
    if error is None:
        return "no address"
    if isinstance(error, ssl.SSLError):
        name = (getattr(error, "reason", None) or str(error)).upper().replace(" ", "_")
        for part, words in _TLS.items():
            if part in name:
                return words
        if isinstance(error, ssl.SSLEOFError):
            return "the other end closed the connection"
    message = getattr(error, "strerror", None)
    if not message:
        # str() of an OpenSSL error without a number is that of a tuple.
        message = error.args[0] if len(error.args) == 1 else error
    return str(message).rstrip(".")


def reason_to_connect(error: BaseException) -> str:
    """Return why an address could not be connected to, without a full stop."""
    number = error.errno if isinstance(error, OSError) else None
    return _CONNECTING.get(number or 0) or reason(error)
