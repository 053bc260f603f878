"""Checks which connection events the callbacks received, and in which order. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .expectations import EARLY, MARGIN, Outcome, seconds
from .measurement import Measurement
from .scenario import Scenario

__all__ = ["check_events", "check_waits"]

_BACK = "reconnecting open authenticated reconnected"
_ANY_ATTEMPTS = r"( reconnecting (error-EToro\w+|open close-\d+|open authenticated close-\d+))*"
#: What comes before an attempt gets as far as this.
_REACHED = {"authenticate": "open ", "subscribe": "open authenticated "}
#: An attempt that fails in one of these phases has not emitted `open` yet.
_BEFORE_OPEN = ("resolve", "connect", "tls", "handshake")


def check_events(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    """Compare the events, with close codes and classes of errors, with what was to come."""
    tokens = [event.replace(" ", "-") for event in measured.events]
    reported, error = scenario.expect.outcome is Outcome.REPORTED, f"error-{scenario.expect.error}"
    if reported and error not in tokens:
        yield f"events: no error {scenario.expect.error} was told"
    if reported or scenario.how == "closing":  # where it may come in time, or not
        tokens = [token for token in tokens if token != error]
    wanted = _expected(scenario)
    if not re.fullmatch(wanted, " ".join(tokens)):
        yield f"events: {', '.join(measured.events) or 'none'}; expected: {wanted or 'none'}"


def _expected(scenario: Scenario) -> str:
    """Return the events in their order, as a regular expression."""
    expect, how = scenario.expect, scenario.how
    if expect.silent:
        return ""
    close, error = f"close-({expect.code})", f"error-{expect.error}"
    refused = "close-1006 reconnecting( open close-1006 reconnecting)+"
    attempts = scenario.all_options.get("reconnect_attempts")
    reached = _REACHED.get(scenario.phase, "")
    stories = {
        "closing": f"{close}( reconnecting)?",
        "leaving": f"close-1006 reconnecting {reached}{close * bool(reached)}".rstrip(),
        # The user's own subscribe() comes after both.
        "leaving_first": {"authenticate": f"open {close}", "subscribe": close}.get(
            scenario.phase, ""
        ),
        "attempts_used_up": f"close-1006( reconnecting {error}){{{attempts}}} {error}",
    }
    if how in stories:
        return stories[how]
    if how == "backoff":
        over = expect.outcome is Outcome.CLOSED
        return refused if over else f"{refused} open authenticated reconnected"
    if how in ("reconnection", "first"):
        return _attempt(scenario, close, error)
    if expect.outcome is Outcome.REPLACED:
        return f"{close}{_ANY_ATTEMPTS} {_BACK}"
    return "stale( stale)*" if expect.outcome is Outcome.STALE else ""


def _attempt(scenario: Scenario, close: str, error: str) -> str:
    """Return the events of an attempt that the fault strikes."""
    outcome = scenario.expect.outcome
    reached = _REACHED.get(scenario.expect.fails or scenario.phase)
    failed = error if reached is None else reached + close
    if scenario.how == "first":
        if outcome in (Outcome.REPLACED, Outcome.ENDED):
            return failed if failed == error else f"{failed} {error}"
        return "open authenticated"
    if outcome is Outcome.REPLACED:
        return f"close-1006( reconnecting {failed})+ {_BACK}"
    if outcome is Outcome.ENDED:
        return f"close-1006 reconnecting {failed} {error}"
    return f"close-1006 {_BACK}"


def check_waits(scenario: Scenario, measured: Measurement) -> Iterator[str]:
    """Compare the waits, as they were told and as they were, with what is promised of them."""
    options = scenario.all_options
    first, cap = options["reconnect_delay"], options["reconnect_max_delay"]
    due = seconds(scenario.expect.within, options) if scenario.phase in _BEFORE_OPEN else 0.0
    asked = scenario.patient or scenario.given.get("status") == 429
    if len(measured.waits) != measured.events.count("reconnecting"):
        yield f"{len(measured.waits)} waits were noted"
    for number, (attempt, delay, took) in enumerate(measured.waits, 1):
        if attempt != number:
            yield f"attempt {number}: it was told as {attempt}"
        longest = cap if asked and number > 1 else min(first * 2 ** (number - 1), cap)
        least = cap / 2 if scenario.patient and number > 1 else 0.0
        if not least <= delay <= longest:
            wanted = f"{least:.2f} to {longest:.2f} s"
            yield f"attempt {number}: told to wait {delay:.2f} s, not {wanted}"
        if took is None:
            continue
        early, late = EARLY * scenario.slowness, MARGIN * scenario.slowness
        if not -early <= took - delay + measured.held_up <= due + late + 2 * measured.held_up:
            yield f"attempt {number}: after {took:.2f} s, though told to wait {delay:.2f} s"
