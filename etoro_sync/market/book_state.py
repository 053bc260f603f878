"""What a rate book knows at one moment, so that a recording can begin in the middle of a stream."""

from typing import Any, NamedTuple

__all__ = ["EMPTY", "BookState", "InstrumentState"]


class InstrumentState(NamedTuple):
    """One instrument; the fields are those of :class:`~etoro_sync.market.instrument.Instrument`."""

    topic: str
    state: dict[str, Any]
    visible: dict[str, Any]
    awaits_snapshot: bool
    shown: bool
    settled: bool
    closed: bool


class BookState(NamedTuple):
    """A whole book.

    :param generation: the number of the connection.
    :param instruments: all that have sent a message on it.
    :param latest: instrument id and state of each rate that users see, also of the connection
        before.
    :param awaited: the ids of instruments whose snapshots are to come.
    :param unsubscribed: topics of which messages may still be on their way.
    """

    generation: int
    instruments: list[InstrumentState]
    latest: list[tuple[int, dict[str, Any]]]
    awaited: frozenset[int]
    unsubscribed: frozenset[str]


#: A book before its first connection.
EMPTY = BookState(0, [], [], frozenset(), frozenset())
