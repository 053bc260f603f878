"""``client.rates``: the latest prices, for any thread, without a lock."""

from collections.abc import ItemsView, Iterator, Mapping, ValuesView

from ..models import WsInstrumentRate
from .rate_book import RateBook, make_rate

__all__ = ["RateView"]


class RateView(Mapping[int, WsInstrumentRate]):
    """The latest merged rate of each instrument: read-only, safe in any thread, never blocks.

    Loops go over the rates of the moment at which they began. (``dict(view)`` looks each id up
    by itself, and meets a KeyError for one that is unsubscribed meanwhile: ``dict(view.items())``
    does not.) During an outage it shows the rates of the lost connection; their ``generation``
    and ``received_at`` tell.
    """

    def __init__(self, book: RateBook) -> None:
        self._book = book

    def __getitem__(self, instrument_id: int) -> WsInstrumentRate:
        return make_rate(self._book.latest[instrument_id].visible)

    def __contains__(self, instrument_id: object) -> bool:
        return instrument_id in self._book.latest

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._book.latest))

    def __len__(self) -> int:
        return len(self._book.latest)

    def items(self) -> ItemsView[int, WsInstrumentRate]:
        """Return pairs of id and rate."""
        return _Items(self)

    def values(self) -> ValuesView[WsInstrumentRate]:
        """Return the rates."""
        return _Values(self)

    def __repr__(self) -> str:
        return f"<RateView of {len(self)} instruments>"

    def _pairs(self) -> Iterator[tuple[int, WsInstrumentRate]]:
        # To list a dictionary's keys is one step. A loop over it is not, nor is the list of its
        # items: those are new tuples, so the garbage collector may run in between, and with it
        # other threads.
        latest = self._book.latest
        there = [(key, one) for key in list(latest) if (one := latest.get(key)) is not None]
        return ((key, make_rate(one.visible)) for key, one in there)


class _Items(ItemsView[int, WsInstrumentRate]):
    """The pairs of a view; the inherited loop fails when a key goes away under it."""

    _mapping: RateView

    def __iter__(self) -> Iterator[tuple[int, WsInstrumentRate]]:
        return self._mapping._pairs()


class _Values(ValuesView[WsInstrumentRate]):
    """The rates of a view, for the same reason."""

    _mapping: RateView

    def __iter__(self) -> Iterator[WsInstrumentRate]:
        return (rate for _, rate in self._mapping._pairs())
