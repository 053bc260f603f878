"""In which order the addresses of a host are tried: those that have led nowhere come last.

That TCP connects says nothing of what is behind it. An address that is silent in TLS, in HTTP or to
the authentication takes all the time of an attempt; the next one must not begin there again.
"""

__all__ = ["Address", "Addresses"]

#: What getaddrinfo() returns one of: family, kind, protocol, canonical name, address.
Address = tuple[int, int, int, str, tuple[object, ...]]


class Addresses:
    """Remembers, for one session, which addresses have not proven to lead to eToro."""

    def __init__(self) -> None:
        self._unproven: set[tuple[object, ...]] = set()
        self._taken: tuple[object, ...] | None = None

    def order(self, found: list[Address]) -> list[Address]:
        """Return what the resolver has found, in its order, but the unproven ones last."""
        known = {each[4] for each in found}
        # What the resolver does not name any more is forgotten, or the set would grow for ever.
        self._unproven &= known
        if self._unproven == known:
            self._unproven.clear()
        return sorted(found, key=lambda each: each[4] in self._unproven)

    def take(self, address: tuple[object, ...]) -> None:
        """Note which one the present connection goes to; it has yet to prove itself."""
        self._taken = address
        self._unproven.add(address)

    def trust(self) -> None:
        """Note that the last one that was taken has led to an authenticated connection."""
        if self._taken is not None:
            self._unproven.discard(self._taken)
