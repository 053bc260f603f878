"""Host and port of a URL, and which hosts are this machine.

Keys may be sent without verified TLS to this machine only.
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["NO_SOCKS", "Target", "is_loopback"]

NO_SOCKS = 'A SOCKS proxy needs an extra: pip install "etoro-sync[socks]".'


@dataclass(frozen=True)
class Target:
    """The host and port to connect to, and how.

    :param host: name or address, without brackets.
    :param port: from the URL, else 443 or 80.
    :param secure: whether to use TLS.
    :param unverified: whether that TLS does not verify the host.
    """

    host: str
    port: int
    secure: bool
    unverified: bool = False

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine may be connected to: others on the way could read the keys."""
        return self.unverified or not self.secure

    @classmethod
    def of(cls, url: str) -> "Target":
        """Return the target of a valid ``ws://`` or ``wss://`` URL."""
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        return cls(parts.hostname or "", parts.port or (443 if secure else 80), secure)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether *host* means this machine.

    ``localhost`` counts here; that it resolves to a loopback address is checked when connecting.

    :param host: a name in lower case, or an address.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
