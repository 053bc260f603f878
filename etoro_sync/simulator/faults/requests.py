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
    """
    How a request is answered.

    :param error_code: What it is refused with, without any effect; None grants it.
    :param message: The ``errorMessage`` of a refusal.
    :param silent: Do nothing and answer nothing.
    :param delay: Seconds until the answer is sent.
    :param copies: How often it is sent.
    :param nuls: NUL keepalives before it.
    """

    error_code: str | None = None
    message: str = ""
    silent: bool = False
    delay: float = 0.0
    copies: int = 1
    nuls: int = 0


@dataclass(kw_only=True, eq=False)
class RequestFault(Limited):
    """
    A fault of the answers to one kind of request.

    :param operation: ``"Authenticate"``, ``"Subscribe"`` or ``"Unsubscribe"``.
    :param times: How many requests; None is all.
    :param skip: How many of them to let pass first.
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
        """Say whether a request that has come is to be struck; asked once for each."""
        if operation != self.operation:
            return False
        self._left_to_skip -= 1
        return self._left_to_skip < 0

    def plan(self) -> Plan:
        """Say how the request is answered."""
        raise NotImplementedError


@named("reject")
@dataclass(kw_only=True, eq=False)
class Reject(RequestFault):
    """
    Refuse requests. They have no effect.

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
        """Refuse it."""
        return Plan(error_code=self.code, message=self.message)


@named("insufficient_permissions")
@dataclass(kw_only=True, eq=False)
class InsufficientPermissions(Reject):
    """Refuse credentials that are right, but may not do what they are used for."""

    phases: ClassVar[Phases] = {"authenticate": {}}
    operation: str = AUTHENTICATE
    code: str = "InsufficientPermissions"
    message: str = "The API key lacks a permission that this needs"


@named("no_answer")
@dataclass(kw_only=True, eq=False)
class NoAnswer(RequestFault):
    """Never answer requests. They have no effect."""

    def plan(self) -> Plan:
        """Answer nothing."""
        return Plan(silent=True)


@named("late_answer")
@dataclass(kw_only=True, eq=False)
class LateAnswer(RequestFault):
    """
    Carry requests out, and answer some time later: what they lead to comes before the answer.

    Snapshots keep their place behind the answer.

    :param delay: Seconds.
    """

    delay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.number("delay", self.delay)

    def plan(self) -> Plan:
        """Put the answer off."""
        return Plan(delay=self.delay)


@named("double_answer")
@dataclass(kw_only=True, eq=False)
class DoubleAnswer(RequestFault):
    """
    Carry requests out once, and send their answer more than once.

    :param copies: How often.
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
    """
    Send binary NUL keepalives before the answer.

    :param count: How many keepalives.
    """

    operation: str = AUTHENTICATE
    count: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("count", self.count, 1, 10_000)

    def plan(self) -> Plan:
        """Send something else first."""
        return Plan(nuls=self.count)
