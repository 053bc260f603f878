"""eToro's control channel: requests, acknowledgements, errors. Pure: no sockets, no threads.

One :class:`ControlChannel` lives as long as a client's session and is used by the reader thread
alone. It knows the wanted topics (from the tracker), the topics that the present connection has
confirmed, and the operations that are not carried out yet; those of a :class:`Restoration` are
carried out first.
"""

import json
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...errors import EToroAuthError, EToroError, EToroSubscriptionError
from ...models import WsAuthenticateOperation
from ..failures import ConnectionFailed
from .in_flight import InFlight
from .replies import (
    ErrorKind,
    Outcome,
    auth_error,
    classify,
    key_faults,
    refusal,
    says_full,
    stray_error,
    succeeded,
)
from .requests import MAX_FRAME_BYTES, Operation, Request, chunk_topics, plan
from .restoration import Restoration
from .tracker import WsSubscriptionTracker

#: Operations that want topics, the topics, and how many others their connection has.
Move = Callable[[list[Operation], list[str], int], bool]

__all__ = ["MAX_FRAME_BYTES", "ControlChannel", "Operation", "Outcome", "chunk_topics"]


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
        self._redact = redact
        self._in_flight = InFlight(auth_timeout, request_timeout, new_id)
        self._operations: deque[Operation] = deque()
        self._confirmed: set[str] = set()
        self._restoration = Restoration(tracker, self._confirmed)
        self._key_faults = ""
        self.authenticated = False
        #: Hands topics of operations to another connection, because this one is full with so many;
        #: returns whether it has. None: there is no other.
        self.move: Move | None = None

    # -- the connection ------------------------------------------------------------------------

    def authenticate(self, api_key: str, user_key: str, now: float) -> str:
        """Reset what belongs to the old connection; return the Authenticate request."""
        self.connection_lost()
        request = Request("Authenticate", [], False, None)
        self._in_flight.begin(request, now)
        self._key_faults = key_faults(api_key, user_key)
        data = {"userKey": user_key, "apiKey": api_key}
        return json.dumps(WsAuthenticateOperation(request.id, data=data).to_dict())

    def connection_lost(self) -> None:
        """Reset what belongs to the connection; users' operations start again on the next one."""
        self.authenticated = False
        self._in_flight.request = None
        self._confirmed.clear()
        self._operations = deque(op for op in self._operations if not op.restoring)
        for operation in self._operations:
            operation.started = False
            operation.pending.clear()

    def restoration(self, *, with_snapshots: bool) -> dict[str, bool]:
        """Return what :meth:`restore` would request: topic -> whether with its snapshot.

        :param with_snapshots: whether there was a gap; see :meth:`Restoration.needed`.
        """
        return self._restoration.needed(with_snapshots=with_snapshots)

    def restore(self, *, with_snapshots: bool) -> list[str]:
        """Queue subscriptions to all wanted topics before all other operations.

        :param with_snapshots: as for :meth:`restoration`.
        :returns: the topics.
        """
        needed = self._restoration.needed(with_snapshots=with_snapshots)
        restoring = self._restoration.begin(needed)
        for operation in self._operations:
            self._restoration.take_snapshots_from(operation)
        self._operations.extendleft(reversed(restoring))
        return list(needed)

    @property
    def restoring(self) -> bool:
        """Whether a restoration is unfinished; its operations are the first of the queue."""
        return bool(self._operations) and self._operations[0].restoring

    @property
    def wanted(self) -> list[str]:
        """The wanted topics."""
        return self._tracker.get_all()

    def is_needed(self, topic: str) -> bool:
        """Whether *topic* is wanted, or acknowledged on the present connection."""
        return topic in self._confirmed or self._tracker.has(topic)

    def is_confirmed(self, topic: str) -> bool:
        """Whether the present connection has acknowledged *topic*."""
        return topic in self._confirmed

    # -- requests ------------------------------------------------------------------------------

    def submit(self, operation: Operation) -> None:
        """Queue a user's call; it is sent after the calls before it.

        Until authenticated, a call that nobody waits for completes at once: :meth:`restore` covers
        what is wanted then, and calls must not pile up in an outage.
        """
        if not self.authenticated and not operation.awaited:
            operation.on_done(None)
            return
        if self.restoring:
            self._restoration.take_snapshots_from(operation)
            operation.recorded = not operation.awaited
        self._operations.append(operation)

    @property
    def has_request(self) -> bool:
        """Whether to call :meth:`next_request`, which may also only complete an operation."""
        return self.authenticated and self._in_flight.request is None and bool(self._operations)

    def next_request(self, now: float) -> tuple[str, tuple[str, ...]] | None:
        """Return the next request's text and the topics whose snapshots it requests.

        None: there is nothing to send now. Completes operations that have nothing left to send.
        """
        if not self.has_request:
            return None
        while self._operations:
            operation = self._operations[0]
            if not operation.started:
                operation.pending = plan(operation, self._tracker.has, self._confirmed)
                operation.started = True
            if operation.pending:
                request = operation.pending.popleft()
                self._in_flight.begin(request, now)
                return request.to_json(), tuple(request.topics if request.snapshot else ())
            self._operations.popleft()
            operation.on_done(None)
        return None

    @property
    def deadline(self) -> float | None:
        """Monotonic time by which the request in flight must be answered; None: there is none."""
        return self._in_flight.deadline

    def check_deadline(self, now: float) -> None:
        """:raises ConnectionFailed: when the reply to the request in flight is overdue."""
        self._in_flight.check_deadline(now)

    # -- replies -------------------------------------------------------------------------------

    def on_reply(self, reply: dict[str, Any]) -> Outcome:
        """Match a control message to the request in flight and apply it.

        :raises ConnectionFailed: when the connection must be replaced, or the client must end.
        """
        request = self._in_flight.end(reply)
        if request is None:
            return Outcome("", error=stray_error(reply, self._redact))
        if succeeded(reply) and not reply.get("errorCode"):
            return self._accepted(request)
        return self._refused(request, reply)

    def _accepted(self, request: Request) -> Outcome:
        if request.name == "Authenticate":
            self.authenticated = True
        elif request.name == "Subscribe":
            self._confirmed.update(request.topics)
            self._restoration.subscribed(request.topics)
        else:
            self._confirmed.difference_update(request.topics)
            self._restoration.unsubscribed(request.topics)
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
        slow, fatal = kind is ErrorKind.SLOW, kind is ErrorKind.FATAL
        operation = request.operation
        if operation is None:
            error = auth_error(kind, reply, self._key_faults, self._redact)
            raise ConnectionFailed(error, fatal=fatal, slow=slow)
        if self.move is not None and request.name == "Subscribe" and says_full(reply):
            outcome = self._hand_on(request, operation, self.move)
            if outcome is not None:
                return outcome
        refused = refusal(request.name, request.topics, reply, self._redact)
        # No caller waits for these and could retry, so the next connection does.
        kept = operation.restoring or operation.recorded
        if kept and kind in (ErrorKind.RETRY, ErrorKind.SLOW):
            raise ConnectionFailed(refused, slow=slow)
        if operation.restoring:
            if self._restoration.may_split(request):
                self._split(request, operation)
                return Outcome(request.name)
            if not self._restoration.may_give_up(request.topics):
                # eToro accepted the topics before. If permissions forbid them now, the key has lost
                # these, and another connection would not help.
                lost = EToroAuthError(str(refused), refused.error_code) if fatal else refused
                raise ConnectionFailed(lost, fatal=fatal)
        raised = self._give_up(request, operation, refused)
        return Outcome(request.name, tuple(request.topics), refused, raised=raised)

    def _already(self, request: Request) -> Outcome:
        """Handle a refusal that says that the requested state exists already.

        It rejects the whole frame. That is as good as an acknowledgement for Authenticate, for a
        single topic, and for topics that were confirmed before. Of several new topics only some may
        be subscribed already, so their frame is split.
        """
        operation, topics = request.operation, request.topics
        if operation is None or len(topics) == 1 or topics[0] in self._confirmed:
            unproven = operation is not None and topics[0] not in self._confirmed
            return replace(self._accepted(request), duplicate=True, unproven=unproven)
        self._split(request, operation)
        return Outcome("Subscribe")

    def _hand_on(
        self,
        request: Request,
        operation: Operation,
        move: Move,
    ) -> Outcome | None:
        """Fill this connection to its last place, and hand on what does not fit.

        :returns: None: it cannot be handed on.
        """
        if len(request.topics) > 1:
            self._split(request, operation)
            return Outcome(request.name)
        rest = [request, *operation.pending]
        topics = [t for part in rest for t in part.topics if t not in self._confirmed]
        # Calls behind it that find nothing left to request wait for these topics, too.
        others = [op for op in self._operations if op.name == "Subscribe" and op is not operation]
        operations = [operation, *(op for op in others if not {*topics}.isdisjoint(op.topics))]
        if not (topics and self._confirmed and move(operations, topics, len(self._confirmed))):
            return None
        # Only the snapshots of topics that this connection has are still to be requested.
        known = [part for part in operation.pending if part.topics[0] in self._confirmed]
        operation.pending = deque(known)
        self._restoration.unsubscribed(topics)
        self._finish_if_done(operation)
        return Outcome("Subscribe", moved=tuple(topics))

    @staticmethod
    def _split(request: Request, operation: Operation) -> None:
        """Queue a request for each half of a refused frame, to find the refused topics."""
        middle = len(request.topics) // 2
        for half in (request.topics[middle:], request.topics[:middle]):
            operation.pending.appendleft(Request("Subscribe", half, request.snapshot, operation))

    def _give_up(
        self, request: Request, operation: Operation, refused: EToroSubscriptionError
    ) -> bool:
        """End a refused operation and withdraw its topics.

        The rest of a user's call is not sent, and its topics are withdrawn, too, so that nothing is
        half done; the error names them all. Topics that the connection has confirmed, and those
        that another call has added since, stay wanted.

        :returns: whether a caller waits for the error.
        """
        if not operation.restoring:
            refused.topics += tuple(topic for part in operation.pending for topic in part.topics)
        if request.name == "Subscribe":
            failed = [topic for topic in refused.topics if topic not in self._confirmed]
            self._tracker.withdraw(failed, operation.version)
        if operation.restoring:
            # The restoration continues, because one bad topic must not cost the others.
            self._restoration.give_up(refused.topics, self._operations)
            awaited = self._fail_waiting_calls(operation.version, refused)
            self._finish_if_done(operation)
            return awaited
        self._operations.remove(operation)
        operation.on_done(refused)
        return operation.awaited

    def _fail_waiting_calls(self, version: int, refused: EToroSubscriptionError) -> bool:
        """End users' calls that were queued before the restoration and want a refused topic.

        :param version: of the restoration; later calls try again themselves.
        :returns: whether a caller waits for the error.
        """
        awaited = False
        gone = {topic for topic in refused.topics if not self.is_needed(topic)}
        for call in [op for op in self._operations if not op.restoring]:
            earlier = call.name == "Subscribe" and call.version <= version
            if earlier and not gone.isdisjoint(call.topics):
                self._operations.remove(call)
                call.on_done(refused)
                awaited = awaited or call.awaited
        return awaited

    def fail_all(self, error: EToroError) -> None:
        """End every operation with *error*, because the session is over."""
        operations, self._operations = self._operations, deque()
        self._in_flight.request = None
        for operation in operations:
            operation.on_done(error)
