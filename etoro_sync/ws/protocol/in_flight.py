"""The request in flight: its id, its deadline, and which reply answers it. Pure.

There is at most one at a time, because eToro may apply several in any order. A reply repeats the
request's id (protocol fact sheet, sections 1 and 2).
"""

from collections.abc import Callable
from typing import Any

from ...errors import EToroAuthError, EToroTimeoutError
from ...text import named
from ..failures import ConnectionFailed
from .replies import is_refusal
from .requests import Request

__all__ = ["InFlight"]


class InFlight:
    """Holds the request that was sent and is not answered yet, and matches replies to it.

    :param auth_timeout: seconds until Authenticate must be answered.
    :param request_timeout: seconds until Subscribe and Unsubscribe must be acknowledged.
    :param new_id: makes request ids.
    """

    def __init__(
        self, auth_timeout: float, request_timeout: float, new_id: Callable[[], str]
    ) -> None:
        self._auth_timeout = auth_timeout
        self._request_timeout = request_timeout
        self._new_id = new_id
        #: None: no request is in flight.
        self.request: Request | None = None

    def begin(self, request: Request, now: float) -> None:
        """Set id and deadline of *request*, which is about to be sent.

        :param now: monotonic time.
        """
        timeout = self._auth_timeout if request.name == "Authenticate" else self._request_timeout
        request.id = self._new_id()
        request.deadline = now + timeout
        self.request = request

    @property
    def deadline(self) -> float | None:
        """Monotonic time by which the request must be answered; None: no request is in flight."""
        return None if self.request is None else self.request.deadline

    def check_deadline(self, now: float) -> None:
        """Raise when the reply is overdue.

        :param now: monotonic time.
        :raises ConnectionFailed: with what was not answered.
        """
        request = self.request
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
                f"{self._request_timeout:g} s; the connection is replaced, and the wanted topics "
                "are subscribed to again."
            )
        )

    def end(self, reply: dict[str, Any]) -> Request | None:
        """Return the request that *reply* answers, now no longer in flight; None: there is none."""
        request = self.request
        if request is None or not _answers(reply, request):
            return None
        self.request = None
        return request


def _answers(reply: dict[str, Any], request: Request) -> bool:
    # Replies without an id are matched by operation; that is enough for one request in flight.
    if reply.get("id"):
        return bool(reply["id"] == request.id)
    if reply.get("operation"):
        return bool(reply["operation"] == request.name)
    # A refusal without either can only refuse the credentials: nothing else was sent yet.
    return request.name == "Authenticate" and is_refusal(reply)
