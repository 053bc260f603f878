"""The mapping ``client.rates``, which any thread reads without a lock."""

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any, NoReturn, TypeVar, overload

from ..errors import EToroKeyError, EToroTypeError
from ..events import advice_on_id
from ..models import WsInstrumentRate
from ..numbers import whole
from ..text import count, show
from .merging import make_rate
from .rate_book import RateBook

__all__ = ["RateView"]

T = TypeVar("T")


class RateView(Mapping[int, WsInstrumentRate]):
    """Instrument id -> latest merged rate. Read-only, safe in any thread, never blocks.

    A loop sees the rates of the moment at which it began. ``dict(view.items())`` is a copy;
    ``dict(view)`` may raise a KeyError if an instrument is unsubscribed meanwhile, because it looks
    each id up by itself. During an outage the view has the rates of the lost connection, which
    their ``generation`` and ``received_at`` show.

    :param book: holds the rates.
    :param client: kept alive by this view, because without it no new rates come.
    """

    def __init__(self, book: RateBook, client: object = None) -> None:
        self._book = book
        self._client = client

    def __getitem__(self, instrument_id: int) -> WsInstrumentRate:
        try:
            return make_rate(self._book.latest[instrument_id].visible)
        except KeyError:
            raise EToroKeyError(_missing(instrument_id)) from None

    @overload
    def get(self, instrument_id: int, /) -> WsInstrumentRate | None: ...

    @overload
    def get(self, instrument_id: int, /, default: T) -> WsInstrumentRate | T: ...

    def get(self, instrument_id: int, /, default: T | None = None) -> WsInstrumentRate | T | None:
        """Return the latest rate of an instrument, or *default*."""
        # Not inherited, because that one makes an error for each missing id.
        merged = self._book.latest.get(instrument_id)
        return default if merged is None else make_rate(merged.visible)

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

    def to_frame(self) -> Any:
        """Return the present rates as a data frame of pandas, one row for each instrument.

        The columns are those of :meth:`etoro_sync.Recording.to_frame`. Needs the extra ``pandas``.

        :raises EToroError: when pandas is not installed.
        """
        from ..columns import check_table  # late: most programs do without
        from ..data_frames import to_pandas

        return to_pandas(check_table("rates"), self.values())

    def to_polars(self) -> Any:
        """Return the present rates as a data frame of polars; see :meth:`to_frame`.

        :raises EToroError: when polars is not installed.
        """
        from ..columns import check_table
        from ..data_frames import to_polars

        return to_polars(check_table("rates"), self.values())

    def __reduce__(self) -> NoReturn:
        raise EToroTypeError(
            "The view of a client's rates cannot be copied or pickled: the client changes it. Use "
            "dict(client.rates.items())."
        )

    def __repr__(self) -> str:
        return f"<RateView of {count(len(self), 'instrument')}>"

    def _repr_html_(self) -> str | None:
        from ..html_tables import html_or_none, rates_table

        return html_or_none(lambda: rates_table(self))

    def _pairs(self) -> Iterator[tuple[int, WsInstrumentRate]]:
        # list() of the keys is one step, during which no other thread runs. A loop over the
        # dictionary is not, nor is list() of its items: the garbage collector may run for one of
        # the new tuples, and with it other threads.
        latest = self._book.latest
        there = [(key, one) for key in list(latest) if (one := latest.get(key)) is not None]
        return ((key, make_rate(one.visible)) for key, one in there)


class _Items(ItemsView[int, WsInstrumentRate]):
    """The items of a view. The inherited loop would raise if a key is removed meanwhile."""

    _mapping: RateView

    def __iter__(self) -> Iterator[tuple[int, WsInstrumentRate]]:
        return self._mapping._pairs()


class _Values(ValuesView[WsInstrumentRate]):
    """The values of a view, for the same reason."""

    _mapping: RateView

    def __iter__(self) -> Iterator[WsInstrumentRate]:
        return (rate for _, rate in self._mapping._pairs())


def _missing(key: object) -> str:
    number = whole(key)
    if number is None:
        return f"The keys of rates are instrument ids, not {show(key, 60)}.{advice_on_id(key)}"
    return (
        f"No rate of instrument {number} has come. Subscribe to it with snapshot=True and wait for "
        f"its first rate, or use rates.get({number}), which returns None until then."
    )
