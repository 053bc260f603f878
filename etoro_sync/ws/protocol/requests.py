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
#: More than a request has around its topics: the id, the names, the brackets.
_OVERHEAD = 200


@dataclass(eq=False)
class Operation:
    """One call of subscribe or unsubscribe, or one restoration, from its start to its end.

    :param name: ``"Subscribe"`` or ``"Unsubscribe"``.
    :param topics: what it is about.
    :param snapshot: the topics that a snapshot is wished for, and whether this operation is to ask
        for it; False: it was left to the restoration.
    :param on_done: called once with None or the error, on the reader thread.
    :param wish: the number of the last wish that it carries out, from the tracker.
    :param awaited: a caller waits for its end; False when that took too long.
    :param recorded: it came while a connection was being restored, and nobody waits for it.
    :param restoring: it brings a new connection to what was wanted before.
    :param started: it was cut into requests.
    :param pending: the requests that are still to be sent.
    """

    name: str
    topics: list[str]
    snapshot: dict[str, bool] = field(default_factory=dict)
    on_done: Callable[[EToroError | None], None] = lambda error: None
    wish: int = 0
    awaited: bool = True
    recorded: bool = False
    restoring: bool = False
    started: bool = False
    pending: deque["Request"] = field(default_factory=deque)


@dataclass
class Request:
    """One frame: a part of an operation that fits into it.

    :param operation: None for Authenticate.
    :param id: set when it is sent, as the deadline.
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
    """Cut an operation into requests, by what is wanted and confirmed at this moment.

    Later calls may have changed what is wanted; topics that they have taken over are left to
    them, so that the connection always ends at what is wanted, whoever called first.
    """
    subscribing = operation.name == "Subscribe"
    groups: dict[tuple[bool, bool], list[str]] = {}
    for topic in operation.topics:
        snapshot = subscribing and operation.snapshot.get(topic, False)
        if wanted(topic) is not subscribing:
            continue
        if (topic in confirmed) is subscribing and not snapshot:
            continue
        # Topics that eToro may call duplicates stay apart from new ones, because a refusal
        # rejects the whole frame.
        groups.setdefault((topic in confirmed, snapshot), []).append(topic)
    return deque(
        Request(operation.name, chunk, snapshot, operation)
        for (_, snapshot), topics in groups.items()
        for chunk in chunk_topics(topics, MAX_FRAME_BYTES - _OVERHEAD)
    )
