"""Which topics a new connection is subscribed to, and what to do when eToro refuses some. Pure.

A refusal rejects all topics of its frame. So a refused frame is cut in halves, until the bad topics
are found or the cap is reached.
"""

from collections.abc import Container, Iterable

from .requests import Operation, Request, plan
from .tracker import WsSubscriptionTracker

__all__ = ["Restoration"]

#: How many refused frames one restoration cuts in halves: enough to find six bad topics among
#: 5,000, and few enough not to look like an attack.
_MOST_SPLITS = 64


class Restoration:
    """Subscribes each new connection to the wanted topics.

    :param tracker: the wanted topics.
    :param confirmed: the topics that the present connection has acknowledged.
    """

    def __init__(self, tracker: WsSubscriptionTracker, confirmed: Container[str]) -> None:
        self._tracker = tracker
        self._confirmed = confirmed
        self._accepted_once: set[str] = set()
        # Topic -> whether the last restoration requests its snapshot.
        self._snapshots: dict[str, bool] = {}
        self._splits = 0

    def needed(self, *, with_snapshots: bool) -> dict[str, bool]:
        """Return all wanted topics: topic -> whether to request its snapshot.

        :param with_snapshots: request one for every instrument, as is needed after a gap. For
            ``private`` the user's own choice holds, because eToro does not document what such a
            snapshot contains.
        """
        wanted = self._tracker.snapshots()
        return {t: wanted[t] or (with_snapshots and t != "private") for t in wanted}

    def begin(self, snapshots: dict[str, bool]) -> list[Operation]:
        """Start a restoration; return its operations, to be carried out before all others.

        ``private`` is first, because order events matter most. Until eToro has accepted it once it
        has a frame of its own, so that no other topic can cost it. Later it shares a frame where it
        can: of a single topic a server is believed that it is subscribed already, and of several
        each is requested again.

        :param snapshots: from :meth:`needed`.
        """
        version = self._tracker.version
        self._snapshots = snapshots
        self._accepted_once &= set(snapshots)
        self._splits = 0
        topics = sorted(snapshots, key=lambda topic: topic != "private")
        alone = 1 if topics[:1] == ["private"] and "private" not in self._accepted_once else 0
        operations = []
        for group in (topics[:alone], topics[alone:]):
            if group:
                operation = Operation(
                    "Subscribe", group, snapshots, version=version, restoring=True
                )
                # Planned at once, so that only a reply can end it: the controller looks for the end
                # of the restoration at replies. A topic that is unsubscribed meanwhile is handled
                # by the operation of that call.
                operation.pending = plan(operation, lambda topic: True, self._confirmed)
                operation.started = True
                operations.append(operation)
        return operations

    def take_snapshots_from(self, operation: Operation) -> None:
        """Make a user's *operation* not request snapshots that the restoration requests anyway."""
        for topic, coming in self._snapshots.items():
            if coming and topic not in self._confirmed and topic in operation.snapshot:
                operation.snapshot[topic] = False

    def give_up(self, topics: Iterable[str], operations: Iterable[Operation]) -> None:
        """Make users' *operations* request the snapshots of *topics*, which were refused here."""
        for topic in topics:
            self._snapshots.pop(topic, None)
        for operation in operations:
            if not operation.restoring:
                operation.snapshot.update((t, True) for t in topics if t in operation.snapshot)

    def subscribed(self, topics: Iterable[str]) -> None:
        """Note that eToro has accepted *topics*."""
        self._accepted_once.update(topics)

    def unsubscribed(self, topics: Iterable[str]) -> None:
        """Note that the user has unsubscribed from *topics*."""
        self._accepted_once.difference_update(topics)

    def may_split(self, request: Request) -> bool:
        """Return whether to cut a refused frame in halves; each True counts towards the cap."""
        if len(request.topics) == 1 or self._splits >= _MOST_SPLITS:
            return False
        self._splits += 1
        return True

    def may_give_up(self, topics: Iterable[str]) -> bool:
        """Whether refused *topics* may be dropped; False if eToro has accepted any before."""
        return self._accepted_once.isdisjoint(topics)
