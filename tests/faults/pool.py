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

from .judge import broken
from .measurement import Measurement
from .play import play
from .scenarios import SCENARIOS

__all__ = ["Result", "start"]

#: A scenario that takes as long hangs: it prints the stacks of all threads, and ends its process.
_TOO_LONG = 100.0
#: A machine that keeps threads from running for this part of a second lets timeouts strike that
#: should not, and nothing can be said of the client: the measurement is void, and another one is
#: made, with longer times.
_VOID = 0.1
_SLOWER = (1, 1, 2, 4)

#: A measurement, and a line for each broken promise.
Result = tuple[Measurement, list[str]]


def start(ids: Iterable[str], jobs: int) -> tuple[ProcessPoolExecutor, dict[str, Future[Result]]]:
    """Begin to play; return what to shut down in the end, and the results to come."""
    # Threads do not survive a fork; a new interpreter has none to lose.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare)
    results = {name: pool.submit(_play, name) for name in ids}
    return pool, results


def _prepare() -> None:
    """Runs once in each process."""
    logging.disable()


def _play(name: str) -> Result:
    """Runs in a process of the pool."""
    for plays, factor in enumerate(_SLOWER, 1):
        scenario = SCENARIOS[name].slowed(factor)
        faulthandler.dump_traceback_later(_TOO_LONG, exit=True, file=sys.__stderr__ or 2)
        try:
            measured = play(scenario)
        finally:
            faulthandler.cancel_dump_traceback_later()
        measured.plays = plays
        if measured.held_up <= _VOID * scenario.slowness:
            break
    return measured, broken(scenario, measured)
