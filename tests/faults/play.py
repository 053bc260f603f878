"""Brings a scenario about with a real client over real sockets, and measures what happens."""

from __future__ import annotations

import threading
from collections.abc import Callable

from etoro_sync.simulator import EToroSimulator
from tests.support.threads import join_stragglers, open_descriptors
from tests.support.timing import SCALE

from . import ends, strikes, waits
from .delays import DelayMonitor
from .injection import Injection
from .measurement import Measurement
from .scenario import Scenario
from .testbed import Testbed
from .traffic import INSTRUMENTS

__all__ = ["play"]

_PLAYS: dict[str, Callable[[Testbed], None]] = {
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


def play(scenario: Scenario, delays: DelayMonitor, make: type[Testbed] = Testbed) -> Measurement:
    """Play a scenario; nothing else may happen in this process meanwhile.

    :param make: with a client of one connection, or of several.
    """
    threads, descriptors = frozenset(threading.enumerate()), open_descriptors()
    measured = Measurement(scenario.id, slowness=scenario.slowness)
    simulator = EToroSimulator(
        dict.fromkeys(INSTRUMENTS, 1000.0), rate=0, nul_interval=0, tls=scenario.tls
    )
    with simulator as sim, Injection(sim) as injection:
        testbed = make(scenario, sim, injection, measured, delays)
        try:
            _PLAYS[scenario.how](testbed)
        except Exception as exc:
            measured.different.append(f"the play broke off: {exc!r}")
        finally:
            testbed.end()
    measured.held_up = testbed.held_up
    measured.threads += join_stragglers(threads, grace=1.0 * SCALE)
    left = open_descriptors().items()
    measured.descriptors += [what for number, what in left if descriptors.get(number) != what]
    return measured
