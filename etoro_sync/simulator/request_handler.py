"""Carries out clients' requests, subject to faults. Pure: nothing is sent from here."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from . import wire
from .faults.active import ActiveFaults
from .faults.requests import Plan
from .peer import Peer
from .session import AUTHENTICATE, OPERATIONS, Answer, masked, parse_request, refusal
from .subscribers import Subscribers

_REQUESTS_KEPT = 10_000


@dataclass(frozen=True)
class Reply:
    """The messages to send in reply to a request.

    :param messages: sent in this order.
    :param snapshots: topics whose snapshots are sent after them.
    :param delay: seconds to wait before the first.
    """

    messages: tuple[str | bytes, ...]
    snapshots: tuple[str, ...]
    delay: float


class RequestHandler:
    """Carries out requests and decides on the replies. Guarded by the hub's lock.

    :param subscribers: the clients and their sessions.
    :param faults: the active faults.
    :param nul_before_auth: send a NUL keepalive before the reply to ``Authenticate``.
    """

    def __init__(
        self, subscribers: Subscribers, faults: ActiveFaults, nul_before_auth: bool
    ) -> None:
        self._subscribers = subscribers
        self._faults = faults
        self._nul_before_auth = nul_before_auth
        self.requests: deque[dict[str, Any]] = deque(maxlen=_REQUESTS_KEPT)

    def handle(self, peer: Peer, text: str) -> Reply | None:
        """Carry out a request.

        :param peer: the client that sent it.
        :param text: the request.
        :returns: the reply; None when nothing is to be sent.
        """
        request = parse_request(text)
        operation = None if request is None else request.get("operation")
        if request is not None:
            self.requests.append(masked(request))
        if operation in OPERATIONS:
            self._faults.reached(operation, peer)
        if peer not in self._subscribers:  # a fault has just ended its connection
            return None
        fault = self._faults.request_fault(operation)
        plan = Plan() if fault is None else fault.plan()
        if plan.silent:
            return None
        if request is not None and plan.error_code is not None:
            answer = Answer(refusal(request, plan.error_code, plan.message))
        else:
            answer = self._subscribers.answer(peer, request)
        nuls = plan.nuls + (self._nul_before_auth and operation == AUTHENTICATE)
        messages = (wire.NUL,) * nuls + (answer.text,) * plan.copies
        return Reply(messages, answer.snapshots, plan.delay)
