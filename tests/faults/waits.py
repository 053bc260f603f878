"""Plays of what happens while the client waits for its next attempt."""

from __future__ import annotations

import threading
import time
from functools import partial

from etoro_sync import ClientState, WsClient

from .clocking import outcome, timing
from .ends import disconnect
from .stage import PATIENCE, Stage
from .witness import Call

__all__ = ["attempts_used_up", "backoff"]

#: A topic that is wanted, or not wanted any more, while no connection is there.
_TOPIC = 20


def backoff(stage: Stage) -> None:
    """Something happens while the client waits for its next attempt."""
    fault = stage.scenario.fault
    stage.begin()
    stage.trouble.strike("reject", stage.scenario.arguments)
    leaving = _Leaving(stage) if fault == "disconnect_in_callback" else None
    stage.sim.drop()

    def waits() -> bool:
        # The second wait is a long one: the server has asked for patience.
        return len([s for s in stage.witness.seen if s.name == "reconnecting"]) >= 2

    stage.witness.wait(waits, PATIENCE)
    if leaving is not None:
        leaving.finish()
    elif fault == "disconnect":
        disconnect(stage)
    else:
        _use(stage)


class _Leaving:
    """Disconnects in the callback that tells of the second wait."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._took: list[float] = []
        self._left = threading.Event()
        stage.client.on("reconnecting", self._leave)

    def _leave(self, attempt: int, delay: float) -> None:
        if attempt > 1 and not self._took:
            with timing() as took:
                self._stage.client.disconnect()
            self._took += took
            self._left.set()

    def finish(self) -> None:
        """Note how it went."""
        self._left.wait(PATIENCE)
        measured = self._stage.measured
        measured.detected = self._took[0] if self._took else None
        measured.state = self._stage.client.state.name
        self._stage.await_calls(time.monotonic())


def _use(stage: Stage) -> None:
    """Use the client while it waits; it recovers all the same."""
    measured, fault, client = stage.measured, stage.scenario.fault, stage.client
    stream = Call("stream()", partial(_take_one, client)) if fault == "stream" else None
    calls = {
        "get": lambda: client.queue("private:event").get(timeout=0.1),
        "wait_for": partial(client.wait_for, "stale", timeout=0.1),
        "connect": client.connect,
        "subscribe": partial(client.subscribe, [_TOPIC], snapshot=True),
        "unsubscribe": partial(client.unsubscribe, [_TOPIC]),
    }
    if fault == "unsubscribe":
        client.subscribe([_TOPIC])
    with timing() as took:
        if fault in calls:
            measured.raised = outcome(calls[fault])
    started = time.monotonic()
    stage.heal()
    back = stage.see("reconnected")
    if back is None:
        return
    measured.recovered = back.at - started
    measured.detected = measured.recovered if fault == "healed" else took[0]
    if stream is not None:
        stream.join(PATIENCE)
        measured.raised, measured.detected = stream.outcome, stream.ended_at - started
    if (f"instrument:{_TOPIC}" in back.arguments[0].topics) is not (fault == "subscribe"):
        measured.different.append("the topic that was asked for during the wait")
    stage.settle()


def _take_one(client: WsClient) -> None:
    """Take the first rate of a stream that begins now."""
    for _ in client.stream([18]):
        return


def attempts_used_up(stage: Stage) -> None:
    """The server stays away for longer than the user wants to wait."""
    stage.begin()
    stage.trouble.strike("refuse", {})
    stage.sim.drop()
    lost = stage.see("close")
    stage.witness.wait(lambda: stage.client.state is ClientState.FAILED, PATIENCE)
    errors = [seen for seen in stage.witness.story(stage.mark) if seen.name == "error"]
    if lost is not None and errors:
        stage.measured.detected = errors[-1].at - lost.at
