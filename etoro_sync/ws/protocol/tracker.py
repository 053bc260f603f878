"""The topics that the user wants; each new connection is subscribed to all of them."""

import threading
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from ...errors import EToroTypeError

__all__ = ["WsSubscriptionTracker"]


class _Wanted(NamedTuple):
    """A wanted topic's state.

    :param snapshot: whether any call of ``add()`` has requested a snapshot.
    :param version: the tracker's version after the last call of ``add()`` for the topic.
    """

    snapshot: bool = False
    version: int = 0


_UNWANTED = _Wanted()


class WsSubscriptionTracker:
    """The wanted topics, in the order in which they were first wanted. Thread-safe.

    The methods are those of etoropy's tracker. The lock guards the dictionary and the version,
    which each call of :meth:`add` increases: so a refusal can spare topics that were added again
    after the refused request.
    """

    def __init__(self) -> None:
        self._topics: dict[str, _Wanted] = {}
        self._version = 0
        #: Shared with Subscriptions, which keeps its own data in step with this tracker's: two
        #: locks could be taken in two orders. Re-entrant, because a finalizer may unsubscribe
        #: while this thread holds it.
        self.lock = threading.RLock()

    def add(self, topics: Iterable[str], snapshot: bool = False) -> int:
        """Add *topics* to the wanted ones.

        :param topics: such as ``["instrument:1001", "private"]``.
        :param snapshot: whether the first subscription requests a snapshot; once True for a topic,
            it stays True until the topic is removed.
        :returns: the tracker's new version, for :meth:`withdraw`.
        """
        topics = _listed(topics)
        with self.lock:
            self._version += 1
            for topic in topics:
                before = self._topics.get(topic, _UNWANTED)
                self._topics[topic] = _Wanted(snapshot or before.snapshot, self._version)
            return self._version

    def withdraw(self, topics: Iterable[str], version: int) -> None:
        """Remove refused *topics*, except those that were added again after *version*.

        :param topics: those that eToro refused.
        :param version: what :meth:`add` has returned for the refused request.
        """
        topics = _listed(topics)
        with self.lock:
            for topic in topics:
                if topic in self._topics and self._topics[topic].version <= version:
                    del self._topics[topic]

    def remove(self, topics: Iterable[str]) -> None:
        """Remove *topics* from the wanted ones.

        :param topics: those that are not wanted are ignored.
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
        """Return a new dictionary: wanted topic -> whether a snapshot was requested for it."""
        with self.lock:
            topics = dict(self._topics)
        return {topic: wanted.snapshot for topic, wanted in topics.items()}

    def has(self, topic: str) -> bool:
        """Return whether a topic is wanted.

        :param topic: in the spelling in which it was added.
        """
        return topic in self._topics

    def clear(self) -> None:
        """Remove all topics."""
        with self.lock:
            self._topics.clear()

    @property
    def version(self) -> int:
        """How many times :meth:`add` was called."""
        return self._version

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
    """Return *topics* as a list; a string is one topic.

    Called before the lock is taken, because a generator may run user code.
    """
    return [topics] if isinstance(topics, str) else list(topics)
