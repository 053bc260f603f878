"""What the user wants to be subscribed to: the truth that every new connection is brought to."""

import threading
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from ...errors import EToroTypeError

__all__ = ["WsSubscriptionTracker"]


class _Wanted(NamedTuple):
    """How a topic is wanted.

    :param snapshot: a snapshot was asked for.
    :param wish: the number of the last wish.
    """

    snapshot: bool = False
    wish: int = 0


_UNWANTED = _Wanted()


class WsSubscriptionTracker:
    """The wanted topics, in the order in which they were first wanted. Thread-safe.

    The methods are those of etoropy's tracker. The lock guards the one dictionary, and the count
    of wishes.
    """

    def __init__(self) -> None:
        self._topics: dict[str, _Wanted] = {}
        self._wishes = 0
        #: For those, too, who do several things at once with what is wanted: two locks could be
        #: taken in two orders. Re-entrant, because a finalizer may unsubscribe while this thread
        #: is in here.
        self.lock = threading.RLock()

    def add(self, topics: Iterable[str], snapshot: bool = False) -> int:
        """Want *topics*.

        :param topics: such as ``["instrument:1001", "private"]``.
        :param snapshot: whether the first subscription asks for a snapshot.
        :returns: the number of this wish, for :meth:`withdraw`.
        """
        topics = _listed(topics)
        with self.lock:
            self._wishes += 1
            for topic in topics:
                before = self._topics.get(topic, _UNWANTED)
                self._topics[topic] = _Wanted(snapshot or before.snapshot, self._wishes)
            return self._wishes

    def withdraw(self, topics: Iterable[str], wish: int) -> None:
        """Want *topics* no longer, but for those that were wished for again since *wish*.

        :param topics: what was refused.
        :param wish: from :meth:`add`.
        """
        topics = _listed(topics)
        with self.lock:
            for topic in topics:
                if topic in self._topics and self._topics[topic].wish <= wish:
                    del self._topics[topic]

    def remove(self, topics: Iterable[str]) -> None:
        """Want *topics* no longer.

        :param topics: those that were not wanted are ignored.
        """
        topics = _listed(topics)
        with self.lock:
            for topic in topics:
                self._topics.pop(topic, None)

    def get_all(self) -> list[str]:
        """Return the wanted topics, oldest first."""
        with self.lock:
            return list(self._topics)

    def snapshots(self) -> dict[str, bool]:
        """Return a copy: topic -> whether a snapshot was asked for."""
        with self.lock:
            topics = dict(self._topics)
        return {topic: wanted.snapshot for topic, wanted in topics.items()}

    def has(self, topic: str) -> bool:
        """Return whether a topic is wanted.

        :param topic: in the spelling in which it was added.
        """
        return topic in self._topics

    def clear(self) -> None:
        """Want nothing."""
        with self.lock:
            self._topics.clear()

    @property
    def wishes(self) -> int:
        """The number of the last wish."""
        return self._wishes

    @property
    def size(self) -> int:
        """How many topics are wanted."""
        return len(self._topics)

    def __reduce__(self) -> NoReturn:
        raise EToroTypeError(
            "A WsSubscriptionTracker cannot be copied or pickled: several threads of this process "
            "use it. Take get_all(), and add() it to another one."
        )


def _listed(topics: Iterable[str]) -> list[str]:
    """Return a list, made before the lock is taken: a generator may be user code.

    A string is one topic, not its letters.
    """
    return [topics] if isinstance(topics, str) else list(topics)
