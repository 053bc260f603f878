"""When the entries of a buffer came, at the cost of one note for each read. Pure."""

from collections import deque

__all__ = ["Arrivals"]

#: Notes; what comes beyond them counts as old as what came last, until some are gone.
_MOST = 20_000


class Arrivals:
    """Knows the age of what waits; an entry goes by its place, a number that only grows.

    A time with each entry would cost the reader thread more than all other work on a buffer.
    """

    __slots__ = ("_notes",)

    def __init__(self) -> None:
        # (end, came): what has a place below end, and not below that of the note before, came then.
        self._notes: deque[tuple[int, float]] = deque()

    def note(self, end: int, now: float) -> None:
        """Note that all new entries up to the place *end* came now."""
        notes = self._notes
        if not notes or notes[-1][0] < end:  # else all of them have replaced older ones
            notes.append((end, now) if len(notes) < _MOST else (end, notes.pop()[1]))

    def of(self, place: int) -> float | None:
        """Return when the entry at *place* came; None when nobody has noted it."""
        for end, came in self._notes:
            if end > place:
                return came
        return None

    def forget(self, start: int) -> float | None:
        """Forget what has a place below *start*; return when the entry at *start* came."""
        notes = self._notes
        while notes:
            end, came = notes[0]
            if end > start:
                return came
            notes.popleft()
        return None
