"""Brings a scenario about with a real client over real sockets, and measures what happens.

Each function here is one way of doing so; a scenario names its own.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from etoro_sync import ClientState
from etoro_sync.simulator import FAULTS, EToroSimulator
from tests.support.threads import join_stragglers, open_descriptors
from tests.support.timing import SCALE

from .expectations import SILENCE, Outcome
from .measurement import Measurement
from .pulse import Pulse
from .resolver import Resolver
from .scenarios import Scenario
from .stage import PATIENCE, Stage
from .traffic import INSTRUMENTS
from .witness import Call

__all__ = ["play"]


def play(scenario: Scenario) -> Measurement:
    """Play a scenario; nothing else may happen in this process meanwhile."""
    threads, descriptors = frozenset(threading.enumerate()), open_descriptors()
    measured = Measurement(scenario.id, slowness=scenario.slowness)
    simulator = EToroSimulator(
        dict.fromkeys(INSTRUMENTS, 1000.0), rate=0, nul_interval=0, tls=scenario.tls
    )
    with Pulse() as pulse, Resolver() as resolver, simulator as sim:
        stage = Stage(scenario, sim, resolver, measured)
        try:
            _PLAYS[scenario.how](stage)
        except Exception as exc:
            measured.different.append(f"the play broke off: {exc!r}")
        finally:
            stage.end()
    measured.held_up = pulse.held_up
    measured.threads = join_stragglers(threads, grace=1.0 * SCALE)
    left = open_descriptors().items()
    measured.descriptors = [what for number, what in left if descriptors.get(number) != what]
    return measured


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


def _reconnection(stage: Stage) -> None:
    """The connection is lost, and the fault strikes the next one."""
    measured, outcome = stage.measured, stage.scenario.expect.outcome
    stage.begin()
    stage.strike()
    stage.sim.drop()
    lost = stage.see("close")
    known_at = time.monotonic() if lost is None else lost.at
    if outcome is Outcome.REPLACED:
        stage.witness.wait(lambda: _attempt(stage), PATIENCE)
        found = _attempt(stage)
        if found is not None:
            measured.detected, known_at = found[1] - found[0], found[1]
    elif outcome is Outcome.ENDED:
        error, opened = stage.see("error"), stage.see("open")
        if error is not None and opened is not None:
            measured.detected = error.at - opened.at
        return
    else:
        stage.see("reconnected")
    stage.heal()
    back = stage.see("reconnected")
    if back is not None:
        measured.recovered = back.at - known_at
        stage.settle()


def _live(stage: Stage) -> None:
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


def _closing(stage: Stage) -> None:
    """The user disconnects while it goes wrong."""
    stage.begin()
    stage.strike()
    _disconnect(stage)


def _disconnect(stage: Stage) -> None:
    """Measure the user's own end."""
    started = time.monotonic()
    stage.client.disconnect()
    stage.measured.detected = time.monotonic() - started
    stage.measured.state = stage.client.state.name
    stage.await_calls(started + stage.measured.detected)


def _first(stage: Stage) -> None:
    """The fault strikes the first connection, which is not repeated; a later one is a good one."""
    measured = stage.measured
    stage.witness.listen()
    stage.strike()
    with _timing() as took:
        measured.raised = _outcome(stage.client.connect)
    measured.detected = took[0]
    measured.state = stage.client.state.name
    failed = stage.client.state is ClientState.FAILED
    if failed:
        stage.see("error")
        stage.await_calls(time.monotonic())
    else:
        stage.see("authenticated")
    measured.events = [str(seen) for seen in stage.witness.story()]
    stage.heal()
    if failed:
        with _timing() as took:
            stage.client.connect()
        measured.recovered = took[0]
    told, stage.mark = measured.events, len(stage.witness.story())
    stage.end()
    measured.events = told


