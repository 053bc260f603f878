"""When the entries of a buffer came, at the cost of one note for each read. Pure."""

from collections import deque

__all__ = ["Arrivals"]

#: When there are so many notes, each two of them become one.
_MOST = 2_000


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
            if len(notes) >= _MOST:
                self._thin_out()
            notes.append((end, now))

    def _thin_out(self) -> None:
        """Make one of each two notes: entries count as old as those of the read before theirs."""
        pairs = [self._notes.popleft() for _ in range(len(self._notes) // 2 * 2)]
        merged = zip(pairs[::2], pairs[1::2], strict=True)
        self._notes.extendleft([(end, came) for (_, came), (end, _) in merged][::-1])

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
