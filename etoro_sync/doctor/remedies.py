"""What to do when a step on the way to the service fails. Pure.

One remedy for each failure, for somebody with a terminal: it names variables, and not the arguments
of a client.
"""

from collections.abc import Sequence
from datetime import datetime

__all__ = ["AGAIN", "of_certificate", "of_handshake", "of_tls", "of_tunnel", "to_connect"]

AGAIN = (
    "Run it again after some minutes. If it stays so, please report it: --report FILE writes a "
    "page for that."
)
_OPEN_PORT = (
    "Try another network. A firewall that allows the port to browsers only has a proxy: set "
    "https_proxy to it."
)
_NOTHING_LISTENS = (
    "No program of this machine listens there: start it (for a simulator: etoro-sync simulate), "
    "or unset ETORO_WS_URL for eToro's own service."
)
#: X509_V_ERR_*: no issuer, self-signed, self-signed in the chain, no local issuer, no signature.
_OF_TRUST = (2, 18, 19, 20, 21)
#: Not valid yet, expired.
_OF_THE_CLOCK = (9, 10)
_TRUST_IT = "set SSL_CERT_FILE to a file with its certificate authority."
_ELSEWHERE = "Check ETORO_WS_URL, if it is set; else"
#: Statuses with which something on the way refuses a WebSocket.
_REFUSING = frozenset([401, 403, 407, 451])


def to_connect(to_this_machine: bool) -> str:
    """Return what to do when no address can be connected to.

    :param to_this_machine: whether it is a loopback address.
    """
    return _NOTHING_LISTENS if to_this_machine else _OPEN_PORT


def of_tunnel(found: str, target: str, otherwise: str) -> str:
    """Return what to do when the proxy does not connect to *target*.

    :param found: what the proxy has answered.
    :param otherwise: what to do when that says nothing.
    """
    if "HTTP 407" in found:
        return (
            "The proxy wants a login: write http://user:password@host:port, with % escapes for "
            "letters such as @ and /. It must accept passwords (Basic)."
        )
    if "HTTP 403" in found:
        return f"The proxy does not allow {target}: ask who runs it to allow it, with WebSockets."
    return otherwise


def of_tls() -> str:
    """Return what to do when TLS fails, and not for the certificate."""
    return f"{_ELSEWHERE} try another network: something on the way cuts TLS off."


def of_certificate(
    code: int, faults: Sequence[str], public: bool, here: bool, now: datetime
) -> str:
    """Return what to do about a certificate that is not trusted.

    :param code: OpenSSL's, ``X509_V_ERR_*``.
    :param faults: what is wrong with the settings for authorities, in sentences.
    :param public: whether its issuer is one of the usual public authorities.
    :param here: whether the server is on this machine.
    :param now: this machine's time, UTC.
    """
    if code in _OF_THE_CLOCK:
        return (
            f"Check the clock of this machine, which says {now:%Y-%m-%d %H:%M} UTC. If it is "
            "right, the certificate is at fault, and whoever runs the server has to renew it."
        )
    if code not in _OF_TRUST:
        return (
            f"{_ELSEWHERE} another server answers for this name: a login page of the network "
            "(open a browser and log in) or a wrong DNS. Try another network."
        )
    if faults:
        return faults[0]
    if public:
        return "Update the certificate authorities of this machine (package ca-certificates)."
    if here:
        return f"If the server is yours, {_TRUST_IT}"
    return f"A proxy or a security program on the way inspects TLS. If you trust it, {_TRUST_IT}"


def of_handshake(status: int | None) -> str:
    """Return what to do when the opening handshake fails.

    :param status: of the answer; None: there was none, or it was not HTTP.
    """
    if status is None:
        return f"{_ELSEWHERE} try another network: something on the way cuts WebSockets off."
    if status in _REFUSING:
        return (
            "A proxy, firewall or gateway refuses WebSockets from here: ask for wss:// to be "
            "allowed, or try another network."
        )
    if status == 429:
        return (
            "Wait as long as it asks for, else some minutes, and run it again with no other client "
            "of this key."
        )
    if status >= 500:
        return "The service or a gateway is down: wait some minutes, and run it again."
    return (
        f"{_ELSEWHERE} something other than eToro's stream answers: a login page of the network "
        "(open a browser and log in) or a gateway."
    )
