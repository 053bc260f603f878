"""In which order the addresses of a host are tried: what has worked first, what led nowhere last.

That TCP connects says nothing of what is behind it. An address that is silent in HTTP, or to the
authentication, takes all the time of an attempt; the next one must not begin there again.
"""

from itertools import chain, zip_longest

__all__ = ["Address", "Addresses"]

#: What getaddrinfo() returns one of: family, kind, protocol, canonical name, address.
Address = tuple[int, int, int, str, tuple[object, ...]]


class Addresses:
    """Remembers, for one client and all its sessions, which addresses lead to eToro.

    Every method runs on the reader thread of the session that is at work.
    """

    def __init__(self) -> None:
        self._unproven: set[tuple[object, ...]] = set()
        self._best: tuple[object, ...] | None = None

    def order(self, found: list[Address]) -> list[Address]:
        """Return what the resolver has found in the order in which it is to be tried.

        The one that has worked last comes first, and the unproven ones come last. Among the
        others the resolver's order holds, but IPv6 and IPv4 take turns (RFC 8305, section 4): all
        addresses of a family may be dead.
        """
        known = {each[4] for each in found}
        # What the resolver does not name any more is forgotten, or the set would grow for ever.
        self._unproven &= known
        if self._unproven == known:
            self._unproven.clear()
        good = [each for each in found if each[4] not in self._unproven]
        good.sort(key=lambda each: each[4] != self._best)
        rest = [each for each in found if each[4] in self._unproven]
        return [*_alternating(good), *_alternating(rest)]

    def mark_unproven(self, address: tuple[object, ...]) -> None:
        """Note that *address* has failed, or is connected to and has yet to prove itself."""
        self._unproven.add(address)
        if address == self._best:
            self._best = None

    def mark_proven(self, address: tuple[object, ...]) -> None:
        """Note that *address* has led to an authenticated connection."""
        self._unproven.discard(address)
        self._best = address


def _alternating(found: list[Address]) -> list[Address]:
    """Let the families take turns, beginning with that of the first address."""
    families: dict[int, list[Address]] = {}
    for each in found:
        families.setdefault(each[0], []).append(each)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [each for each in turns if each is not None]
