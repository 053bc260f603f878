"""When a promise counts as broken. Pure: a scenario and its measurement go in, lines come out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .expectations import AT_ONCE, CLOSING, MARGIN, Outcome, seconds
from .measurement import Measurement
from .scenarios import Scenario

__all__ = ["broken", "detection_bound", "recovery_bound"]

_BACK = "reconnecting open authenticated reconnected"
_FAILED_ATTEMPT = {"authenticate": "open close", "subscribe": "open authenticated close"}
_ANY_ATTEMPTS = "( reconnecting (error|open close|open authenticated close))*"
_IN_BACKOFF = "close reconnecting( open close reconnecting)+"

#: How blocked calls end when the user has ended the client.
_ENDED_BY_USER = {
    "for ... in queue (rates)": "returned",
    "for ... in queue (orders)": "returned",
    "for ... in stream()": "returned",
    "run_forever()": "returned",
    "get()": "EToroClosedError",
    "wait_for()": "EToroClosedError",
}


def broken(scenario: Scenario, measured: Measurement) -> list[str]:
    """Return a line for each promise that was not kept."""
    checks = (_times, _story, _end, _messages, _leftovers)
    return [line for check in checks for line in check(scenario, measured)]


def detection_bound(scenario: Scenario) -> str | None:
    """Return the bound until the user knows, or until his call returns; None: nothing to know."""
    quiet = scenario.expect.outcome is Outcome.UNHARMED
    if quiet and scenario.how in ("reconnection", "live"):
        return None
    if scenario.expect.outcome is Outcome.REPORTED and scenario.how == "reconnection":
        return None  # it comes in the middle of other events
    return scenario.expect.within


def recovery_bound(scenario: Scenario) -> str | None:
    """Return the bound until all is as before, from what was detected; None: nothing to recover."""
    outcome, within = scenario.expect.outcome, scenario.expect.within
    if outcome in (Outcome.CLOSED, Outcome.ENDED):
        # A client that never was connected is simply connected again.
        return AT_ONCE if scenario.how == "first" else None
    if scenario.how == "backoff":
        return "reconnect_max_delay"
    if scenario.how == "first":
        return AT_ONCE if outcome is Outcome.REPLACED else None
    if outcome is Outcome.STALE:
        return AT_ONCE
    if outcome is not Outcome.REPLACED and scenario.how != "reconnection":
        return None
    # An attempt that was under way when the fault ended runs into it all the same.
    return "reconnect_max_delay" if within == AT_ONCE else f"reconnect_max_delay + {within}"


def _times(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    options = scenario.all_options
    for what, bound, value in (
        ("detection", detection_bound(scenario), measured.detected),
        ("recovery", recovery_bound(scenario), measured.recovered),
        ("disconnect()", CLOSING, measured.disconnected),
        ("the blocked calls' end", AT_ONCE, measured.late),
        ("subscribe()", "request_timeout", measured.took),
    ):
        if bound is None:
            continue
        limit = seconds(bound, options) + MARGIN * scenario.slowness + measured.held_up
        if value is None:
            yield f"{what}: never, instead of within {limit:.2f} s"
        elif value > limit:
            yield f"{what}: after {value:.2f} s instead of within {limit:.2f} s"


def _story(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    names = [event.partition(" ")[0] for event in measured.events]
    if scenario.expect.outcome is Outcome.REPORTED:
        if "error" not in names:
            yield "events: no error was told"
        names = [name for name in names if name != "error"]
    wanted = _expected_story(scenario)
    if not re.fullmatch(wanted, " ".join(names)):
        yield f"events: {', '.join(measured.events) or 'none'}; expected: {wanted or 'none'}"


def _expected_story(scenario: Scenario) -> str:
    """Return the names of the events in their order, as a regular expression."""
    outcome, how = scenario.expect.outcome, scenario.how
    if scenario.expect.silent:
        return ""
    attempt = _FAILED_ATTEMPT.get(scenario.expect.fails or scenario.phase, "error")
    if how == "reconnection":
        if outcome is Outcome.REPLACED:
            return f"close( reconnecting {attempt})+ {_BACK}"
        return (
            "close reconnecting open close error" if outcome is Outcome.ENDED else f"close {_BACK}"
        )
    if how == "first":
        if outcome in (Outcome.REPLACED, Outcome.ENDED):
            return "error" if attempt == "error" else f"{attempt} error"
        return "open authenticated"
    if how == "backoff":
        closed = outcome is Outcome.CLOSED
        return _IN_BACKOFF if closed else f"{_IN_BACKOFF} open authenticated reconnected"
    if how == "attempts_used_up":
        return f"close( reconnecting error){{{scenario.all_options['reconnect_attempts']}}} error"
    if how == "closing":
        return "close"
    if how == "disconnect_while_resolving":
        return "close reconnecting"
    if outcome is Outcome.REPLACED:
        return f"close{_ANY_ATTEMPTS} {_BACK}"
    return "stale( stale)*" if outcome is Outcome.STALE else ""


def _end(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    outcome, how = scenario.expect.outcome, scenario.how
    closed = outcome is Outcome.CLOSED
    failed = outcome is Outcome.ENDED or (how == "first" and outcome is Outcome.REPLACED)
    state = "FAILED" if failed else "CLOSED" if closed else "LIVE"
    if measured.state != state:
        yield f"state: {measured.state}, not {state}"
    for call, ended in measured.calls.items():
        wanted = scenario.expect.error if failed else _ENDED_BY_USER[call]
        if ended != wanted:
            yield f"{call}: {ended}, not {wanted}"
    if not measured.calls:
        yield "no blocked call was watched"
    raised = _expected_outcome(scenario, failed)
    if measured.raised not in raised:
        yield f"the call: {measured.raised or 'none'}, not {' or '.join(raised)}"


def _expected_outcome(scenario: Scenario, failed: bool) -> tuple[str, ...]:
    """Return how the call that is watched may end; the empty string where there is none."""
    expect, how = scenario.expect, scenario.how
    if how == "first":
        return (expect.error if failed else "returned",)
    if how == "subscribing":
        if expect.outcome is Outcome.REPLACED:
            return ("returned", "EToroTimeoutError")
        rejected = expect.error == "EToroSubscriptionError"
        return (expect.error if rejected else "returned",)
    if how == "backoff" and scenario.fault in ("subscribe", "unsubscribe"):
        return ("returned",)
    return ("Empty",) if scenario.fault == "get" else ("",)


def _messages(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    for line in measured.outside:
        yield f"lost outside of the gap: {line}"
    for line in measured.different:
        yield f"not the same on both sides: {line}"


def _leftovers(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    if measured.threads:
        yield f"threads left: {', '.join(measured.threads)}"
    if measured.descriptors:
        yield f"descriptors left: {', '.join(measured.descriptors)}"
