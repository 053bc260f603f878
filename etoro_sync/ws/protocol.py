"""eToro's control channel: requests, acknowledgements, errors. Pure: no sockets, no threads.

One :class:`Protocol` lives as long as a client's session and is used by the reader thread alone.
It knows what is wanted (the tracker), what the present connection has confirmed, and which one
request is in flight. Facts are from the protocol fact sheet, sections 1 and 2: an acknowledgement
repeats the request's id, a refusal rejects all topics of its frame, a frame over 25 KiB kills the
connection, and requests that cross are applied in unknown order, hence one at a time.
"""

import json
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import (
    EToroAuthError,
    EToroError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from ..models import WsAuthenticateOperation, WsSubscribeOperation, WsUnsubscribeOperation
from .replies import ConnectionFailed, ErrorKind, classify, refusal_text
from .subscription import WsSubscriptionTracker

__all__ = ["MAX_FRAME_BYTES", "Operation", "Outcome", "Protocol", "chunk_topics"]

#: 25,529 bytes were accepted and 25,719 killed the socket; this leaves a margin.
MAX_FRAME_BYTES = 20 * 1024


@dataclass(eq=False)
class Operation:
    """One call of subscribe or unsubscribe, or one restoration, from its start to its end.

    :param name: ``"Subscribe"`` or ``"Unsubscribe"``.
    :param topics: what it is about.
    :param snapshot: whether snapshots are asked for, topic by topic.
    :param on_done: called once with None or the error, on the reader thread.
    :param proven: all topics were accepted before, so that a refusal is the connection's failure.
    """

    name: str
    topics: list[str]
    snapshot: dict[str, bool] = field(default_factory=dict)
    on_done: Callable[[EToroError | None], None] = lambda error: None
    proven: bool = False
    restoring: bool = False
    started: bool = False
    pending: deque["_Request"] = field(default_factory=deque)


@dataclass
class _Request:
    """One frame: a part of an operation that fits into it."""

    name: str
    topics: list[str]
    snapshot: bool
    operation: Operation | None
    id: str = ""
    deadline: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What a reply has changed, for the reader to act on.

    :param name: ``"Authenticate"``, ``"Subscribe"``, ``"Unsubscribe"``, or ``""`` for a reply that
        belongs to no request in flight.
    :param topics: the topics of the request.
    :param error: what eToro refused, if it did.
    """

    name: str
    topics: tuple[str, ...] = ()
    error: EToroError | None = None


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


class Protocol:
    """Builds requests and matches replies.

    :param tracker: the wanted topics.
    :param auth_timeout: seconds until Authenticate must be answered.
    :param request_timeout: seconds until Subscribe and Unsubscribe must be acknowledged.
    :param redact: removes the keys from text that goes into errors.
    :param new_id: makes request ids.
    """

    def __init__(
        self,
        tracker: WsSubscriptionTracker,
        auth_timeout: float,
        request_timeout: float,
        redact: Callable[[str], str] = str,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._tracker = tracker
        self._auth_timeout = auth_timeout
        self._request_timeout = request_timeout
        self._redact = redact
        self._new_id = new_id
        self._operations: deque[Operation] = deque()
        self._in_flight: _Request | None = None
        self._confirmed: set[str] = set()
        self._proven: set[str] = set()
        self._restored: set[str] = set()
        self.authenticated = False

    # -- the connection ------------------------------------------------------------------------

    def authenticate(self, api_key: str, user_key: str, now: float) -> str:
        """Begin a new connection: forget the old one and return the Authenticate request."""
        self.connection_lost()
        request = _Request("Authenticate", [], False, None, self._new_id())
        request.deadline = now + self._auth_timeout
        self._in_flight = request
        data = {"userKey": user_key, "apiKey": api_key}
        return json.dumps(WsAuthenticateOperation(request.id, data=data).to_dict())

    def connection_lost(self) -> None:
        """Forget what the connection knew; operations under way start anew on the next one."""
        self.authenticated = False
        self._in_flight = None
        self._confirmed.clear()
        self._operations = deque(op for op in self._operations if not op.restoring)
        for operation in self._operations:
            operation.started = False
            operation.pending.clear()

    def restore(self, *, with_snapshots: bool) -> list[str]:
        """Queue, before all else, what a new connection needs; return the topics.

        :param with_snapshots: after a gap every instrument starts from a snapshot, whatever was
            asked for at first. What a snapshot of ``private`` would be nobody knows, so there the
            user's own choice holds.
        """
        wanted = self._tracker.snapshots()
        # `private` first: order events are worth the most.
        topics = sorted(wanted, key=lambda topic: topic != "private")
        snapshot = {t: wanted[t] or (with_snapshots and t != "private") for t in topics}
        self._proven &= set(wanted)
        # Calls that wait are served by the restoration: their snapshots are among its own.
        for operation in self._operations:
            operation.snapshot.clear()
        self._restored = set(topics)
        proven = [topic for topic in topics if topic in self._proven]
        others = [topic for topic in topics if topic not in self._proven]
        for group, is_proven in ((others, False), (proven, True)):
            if group:
                self._operations.appendleft(
                    Operation("Subscribe", group, snapshot, proven=is_proven, restoring=True)
                )
        return topics

    @property
    def restoring(self) -> bool:
        """Whether topics of :meth:`restore` still wait for their acknowledgement."""
        return any(operation.restoring for operation in self._operations)

    # -- requests ------------------------------------------------------------------------------

    def submit(self, operation: Operation) -> None:
        """Queue a call of the user's; it is sent when its turn has come."""
        if self.restoring:
            for topic in self._restored:
                operation.snapshot.pop(topic, None)
        self._operations.append(operation)

    def next_request(self, now: float) -> tuple[str, tuple[str, ...]] | None:
        """Return the next request and the topics that it asks snapshots of; None: none now."""
        if not self.authenticated or self._in_flight is not None:
            return None
        while self._operations:
            operation = self._operations[0]
            if not operation.started:
                self._plan(operation)
            if operation.pending:
                return self._send(operation.pending.popleft(), now)
            self._operations.popleft()
            operation.on_done(None)
        return None

    def _plan(self, operation: Operation) -> None:
        """Cut an operation into requests, by what is wanted and confirmed at this moment.

        Later calls may have changed what is wanted; topics that they have taken over are left to
        them, so that the connection always ends at what is wanted, whoever called first.
        """
        operation.started = True
        subscribing = operation.name == "Subscribe"
        groups: dict[tuple[bool, bool], list[str]] = {}
        for topic in operation.topics:
            confirmed = topic in self._confirmed
            snapshot = operation.snapshot.get(topic, False)
            if self._tracker.has(topic) is not subscribing:
                continue
            if confirmed is subscribing and not (subscribing and snapshot):
                continue
            # Topics that eToro may call duplicates stay apart from new ones, because a refusal
            # rejects the whole frame.
            groups.setdefault((confirmed, snapshot), []).append(topic)
        for (_, snapshot), topics in groups.items():
            for chunk in chunk_topics(topics, MAX_FRAME_BYTES - 200):
                operation.pending.append(_Request(operation.name, chunk, snapshot, operation))

    def _send(self, request: _Request, now: float) -> tuple[str, tuple[str, ...]]:
        request.id = self._new_id()
        request.deadline = now + self._request_timeout
        self._in_flight = request
        if request.name == "Subscribe":
            data = {"topics": request.topics, "snapshot": request.snapshot}
            text = json.dumps(WsSubscribeOperation(request.id, data=data).to_dict())
        else:
            data = {"topics": request.topics}
            text = json.dumps(WsUnsubscribeOperation(request.id, data=data).to_dict())
        return text, tuple(request.topics if request.snapshot else ())

    @property
    def deadline(self) -> float | None:
        """Monotonic time at which the request in flight must be answered."""
        return None if self._in_flight is None else self._in_flight.deadline

    def check_deadline(self, now: float) -> None:
        """:raises ConnectionFailed: when the answer to the request in flight is overdue."""
        request = self._in_flight
        if request is None or now < request.deadline:
            return
        if request.name == "Authenticate":
            raise ConnectionFailed(
                EToroAuthError(
                    f"Authentication timed out: no answer within {self._auth_timeout} s. "
                    "Check the URL and the network, or raise auth_timeout."
                )
            )
        raise ConnectionFailed(
            EToroTimeoutError(
                f"No acknowledgement of {request.name} ({len(request.topics)} topics, first "
                f"{request.topics[0]}) within {self._request_timeout} s; the connection is "
                "replaced and the topics stay wanted."
            )
        )

    # -- replies -------------------------------------------------------------------------------

    def on_reply(self, reply: dict[str, Any]) -> Outcome:
        """Match a control message to the request in flight and apply it.

        :raises ConnectionFailed: when the connection must be replaced, or the client must end.
        """
        request = self._in_flight
        if request is None or not self._answers(reply, request):
            return Outcome("", error=self._stray(reply))
        self._in_flight = None
        code = reply.get("errorCode")
        if reply.get("success") is True and not code:
            return self._accepted(request)
        return self._refused(request, str(code or "no errorCode"), reply)

    @staticmethod
    def _answers(reply: dict[str, Any], request: _Request) -> bool:
        # The id decides. Without one, the operation does: only one request is in flight.
        if reply.get("id"):
            return bool(reply["id"] == request.id)
        return reply.get("operation") == request.name

    def _stray(self, reply: dict[str, Any]) -> EToroError | None:
        """A late or repeated acknowledgement is nothing; a refusal of nothing is an error."""
        if reply.get("success") is not False and not reply.get("errorCode"):
            return None
        code = str(reply.get("errorCode"))
        text = refusal_text("eToro reported an error that belongs to no request", code, reply)
        return EToroWebSocketError(self._redact(text), code)

    def _accepted(self, request: _Request) -> Outcome:
        if request.name == "Authenticate":
            self.authenticated = True
        elif request.name == "Subscribe":
            self._confirmed.update(request.topics)
            self._proven.update(request.topics)
        else:
            self._confirmed.difference_update(request.topics)
            self._proven.difference_update(request.topics)
        self._finish_if_done(request.operation)
        return Outcome(request.name, tuple(request.topics))

    def _finish_if_done(self, operation: Operation | None) -> None:
        if operation is not None and not operation.pending:
            self._operations.remove(operation)
            operation.on_done(None)

    def _refused(self, request: _Request, code: str, reply: dict[str, Any]) -> Outcome:
        kind = classify(code)
        if kind is ErrorKind.BENIGN:
            return self._already(request)
        if request.name == "Authenticate":
            text = self._redact(refusal_text("eToro refused the authentication", code, reply))
            if kind in (ErrorKind.RETRY, ErrorKind.SLOW):
                error: EToroError = EToroWebSocketError(f"{text} Try again later.", code)
            else:
                error = EToroAuthError(f"{text} Check ETORO_API_KEY and ETORO_USER_KEY.", code)
            raise ConnectionFailed(
                error, fatal=kind is ErrorKind.FATAL, slow=kind is ErrorKind.SLOW
            )
        what = f"eToro refused {request.name} of {len(request.topics)} topics"
        text = self._redact(refusal_text(f"{what} (first {request.topics[0]})", code, reply))
        refusal = EToroSubscriptionError(text, code, request.topics)
        assert request.operation is not None
        if request.operation.proven:
            raise ConnectionFailed(refusal, slow=kind is ErrorKind.SLOW)
        self._give_up(request, refusal)
        return Outcome(request.name, tuple(request.topics), refusal)

    def _already(self, request: _Request) -> Outcome:
        """eToro says that it is so already; find out for which topics of the frame."""
        unsure = [topic for topic in request.topics if topic not in self._confirmed]
        operation = request.operation
        if request.name != "Subscribe" or operation is None or len(request.topics) == 1:
            return self._accepted(request)
        if len(unsure) == len(request.topics):
            middle = len(unsure) // 2
            halves = [unsure[:middle], unsure[middle:]]
        else:
            halves = [unsure] if unsure else []
        for half in reversed(halves):
            operation.pending.appendleft(_Request("Subscribe", half, request.snapshot, operation))
        self._finish_if_done(operation)
        return Outcome("Subscribe", tuple(t for t in request.topics if t not in unsure))

    def _give_up(self, request: _Request, refusal: EToroSubscriptionError) -> None:
        """Want the refused topics no longer, unless another call that waits wants them."""
        operation = request.operation
        assert operation is not None
        if request.name == "Subscribe":
            asked = {
                topic
                for other in self._operations
                if other is not operation and other.name == "Subscribe"
                for topic in other.topics
            }
            self._tracker.remove(topic for topic in request.topics if topic not in asked)
        # The rest of a refused call is not sent: the caller is told which topics failed, and
        # those that were not tried are not wanted either, so that nothing is half done.
        untried = [topic for part in operation.pending for topic in part.topics]
        if request.name == "Subscribe":
            self._tracker.remove(untried)
        refusal.topics += tuple(untried)
        self._operations.remove(operation)
        operation.on_done(refusal)

    def fail_all(self, error: EToroError) -> None:
        """End every operation that waits: the client is over."""
        operations, self._operations = self._operations, deque()
        for operation in operations:
            operation.on_done(error)
