"""One scenario, as data: which fault, in which phase, and what is promised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.timing import SCALE

from .expectations import OPTIONS, Expect, Of, seconds

__all__ = ["FIRST", "PHASES", "REQUESTS", "TIMEOUTS", "Scenario"]

PHASES = (
    *("resolve", "connect", "tls", "handshake", "authenticate", "subscribe"),
    *("live", "backoff", "closing"),
)
#: What the faults of requests have to do with.
TIMEOUTS = {"authenticate": "auth_timeout", "subscribe": "request_timeout"}
_NO_TIMES = ("max_message_bytes", "reconnect_attempts")
#: Ways to play that strike the first connection, or the user's first subscribe().
FIRST = ("first", "subscribing", "leaving_first")
#: How many Subscribe requests the topics of the phase `subscribe` take.
REQUESTS = 3


@dataclass(frozen=True)
class Scenario:
    """One fault in one phase.

    :param phase: of the connection.
    :param fault: of the simulator, or of the name resolution, or what the user does meanwhile.
    :param how: the function of :mod:`play` that brings it about.
    :param expect: what is promised.
    :param given: the fault's arguments.
    :param options: besides those that all have.
    :param tls: whether TLS is spoken.
    :param variant: what tells it from others of the same fault and phase.
    :param fast: whether the tests run it, too.
    :param slowness: what all times are multiplied with.
    """

    phase: str
    fault: str
    how: str
    expect: Expect
    given: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    tls: bool = False
    variant: str = ""
    fast: bool = True
    slowness: float = SCALE

    @property
    def id(self) -> str:
        """Its name: phase, fault, variant."""
        first = "first-" if self.how in FIRST else ""
        return "-".join(part for part in (first + self.phase, self.fault, self.variant) if part)

    @property
    def all_options(self) -> dict[str, Any]:
        """The options of the client, by which bounds are computed."""
        options = {**OPTIONS, **self.options}
        slow = {name: options[name] * self.slowness for name in options if name not in _NO_TIMES}
        return {**options, **slow}

    def slowed(self, factor: float) -> Scenario:
        """Return the same with longer times."""
        return replace(self, slowness=self.slowness * factor)

    @property
    def patient(self) -> bool:
        """Whether the server asks for patience: all waits but the first are long ones."""
        return self.given.get("code") == "TooManyRequests"

    @property
    def arguments(self) -> dict[str, Any]:
        """The fault's arguments, formulas computed."""
        options = self.all_options
        return {
            name: seconds(value, options) if isinstance(value, Of) else value
            for name, value in self.given.items()
        }
