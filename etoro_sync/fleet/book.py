"""The rates of several connections as one mapping."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ..market.instrument import Instrument
from ..market.rate_book import RateBook

__all__ = ["FleetBook", "MemberBook"]


class FleetBook(RateBook):
    """What users see of the books of all connections. It has no instruments of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1)
        #: Those of the connections. Replaced, never changed.
        self.books: tuple[RateBook, ...] = ()
        self.latest: Any = _Latest(self)

    def number_connection(self) -> int:
        """Return the number of the next connection. Any reader thread."""
        number = next(self._numbers)
        self.generation = max(self.generation, number)
        return number

    def clear(self) -> None:
        """Forget everything but the numbers of connections."""
        for book in self.books:
            book.clear()


class MemberBook(RateBook):
    """The instruments of one connection, whose numbers are the fleet's.

    :param fleet: gives the numbers.
    :param snapshot_timeout: as of :class:`RateBook`.
    """

    def __init__(self, fleet: FleetBook, snapshot_timeout: float) -> None:
        super().__init__(snapshot_timeout)
        self._fleet = fleet

    def _next_generation(self) -> int:
        return self._fleet.number_connection()


class _Latest(Mapping[int, Instrument]):
    """The instruments that users see, of all connections. Any thread, without a lock.

    An instrument is on one connection only, so that its id is in one of the books.
    """

    def __init__(self, book: FleetBook) -> None:
        self._book = book

    def __getitem__(self, key: int) -> Instrument:
        for book in self._book.books:
            found = book.latest.get(key)
            if found is not None:
                return found
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return any(key in book.latest for book in self._book.books)

    def __iter__(self) -> Iterator[int]:
        # The list of each book's keys is one step, during which no other thread runs.
        return itertools.chain.from_iterable([list(book.latest) for book in self._book.books])

    def __len__(self) -> int:
        return sum(len(book.latest) for book in self._book.books)
