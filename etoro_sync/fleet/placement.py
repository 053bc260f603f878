"""Which connection of a fleet has which topic. Pure: no threads, no sockets.

A topic stays where it is. One that is unsubscribed keeps its place until eToro has confirmed that,
so that nothing of it can come from two connections at a time.
"""

from collections.abc import Iterable

__all__ = ["PLACES", "NoRoom", "Placement"]

#: How many topics eToro allows on a connection, as measured on its demo feed.
PLACES = 4999


class NoRoom(Exception):
    """There are more topics than the connections may have.

    :param missing: how many places are missing.
    """

    def __init__(self, missing: int) -> None:
        super().__init__(missing)
        self.missing = missing


class _Connection:
    """The topics of one connection, in order, and how many it can have."""

    def __init__(self, places: int) -> None:
        self.topics: dict[str, None] = {}
        self.places = places
        self.is_open = False
        # It ends, and gets no topic any more.
        self.closing = False

    @property
    def free(self) -> int:
        return 0 if self.closing else max(self.places - len(self.topics), 0)


class Placement:
    """Gives each topic a place on one of several connections, which have numbers from 0.

    No lock: the caller has one. A finalizer may run in the middle of any method, and call another
    one; so loops are over lists that nobody else has, and each change is one step.

    :param most: how many connections there may be at a time; None: as many as are needed.
    :param places: how many topics a connection can have.
    """

    def __init__(self, most: int | None = None, places: int = PLACES) -> None:
        self._most = most
        self._places = places
        self._connections: list[_Connection] = []
        self._where: dict[str, int] = {}
        self._leaving: set[str] = set()

    # -- looking up ------------------------------------------------------------------------------

    def connection_of(self, topic: str) -> int | None:
        """Return the connection that has *topic*, also while it is leaving; None: it has none."""
        return self._where.get(topic)

    def topics_of(self, number: int) -> list[str]:
        """Return the topics of a connection, with those that are leaving."""
        return list(self._connections[number].topics) if number < len(self._connections) else []

    @property
    def in_use(self) -> list[int]:
        """The connections that have topics."""
        return [n for n, one in enumerate(self._connections) if one.topics]

    def shares(self, topics: Iterable[str]) -> dict[int, list[str]]:
        """Return *topics* by connection; those without a place are left out."""
        shares: dict[int, list[str]] = {}
        for topic in topics:
            number = self._where.get(topic)
            if number is not None:
                shares.setdefault(number, []).append(topic)
        return shares

    # -- places ----------------------------------------------------------------------------------

    def place(self, topics: Iterable[str]) -> None:
        """Give each of *topics* a place, if it has none; those that were leaving stay.

        :raises NoRoom: if they do not all fit; nothing has changed then.
        """
        topics = list(topics)
        self._put([topic for topic in dict.fromkeys(topics) if topic not in self._where], None)
        self._leaving.difference_update(topics)

    def _put(self, new: list[str], avoided: int | None) -> None:
        """Put *new* topics into free places, and then onto new connections.

        :param avoided: the connection that they leave.
        """
        numbers = self._numbers_for(len(new), avoided)
        if len(new) > len(numbers):
            raise NoRoom(len(new) - len(numbers))
        for topic, number in zip(new, numbers, strict=True):
            self._connections[number].topics[topic] = None
            self._where[topic] = number

    def _numbers_for(self, count: int, avoided: int | None) -> list[int]:
        """Return the connections of the next *count* free places, or of as many as there are."""
        numbers: list[int] = []
        unused: list[int] = []
        used = 0
        for number, one in enumerate(list(self._connections)):
            if one.topics and not one.closing:
                used += 1
                if number != avoided:
                    numbers += [number] * min(one.free, count - len(numbers))
            elif not one.closing:
                unused.append(number)
        # One that is open without topics comes first.
        unused.sort(key=lambda number: (not self._connections[number].is_open, number))
        while len(numbers) < count and (self._most is None or used < self._most):
            if not unused:
                unused.append(len(self._connections))
                self._connections.append(_Connection(self._places))
            number = unused.pop(0)
            used += 1
            free = self._connections[number].free
            numbers += [number] * min(free, count - len(numbers))
        return numbers

    def leave(self, topics: Iterable[str]) -> None:
        """Note that *topics* are being unsubscribed."""
        self._leaving.update(topic for topic in list(topics) if topic in self._where)

    def left(self, topics: Iterable[str] | None = None) -> None:
        """Free the places of those of *topics* that are leaving still.

        :param topics: None: of all.
        """
        for topic in list(self._leaving) if topics is None else list(topics):
            if topic in self._leaving:
                self._leaving.discard(topic)
                self._take_off(topic)

    def drop(self, topics: Iterable[str]) -> None:
        """Free the places of *topics* at once, because eToro does not have them there."""
        for topic in list(topics):
            self._leaving.discard(topic)
            self._take_off(topic)

    def _take_off(self, topic: str) -> None:
        number = self._where.pop(topic, None)
        if number is not None:
            self._connections[number].topics.pop(topic, None)

    def move(self, number: int, topics: Iterable[str], room: int) -> None:
        """Put those of *topics* that a connection has on others, because it takes no more.

        :param room: how many it has taken; it gets no more than that from now on.
        :raises NoRoom: if they do not all fit elsewhere; they stay where they are then.
        """
        one = self._connections[number]
        one.places = min(one.places, room)
        moved = [topic for topic in list(topics) if self._where.get(topic) == number]
        gone = [topic for topic in moved if topic in self._leaving]
        self._put([topic for topic in moved if topic not in self._leaving], number)
        for topic in moved:
            one.topics.pop(topic, None)
        self.drop(gone)

    # -- connections -----------------------------------------------------------------------------

    def opened(self, number: int) -> None:
        """Note that a connection is being opened."""
        while number >= len(self._connections):
            self._connections.append(_Connection(self._places))
        self._connections[number].is_open = True

    def close(self, number: int) -> None:
        """Note that a connection without topics ends, and gets none until :meth:`closed`."""
        assert not self._connections[number].topics
        self._connections[number].closing = True

    def closed(self, number: int) -> None:
        """Note that a connection has ended; its number may be given to a new one."""
        if number < len(self._connections) and self._connections[number].closing:
            self._connections[number] = _Connection(self._places)

    def all_ended(self) -> None:
        """Note that no connection is open; topics that were leaving have left."""
        self.left()
        for one in list(self._connections):
            one.is_open = one.closing = False

    def clear(self) -> None:
        """Forget all topics, and what connections have refused."""
        self._connections, self._where, self._leaving = [], {}, set()
