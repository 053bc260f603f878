"""Checks that a scenario kept its promises. Pure: returns the broken ones as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .event_order import check_events, check_waits
from .expectations import AT_ONCE, CLOSING, EARLY, MARGIN, Outcome, seconds
from .measurement import Measurement
from .scenario import Scenario

__all__ = ["broken", "detection_bound", "recovery_bound", "recovery_least"]

#: How blocked calls end when the user has ended the client: those that begin before connect().
_BEFORE = {
    "for ... in queue (rates)": "returned",
    "for ... in queue (orders)": "returned",
    "get()": "EToroClosedError",
}
#: And those that need a connection.
_LATER = {
    "for ... in stream()": "returned",
    "run_forever()": "returned",
    "wait_for()": "EToroClosedError",
}
_ALL = {**_BEFORE, **_LATER}
#: How calls end that begin while the client waits for its next attempt.
_BACKOFF_CALLS = {
    "subscribe": "returned",
    "unsubscribe": "returned",
    "stream": "returned",
    "connect": "EToroWebSocketError",
    "get": "Empty",
    "wait_for": "EToroTimeoutError",
}
#: Calls that are watched by their time.
_REQUESTS = ("subscribing", "unsubscribing")


def broken(scenario: Scenario, measured: Measurement) -> list[str]:
    """Return a line for each promise that was not kept."""
    checks = (_struck, _times, check_events, check_waits, _end, _messages, _leftovers)
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


def recovery_least(scenario: Scenario) -> str:
    """Return what recovery takes at least: a server that asks for patience is not asked again."""
    patient = scenario.patient and scenario.how == "reconnection"
    return "reconnect_max_delay / 2" if patient else AT_ONCE


def _struck(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    if not measured.struck:
        yield "the fault never struck"


def _times(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    expect, options = scenario.expect, scenario.all_options
    requests, settled = scenario.how in _REQUESTS, _settled(scenario)
    for what, bound, least, value in (
        ("detection", detection_bound(scenario), expect.earliest, measured.detected),
        ("recovery", recovery_bound(scenario), recovery_least(scenario), measured.recovered),
        ("the last messages", expect.withheld if settled else None, AT_ONCE, measured.flowing),
        ("disconnect()", CLOSING, AT_ONCE, measured.disconnected),
        ("the blocked calls' end", AT_ONCE, AT_ONCE, measured.late),
        ("the call", "request_timeout" if requests else None, AT_ONCE, measured.took),
    ):
        if bound is None:
            continue
        limit = seconds(bound, options) + MARGIN * scenario.slowness + measured.held_up
        early = seconds(least, options) - EARLY * scenario.slowness - measured.held_up
        if value is None:
            yield f"{what}: never, instead of within {limit:.2f} s"
        elif value > limit:
            yield f"{what}: after {value:.2f} s instead of within {limit:.2f} s"
        elif value < early:
            yield f"{what}: after {value:.2f} s already, instead of {early:.2f} s at least"


def _settled(scenario: Scenario) -> bool:
    """Whether messages flow at the end."""
    over = scenario.expect.outcome in (Outcome.CLOSED, Outcome.ENDED)
    return scenario.how == "first" or not over


def _end(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    outcome, how = scenario.expect.outcome, scenario.how
    closed = outcome is Outcome.CLOSED
    failed = outcome is Outcome.ENDED or (how == "first" and outcome is Outcome.REPLACED)
    state = "FAILED" if failed else "CLOSED" if closed else "LIVE"
    if measured.state != state:
        yield f"state: {measured.state}, not {state}"
    in_use = _BEFORE if how == "leaving_first" or (how == "first" and failed) else _ALL
    wanted = dict.fromkeys(in_use, scenario.expect.error) if failed else in_use
    yield from _calls(wanted, measured.calls)
    yield from _calls(_ALL if how == "first" and failed else {}, measured.again)
    raised = _expected_outcome(scenario, failed)
    if measured.raised not in raised:
        yield f"the call: {measured.raised or 'none'}, not {' or '.join(raised)}"


def _calls(wanted: Mapping[str, str], ended: Mapping[str, str]) -> Iterator[str]:
    for call in sorted({*wanted, *ended}):
        if ended.get(call) != wanted.get(call):
            yield f"{call}: {ended.get(call, 'not in use')}, not {wanted.get(call, 'in use')}"


def _expected_outcome(scenario: Scenario, failed: bool) -> tuple[str, ...]:
    """Return how the call that is watched may end; the empty string where there is none."""
    expect, how = scenario.expect, scenario.how
    if how == "first":
        return (expect.error if failed else "returned",)
    if how == "leaving_first":
        return ("EToroClosedError",)
    if how in _REQUESTS:
        if expect.outcome is Outcome.REPLACED:
            return ("returned", "EToroTimeoutError")
        refused = expect.error == "EToroSubscriptionError"
        return (expect.error if refused else "returned",)
    return (_BACKOFF_CALLS.get(scenario.fault, "") if how == "backoff" else "",)


def _messages(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    if _settled(scenario) and not measured.sent:
        yield "no message was sent"
    for what, lines in (
        ("lost outside of the gap", measured.outside),
        ("out of order", measured.disorder),
        ("the gap", measured.gaps),
        ("not the same on both sides", measured.different),
    ):
        yield from (f"{what}: {line}" for line in lines)


def _leftovers(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    if measured.threads:
        yield f"threads left: {', '.join(measured.threads)}"
    if measured.descriptors:
        yield f"descriptors left: {', '.join(measured.descriptors)}"
