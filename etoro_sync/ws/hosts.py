"""Which hosts are this machine: the only ones to which keys may travel over plain ``ws://``."""

import ipaddress

__all__ = ["is_loopback"]


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
