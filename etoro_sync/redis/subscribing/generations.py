"""The numbers of a publisher's connections, as a subscriber counts them. Pure."""

from collections.abc import Iterable

__all__ = ["Generations"]


class Generations:
    """Adds what this stream has counted before to the numbers of the present publisher.

    A publisher counts its connections from 1, and several of a fleet bring rates at the same time.
    So the numbers rise with each state that is read, and still tell the connections apart.
    Written by the stream's thread; :attr:`open` is read by any.
    """

    def __init__(self) -> None:
        self._before = 0
        #: The numbers of the connections whose rates are up to date. Replaced, never changed.
        self.open: frozenset[int] = frozenset()

    def begin(self, counted: int, theirs: Iterable[int]) -> int:
        """Begin with a state; return the number of its newest connection.

        :param counted: the highest number until now.
        :param theirs: the publisher's numbers that stand in the state.
        """
        self._before = counted
        self.open = frozenset(map(self.of, theirs))
        return max(self.open, default=counted + 1)

    def of(self, theirs: int) -> int:
        """Return this stream's number for one of the publisher's."""
        return self._before + max(theirs, 1)

    def add(self, number: int) -> None:
        """Note that rates of this number have come."""
        if number not in self.open:
            self.open |= {number}
