"""Scenarios of what the user does while something goes wrong: he waits, unsubscribes, leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .expectations import AT_ONCE, CLOSING, Expect, Of, Outcome
from .scenario import REQUESTS, Scenario

__all__ = ["backing_off", "leaving", "unsubscribing"]

_REFUSED = {"operation": "Authenticate", "code": "TooManyRequests"}


def backing_off() -> Iterator[Scenario]:
    """What may happen while the client waits before its next attempt."""
    slow = {"reconnect_max_delay": 1.0}
    for fault, within, earliest in (
        ("healed", "reconnect_max_delay", AT_ONCE),
        ("subscribe", AT_ONCE, AT_ONCE),
        ("unsubscribe", AT_ONCE, AT_ONCE),
        ("connect", AT_ONCE, AT_ONCE),
        ("get", "0.1", "0.1"),
        ("wait_for", "0.1", "0.1"),
        ("stream", "reconnect_max_delay", AT_ONCE),
    ):
        expect = Expect(Outcome.UNHARMED, within, earliest)
        yield Scenario("backoff", fault, "backoff", expect, _REFUSED, slow)
    # No connection is open, so there is nothing to wait for: not the delay, nor close_timeout.
    long = {"reconnect_max_delay": 6.0, "close_timeout": 2.0}
    for fault in ("disconnect", "disconnect_in_callback"):
        closed = Expect(Outcome.CLOSED)
        yield Scenario("backoff", fault, "backoff", closed, _REFUSED, long)
    used_up = Expect(Outcome.ENDED, "reconnect_attempts * reconnect_max_delay")
    yield Scenario(
        "backoff", "attempts_used_up", "attempts_used_up", used_up, {}, {"reconnect_attempts": 3}
    )


def unsubscribing() -> Iterator[Scenario]:
    """Answers to an Unsubscribe, while data flow."""
    timeout = "request_timeout"
    refused = Expect(Outcome.REPORTED, error="EToroSubscriptionError")
    lost = Expect(Outcome.REPLACED, timeout, timeout)
    given: dict[str, dict[str, Any]] = {
        "reject": {"code": "UnhandledException"},
        "late_answer": {"delay": Of(f"{timeout} * 2")},
    }
    for fault, expect in (
        ("reject", refused),
        ("no_answer", lost),
        ("late_answer", lost),
        ("double_answer", Expect(Outcome.UNHARMED)),
    ):
        here = {"operation": "Unsubscribe", **given.get(fault, {})}
        yield Scenario("live", fault, "unsubscribing", expect, here, variant="unsubscribe")
    delay = Of(f"{timeout} / 3")
    here = {"operation": "Unsubscribe", "delay": delay}
    in_time = Expect(Outcome.UNHARMED, delay, delay)
    yield Scenario(
        "live", "late_answer", "unsubscribing", in_time, here, variant="unsubscribe-in-time"
    )


def leaving() -> Iterator[Scenario]:
    """The user disconnects while an attempt is under way, and the peer does not answer."""
    closed = Expect(Outcome.CLOSED, CLOSING)
    mute: list[tuple[str, str, dict[str, Any], str]] = [
        ("resolve", "hangs", {"hang": 60.0}, "disconnect"),
        ("connect", "silent", {}, "disconnect"),
        ("connect", "key_hangs", {}, "disconnect"),
        ("tls", "no_handshake", {"during": "tls"}, "disconnect"),
        ("handshake", "no_handshake", {"during": "handshake"}, "disconnect"),
        ("authenticate", "mute", {"at": "Authenticate"}, "disconnect"),
    ]
    for k in range(1, REQUESTS + 1):
        given = {"at": "Subscribe", "skip": k - 1}
        mute.append(("subscribe", "mute", given, f"{k}of{REQUESTS}-disconnect"))
    for phase, fault, given, variant in mute:
        for how in ("leaving", "leaving_first"):
            tls = phase == "tls"
            yield Scenario(phase, fault, how, closed, given, tls=tls, variant=variant)
