"""Faults of the answers to Authenticate, Subscribe and Unsubscribe."""

from dataclasses import dataclass
from typing import ClassVar

from .. import arguments
from ..session import AUTHENTICATE, OPERATIONS, SUBSCRIBE
from .base import Limited, Phases, named

_IN_EITHER: Phases = {
    "authenticate": {"operation": AUTHENTICATE},
    "subscribe": {"operation": SUBSCRIBE},
}


@dataclass(frozen=True)
class Plan:
    """How a request is answered.

    :param error_code: refuse it with this code, without carrying it out; None accepts it.
    :param message: the ``errorMessage`` of a refusal.
    :param silent: neither carry it out nor answer it.
    :param delay: seconds until the answer is sent.
    :param copies: how often the answer is sent.
    :param nuls: how many NUL keepalives are sent before it.
    """

    error_code: str | None = None
    message: str = ""
    silent: bool = False
    delay: float = 0.0
    copies: int = 1
    nuls: int = 0


@dataclass(kw_only=True, eq=False)
class RequestFault(Limited):
    """A fault of the answers to one kind of request.

    :param operation: ``"Authenticate"``, ``"Subscribe"`` or ``"Unsubscribe"``.
    :param times: how many requests it strikes; None strikes all.
    :param skip: how many of them to skip first.
    """

    concerns: ClassVar[str] = "requests"
    phases: ClassVar[Phases] = _IN_EITHER
    operation: str
    skip: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.choice("operation", self.operation, OPERATIONS)
        self._left_to_skip = arguments.integer("skip", self.skip, 0)

    def matches(self, operation: object) -> bool:
        """Return whether to strike a request; called once for each, since it counts *skip*."""
        if operation != self.operation:
            return False
        self._left_to_skip -= 1
        return self._left_to_skip < 0

    def plan(self) -> Plan:
        """Return how the request is answered."""
        raise NotImplementedError


@named("reject")
@dataclass(kw_only=True, eq=False)
class Reject(RequestFault):
    """Refuse requests, without carrying them out.

    :param code: ``errorCode``: ``"InvalidKey"``, ``"Unauthorized"``, ``"TooManyRequests"``, ...
    :param message: ``errorMessage``.
    """

    phases: ClassVar[Phases] = {
        "authenticate": {"operation": AUTHENTICATE, "code": "UnhandledException"},
        "subscribe": {"operation": SUBSCRIBE, "code": "SubscribeFailed"},
    }
    code: str
    message: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.text("code", self.code, empty=False)
        arguments.text("message", self.message)

    def plan(self) -> Plan:
        """Refuse the request."""
        return Plan(error_code=self.code, message=self.message)


@named("insufficient_permissions")
@dataclass(kw_only=True, eq=False)
class InsufficientPermissions(Reject):
    """Refuse credentials that are valid but lack a permission."""

    phases: ClassVar[Phases] = {"authenticate": {}}
    operation: str = AUTHENTICATE
    code: str = "InsufficientPermissions"
    message: str = "The API key lacks a permission that this needs"


@named("no_answer")
@dataclass(kw_only=True, eq=False)
class NoAnswer(RequestFault):
    """Neither carry out nor answer requests."""

    def plan(self) -> Plan:
        """Do nothing."""
        return Plan(silent=True)


@named("late_answer")
@dataclass(kw_only=True, eq=False)
class LateAnswer(RequestFault):
    """Carry out requests at once, but answer them later, so that rates come before the answer.

    Snapshots still come after the answer.

    :param delay: seconds until the answer.
    """

    delay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.number("delay", self.delay)

    def plan(self) -> Plan:
        """Delay the answer."""
        return Plan(delay=self.delay)


@named("double_answer")
@dataclass(kw_only=True, eq=False)
class DoubleAnswer(RequestFault):
    """Carry out requests once, but send their answer several times.

    :param copies: how often to send the answer.
    """

    copies: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("copies", self.copies, 2, 1000)

    def plan(self) -> Plan:
        """Repeat the answer."""
        return Plan(copies=self.copies)


@named("nul_first")
@dataclass(kw_only=True, eq=False)
class NulFirst(RequestFault):
    """Send binary NUL keepalives before the answer.

    :param count: how many keepalives to send.
    """

    operation: str = AUTHENTICATE
    count: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("count", self.count, 1, 10_000)

    def plan(self) -> Plan:
        """Send the keepalives first."""
        return Plan(nuls=self.count)
