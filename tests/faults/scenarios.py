"""All scenarios, as data: which fault, in which phase, and what is promised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from etoro_sync.simulator import FAULTS
from tests.support.timing import SCALE

from .expectations import (
    AT_ONCE,
    CLOSING,
    EXPECTED,
    OPTIONS,
    Expect,
    Of,
    Outcome,
    seconds,
)

__all__ = ["PHASES", "REQUESTS", "SCENARIOS", "Scenario"]

PHASES = (
    *("resolve", "connect", "tls", "handshake", "authenticate", "subscribe"),
    *("live", "backoff", "closing"),
)
#: What the faults of requests have to do with.
_TIMEOUTS = {"authenticate": "auth_timeout", "subscribe": "request_timeout"}
_NO_TIMES = ("max_message_bytes", "reconnect_attempts")
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
        first = "first-" if self.how in ("first", "subscribing") else ""
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
    def arguments(self) -> dict[str, Any]:
        """The fault's arguments, formulas computed."""
        options = self.all_options
        return {
            name: seconds(value, options) if isinstance(value, Of) else value
            for name, value in self.given.items()
        }


def _arguments(fault: str, phase: str) -> dict[str, Any]:
    """What the fault takes in this phase, with what makes it quick to show."""
    given = dict(FAULTS[fault].phases[phase])
    if fault == "endless_fragments":
        given |= {"size": 100_000, "interval": 0.01}
    if fault == "late_answer":
        given |= {"delay": Of(f"{_TIMEOUTS[phase]} * 2")}
    return given


def _options(expect: Expect) -> dict[str, Any]:
    return {"stale_after": 0.4} if expect.outcome is Outcome.STALE else {}


def _from_the_registry() -> Iterator[Scenario]:
    """Every fault of the simulator in every phase that it names, later and first connections."""
    for fault, cls in FAULTS.items():
        for phase in cls.phases:
            expect, given = EXPECTED[fault][phase], _arguments(fault, phase)
            tls = cls.needs_tls or phase == "tls"
            if phase == "subscribe":
                yield from _kth_of_n(fault, expect, given)
                continue
            how = phase if phase in ("live", "closing") else "reconnection"
            yield Scenario(phase, fault, how, expect, given, _options(expect), tls)
            if how == "reconnection":
                # Where the next request fails: connect() needs no other.
                first = Expect(Outcome.UNHARMED) if expect.fails else expect
                yield Scenario(phase, fault, "first", first, given, {}, tls)


def _kth_of_n(fault: str, expect: Expect, given: dict[str, Any]) -> Iterator[Scenario]:
    """The fault at each of the acknowledgements, when restoring and when subscribing first."""
    for k in range(1, REQUESTS + 1):
        if fault == "stop_reading" and k == REQUESTS:
            expect = Expect(Outcome.UNHARMED)  # no request is left that could get stuck
        here = {**given, "skip": k - 1} if k > 1 else given
        variant, fast = f"{k}of{REQUESTS}", k == 2
        yield Scenario("subscribe", fault, "reconnection", expect, here, variant=variant, fast=fast)
        first = expect
        if fault == "reject":
            first = Expect(Outcome.REPORTED, AT_ONCE, "EToroSubscriptionError")
        yield Scenario("subscribe", fault, "subscribing", first, here, variant=variant, fast=fast)


