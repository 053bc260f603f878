"""The figures of a fleet, which are those of its connections together."""

from collections.abc import Iterable
from typing import NamedTuple

from ..state import ClientState
from ..stats import Counters

__all__ = ["FleetConnection", "merged", "oldest"]

#: Counters that belong to the fleet as a whole, or are no sums.
_NO_SUMS = {"connected_at", "last_message_at", "last_pong_at"}


class FleetConnection(NamedTuple):
    """One connection of a fleet, at one moment.

    :param generation: its number, which its rates and gaps have, too.
    :param state: as of a client that has no other connection.
    :param topics: what is wanted of it.
    """

    generation: int
    state: ClientState
    topics: tuple[str, ...]


def merged(counters: Iterable[Counters]) -> Counters:
    """Return the sums; of times the latest, such as that of the last message of any connection."""
    total, each = Counters(), list(counters)
    for name in Counters.__slots__:
        values = [value for one in each if (value := getattr(one, name)) is not None]
        if name in _NO_SUMS:
            setattr(total, name, max(values, default=getattr(total, name)))
        else:
            setattr(total, name, sum(values))
    return total


def oldest(
    signs: Iterable[tuple[float | None, float | None]],
) -> tuple[float | None, float | None]:
    """Return the worst of several silences, and of several delays."""
    each = list(signs)
    silences = [silence for silence, _ in each if silence is not None]
    delays = [delay for _, delay in each if delay is not None]
    return max(silences, default=None), max(delays, default=None)
