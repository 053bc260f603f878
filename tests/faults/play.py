"""Brings a scenario about with a real client over real sockets, and measures what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable

from etoro_sync.simulator import EToroSimulator
from tests.support.threads import join_stragglers, open_descriptors
from tests.support.timing import SCALE

from . import ends, strikes, waits
from .measurement import Measurement
from .pulse import Pulse
from .scenario import Scenario
from .stage import Stage
from .traffic import INSTRUMENTS
from .trouble import Trouble

__all__ = ["play"]

_PLAYS: dict[str, Callable[[Stage], None]] = {
    "reconnection": strikes.reconnection,
    "live": strikes.live,
    "first": strikes.first,
    "subscribing": strikes.subscribing,
    "unsubscribing": strikes.unsubscribing,
    "backoff": waits.backoff,
    "attempts_used_up": waits.attempts_used_up,
    "closing": ends.closing,
    "leaving": ends.leaving,
    "leaving_first": ends.leaving_first,
}


def play(scenario: Scenario, pulse: Pulse) -> Measurement:
    """Play a scenario; nothing else may happen in this process meanwhile."""
    threads, descriptors = frozenset(threading.enumerate()), open_descriptors()
    measured = Measurement(scenario.id, slowness=scenario.slowness)
    simulator = EToroSimulator(
        dict.fromkeys(INSTRUMENTS, 1000.0), rate=0, nul_interval=0, tls=scenario.tls
    )
    with simulator as sim, Trouble(sim) as trouble:
        stage = Stage(scenario, sim, trouble, measured, pulse)
        try:
            _PLAYS[scenario.how](stage)
        except Exception as exc:
            measured.different.append(f"the play broke off: {exc!r}")
        finally:
            stage.end()
    measured.held_up = stage.held_up
    measured.threads += join_stragglers(threads, grace=1.0 * SCALE)
    left = open_descriptors().items()
    measured.descriptors += [what for number, what in left if descriptors.get(number) != what]
    return measured
