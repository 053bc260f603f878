"""Plays of what happens while the client waits for its next attempt."""

from __future__ import annotations

import threading
import time
from functools import partial

from etoro_sync import ClientState, WsClient

from .ends import disconnect
from .observer import Call
from .testbed import PATIENCE, Testbed
from .timed_calls import outcome, timing

__all__ = ["attempts_used_up", "backoff"]

#: A topic that is wanted, or not wanted any more, while no connection is there.
_TOPIC = 20


def backoff(testbed: Testbed) -> None:
    """Something happens while the client waits for its next attempt."""
    fault = testbed.scenario.fault
    testbed.begin()
    testbed.injection.strike("reject", testbed.scenario.arguments)
    leaving = _Leaving(testbed) if fault == "disconnect_in_callback" else None
    testbed.sim.drop()

    def waits() -> bool:
        # The second wait is a long one: the server has asked for patience.
        return len([s for s in testbed.observer.seen if s.name == "reconnecting"]) >= 2

    testbed.observer.wait(waits, PATIENCE)
    if leaving is not None:
        leaving.finish()
    elif fault == "disconnect":
        disconnect(testbed)
    else:
        _use(testbed)


class _Leaving:
    """Disconnects in the callback that tells of the second wait."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._took: list[float] = []
        self._left = threading.Event()
        testbed.client.on("reconnecting", self._leave)

    def _leave(self, attempt: int, delay: float) -> None:
        if attempt > 1 and not self._took:
            with timing() as took:
                self._testbed.client.disconnect()
            self._took += took
            self._left.set()

    def finish(self) -> None:
        """Note how it went."""
        self._left.wait(PATIENCE)
        measured = self._testbed.measured
        measured.detected = self._took[0] if self._took else None
        measured.state = self._testbed.client.state.name
        self._testbed.await_calls(time.monotonic())


def _use(testbed: Testbed) -> None:
    """Use the client while it waits; it recovers all the same."""
    measured, fault, client = testbed.measured, testbed.scenario.fault, testbed.client
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
    testbed.heal()
    back = testbed.see("reconnected")
    if back is None:
        return
    measured.recovered = back.at - started
    measured.detected = measured.recovered if fault == "healed" else took[0]
    if stream is not None:
        stream.join(PATIENCE)
        measured.raised, measured.detected = stream.outcome, stream.ended_at - started
    if (f"instrument:{_TOPIC}" in back.arguments[0].topics) is not (fault == "subscribe"):
        measured.different.append("the topic that was asked for during the wait")
    testbed.settle()


def _take_one(client: WsClient) -> None:
    """Take the first rate of a stream that begins now."""
    for _ in client.stream([18]):
        return


def attempts_used_up(testbed: Testbed) -> None:
    """The server stays away for longer than the user wants to wait."""
    testbed.begin()
    testbed.injection.strike("refuse", {})
    testbed.sim.drop()
    lost = testbed.see("close")
    testbed.observer.wait(lambda: testbed.client.state is ClientState.FAILED, PATIENCE)
    errors = [
        seen for seen in testbed.observer.connection_events(testbed.mark) if seen.name == "error"
    ]
    if lost is not None and errors:
        testbed.measured.detected = errors[-1].at - lost.at
