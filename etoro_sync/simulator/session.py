"""How the server answers a client's requests. Pure: nothing is sent from here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .wire import compact

AUTHENTICATE, SUBSCRIBE, UNSUBSCRIBE = OPERATIONS = ("Authenticate", "Subscribe", "Unsubscribe")

BINARY_REFUSED = '{"success":false,"errorCode":"BinaryMessagesNotSupported"}'

_SECRETS = ("userKey", "apiKey", "authorization")


@dataclass
class Policy:
    """The rules that all sessions share.

    :param api_key: the API key that is accepted; None accepts any that is not empty.
    :param user_key: the user key that is accepted; None accepts any that is not empty.
    :param max_topics: how many topics one session may subscribe to.
    :param duplicate_error: refuse to subscribe to a topic a second time.
    """

    api_key: str | None = field(default=None, repr=False)
    user_key: str | None = field(default=None, repr=False)
    max_topics: int = 4999
    duplicate_error: bool = False


@dataclass(frozen=True)
class Answer:
    """The answer to a request.

    :param text: the acknowledgement or refusal.
    :param snapshots: topics whose snapshots are to follow the text.
    """

    text: str
    snapshots: tuple[str, ...] = ()


class _Refusal(Exception):
    """A request that cannot be granted; ``args`` are the error code and the error message."""


def parse_request(text: str) -> dict[str, Any] | None:
    """Parse a request.

    :param text: a text message from the client.
    :returns: the request, or None when it is not a JSON object.
    """
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return request if isinstance(request, dict) else None


def masked(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a request with its keys masked, so that it can be shown and logged.

    :param request: the request as received.
    """
    data = request.get("data")
    if not isinstance(data, dict):
        return dict(request)
    return {**request, "data": {**data, **{name: "***" for name in _SECRETS if data.get(name)}}}


def refusal(request: Mapping[str, Any], code: str, message: str) -> str:
    """Build a refusal, with the request's id and operation if it has them.

    :param request: the refused request.
    :param code: the ``errorCode``.
    :param message: the ``errorMessage``.
    """
    reply: dict[str, Any] = {"id": request["id"]} if "id" in request else {}
    reply["success"] = False
    if "operation" in request:
        reply["operation"] = request["operation"]
    return compact({**reply, "errorCode": code, "errorMessage": message})


class Session:
    """One client's state: whether it is authenticated, and its topics.

    :param policy: the rules; shared with the other sessions.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.authenticated = False
        self.topics: set[str] = set()

    def answer(self, request: dict[str, Any] | None) -> Answer:
        """Carry out a request and return the answer.

        :param request: a parsed request; None for a text that is not a request.
        """
        if request is None:
            return Answer(refusal({}, "UnhandledException", "The message is not a JSON object"))
        try:
            snapshots = self._carry_out(request)
        except _Refusal as error:
            return Answer(refusal(request, *error.args))
        reply = {"id": request["id"]} if "id" in request else {}
        return Answer(
            compact({**reply, "success": True, "operation": request["operation"]}), snapshots
        )

    def _carry_out(self, request: dict[str, Any]) -> tuple[str, ...]:
        """Carry out a request; return the topics whose snapshots it requests."""
        operation = request.get("operation")
        if operation not in OPERATIONS:
            raise _Refusal("UnhandledException", "Unknown operation")
        if operation != AUTHENTICATE and not self.authenticated:
            raise _Refusal("Unauthorized", "Authenticate first")
        if operation == AUTHENTICATE and self.authenticated:
            raise _Refusal("SessionAlreadyAuthenticated", "The session is already authenticated")
        data = request.get("data")
        if not isinstance(data, dict):
            raise _Refusal("DataRequired", "The request has no data")
        if operation == AUTHENTICATE:
            self._authenticate(data)
            return ()
        topics = _topics(data)
        if operation == UNSUBSCRIBE:
            self.topics.difference_update(topics)
            return ()
        self._subscribe(topics)
        return tuple(topics) if data.get("snapshot") is True else ()

    def _authenticate(self, data: dict[str, Any]) -> None:
        """Check both keys."""
        api_key, user_key = data.get("apiKey"), data.get("userKey")
        if not api_key:
            raise _Refusal("ApiKeyRequired", "apiKey is required")
        if not user_key:
            raise _Refusal("UserKeyRequired", "userKey is required")
        if not _accepted(api_key, self._policy.api_key):
            raise _Refusal("InvalidKey", "The apiKey is not valid")
        if not _accepted(user_key, self._policy.user_key):
            raise _Refusal("Unauthorized", "The userKey is not authorized")
        self.authenticated = True

    def _subscribe(self, topics: dict[str, None]) -> None:
        """Add all topics of a request, or none of them."""
        wanted = self.topics.union(topics)
        if self._policy.duplicate_error and len(wanted) < len(self.topics) + len(topics):
            raise _Refusal("TopicAlreadySubscribed", "A topic is already subscribed")
        if len(wanted) > self._policy.max_topics:
            raise _Refusal("SubscribeFailed", "Too many subscriptions for session")
        self.topics = wanted


def _accepted(key: object, right: str | None) -> bool:
    """Return whether a key is the right one; any string is if *right* is None."""
    return isinstance(key, str) and right in (None, key)


def _topics(data: dict[str, Any]) -> dict[str, None]:
    """Return the topics of a request, without duplicates, in order."""
    topics = data.get("topics")
    if topics is None:
        raise _Refusal("DataRequired", "The request names no topics")
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise _Refusal("UnhandledException", "topics must be a list of strings")
    return dict.fromkeys(topics)
