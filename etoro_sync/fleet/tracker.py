"""The topics that a fleet wants, and those of each of its connections."""

from collections.abc import Iterable

from ..errors import EToroSubscriptionError
from ..text import count
from ..ws.protocol.tracker import WsSubscriptionTracker
from .placement import PLACES, NoRoom, Placement

__all__ = ["FleetTracker", "MemberTracker"]


class FleetTracker(WsSubscriptionTracker):
    """The wanted topics of all connections. Its lock guards their placement, too.

    :param connections: how many there may be; None: as many as are needed.
    """

    def __init__(self, connections: int | None) -> None:
        super().__init__()
        self._connections = connections
        self.placement = Placement(connections, PLACES)

    def add(self, topics: Iterable[str], snapshot: bool = False) -> int:
        """Add *topics*, and give each a place.

        :raises EToroSubscriptionError: if they do not all fit; then none is added.
        """
        topics = list(topics)
        with self.lock:
            try:
                self.placement.place(topics)
            except NoRoom as exc:
                raise EToroSubscriptionError(
                    f"There is no room for {count(exc.missing, 'topic')}: connections="
                    f"{self._connections} allows no more of them. Nothing was sent. Raise "
                    "connections, or unsubscribe from others.",
                    None,
                    topics,
                ) from None
            return super().add(topics, snapshot)

    def withdraw(self, topics: Iterable[str], version: int) -> None:
        """Remove refused *topics* and free their places, except those that were added again."""
        topics = list(topics)
        with self.lock:
            super().withdraw(topics, version)
            self.placement.drop(topic for topic in topics if not self.has(topic))

    def remove(self, topics: Iterable[str]) -> None:
        """Remove *topics*; they keep their places until eToro has confirmed it."""
        topics = list(topics)
        with self.lock:
            super().remove(topics)
            self.placement.leave(topics)

    def clear(self) -> None:
        """Remove all topics, and free all places."""
        with self.lock:
            super().clear()
            self.placement.clear()


class MemberTracker(WsSubscriptionTracker):
    """The wanted topics of one connection: a part of the fleet's, and without any of its own.

    :param fleet: the topics of all.
    :param number: of the connection.
    """

    def __init__(self, fleet: FleetTracker, number: int) -> None:
        super().__init__()
        self._fleet = fleet
        self._number = number
        self.lock = fleet.lock

    def has(self, topic: str) -> bool:
        """Return whether a topic is wanted of this connection."""
        return self._fleet.has(topic) and (
            self._fleet.placement.connection_of(topic) == self._number
        )

    def get_all(self) -> list[str]:
        """Return the wanted topics, in the order in which they got their places."""
        return list(self.snapshots())

    def snapshots(self) -> dict[str, bool]:
        """Return a new dictionary: wanted topic -> whether a snapshot was requested for it."""
        with self.lock:
            here = self._fleet.placement.topics_of(self._number)
            wanted = self._fleet.snapshots()
        return {topic: wanted[topic] for topic in here if topic in wanted}

    def withdraw(self, topics: Iterable[str], version: int) -> None:
        """Remove refused *topics*, except those that were added again after *version*."""
        with self.lock:
            self._fleet.withdraw([topic for topic in topics if self.has(topic)], version)

    @property
    def version(self) -> int:
        """How many times the fleet's :meth:`add` was called."""
        return self._fleet.version

    @property
    def size(self) -> int:
        """How many topics are wanted of this connection."""
        return len(self.snapshots())
