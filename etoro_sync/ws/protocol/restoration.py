"""What a new connection needs, and which of it may be given up when eToro refuses some. Pure.

A refusal rejects all topics of its frame. So a refused frame is cut in halves, until the bad topics
are found or the cap is reached.
"""

from collections.abc import Container, Iterable

from .requests import Operation, Request, plan
from .tracker import WsSubscriptionTracker

__all__ = ["Restoration"]

#: Refused frames that one restoration cuts in halves: enough to find six bad topics among 5,000,
#: and few enough not to look like an attack.
_MOST_SPLITS = 64


class Restoration:
    """Brings each new connection to what is wanted.

    :param tracker: the wanted topics.
    :param confirmed: what the present connection has acknowledged.
    """

    def __init__(self, tracker: WsSubscriptionTracker, confirmed: Container[str]) -> None:
        self._tracker = tracker
        self._confirmed = confirmed
        self._accepted_once: set[str] = set()
        # Topic -> whether the last restoration asks for its snapshot.
        self._snapshots: dict[str, bool] = {}
        self._splits = 0

    def needed(self, *, with_snapshots: bool) -> dict[str, bool]:
        """Return the topics that a new connection needs, and whether with a snapshot.

        :param with_snapshots: after a gap every instrument starts from a snapshot, whatever was
            asked for at first. What a snapshot of ``private`` would be nobody knows, so there the
            user's own choice holds.
        """
        wanted = self._tracker.snapshots()
        return {t: wanted[t] or (with_snapshots and t != "private") for t in wanted}

    def begin(self, snapshots: dict[str, bool]) -> list[Operation]:
        """Return the operations that are to go before all others, in order.

        ``private`` goes first, in a frame of its own: order events are worth the most.

        :param snapshots: what is needed, from :meth:`needed`.
        """
        wish = self._tracker.wishes
        self._snapshots = snapshots
        self._accepted_once &= set(snapshots)
        self._splits = 0
        operations = []
        for private in (True, False):
            group = [topic for topic in snapshots if (topic == "private") is private]
            if group:
                operation = Operation("Subscribe", group, snapshots, wish=wish, restoring=True)
                # Planned at once, so that it can only end by a reply, in which the reader sees it.
                # What is unsubscribed in the meantime is seen to by a later operation.
                operation.pending = plan(operation, lambda topic: True, self._confirmed)
                operation.started = True
                operations.append(operation)
        return operations

    def take_snapshots_from(self, operation: Operation) -> None:
        """Let a user's call ask for no snapshot that is still to come without it."""
        for topic, coming in self._snapshots.items():
            if coming and topic not in self._confirmed and topic in operation.snapshot:
                operation.snapshot[topic] = False

    def give_up(self, topics: Iterable[str], operations: Iterable[Operation]) -> None:
        """Let calls ask themselves for the snapshots of *topics*: from here they will not come."""
        for topic in topics:
            self._snapshots.pop(topic, None)
        for operation in operations:
            if not operation.restoring:
                operation.snapshot.update((t, True) for t in topics if t in operation.snapshot)

    def subscribed(self, topics: Iterable[str]) -> None:
        """Note that eToro has accepted *topics*."""
        self._accepted_once.update(topics)

    def unsubscribed(self, topics: Iterable[str]) -> None:
        """Note that *topics* have ended, as somebody wished."""
        self._accepted_once.difference_update(topics)

    def may_split(self, request: Request) -> bool:
        """Whether a refused frame is to be cut in halves; each time counts, as there is a cap."""
        if len(request.topics) == 1 or self._splits >= _MOST_SPLITS:
            return False
        self._splits += 1
        return True

    def may_give_up(self, topics: Iterable[str]) -> bool:
        """Whether refused *topics* may be given up: those that were accepted before never are."""
        return self._accepted_once.isdisjoint(topics)