def _subscribing(stage: Stage) -> None:
    """The fault strikes the k-th request of the user's own subscribe()."""
    measured, expect = stage.measured, stage.scenario.expect
    stage.begin(subscribed=False)
    stage.strike()
    started = time.monotonic()
    call = Call("subscribe()", partial(stage.client.subscribe, stage.topics, snapshot=True))
    lost = None
    if expect.outcome is Outcome.REPLACED:
        lost = stage.see("close")
        if lost is not None:
            measured.detected = lost.at - started
        stage.heal()
    call.join(PATIENCE)
    stage.heal()
    measured.raised, measured.took = call.outcome, call.ended_at - started
    if expect.outcome is Outcome.REPLACED:
        back = stage.see("reconnected")
        if back is not None and lost is not None:
            measured.recovered = back.at - lost.at
    else:
        measured.detected = call.ended_at - started
    if measured.raised == "EToroSubscriptionError":
        # What was refused is not wanted any more; asked for again, it is granted.
        if frozenset(stage.client.subscriptions) != stage.sim.subscribed:
            measured.different.append("what is wanted after the refusal")
        stage.client.subscribe(stage.topics, snapshot=True)
    stage.use()
    stage.settle()


def _disconnect_while_resolving(stage: Stage) -> None:
    """The system's resolver hangs, and the user wants to leave."""
    stage.begin()
    stage.strike()
    stage.sim.drop()
    stage.resolver.entered.wait(PATIENCE)
    _disconnect(stage)


def _backoff(stage: Stage) -> None:
    """Something happens while the client waits for its next attempt."""
    measured, fault = stage.measured, stage.scenario.fault
    stage.begin()
    stage.sim.fault("reject", **stage.scenario.arguments)
    leaving = fault == "disconnect_in_callback"
    took: list[float] = []
    left = threading.Event()

    def leave(attempt: int, delay: float) -> None:
        if attempt > 1 and not took:
            with _timing() as here:
                stage.client.disconnect()
            took.extend(here)
            left.set()

    if leaving:
        stage.client.on("reconnecting", leave)
    stage.sim.drop()

    def waits() -> bool:
        # The second wait is a long one: the server has asked for patience.
        return len([s for s in stage.witness.seen if s.name == "reconnecting"]) >= 2

    stage.witness.wait(waits, PATIENCE)
    if leaving:
        left.wait(PATIENCE)
        measured.detected = took[0] if took else None
        measured.state = stage.client.state.name
        stage.await_calls(time.monotonic())
    elif fault == "disconnect":
        _disconnect(stage)
    else:
        _in_the_meantime(stage)


def _in_the_meantime(stage: Stage) -> None:
    """Use the client while it waits; it recovers all the same."""
    measured, fault, client = stage.measured, stage.scenario.fault, stage.client
    with _timing() as took:
        if fault == "get":
            measured.raised = _outcome(partial(client.queue("private:event").get, timeout=0.1))
        elif fault == "subscribe":
            measured.raised = _outcome(partial(client.subscribe, [20], snapshot=True))
        elif fault == "unsubscribe":
            client.subscribe([20])
            measured.raised = _outcome(partial(client.unsubscribe, [20]))
    started = time.monotonic()
    stage.heal()
    back = stage.see("reconnected")
    if back is not None:
        measured.recovered = back.at - started
        measured.detected = measured.recovered if fault == "healed" else took[0]
        if ("instrument:20" in back.arguments[0].topics) is not (fault == "subscribe"):
            measured.different.append("the topic that was asked for during the wait")
        stage.settle()


def _attempts_used_up(stage: Stage) -> None:
    """The server stays away for longer than the user wants to wait."""
    stage.begin()
    stage.sim.fault("refuse")
    stage.sim.drop()
    lost = stage.see("close")
    stage.witness.wait(lambda: stage.client.state is ClientState.FAILED, PATIENCE)
    errors = [seen for seen in stage.witness.story(stage.mark) if seen.name == "error"]
    if lost is not None and errors:
        stage.measured.detected = errors[-1].at - lost.at


_PLAYS: dict[str, Callable[[Stage], None]] = {
    "reconnection": _reconnection,
    "live": _live,
    "closing": _closing,
    "first": _first,
    "subscribing": _subscribing,
    "disconnect_while_resolving": _disconnect_while_resolving,
    "backoff": _backoff,
    "attempts_used_up": _attempts_used_up,
}


@contextlib.contextmanager
def _timing() -> Iterator[list[float]]:
    """Note how long a block took."""
    took: list[float] = []
    started = time.monotonic()
    yield took
    took.append(time.monotonic() - started)


def _outcome(function: Callable[[], Any]) -> str:
    """Call, and say how it ended."""
    try:
        function()
    except Exception as exc:
        return type(exc).__name__
    return "returned"
