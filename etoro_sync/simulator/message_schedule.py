"""When each instrument sends its next message. Pure: the time is passed in."""

import heapq
from collections.abc import Callable, Sequence

_LONGEST_WAIT = 3600.0


class MessageSchedule:
    """Schedules the messages of instruments, each at intervals of its own.

    :param gap: returns random seconds until the next message of an instrument.
    """

    def __init__(self, gap: Callable[[int], float]) -> None:
        self._gap = gap
        self._live: Sequence[int] = ()
        self._due: list[tuple[float, int]] = []

    def set_live(self, live: Sequence[int], now: float) -> None:
        """Set the instruments that send messages. Those that were live before keep their times.

        :param live: their ids; the same object as before when nothing has changed.
        :param now: the time on a monotonic clock.
        """
        if live is self._live:
            return
        wanted = set(live)
        kept = [entry for entry in self._due if entry[1] in wanted]
        new = wanted.difference(instrument_id for _, instrument_id in kept)
        # The first message comes early, so that users soon see their subscription work.
        kept += [(now + self._gap(i) / 2, i) for i in sorted(new)]
        heapq.heapify(kept)
        self._live, self._due = live, kept

    def pop_due(self, now: float) -> int | None:
        """Return an instrument whose message is due, and schedule its next; None when none is."""
        if not self._due or self._due[0][0] > now:
            return None
        due, instrument_id = self._due[0]
        gap = self._gap(instrument_id)
        # Messages missed while the machine was suspended are skipped, not sent all at once.
        heapq.heapreplace(self._due, (max(due, now - 0.1) + gap, instrument_id))
        return instrument_id

    def wait_time(self, now: float) -> float:
        """Return the seconds until the next message is due."""
        return max(0.0, self._due[0][0] - now) if self._due else _LONGEST_WAIT
