"""Scenarios with other arguments, over TLS, and with faults that are not the simulator's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .expectations import EXPECTED, Expect, Of, Order, Outcome
from .injection import SCRIPTED
from .scenario import REQUESTS, TIMEOUTS, Scenario

__all__ = ["elsewhere", "options_for", "other_arguments", "refusals", "restored", "secured"]

_OPERATIONS = {"authenticate": "Authenticate", "subscribe": "Subscribe"}
#: So long that half of it is longer than any of the first waits.
PATIENCE = {"reconnect_max_delay": 0.6}


def options_for(expect: Expect) -> dict[str, Any]:
    """Return the options that a scenario needs to show what is expected."""
    return {"stale_after": 0.4} if expect.outcome is Outcome.STALE else {}


def other_arguments() -> Iterator[Scenario]:
    """The same fault in other words, where they make a difference."""
    for phase, operation in _OPERATIONS.items():
        delay = Of(f"{TIMEOUTS[phase]} / 3")
        given: dict[str, Any] = {"operation": operation, "delay": delay, "times": 1}
        unharmed = Expect(Outcome.UNHARMED, delay)
        yield Scenario(phase, "late_answer", "reconnection", unharmed, given, variant="in-time")
    expect = Expect(Outcome.UNHARMED, "connect_timeout")
    given = {"interval": 0.001}
    yield Scenario("handshake", "drip_handshake", "reconnection", expect, given, variant="quick")
    for status in (401, 403, 404, 429, 500):
        lost, given = EXPECTED["http_status"]["handshake"], {"status": status}
        yield Scenario("handshake", "http_status", "reconnection", lost, given, variant=str(status))
    for code in (1001, 1008, 1011, 1012, 1013, 4001, 1005, 999, None):
        # No code is 1005, which may not be sent as one, nor may 999.
        told = "1005" if code is None else "1002" if code in (1005, 999) else str(code)
        lost = replace(EXPECTED["close"]["live"], code=told)
        yield Scenario("live", "close", "live", lost, {"code": code}, variant=str(code), fast=False)


def refusals() -> Iterator[Scenario]:
    """What else eToro may answer to credentials and subscriptions."""
    ended = Expect(Outcome.ENDED, error="EToroAuthError")
    lost = Expect(Outcome.REPLACED)
    for code, expect in (
        *((code, ended) for code in ("InvalidKey", "Unauthorized", "Forbidden")),
        ("TooManyRequests", lost),
    ):
        given: dict[str, Any] = {"operation": "Authenticate", "code": code}
        options = PATIENCE if expect is lost else {}
        for how in ("reconnection", "first"):
            yield Scenario("authenticate", "reject", how, expect, given, options, variant=code)
    refused = Expect(Outcome.REPORTED, error="EToroSubscriptionError")
    for code in ("TooManyRequests", "UnhandledException"):
        for k in range(1, REQUESTS + 1):
            given = {"operation": "Subscribe", "code": code, "skip": k - 1}
            for how, expect in (("reconnection", lost), ("subscribing", refused)):
                yield _at(k, "reject", how, expect, given, PATIENCE, variant=code)
    # A frame that is refused as a whole is asked for again in parts.
    for k in range(1, REQUESTS + 1):
        code = "TopicAlreadySubscribed"
        given = {"operation": "Subscribe", "code": code, "skip": k - 1, "times": 1}
        for how in ("reconnection", "subscribing"):
            yield _at(k, "reject", how, Expect(Outcome.UNHARMED), given, {}, variant=code)


def _at(
    k: int,
    fault: str,
    how: str,
    expect: Expect,
    given: dict[str, Any],
    options: dict[str, Any],
    variant: str = "",
    *,
    tls: bool = False,
) -> Scenario:
    """Return a scenario of the k-th subscription."""
    name = "-".join(part for part in (variant, f"{k}of{REQUESTS}") if part)
    return Scenario("subscribe", fault, how, expect, given, options, tls, name, k == 2)


def restored() -> Iterator[Scenario]:
    """What the feed brings while the subscriptions are restored: without snapshots, in disorder."""
    withheld = Expect(Outcome.UNHARMED, withheld="request_timeout")
    for how in ("reconnection", "subscribing"):
        yield Scenario("subscribe", "no_snapshot", how, withheld)
    for fault, order in (("duplicate", Order.TWICE), ("reorder", Order.PAIRS)):
        yield Scenario("subscribe", fault, "reconnection", Expect(Outcome.UNHARMED, order=order))
    twice = Expect(Outcome.UNHARMED, order=Order.TWICE)
    for k in (2, REQUESTS):
        given = {"at": "Subscribe", "skip": k - 1}
        yield _at(k, "repeat_snapshot", "reconnection", twice, given, {})


def secured() -> Iterator[Scenario]:
    """Over TLS, which hides what the socket knows."""
    for fault in ("mute", "half_open", "stall", "reset", "close_reset", "one_byte", "drip"):
        for phase in ("live", "closing"):
            expect = EXPECTED[fault][phase]
            options = options_for(expect)
            yield Scenario(phase, fault, phase, expect, {}, options, tls=True, variant="tls")
    for fault in ("mute", "reset", "close", "one_byte", "stall"):
        for phase, operation in _OPERATIONS.items():
            expect, given = EXPECTED[fault][phase], {"at": operation}
            if phase == "subscribe":
                yield _at(
                    2, fault, "reconnection", expect, {**given, "skip": 1}, {}, "tls", tls=True
                )
            else:
                yield Scenario(phase, fault, "reconnection", expect, given, {}, True, "tls")


def elsewhere() -> Iterator[Scenario]:
    """Faults of what is between the client and the simulator, or comes before both."""
    yield from _resolving()
    for how in ("reconnection", "first"):
        yield Scenario(
            "connect", "key_raises", how, Expect(Outcome.REPLACED, error="EToroAuthError")
        )
        late = Expect(Outcome.REPLACED, "connect_timeout", "connect_timeout", "EToroAuthError")
        yield Scenario("connect", "key_hangs", how, late)
        late = replace(late, error="EToroTimeoutError")
        yield Scenario("connect", "silent", how, late)
        for fault in SCRIPTED:
            yield Scenario("tls", fault, how, Expect(Outcome.REPLACED), tls=True)


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
        expect = Expect(Outcome.UNHARMED, soon, soon)
        yield Scenario("resolve", "hangs", how, expect, {"hang": soon}, variant="briefly")
        expect = Expect(Outcome.REPLACED, late, "connect_timeout", "EToroTimeoutError")
        yield Scenario("resolve", "hangs", how, expect, {"hang": late}, variant="too-long")
    bound = "connect_timeout + auth_timeout + 1.0"
    forever = Expect(Outcome.REPLACED, bound, "connect_timeout", "EToroTimeoutError", silent=True)
    yield Scenario("resolve", "hangs", "first", forever, {"hang": 60.0}, variant="for-ever")
