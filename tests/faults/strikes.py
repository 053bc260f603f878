"""Plays in which a fault strikes a connection, and it is seen what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from etoro_sync import ClientState
from etoro_sync.simulator import FAULTS

from .expectations import SILENCE, Outcome
from .observer import Call
from .testbed import PATIENCE, Testbed
from .timed_calls import outcome, timing

__all__ = ["first", "live", "reconnection", "subscribing", "unsubscribing"]

#: A topic that is unsubscribed; nothing is ever sent for it.
_UNWANTED = 20


def _attempt(testbed: Testbed) -> tuple[float, float] | None:
    """Return when the first attempt after the fault began, and when the user knew it had failed."""
    expect = testbed.scenario.expect
    phase = expect.fails or testbed.scenario.phase
    begins = {"authenticate": "open", "subscribe": "authenticated"}.get(phase, "reconnecting")
    fails = "error" if begins == "reconnecting" else "close"
    events = testbed.observer.connection_events(testbed.mark)
    first = next((n for n, seen in enumerate(events) if seen.name == begins), None)
    if first is None:
        return None
    failed = next((seen for seen in events[first:] if seen.name == fails), None)
    if failed is None:
        return None
    delay = events[first].arguments[1] if begins == "reconnecting" else 0.0
    return events[first].at + delay, failed.at


def reconnection(testbed: Testbed) -> None:
    """The connection is lost, and the fault strikes the next one."""
    measured, kind = testbed.measured, testbed.scenario.expect.outcome
    testbed.begin()
    testbed.strike()
    testbed.sim.drop()
    lost = testbed.see("close")
    known_at = time.monotonic() if lost is None else lost.at
    if kind is Outcome.REPLACED:
        testbed.observer.wait(lambda: _attempt(testbed), PATIENCE)
        found = _attempt(testbed)
        if found is not None:
            measured.detected, known_at = found[1] - found[0], found[1]
    elif kind is Outcome.ENDED:
        error, opened = testbed.see("error"), testbed.see("open")
        if error is not None and opened is not None:
            measured.detected = error.at - opened.at
        return
    else:
        testbed.see("reconnected")
        testbed.reach()  # what concerns the feed may need another message
    testbed.heal()
    back = testbed.see("reconnected")
    if back is not None:
        measured.recovered = back.at - known_at
        testbed.settle()


def live(testbed: Testbed) -> None:
    """The fault strikes while data flow."""
    measured, expect = testbed.measured, testbed.scenario.expect
    testbed.begin()
    started = time.monotonic()
    testbed.strike()
    signs = {Outcome.REPLACED: "close", Outcome.REPORTED: "error", Outcome.STALE: "stale"}
    if expect.outcome in signs:
        seen = testbed.see(signs[expect.outcome])
        if seen is not None:
            measured.detected = seen.at - started
            started = seen.at
    elif FAULTS[testbed.scenario.fault].lasting:
        # Long enough for the keepalive to be mistaken.
        testbed.see("close", testbed.bound(SILENCE) * 1.25)
    testbed.heal()
    if expect.outcome is Outcome.REPLACED:
        back = testbed.see("reconnected")
        if back is not None:
            measured.recovered = back.at - started
    else:
        if testbed.scenario.fault == "forget":
            # What `stale` is there for: nobody but the user knows that he still wants it.
            testbed.client.subscribe([18], snapshot=True)
        flowing = testbed.until_flowing()
        if expect.outcome is Outcome.STALE:
            measured.recovered = flowing
    testbed.settle()


def first(testbed: Testbed) -> None:
    """The fault strikes the first connection, which is not repeated; a later one is a good one."""
    measured = testbed.measured
    testbed.observer.listen()
    testbed.strike()
    with timing() as took:
        measured.raised = outcome(testbed.client.connect)
    ended = time.monotonic()
    measured.detected = took[0]
    measured.state = testbed.client.state.name
    failed = testbed.client.state is ClientState.FAILED
    if failed:
        testbed.await_calls(ended)
    if not testbed.scenario.expect.silent:
        testbed.see("error" if failed else "authenticated")
    testbed.record_events()
    testbed.heal()
    if failed:
        with timing() as took:
            testbed.renew()
        measured.recovered = took[0]
    testbed.client.subscribe(testbed.topics, snapshot=True)
    testbed.use()
    testbed.settle()


def subscribing(testbed: Testbed) -> None:
    """The fault strikes the k-th request of the user's own subscribe()."""
    testbed.begin(subscribed=False)
    subscribe = partial(testbed.client.subscribe, testbed.topics, snapshot=True)
    _request(testbed, "subscribe()", subscribe)
    if testbed.measured.raised == "EToroSubscriptionError":
        # What was refused is not wanted any more; asked for again, it is granted.
        if frozenset(testbed.client.subscriptions) != testbed.sim.subscribed:
            testbed.measured.different.append("what is wanted after the refusal")
        subscribe()
    testbed.use()
    testbed.settle()


def unsubscribing(testbed: Testbed) -> None:
    """The fault strikes the user's own unsubscribe(), while data flow."""
    testbed.begin()
    testbed.client.subscribe([_UNWANTED])
    unsubscribe = partial(testbed.client.unsubscribe, [_UNWANTED])
    _request(testbed, "unsubscribe()", unsubscribe)
    if testbed.measured.raised == "EToroSubscriptionError":
        unsubscribe()
    testbed.settle()


def _request(testbed: Testbed, name: str, function: Callable[[], None]) -> None:
    """Let the fault strike what a call asks for, and see how both end."""
    measured, replaced = testbed.measured, testbed.scenario.expect.outcome is Outcome.REPLACED
    testbed.strike()
    started = time.monotonic()
    call = Call(name, function)
    lost = testbed.see("close") if replaced else None
    if lost is not None:
        measured.detected = lost.at - started
        testbed.heal()
    call.join(PATIENCE)
    testbed.heal()
    measured.raised, measured.took = call.outcome, call.ended_at - started
    if lost is None:
        measured.detected = measured.took
        return
    back = testbed.see("reconnected")
    if back is not None:
        measured.recovered = back.at - lost.at
