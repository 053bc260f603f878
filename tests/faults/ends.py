"""Plays in which the user disconnects while something goes wrong."""

from __future__ import annotations

import time
from functools import partial

from .expectations import MARGIN
from .leftovers import client_threads
from .stage import PATIENCE, Stage
from .witness import Call

__all__ = ["closing", "disconnect", "leaving", "leaving_first"]


def closing(stage: Stage) -> None:
    """While data flow."""
    stage.begin()
    stage.strike()
    disconnect(stage)


def leaving(stage: Stage) -> None:
    """While the client tries to connect again."""
    stage.begin()
    stage.strike()
    stage.sim.drop()
    stage.reach()
    disconnect(stage)


def leaving_first(stage: Stage) -> None:
    """While connect() or the first subscribe() waits."""
    if stage.scenario.phase == "subscribe":
        stage.begin(subscribed=False)
        call = partial(stage.client.subscribe, stage.topics, snapshot=True)
    else:
        stage.witness.listen()
        call = stage.client.connect
    stage.strike()
    waiting = Call("connect()", call)
    stage.reach()
    disconnect(stage)
    waiting.join(PATIENCE)
    stage.measured.raised = waiting.outcome


def disconnect(stage: Stage) -> None:
    """Measure the user's own end."""
    started = time.monotonic()
    stage.client.disconnect()
    stage.measured.detected = time.monotonic() - started
    stage.measured.state = stage.client.state.name
    stage.await_calls(started + stage.measured.detected)
    # Callbacks may be told of the end a moment later.
    client_threads(MARGIN * stage.scenario.slowness)
