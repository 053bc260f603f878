"""What the user wants to be subscribed to: the truth that every new connection is brought to."""

import threading
from collections.abc import Iterable

__all__ = ["WsSubscriptionTracker"]


class WsSubscriptionTracker:
    """The wanted topics, in the order in which they were first wanted. Thread-safe.

    The methods are those of etoropy's tracker. The lock guards the one dictionary: topic ->
    whether a snapshot was asked for.
    """

    def __init__(self) -> None:
        self._topics: dict[str, bool] = {}
        self._lock = threading.Lock()

    def add(self, topics: Iterable[str], snapshot: bool = False) -> None:
        """Want *topics*.

        :param topics: such as ``["instrument:1001", "private"]``.
        :param snapshot: whether the first subscription asks for a snapshot.
        """
        with self._lock:
            for topic in topics:
                self._topics[topic] = snapshot or self._topics.get(topic, False)

    def remove(self, topics: Iterable[str]) -> None:
        """Want *topics* no longer; those that were not wanted are ignored."""
        with self._lock:
            for topic in topics:
                self._topics.pop(topic, None)

    def get_all(self) -> list[str]:
        """Return the wanted topics, oldest first."""
        with self._lock:
            return list(self._topics)

    def snapshots(self) -> dict[str, bool]:
        """Return a copy: topic -> whether a snapshot was asked for."""
        with self._lock:
            return dict(self._topics)

    def has(self, topic: str) -> bool:
        """Return whether *topic* is wanted."""
        return topic in self._topics

    def clear(self) -> None:
        """Want nothing."""
        with self._lock:
            self._topics.clear()

    @property
    def size(self) -> int:
        """How many topics are wanted."""
        return len(self._topics)
