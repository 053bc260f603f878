"""Remembers when the entries of a buffer came, with one note for each read. Pure."""

from collections import deque

__all__ = ["Arrivals"]

#: When there are this many notes, every two of them are merged into one.
_MOST = 2_000


class Arrivals:
    """When the entries of a buffer came, by their places, which are numbers that only grow.

    Storing a time with each entry would cost the reader thread more than all other work on a
    buffer.
    """

    __slots__ = ("_notes",)

    def __init__(self) -> None:
        # (end, came): the entries from the end of the previous note up to this one's, exclusive,
        # came at this time.
        self._notes: deque[tuple[int, float]] = deque()

    def note(self, end: int, now: float) -> None:
        """Note that all new entries before the place *end* came at the time *now*."""
        notes = self._notes
        if not notes or notes[-1][0] < end:  # else no entry is new: all have replaced older ones
            if len(notes) >= _MOST:
                self._thin_out()
            notes.append((end, now))

    def _thin_out(self) -> None:
        """Merge every two notes into one; entries of the second count as older than they are."""
        pairs = [self._notes.popleft() for _ in range(len(self._notes) // 2 * 2)]
        merged = zip(pairs[::2], pairs[1::2], strict=True)
        self._notes.extendleft([(end, came) for (_, came), (end, _) in merged][::-1])

    def of(self, place: int) -> float | None:
        """Return when the entry at *place* came; None if that was not noted."""
        for end, came in self._notes:
            if end > place:
                return came
        return None

    def forget(self, start: int) -> float | None:
        """Forget the entries before *start*; return when the entry at *start* came."""
        notes = self._notes
        while notes:
            end, came = notes[0]
            if end > start:
                return came
            notes.popleft()
        return None
