"""Whether memory grows: how fast, within which bounds. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .samples import MB, Sample, growth_per_hour

__all__ = ["Memory", "span"]

#: Bytes by which memory may grow in an hour, and at all: the allocator does not give back every
#: hole. Half an hour with 5,000 topics was measured to take 2.5 MB from the warm-up to its end.
_BYTES = (8.0 * MB, 8.0 * MB)
#: The same for the blocks of Python's objects in quiet moments, when nothing waits. This is the
#: finer sieve: a block for each message would be millions per hour, one per topic and gap likewise.
#: What the soak notes itself takes some thousands.
_BLOCKS = (50_000.0, 20_000.0)


class Memory:
    """Judges what was measured behind the warm-up.

    :param samples: of each second.
    :param blocks: seconds and blocks of memory of each quiet moment.
    :param judged_from: seconds, on the same clock: before that everything comes to its size.
    """

    def __init__(
        self, samples: Sequence[Sample], blocks: Sequence[tuple[float, float]], judged_from: float
    ) -> None:
        self._rows = [
            ("resident memory, MB", _points(samples, "rss"), float(MB), _BYTES),
            ("traced memory, MB", _points(samples, "traced"), float(MB), _BYTES),
            ("blocks in quiet moments", list(blocks), 1.0, _BLOCKS),
        ]
        self._judged_from = judged_from

    def _grown(self) -> Iterator[tuple[str, str, float, float]]:
        """Yield name, span, growth per hour and its bound, for all that was measured."""
        for name, points, unit, (per_hour, at_all) in self._rows:
            judged = [point for point in points if point[0] >= self._judged_from]
            slope = growth_per_hour(judged)
            if slope is not None:
                hours = (judged[-1][0] - judged[0][0]) / 3600
                values = [round(value / unit, 1) for _, value in judged]
                yield name, span(values), slope / unit, (per_hour + at_all / hours) / unit

    def rows(self) -> list[tuple[str, str]]:
        """Return the lines of the report."""
        return [
            (name, f"{values}; {slope:+,.1f} per hour (bound {bound:,.0f})")
            for name, values, slope, bound in self._grown()
        ]

    def judge(self) -> list[str]:
        """Return what grows beyond its bound."""
        return [
            f"{name}: {slope:+,.1f} per hour, which is more than {bound:,.0f}"
            for name, _, slope, bound in self._grown()
            if slope > bound
        ]


def _points(samples: Sequence[Sample], figure: str) -> list[tuple[float, float]]:
    pairs = [(sample.at, getattr(sample, figure)) for sample in samples]
    return [(at, float(value)) for at, value in pairs if value is not None]


def span(values: Sequence[float | None]) -> str:
    """Return the least and the greatest value in words."""
    known = [value for value in values if value is not None]
    if not known:
        return "not measured here"
    low, high = f"{min(known):,.10g}", f"{max(known):,.10g}"
    return low if low == high else f"{low} to {high}"
