"""Calls of subscribe and unsubscribe, and how they are cut into requests. Pure."""

import json
from collections import deque
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from ...errors import EToroError
from ...models import WsSubscribeOperation, WsUnsubscribeOperation

__all__ = ["MAX_FRAME_BYTES", "Operation", "Request", "chunk_topics", "plan"]

#: 25,529 bytes were accepted and 25,719 killed the socket; this leaves a margin.
MAX_FRAME_BYTES = 20 * 1024
#: Upper bound of a request's bytes without its topics: the id, the names, the brackets.
_OVERHEAD = 200


@dataclass(eq=False)
class Operation:
    """One call of subscribe or unsubscribe, or a part of one restoration.

    :param name: ``"Subscribe"`` or ``"Unsubscribe"``.
    :param topics: the topics to subscribe to or to unsubscribe from.
    :param snapshot: topic -> whether this operation requests its snapshot. Holds only topics for
        which the caller asked for one; False: the restoration requests it.
    :param on_done: called once, on the reader thread, with None or the error.
    :param version: the tracker's version when the call was recorded; topics that were added later
        stay wanted when this operation is refused.
    :param awaited: whether a caller waits for the end; see :meth:`nobody_waits`.
    :param recorded: submitted during a restoration, without a caller that waits.
    :param restoring: whether it subscribes a new connection to what was wanted before.
    :param started: whether :attr:`pending` was planned.
    :param pending: the requests that are not sent yet.
    :param parts: what other connections carry out of it.
    """

    name: str
    topics: list[str]
    snapshot: dict[str, bool] = field(default_factory=dict)
    on_done: Callable[[EToroError | None], None] = lambda error: None
    version: int = 0
    awaited: bool = True
    recorded: bool = False
    restoring: bool = False
    started: bool = False
    pending: deque["Request"] = field(default_factory=deque)
    parts: list["Operation"] = field(default_factory=list)

    def nobody_waits(self) -> None:
        """Note that the caller has stopped waiting. Any thread."""
        self.awaited = False
        for part in list(self.parts):
            part.nobody_waits()


@dataclass
class Request:
    """One request frame; an operation with many topics needs several.

    :param name: ``"Authenticate"``, ``"Subscribe"`` or ``"Unsubscribe"``.
    :param topics: none for Authenticate.
    :param snapshot: whether the snapshots of the topics are requested.
    :param operation: what the request is a part of; None for Authenticate.
    :param id: set when the request is sent.
    :param deadline: monotonic time by which it must be answered; set when it is sent.
    """

    name: str
    topics: list[str]
    snapshot: bool
    operation: Operation | None = field(repr=False)
    id: str = ""
    deadline: float = 0.0

    def to_json(self) -> str:
        """Return the text of a Subscribe or Unsubscribe request."""
        if self.name == "Subscribe":
            data = {"topics": self.topics, "snapshot": self.snapshot}
            return json.dumps(WsSubscribeOperation(self.id, data=data).to_dict())
        return json.dumps(WsUnsubscribeOperation(self.id, data={"topics": self.topics}).to_dict())


def chunk_topics(topics: Iterable[str], budget: int) -> list[list[str]]:
    """Split *topics* into lists whose JSON takes at most *budget* bytes each, in order."""
    chunks: list[list[str]] = []
    used = budget
    for topic in topics:
        size = len(json.dumps(topic)) + 2  # the comma and the space that json.dumps writes
        if used + size > budget:
            chunks.append([])
            used = 0
        chunks[-1].append(topic)
        used += size
    return chunks


def plan(
    operation: Operation, wanted: Callable[[str], bool], confirmed: Container[str]
) -> deque[Request]:
    """Return the requests that carry out *operation*.

    A topic is skipped when the tracker says the opposite by now: a later call has changed it, and
    its own operation follows. So the connection ends at what is wanted, in whatever order
    operations arrive. A topic that is in the requested state already is skipped, too, unless its
    snapshot is requested.

    :param operation: one that was not planned yet.
    :param wanted: whether a topic is wanted now.
    :param confirmed: the topics that the present connection has acknowledged.
    """
    subscribing = operation.name == "Subscribe"
    groups: dict[tuple[bool, bool], list[str]] = {}
    for topic in operation.topics:
        snapshot = subscribing and operation.snapshot.get(topic, False)
        if wanted(topic) is not subscribing:
            continue
        if (topic in confirmed) is subscribing and not snapshot:
            continue
        # Topics that eToro may refuse as duplicates get frames of their own, because a refusal
        # rejects the whole frame.
        groups.setdefault((topic in confirmed, snapshot), []).append(topic)
    return deque(
        Request(operation.name, chunk, snapshot, operation)
        for (_, snapshot), topics in groups.items()
        for chunk in chunk_topics(topics, MAX_FRAME_BYTES - _OVERHEAD)
    )
