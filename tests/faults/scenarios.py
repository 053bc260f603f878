"""All scenarios: every fault in every phase that it makes sense in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from etoro_sync.simulator import FAULTS

from .expectations import AT_ONCE, EXPECTED, Expect, Of, Outcome
from .scenario import FIRST, PHASES, REQUESTS, TIMEOUTS, Scenario
from .user_actions import backing_off, leaving, unsubscribing
from .variants import elsewhere, options_for, other_arguments, refusals, restored, secured

__all__ = ["SCENARIOS"]


def _arguments(fault: str, phase: str) -> dict[str, Any]:
    """What the fault takes in this phase, with what makes it quick to show."""
    # What a closing client does not mind is struck like the others.
    given = dict(FAULTS[fault].phases.get(phase, {}))
    if fault == "endless_fragments":
        given |= {"size": 100_000, "interval": 0.01}
    if fault == "late_answer":
        given |= {"delay": Of(f"{TIMEOUTS[phase]} * 2")}
    return given


def _from_the_registry() -> Iterator[Scenario]:
    """Every fault of the simulator in every phase of the expectations, later and first ones."""
    for fault, phases in EXPECTED.items():
        cls = FAULTS[fault]
        for phase, expect in phases.items():
            given, tls = _arguments(fault, phase), cls.needs_tls or phase == "tls"
            if phase == "subscribe":
                yield from _kth_of_n(fault, expect, given)
                continue
            how = phase if phase in ("live", "closing") else "reconnection"
            yield Scenario(phase, fault, how, expect, given, options_for(expect), tls)
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
            first = Expect(Outcome.REPORTED, AT_ONCE, error="EToroSubscriptionError")
        yield Scenario("subscribe", fault, "subscribing", first, here, variant=variant, fast=fast)


def _in_order() -> list[Scenario]:
    made = [
        *elsewhere(),
        *_from_the_registry(),
        *other_arguments(),
        *refusals(),
        *restored(),
        *secured(),
        *unsubscribing(),
        *backing_off(),
        *leaving(),
    ]
    return sorted(made, key=lambda s: (PHASES.index(s.phase), s.how in FIRST))


SCENARIOS: dict[str, Scenario] = {scenario.id: scenario for scenario in _in_order()}
