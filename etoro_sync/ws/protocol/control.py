"""eToro's control channel: requests, acknowledgements, errors. Pure: no sockets, no threads.

One :class:`ControlChannel` lives as long as a client's session and is used by the reader thread
alone. It knows what is wanted (the tracker), what the present connection has confirmed, and which
one request is in flight. Facts are from the protocol fact sheet, sections 1 and 2: an
acknowledgement repeats the request's id, a refusal rejects all topics of its frame, a frame over 25
KiB kills the connection, and requests that cross are applied in unknown order, hence one at a time.
"""

import json
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ...errors import (
    EToroAuthError,
    EToroError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from ...models import WsAuthenticateOperation
from ...text import named
from ..failures import ConnectionFailed
from .replies import (
    PERMISSIONS,
    ErrorKind,
    auth_advice,
    classify,
    error_code,
    key_faults,
    refusal_text,
    succeeded,
)
from .requests import MAX_FRAME_BYTES, Operation, Request, chunk_topics, plan
from .tracker import WsSubscriptionTracker

__all__ = ["MAX_FRAME_BYTES", "ControlChannel", "Operation", "Outcome", "chunk_topics"]

#: Refused frames that one restoration cuts in halves: enough to find six bad topics among 5,000,
#: and few enough not to look like an attack.
_MOST_SPLITS = 64


@dataclass(frozen=True)
class Outcome:
    """What a reply has changed, for the reader to act on.

    :param name: ``"Authenticate"``, ``"Subscribe"``, ``"Unsubscribe"``, or ``""`` for a reply that
        belongs to no request in flight.
    :param topics: the topics of the request.
    :param error: what eToro refused, if it did.
    :param duplicate: eToro said that it is so already, so it sends no snapshot.
    :param raised: a caller waits for the error, and raises it.
    """

    name: str
    topics: tuple[str, ...] = ()
    error: EToroError | None = None
    duplicate: bool = False
    raised: bool = False


class ControlChannel:
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
        redact: Callable[[str], str],
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._tracker = tracker
        self._auth_timeout = auth_timeout
        self._request_timeout = request_timeout
        self._redact = redact
        self._new_id = new_id
        self._operations: deque[Operation] = deque()
        self._in_flight: Request | None = None
        self._confirmed: set[str] = set()
        self._accepted_once: set[str] = set()
        self._restored: dict[str, bool] = {}
        self._splits = 0
        self._key_faults = ""
        self.authenticated = False

    # -- the connection ------------------------------------------------------------------------

    def authenticate(self, api_key: str, user_key: str, now: float) -> str:
        """Begin a new connection: forget the old one and return the Authenticate request."""
        self.connection_lost()
        request = Request("Authenticate", [], False, None, self._new_id())
        request.deadline = now + self._auth_timeout
        self._in_flight = request
        self._key_faults = key_faults(api_key, user_key)
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

    def restoration(self, *, with_snapshots: bool) -> dict[str, bool]:
        """Return the topics that a new connection needs, and whether with a snapshot.

        :param with_snapshots: after a gap every instrument starts from a snapshot, whatever was
            asked for at first. What a snapshot of ``private`` would be nobody knows, so there the
            user's own choice holds.
        """
        wanted = self._tracker.snapshots()
        return {t: wanted[t] or (with_snapshots and t != "private") for t in wanted}

    def restore(self, *, with_snapshots: bool) -> list[str]:
        """Queue, before all else, what a new connection needs; return the topics.

        ``private`` goes first, in a frame of its own: order events are worth the most.

        :param with_snapshots: as for :meth:`restoration`.
        """
        wish = self._tracker.wishes
        snapshot = self.restoration(with_snapshots=with_snapshots)
        topics = list(snapshot)
        self._accepted_once &= set(topics)
        self._restored = snapshot
        for operation in self._operations:
            self._leave_to_restoration(operation)
        self._splits = 0
        # What goes in front last goes out first.
        for group in ([t for t in topics if t != "private"], [t for t in topics if t == "private"]):
            if group:
                operation = Operation("Subscribe", group, snapshot, wish=wish, restoring=True)
                # Planned at once, so that it can only end by a reply, in which the reader sees it.
                # What is unsubscribed in the meantime is seen to by a later operation.
                operation.pending = plan(operation, lambda topic: True, self._confirmed)
                operation.started = True
                self._operations.appendleft(operation)
        return topics

    def _leave_to_restoration(self, operation: Operation) -> None:
        """Ask for no snapshot that a restoration is still to bring."""
        for topic, coming in self._restored.items():
            if coming and topic not in self._confirmed and topic in operation.snapshot:
                operation.snapshot[topic] = False

    @property
    def restoring(self) -> bool:
        """Whether topics of :meth:`restore` still wait for their acknowledgement."""
        # They stand in front of all others.
        return bool(self._operations) and self._operations[0].restoring

    @property
    def wanted(self) -> list[str]:
        """The wanted topics."""
        return self._tracker.get_all()

    def is_of_use(self, topic: str) -> bool:
        """Whether *topic* is wanted, or acknowledged on the present connection."""
        return topic in self._confirmed or self._tracker.has(topic)

    def is_confirmed(self, topic: str) -> bool:
        """Whether the present connection has acknowledged *topic*."""
        return topic in self._confirmed

    # -- requests ------------------------------------------------------------------------------

    def submit(self, operation: Operation) -> None:
        """Queue a call of the user's; it is sent when its turn has come.

        Until the connection is authenticated, a call without a waiter is done at once: the
        restoration covers what is wanted then, and calls must not pile up in an outage.
        """
        if not self.authenticated and not operation.awaited:
            operation.on_done(None)
            return
        if self.restoring:
            self._leave_to_restoration(operation)
            operation.recorded = not operation.awaited
        self._operations.append(operation)

    @property
    def has_request(self) -> bool:
        """Whether :meth:`next_request` may have something to send, or an operation to end."""
        return self.authenticated and self._in_flight is None and bool(self._operations)

    def next_request(self, now: float) -> tuple[str, tuple[str, ...]] | None:
        """Return the next request and the topics that it asks snapshots of; None: none now."""
        if not self.has_request:
            return None
        while self._operations:
            operation = self._operations[0]
            if not operation.started:
                operation.pending = plan(operation, self._tracker.has, self._confirmed)
                operation.started = True
            if operation.pending:
                return self._send(operation.pending.popleft(), now)
            self._operations.popleft()
            operation.on_done(None)
        return None

    def _send(self, request: Request, now: float) -> tuple[str, tuple[str, ...]]:
        request.id = self._new_id()
        request.deadline = now + self._request_timeout
        self._in_flight = request
        return request.to_json(), tuple(request.topics if request.snapshot else ())

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
                    f"Authentication timed out: no answer within {self._auth_timeout:g} s. "
                    "Check the URL and the network, or raise auth_timeout."
                )
            )
        raise ConnectionFailed(
            EToroTimeoutError(
                f"No acknowledgement of {request.name} of {named(request.topics)} within "
                f"{self._request_timeout:g} s; the connection is replaced, and what was wanted "
                "stays so."
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
        if succeeded(reply) and not reply.get("errorCode"):
            return self._accepted(request)
        return self._refused(request, reply)

    @staticmethod
    def _answers(reply: dict[str, Any], request: Request) -> bool:
        # The id decides. Without one, the operation does: only one request is in flight.
        if reply.get("id"):
            return bool(reply["id"] == request.id)
        if reply.get("operation"):
            return bool(reply["operation"] == request.name)
        # Without either, a refusal can only mean the credentials: nothing else was sent yet.
        refused = succeeded(reply) is False or reply.get("errorCode")
        return request.name == "Authenticate" and bool(refused)

    def _stray(self, reply: dict[str, Any]) -> EToroError | None:
        """A late or repeated acknowledgement is nothing; a refusal of nothing is an error."""
        if succeeded(reply) is not False and not reply.get("errorCode"):
            return None
        what = "eToro reported an error that belongs to no request"
        text = refusal_text(what, reply, self._redact)
        return EToroWebSocketError(text, error_code(reply, self._redact))

    def _accepted(self, request: Request) -> Outcome:
        if request.name == "Authenticate":
            self.authenticated = True
        elif request.name == "Subscribe":
            self._confirmed.update(request.topics)
            self._accepted_once.update(request.topics)
        else:
            self._confirmed.difference_update(request.topics)
            self._accepted_once.difference_update(request.topics)
        self._finish_if_done(request.operation)
        return Outcome(request.name, tuple(request.topics))

    def _finish_if_done(self, operation: Operation | None) -> None:
        if operation is not None and not operation.pending:
            self._operations.remove(operation)
            operation.on_done(None)

    def _refused(self, request: Request, reply: dict[str, Any]) -> Outcome:
        kind = classify(reply, request.name)
        if kind is ErrorKind.BENIGN:
            return self._already(request)
        slow = kind is ErrorKind.SLOW
        operation = request.operation
        if operation is None:
            raise ConnectionFailed(
                self._auth_error(kind, reply), fatal=kind is ErrorKind.FATAL, slow=slow
            )
        what = f"eToro refused {request.name} of {named(request.topics)}"
        text = refusal_text(what, reply, self._redact)
        code = error_code(reply, self._redact)
        if code in ("InsufficientPermissions", "Forbidden"):
            text = f"{text} {PERMISSIONS}"
        refusal = EToroSubscriptionError(text, code, request.topics)
        # What was recorded before the connection was restored has no caller who could ask again.
        kept = operation.restoring or operation.recorded
        if kept and kind in (ErrorKind.RETRY, ErrorKind.SLOW):
            raise ConnectionFailed(refusal, slow=slow)
        if operation.restoring:
            if len(request.topics) > 1 and self._splits < _MOST_SPLITS:
                # A bad topic must not take the others of its frame away.
                self._splits += 1
                self._split(request, operation)
                return Outcome(request.name)
            if not self._accepted_once.isdisjoint(request.topics):
                # Such a topic is never given up. Where permissions forbid it, the key has lost
                # them since, and no other connection would bring it back.
                if kind is ErrorKind.FATAL:
                    raise ConnectionFailed(EToroAuthError(text, code), fatal=True)
                raise ConnectionFailed(refusal, slow=slow)
        raised = self._give_up(request, operation, refusal)
        return Outcome(request.name, tuple(request.topics), refusal, raised=raised)

    def _auth_error(self, kind: ErrorKind, reply: dict[str, Any]) -> EToroError:
        text = refusal_text("eToro refused the authentication", reply, self._redact)
        code = error_code(reply, self._redact)
        if kind in (ErrorKind.RETRY, ErrorKind.SLOW):
            return EToroWebSocketError(f"{text} Try again later.", code)
        return EToroAuthError(f"{text} {auth_advice(reply, self._key_faults)}", code)

    def _already(self, request: Request) -> Outcome:
        """eToro says that it is so already; find out for which topics of the frame.

        A frame holds either confirmed topics or new ones; of the latter only some may be
        duplicates, and the refusal has rejected all.
        """
        operation, topics = request.operation, request.topics
        if operation is None or len(topics) == 1 or topics[0] in self._confirmed:
            return replace(self._accepted(request), duplicate=True)
        self._split(request, operation)
        return Outcome("Subscribe")

    @staticmethod
    def _split(request: Request, operation: Operation) -> None:
        """Ask again for each half of a refused frame, to find out what was refused."""
        middle = len(request.topics) // 2
        for half in (request.topics[middle:], request.topics[:middle]):
            operation.pending.appendleft(Request("Subscribe", half, request.snapshot, operation))

    def _give_up(
        self, request: Request, operation: Operation, refusal: EToroSubscriptionError
    ) -> bool:
        """End a refused call, and want its topics no longer; return whether a caller waits for it.

        The rest of the call is not sent: the caller is told which topics failed, and those that
        were not tried are not wanted either, so that nothing is half done. What the connection
        carries all the same, and what another call has asked for since, stays wanted.
        """
        untried: list[str] = []
        if not operation.restoring:
            untried = [topic for part in operation.pending for topic in part.topics]
            refusal.topics += tuple(untried)
        if request.name == "Subscribe":
            failed = [topic for topic in refusal.topics if topic not in self._confirmed]
            self._tracker.withdraw(failed, operation.wish)
        if operation.restoring:
            # The other parts are none of its business.
            self._take_back_from_restoration(refusal.topics)
            told = self._tell_waiting(operation.wish, refusal)
            self._finish_if_done(operation)
            return told
        self._operations.remove(operation)
        operation.on_done(refusal)
        return operation.awaited

    def _take_back_from_restoration(self, topics: tuple[str, ...]) -> None:
        """Let calls ask themselves for the snapshots that it will not bring."""
        for topic in topics:
            self._restored.pop(topic, None)
        for operation in self._operations:
            if not operation.restoring:
                operation.snapshot.update((t, True) for t in topics if t in operation.snapshot)

    def _tell_waiting(self, wish: int, refusal: EToroSubscriptionError) -> bool:
        """End calls that have waited since before the connection for what was refused just now.

        :returns: whether there was one with a caller who waits.
        """
        told = False
        gone = {topic for topic in refusal.topics if not self.is_of_use(topic)}
        for call in [op for op in self._operations if not op.restoring]:
            if call.name == "Subscribe" and call.wish <= wish and not gone.isdisjoint(call.topics):
                self._operations.remove(call)
                call.on_done(refusal)
                told = told or call.awaited
        return told

    def fail_all(self, error: EToroError) -> None:
        """End every operation that waits: the client is over."""
        operations, self._operations = self._operations, deque()
        self._in_flight = None
        for operation in operations:
            operation.on_done(error)
