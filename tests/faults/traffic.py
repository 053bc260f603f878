"""Numbered messages that flow all the time, and the account of those that did not arrive."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from etoro_sync import WsGap
from etoro_sync.simulator import EToroSimulator

from .witness import Delivered

__all__ = ["INSTRUMENTS", "ORDERS", "Sent", "Traffic", "longest_transit", "losses"]

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
                reached = self._sim.publish(place, Bid=str(number), Ask=str(number + 1))
            if reached:
                self.sent[place].append(Sent(number, at))
            return number


def longest_transit(
    sent: Mapping[int, Sequence[Sent]], delivered: Mapping[tuple[str, int], Sequence[Delivered]]
) -> float:
    """Return the longest time that a message was under way.

    Snapshots, which tell once more what may have been sent long ago, are left out: the first rate
    of a connection, and every repetition.
    """
    times = {message.number: message.at for messages in sent.values() for message in messages}
    longest = 0.0
    for (_, place), came in delivered.items():
        seen: set[int] = set()
        generation = 0
        for each in came:
            fresh = each.number not in seen and each.number in times
            if fresh and (place == ORDERS or each.generation == generation):
                longest = max(longest, each.at - times[each.number])
            seen.add(each.number)
            generation = each.generation
    return longest


def losses(
    sent: Sequence[Sent], delivered: Iterable[Delivered], gaps: Sequence[WsGap], transit: float
) -> tuple[list[int], list[int]]:
    """Return the numbers that did not arrive, inside and outside of the gaps.

    :param transit: the longest that a message was under way: a gap begins when the last one was
        received, and what was sent behind it may have left before that.
    """
    came = {each.number: each.generation for each in delivered}
    inside: list[int] = []
    outside: list[int] = []
    before = 0  # the generation of the last one that came
    missing: list[Sent] = []
    for message in sent:
        if message.number not in came:
            missing.append(message)
            continue
        generation = came[message.number]
        # Between two messages of the same connection nothing can be lost by a gap.
        _sort(missing, inside, outside, [] if generation == before != 0 else gaps, transit)
        before, missing = generation, []
    _sort(missing, inside, outside, gaps, transit)
    return inside, outside


def _sort(
    missing: list[Sent],
    inside: list[int],
    outside: list[int],
    gaps: Sequence[WsGap],
    transit: float,
) -> None:
    for number, at in missing:
        explained = any(gap.from_ - transit <= at <= gap.until for gap in gaps)
        (inside if explained else outside).append(number)
