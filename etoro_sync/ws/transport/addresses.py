"""The order in which a host's addresses are tried: the one that has worked first, failed ones last.

An address counts as working once a connection to it was authenticated; that TCP connects is not
enough. One that accepts TCP and then stays silent uses up the whole time of an attempt, so the next
attempt must not begin with it.
"""

from itertools import chain, zip_longest

__all__ = ["Address", "Addresses"]

#: One result of getaddrinfo(): family, kind, protocol, canonical name, address.
Address = tuple[int, int, int, str, tuple[object, ...]]


class Addresses:
    """Remembers, for all sessions of one client, which addresses have worked.

    Every method runs on the reader thread of the present session.
    """

    def __init__(self) -> None:
        self._unproven: set[tuple[object, ...]] = set()
        self._best: tuple[object, ...] | None = None

    def order(self, found: list[Address]) -> list[Address]:
        """Return the addresses in the order in which to try them.

        The one that has worked last is first, unproven ones are last. The others keep the
        resolver's order, but IPv6 and IPv4 alternate (RFC 8305, section 4), because all addresses
        of one family may be unreachable.

        :param found: from the resolver.
        """
        known = {each[4] for each in found}
        # Others are forgotten, or the set would grow without bound.
        self._unproven &= known
        if self._unproven == known:
            self._unproven.clear()
        good = [each for each in found if each[4] not in self._unproven]
        good.sort(key=lambda each: each[4] != self._best)
        rest = [each for each in found if each[4] in self._unproven]
        return [*_alternating(good), *_alternating(rest)]

    def mark_unproven(self, address: tuple[object, ...]) -> None:
        """Note that *address* has failed, or is connected but not authenticated yet."""
        self._unproven.add(address)
        if address == self._best:
            self._best = None

    def mark_proven(self, address: tuple[object, ...]) -> None:
        """Note that a connection to *address* was authenticated."""
        self._unproven.discard(address)
        self._best = address


def _alternating(found: list[Address]) -> list[Address]:
    """Return *found* with the families alternating, beginning with that of the first address."""
    families: dict[int, list[Address]] = {}
    for each in found:
        families.setdefault(each[0], []).append(each)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return [each for each in turns if each is not None]
