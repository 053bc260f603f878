"""When each instrument sends its next message. Pure: the clock is passed in."""

import heapq
from collections.abc import Callable, Sequence

_LONGEST_WAIT = 3600.0


class MessageSchedule:
    """
    Gives the instruments whose next message is due, each at intervals of its own.

    :param gap: Draws the seconds until the next message of an instrument.
    """

    def __init__(self, gap: Callable[[int], float]) -> None:
        self._gap = gap
        self._live: Sequence[int] = ()
        self._due: list[tuple[float, int]] = []

    def set_live(self, live: Sequence[int], now: float) -> None:
        """
        Take note of the instruments that send at present. Those that go on keep their times.

        :param live: Their ids; the same object as before when nothing has changed.
        :param now: On a monotonic clock.
        """
        if live is self._live:
            return
        wanted = set(live)
        kept = [entry for entry in self._due if entry[1] in wanted]
        new = wanted.difference(instrument_id for _, instrument_id in kept)
        # The first one comes soon, so that a subscription shows that it works.
        kept += [(now + self._gap(i) / 2, i) for i in sorted(new)]
        heapq.heapify(kept)
        self._live, self._due = live, kept

    def pop_due(self, now: float) -> int | None:
        """Give an instrument that is to send a message now; None when there is none."""
        if not self._due or self._due[0][0] > now:
            return None
        due, instrument_id = self._due[0]
        gap = self._gap(instrument_id)
        # What was missed while the machine was suspended is not made up for.
        heapq.heapreplace(self._due, (max(due, now - 0.1) + gap, instrument_id))
        return instrument_id

    def wait_time(self, now: float) -> float:
        """Give the seconds until the next message is due."""
        return max(0.0, self._due[0][0] - now) if self._due else _LONGEST_WAIT
