"""Plays in which the user disconnects while something goes wrong."""

from __future__ import annotations

import time
from functools import partial

from .expectations import MARGIN
from .leftovers import client_threads
from .observer import Call
from .testbed import PATIENCE, Testbed

__all__ = ["closing", "disconnect", "leaving", "leaving_first"]


def closing(testbed: Testbed) -> None:
    """While data flow."""
    testbed.begin()
    testbed.strike()
    disconnect(testbed)


def leaving(testbed: Testbed) -> None:
    """While the client tries to connect again."""
    testbed.begin()
    testbed.strike()
    testbed.sim.drop()
    testbed.reach()
    disconnect(testbed)


def leaving_first(testbed: Testbed) -> None:
    """While connect() or the first subscribe() waits."""
    if testbed.scenario.phase == "subscribe":
        testbed.begin(subscribed=False)
        call = partial(testbed.client.subscribe, testbed.topics, snapshot=True)
    else:
        testbed.observer.listen()
        call = testbed.client.connect
    testbed.strike()
    waiting = Call("connect()", call)
    testbed.reach()
    disconnect(testbed)
    waiting.join(PATIENCE)
    testbed.measured.raised = waiting.outcome


def disconnect(testbed: Testbed) -> None:
    """Measure the user's own end."""
    started = time.monotonic()
    testbed.client.disconnect()
    testbed.measured.detected = time.monotonic() - started
    testbed.measured.state = testbed.client.state.name
    testbed.await_calls(started + testbed.measured.detected)
    # Callbacks may be told of the end a moment later.
    client_threads(MARGIN * testbed.scenario.slowness)
