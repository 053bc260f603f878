"""Plays scenarios in processes of their own, several at a time.

Each process plays one scenario after the other, so that a thread or a descriptor that is left is
this scenario's, and the name resolution of the others stays as it is.
"""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor

from tests.support.timing import count_ended_threads

from .checks import broken
from .delays import DelayMonitor
from .fleet import FleetTestbed
from .measurement import Measurement
from .play import play
from .scenarios import SCENARIOS
from .testbed import Testbed

__all__ = ["FLEET", "VOID", "Result", "start", "submit"]

#: Before the name of a scenario: three connections, of which the fault strikes one.
FLEET = "fleet:"

#: A scenario that takes as long hangs: it prints the stacks of all threads, and ends its process.
_TOO_LONG = 100.0
#: What is broken where a process that sleeps woke this part of a second too late, or where threads
#: waited as long for a processor, is played again, with longer times in the end: a timeout may have
#: struck that should not.
VOID = 0.05
_SLOWER = (1, 1, 1, 2, 4)

#: A measurement, and a line for each broken promise.
Result = tuple[Measurement, list[str]]

_delays: DelayMonitor | None = None


def start(ids: Iterable[str], jobs: int) -> tuple[ProcessPoolExecutor, dict[str, Future[Result]]]:
    """Begin to play; return what to shut down in the end, and the results to come."""
    # Threads do not survive a fork; a new interpreter has none to lose.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare)
    return pool, {name: submit(pool, name) for name in ids}


def submit(pool: ProcessPoolExecutor, name: str) -> Future[Result]:
    """Let a pool of :func:`start` play one more."""
    return pool.submit(_play, name)


def _prepare() -> None:
    """Runs once in each process."""
    global _delays
    logging.disable()
    count_ended_threads()
    _delays = DelayMonitor()


def _play(name: str) -> Result:
    """Runs in a process of the pool."""
    assert _delays is not None
    make = FleetTestbed if name.startswith(FLEET) else Testbed
    name = name.removeprefix(FLEET)
    void: list[str] = []
    for factor in _SLOWER:
        scenario = SCENARIOS[name].slowed(factor)
        faulthandler.dump_traceback_later(_TOO_LONG, exit=True, file=sys.__stderr__ or 2)
        try:
            measured = play(scenario, _delays, make)
        finally:
            faulthandler.cancel_dump_traceback_later()
        lines = broken(scenario, measured)
        if not lines or max(measured.held_up, measured.queued) <= VOID * scenario.slowness:
            break
        void += lines
    else:
        void = void[: -len(lines)]  # the last ones are the verdict
    measured.void = void
    return measured, lines
