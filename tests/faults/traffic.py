"""Numbered messages that flow all the time."""

from __future__ import annotations

import itertools
import threading
import time
from typing import NamedTuple

from etoro_sync.simulator import EToroSimulator

__all__ = ["INSTRUMENTS", "ORDERS", "Sent", "Traffic"]

INSTRUMENTS = (18, 19)
#: Stands for the order events, where others have an instrument.
ORDERS = 0
_PAUSE = 0.004  # seconds between two messages


class Sent(NamedTuple):
    """A message of the simulator: its number, and the wall clock when it went out."""

    number: int
    at: float


class Traffic:
    """Sends prices and order events, each with a number of its own, from a thread of its own.

    The lock is held while one is sent and noted.

    :param sim: whose.
    """

    def __init__(self, sim: EToroSimulator) -> None:
        self._sim = sim
        self._numbers = itertools.count(10)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)
        self.sent: dict[int, list[Sent]] = {place: [] for place in (*INSTRUMENTS, ORDERS)}
        for instrument_id in INSTRUMENTS:
            sim.publish(instrument_id, Bid="1", Ask="2")

    def start(self) -> None:
        """Let it flow."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; no message is on its way out any more."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        for turn in itertools.count():
            if self._stopped.wait(_PAUSE):
                return
            self.send((*INSTRUMENTS, ORDERS)[turn % 3])

    def send(self, place: int) -> int:
        """Send one message; return its number."""
        with self._lock:
            number, at = next(self._numbers), time.time()
            if place == ORDERS:
                self._sim.fill_order(number)
                reached = 1  # who has subscribed, the simulator does not tell
            else:
                bid, ask = str(number), str(number + 1)
                reached = self._sim.publish(place, Bid=bid, Ask=ask, LastExecution=bid)
            if reached:
                self.sent[place].append(Sent(number, at))
            return number
