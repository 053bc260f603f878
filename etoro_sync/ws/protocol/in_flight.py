"""The one request in flight: its id, its deadline, and which reply answers it. Pure.

Requests that cross are applied in unknown order, and an acknowledgement repeats the request's id
(protocol fact sheet, sections 1 and 2). So there is one at a time.
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
    """The request that was sent and is not answered yet.

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
        #: None: nothing waits for an answer.
        self.request: Request | None = None

    def begin(self, request: Request, now: float) -> None:
        """Give *request* its id and its deadline; it is sent now."""
        timeout = self._auth_timeout if request.name == "Authenticate" else self._request_timeout
        request.id = self._new_id()
        request.deadline = now + timeout
        self.request = request

    @property
    def deadline(self) -> float | None:
        """Monotonic time at which the request must be answered; None: there is none."""
        return None if self.request is None else self.request.deadline

    def check_deadline(self, now: float) -> None:
        """:raises ConnectionFailed: when the answer is overdue."""
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
                f"{self._request_timeout:g} s; the connection is replaced, and what was wanted "
                "stays so."
            )
        )

    def end(self, reply: dict[str, Any]) -> Request | None:
        """Return the request that *reply* answers, which is in flight no longer; None: none."""
        request = self.request
        if request is None or not _answers(reply, request):
            return None
        self.request = None
        return request


def _answers(reply: dict[str, Any], request: Request) -> bool:
    # The id decides. Without one, the operation does: only one request is in flight.
    if reply.get("id"):
        return bool(reply["id"] == request.id)
    if reply.get("operation"):
        return bool(reply["operation"] == request.name)
    # Without either, a refusal can only mean the credentials: nothing else was sent yet.
    return request.name == "Authenticate" and is_refusal(reply)
