"""Where a URL leads, and which hosts are this machine: to it alone keys may go over ``ws://``."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = ["NO_SOCKS", "Target", "is_loopback"]

NO_SOCKS = 'A SOCKS proxy needs an extra: pip install "etoro-sync[socks]".'


@dataclass(frozen=True)
class Target:
    """Where a WebSocket URL leads.

    :param host: name or address, without brackets.
    :param port: from the URL, else 443 or 80.
    :param secure: whether TLS is spoken.
    :param unverified: whether it is TLS with which anybody could pass for the host.
    """

    host: str
    port: int
    secure: bool
    unverified: bool = False

    @property
    def loopback_only(self) -> bool:
        """Whether what is sent could be read on the way, so that it may not leave this machine."""
        return self.unverified or not self.secure

    @classmethod
    def of(cls, url: str) -> "Target":
        """Parse a ``ws://`` or ``wss://`` URL that was validated before."""
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        return cls(parts.hostname or "", parts.port or (443 if secure else 80), secure)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether *host*, a name in lower case or an address, means this machine.

    ``localhost`` is taken at its word here; where it leads is checked when it was resolved.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