def _variants() -> Iterator[Scenario]:
    """Other arguments, and TLS, where they make a difference."""
    ended = Expect(Outcome.ENDED, AT_ONCE, "EToroAuthError")
    for refusal in ("InvalidKey", "Unauthorized", "Forbidden"):
        given: dict[str, Any] = {"operation": "Authenticate", "code": refusal}
        for how in ("reconnection", "first"):
            yield Scenario("authenticate", "reject", how, ended, given, variant=refusal)
    for operation, phase in (("Authenticate", "authenticate"), ("Subscribe", "subscribe")):
        delay = Of(f"{_TIMEOUTS[phase]} / 3")
        given = {"operation": operation, "delay": delay, "times": 1}
        unharmed = Expect(Outcome.UNHARMED, delay)
        yield Scenario(phase, "late_answer", "reconnection", unharmed, given, variant="in-time")
    expect = Expect(Outcome.UNHARMED, "connect_timeout")
    given = {"interval": 0.001}
    yield Scenario("handshake", "drip_handshake", "reconnection", expect, given, variant="quick")
    for status in (401, 403, 404, 429, 500):
        lost, given = EXPECTED["http_status"]["handshake"], {"status": status}
        yield Scenario("handshake", "http_status", "reconnection", lost, given, variant=str(status))
    for code in (1001, 1008, 1011, 1012, 1013, 4001, 1005, 999, None):
        lost = EXPECTED["close"]["live"]
        yield Scenario("live", "close", "live", lost, {"code": code}, variant=str(code), fast=False)
    for fault in ("mute", "half_open", "stall", "reset", "close_reset", "one_byte", "drip"):
        for phase in ("live", "closing"):
            expect = EXPECTED[fault][phase]
            options = _options(expect)
            yield Scenario(phase, fault, phase, expect, {}, options, tls=True, variant="tls")


def _resolving() -> Iterator[Scenario]:
    """Faults of the name resolution, which are the client's machine's and not the simulator's."""
    lost, unharmed = Expect(Outcome.REPLACED), Expect(Outcome.UNHARMED)
    # No program can interrupt the system's resolver; afterwards the time is up.
    late, soon = Of("connect_timeout + 0.2"), Of("connect_timeout / 3")
    for how in ("reconnection", "first"):
        yield Scenario("resolve", "fails", how, lost)
        yield Scenario("resolve", "no_address", how, lost)
        yield Scenario("resolve", "refused_first", how, unharmed)
        silent = Expect(Outcome.UNHARMED, "connect_timeout / 2")
        yield Scenario("resolve", "silent_first", how, silent)
        expect = Expect(Outcome.UNHARMED, soon)
        yield Scenario("resolve", "hangs", how, expect, {"hang": soon}, variant="briefly")
        expect = Expect(Outcome.REPLACED, late, "EToroTimeoutError")
        yield Scenario("resolve", "hangs", how, expect, {"hang": late}, variant="too-long")
    bound = "connect_timeout + auth_timeout + 1.0"
    forever = Expect(Outcome.REPLACED, bound, "EToroTimeoutError", silent=True)
    yield Scenario("resolve", "hangs", "first", forever, {"hang": 60.0}, variant="for-ever")
    yield Scenario(
        "resolve",
        "hangs",
        "disconnect_while_resolving",
        Expect(Outcome.CLOSED, CLOSING),
        {"hang": 60.0},
        variant="disconnect",
    )


def _backing_off() -> Iterator[Scenario]:
    """What may happen while the client waits before its next attempt."""
    slow = {"reconnect_max_delay": 1.0}
    refused = {"operation": "Authenticate", "code": "TooManyRequests"}
    for fault, within in (
        ("healed", "reconnect_max_delay"),
        ("subscribe", AT_ONCE),
        ("unsubscribe", AT_ONCE),
        ("get", "0.1"),
    ):
        expect = Expect(Outcome.UNHARMED, within)
        yield Scenario("backoff", fault, "backoff", expect, refused, slow)
    # No connection is open, so there is nothing to wait for: not the delay, nor close_timeout.
    long = {"reconnect_max_delay": 6.0, "close_timeout": 2.0}
    for fault in ("disconnect", "disconnect_in_callback"):
        closed = Expect(Outcome.CLOSED)
        yield Scenario("backoff", fault, "backoff", closed, refused, long)
    used_up = Expect(Outcome.ENDED, "reconnect_attempts * reconnect_max_delay")
    yield Scenario(
        "backoff", "attempts_used_up", "attempts_used_up", used_up, {}, {"reconnect_attempts": 3}
    )


def _in_order() -> list[Scenario]:
    made = [*_resolving(), *_from_the_registry(), *_variants(), *_backing_off()]
    return sorted(made, key=lambda s: (PHASES.index(s.phase), s.id.startswith("first-")))


SCENARIOS: dict[str, Scenario] = {scenario.id: scenario for scenario in _in_order()}
