"""What was found as lines of text, for terminals and for pages of Markdown.

All that was found stands in blocks of plain text, in which no word of a server has a meaning for
whatever shows the page.
"""

from collections.abc import Iterator, Sequence

from ..text import count, duration
from .records import Deviation, Step, Watched

__all__ = ["INDENT", "block", "counted", "deviation_lines", "step_lines", "watched_lines"]

_NAME = 16
#: What stands before the lines of a step but its first.
INDENT = " " * (8 + _NAME)
_FENCE = "~~~~"


def step_lines(step: Step) -> list[str]:
    """Return the lines of a step: outcome, name, finding and time, then notes and the remedy."""
    took = f"  [{duration(step.seconds)}]" if step.seconds >= 0.001 else ""
    lines = [f"{step.outcome:<8}{step.name:<{_NAME}}{step.found}{took}"]
    lines += [f"{INDENT}note: {note}" for note in step.notes]
    if step.remedy:
        lines.append(f"{INDENT}What to do: {step.remedy}")
    return lines


def deviation_lines(found: Sequence[Deviation], more: int = 0) -> list[str]:
    """Return a line for each deviation.

    :param more: how many further kinds are not among them.
    """
    lines = []
    for each in found:
        example = f", such as {each.example}" if each.example else ""
        seen = f"{each.count} times, first" if each.count > 1 else "once,"
        lines.append(f"{each.kind}: {each.what}{example} ({seen} after {each.first:.0f} s)")
    return [*lines, f"and {more} more kinds"] if more else lines


def watched_lines(seen: Watched) -> list[str]:
    """Return what a long run has shown, a line for each question that it answers."""
    return [
        f"{' and '.join(seen.topics)} alone: {count(seen.connections, 'connection')}, open for "
        f"{seen.seconds:.0f} s in all",
        *(f"    {line}" for line in _answers(seen)),
    ]


def _answers(seen: Watched) -> Iterator[str]:
    trips = f", after {seen.round_trips}" if seen.round_trips else ""
    yield f"pings: {seen.pongs} of {seen.pings} were answered{trips}"
    every = f", {seen.nul_intervals} apart" if seen.nul_intervals else ""
    yield f"NUL keepalives: {seen.nuls}{every}"
    yield f"pings of the server: {seen.server_pings}"
    yield f"longest silence: {seen.longest_silence:.1f} s"
    yield f"ended by the server or the network: {seen.ended}"
    for end in seen.ends:
        how = "no close frame" if end.code == 1006 else f"close code {end.code}"
        why = f" ({end.reason})" if end.reason else ""
        yield f"    after {end.seconds:.1f} s: {how}{why}"
    if seen.failed:
        yield f"attempts that have failed: {seen.failed}"
    for failure in seen.failures:
        yield f"    {failure}"
    if seen.counts:
        yield f"received: {counted(seen.counts)}"


def counted(counts: dict[str, int]) -> str:
    """Return counts by kind in words, the greatest first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind}: {number}" for kind, number in ordered)


def block(lines: list[str]) -> str:
    """Return lines as a block of plain text."""
    # No line can end the block: each begins with a word of this module, or is indented.
    return "\n".join([f"{_FENCE}text", *(line.replace("\n", " ") for line in lines), _FENCE])
