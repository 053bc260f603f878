"""What users of a group pass in, checked, and what they get."""

import os
import re
import socket
import uuid
from dataclasses import dataclass
from typing import Any

from ...errors import EToroValidationError
from ...models import WsPrivateEvent
from ...numbers import real, whole
from ...text import show

__all__ = [
    "GroupOrder",
    "GroupStats",
    "check_attempts",
    "check_begin",
    "check_name",
    "check_seconds",
    "own_name",
]

_NAME = re.compile("[A-Za-z0-9_.-]{1,64}")
_BEGINNINGS = {"kept": "0-0", "now": "$"}


@dataclass(frozen=True)
class GroupOrder:
    """An order event, as a group delivers it.

    :param id: of its entry in Redis; the same in each delivery, and rising.
    :param event: the order event.
    :param attempt: how often it was delivered to the group, this time included.
    :param digest: of the event's content; the same for the same event, whichever publisher has
        written it. Keep it with what you do where doing it twice would hurt.
    """

    id: str
    event: WsPrivateEvent
    attempt: int
    digest: str


@dataclass(frozen=True)
class GroupStats:
    """What one :class:`OrderGroup` has done.

    :param handled: orders whose handling has returned.
    :param failed: calls of :meth:`OrderGroup.run`'s handler that have raised.
    :param redelivered: deliveries that were not the first one.
    :param repeated: orders that were left out, since their content was handled here already.
    :param set_aside: orders that were moved away, after too many attempts or since they cannot be
        read; :meth:`OrderGroup.set_aside` returns them.
    :param lost: orders that were removed from Redis before they were acknowledged.
    :param outages: how often Redis could not be used.
    :param failure: why it cannot be used now; None: all is well.
    """

    handled: int
    failed: int
    redelivered: int
    repeated: int
    set_aside: int
    lost: int
    outages: int
    failure: str | None


def own_name() -> str:
    """Return a name that no other consumer has."""
    host = re.sub("[^A-Za-z0-9_.-]", "-", socket.gethostname())[:32]
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def check_name(name: Any, argument: str) -> str:
    """Return the name of a group or a consumer."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return str.__str__(name)
    raise EToroValidationError(
        f"{argument} must be a name of up to 64 letters, digits, -, _ and ., such as 'booking', "
        f"not {show(name, 60)}.",
        argument,
    )


def check_seconds(value: Any) -> float:
    """Return the time after which an order is delivered again."""
    seconds = real(value)
    if seconds is None or not 0.01 <= seconds <= 1e6:
        raise EToroValidationError(
            "redeliver_after must be a number of seconds, longer than handling an order takes, "
            f"not {show(value)}.",
            "redeliver_after",
        )
    return float(seconds)


def check_attempts(value: Any) -> int:
    """Return how often an order may be delivered."""
    number = whole(value)
    if number is None or number < 1:
        raise EToroValidationError(
            f"attempts must be a whole number of 1 or more, not {show(value)}.", "attempts"
        )
    return number


def check_begin(value: Any) -> str:
    """Return where a new group begins, in the words of Redis."""
    begin = _BEGINNINGS.get(value) if isinstance(value, str) else None
    if begin is None:
        raise EToroValidationError(f"begin must be 'kept' or 'now', not {show(value)}.", "begin")
    return begin
