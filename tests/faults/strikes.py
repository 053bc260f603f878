"""Plays in which a fault strikes a connection, and it is seen what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from etoro_sync import ClientState
from etoro_sync.simulator import FAULTS

from .clocking import outcome, timing
from .expectations import SILENCE, Outcome
from .stage import PATIENCE, Stage
from .witness import Call

__all__ = ["first", "live", "reconnection", "subscribing", "unsubscribing"]

#: A topic that is unsubscribed; nothing is ever sent for it.
_UNWANTED = 20


def _attempt(stage: Stage) -> tuple[float, float] | None:
    """Return when the first attempt after the fault began, and when the user knew it had failed."""
    expect = stage.scenario.expect
    phase = expect.fails or stage.scenario.phase
    begins = {"authenticate": "open", "subscribe": "authenticated"}.get(phase, "reconnecting")
    fails = "error" if begins == "reconnecting" else "close"
    story = stage.witness.story(stage.mark)
    first = next((n for n, seen in enumerate(story) if seen.name == begins), None)
    if first is None:
        return None
    failed = next((seen for seen in story[first:] if seen.name == fails), None)
    if failed is None:
        return None
    delay = story[first].arguments[1] if begins == "reconnecting" else 0.0
    return story[first].at + delay, failed.at


def reconnection(stage: Stage) -> None:
    """The connection is lost, and the fault strikes the next one."""
    measured, kind = stage.measured, stage.scenario.expect.outcome
    stage.begin()
    stage.strike()
    stage.sim.drop()
    lost = stage.see("close")
    known_at = time.monotonic() if lost is None else lost.at
    if kind is Outcome.REPLACED:
        stage.witness.wait(lambda: _attempt(stage), PATIENCE)
        found = _attempt(stage)
        if found is not None:
            measured.detected, known_at = found[1] - found[0], found[1]
    elif kind is Outcome.ENDED:
        error, opened = stage.see("error"), stage.see("open")
        if error is not None and opened is not None:
            measured.detected = error.at - opened.at
        return
    else:
        stage.see("reconnected")
        stage.reach()  # what concerns the feed may need another message
    stage.heal()
    back = stage.see("reconnected")
    if back is not None:
        measured.recovered = back.at - known_at
        stage.settle()


def live(stage: Stage) -> None:
    """The fault strikes while data flow."""
    measured, expect = stage.measured, stage.scenario.expect
    stage.begin()
    started = time.monotonic()
    stage.strike()
    signs = {Outcome.REPLACED: "close", Outcome.REPORTED: "error", Outcome.STALE: "stale"}
    if expect.outcome in signs:
        seen = stage.see(signs[expect.outcome])
        if seen is not None:
            measured.detected = seen.at - started
            started = seen.at
    elif FAULTS[stage.scenario.fault].lasting:
        # Long enough for the keepalive to be mistaken.
        stage.see("close", stage.bound(SILENCE) * 1.25)
    stage.heal()
    if expect.outcome is Outcome.REPLACED:
        back = stage.see("reconnected")
        if back is not None:
            measured.recovered = back.at - started
    else:
        if stage.scenario.fault == "forget":
            # What `stale` is there for: nobody but the user knows that he still wants it.
            stage.client.subscribe([18], snapshot=True)
        flowing = stage.until_flowing()
        if expect.outcome is Outcome.STALE:
            measured.recovered = flowing
    stage.settle()


def first(stage: Stage) -> None:
    """The fault strikes the first connection, which is not repeated; a later one is a good one."""
    measured = stage.measured
    stage.witness.listen()
    stage.strike()
    with timing() as took:
        measured.raised = outcome(stage.client.connect)
    ended = time.monotonic()
    measured.detected = took[0]
    measured.state = stage.client.state.name
    failed = stage.client.state is ClientState.FAILED
    if failed:
        stage.await_calls(ended)
    if not stage.scenario.expect.silent:
        stage.see("error" if failed else "authenticated")
    stage.note_story()
    stage.heal()
    if failed:
        with timing() as took:
            stage.renew()
        measured.recovered = took[0]
    stage.client.subscribe(stage.topics, snapshot=True)
    stage.use()
    stage.settle()


def subscribing(stage: Stage) -> None:
    """The fault strikes the k-th request of the user's own subscribe()."""
    stage.begin(subscribed=False)
    subscribe = partial(stage.client.subscribe, stage.topics, snapshot=True)
    _request(stage, "subscribe()", subscribe)
    if stage.measured.raised == "EToroSubscriptionError":
        # What was refused is not wanted any more; asked for again, it is granted.
        if frozenset(stage.client.subscriptions) != stage.sim.subscribed:
            stage.measured.different.append("what is wanted after the refusal")
        subscribe()
    stage.use()
    stage.settle()


def unsubscribing(stage: Stage) -> None:
    """The fault strikes the user's own unsubscribe(), while data flow."""
    stage.begin()
    stage.client.subscribe([_UNWANTED])
    unsubscribe = partial(stage.client.unsubscribe, [_UNWANTED])
    _request(stage, "unsubscribe()", unsubscribe)
    if stage.measured.raised == "EToroSubscriptionError":
        unsubscribe()
    stage.settle()


def _request(stage: Stage, name: str, function: Callable[[], None]) -> None:
    """Let the fault strike what a call asks for, and see how both end."""
    measured, replaced = stage.measured, stage.scenario.expect.outcome is Outcome.REPLACED
    stage.strike()
    started = time.monotonic()
    call = Call(name, function)
    lost = stage.see("close") if replaced else None
    if lost is not None:
        measured.detected = lost.at - started
        stage.heal()
    call.join(PATIENCE)
    stage.heal()
    measured.raised, measured.took = call.outcome, call.ended_at - started
    if lost is None:
        measured.detected = measured.took
        return
    back = stage.see("reconnected")
    if back is not None:
        measured.recovered = back.at - lost.at
