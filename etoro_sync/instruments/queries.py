"""The questions that are put to eToro's REST API, each over as many pages as it takes."""

from collections.abc import Iterator

from ..errors import EToroRestError
from .answers import Page, page_of, read_details
from .calls import Call
from .instrument import Instrument
from .rest import Rest

__all__ = ["Queries"]

_SEARCH = "api/v1/market-data/search"
_DETAILS = "api/v1/market-data/instruments"
#: Without these, eToro sends some dozens of fields for each.
_FIELDS = "instrumentId,internalSymbolFull,displayname"
_PAGE_SIZE = 100
#: Pages that are read of one answer. A symbol has few companions; whoever has more pages than
#: these has not understood the question.
_MOST_PAGES = 20
#: Ids in one request, so that the address does not become too long for a server.
_MOST_IDS = 100


class Queries:
    """Asks, and reads what is answered. Any thread.

    :param rest: makes the requests.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    def by_symbol(self, symbol: str, call: Call) -> tuple[list[Instrument], bool]:
        """Return all that eToro sends for a symbol, its twins, too, in any order; and if it is all.

        It is not where there are too many pages, or the same one comes again and again.
        """
        return self._pages({"internalSymbolFull": symbol}, _PAGE_SIZE, call)

    def by_text(self, text: str, most: int, call: Call) -> list[Instrument]:
        """Return what eToro finds for a text, *most* at most."""
        return self._pages({"searchText": text}, min(most, _PAGE_SIZE), call, most)[0][:most]

    def by_ids(self, ids: list[int], call: Call) -> list[Instrument]:
        """Return the instruments of some ids, and whatever else eToro sends.

        :param ids: not empty, or it would send all that it has; see :meth:`parts`.
        """
        assert ids
        return self._details({"instrumentIds": ",".join(map(str, ids))}, call)

    def all(self, call: Call) -> list[Instrument]:
        """Return all instruments that eToro has: some megabytes."""
        return self._details({}, call)

    def _details(self, query: dict[str, str], call: Call) -> list[Instrument]:
        found = read_details(self._rest.get(_DETAILS, query, call))
        if found is None:
            raise _not_understood("instrumentDisplayDatas")
        return found

    def parts(self, ids: list[int]) -> Iterator[list[int]]:
        """Cut ids into as many as one request may have."""
        return (ids[i : i + _MOST_IDS] for i in range(0, len(ids), _MOST_IDS))

    def _pages(
        self, query: dict[str, str], size: int, call: Call, most: int = _PAGE_SIZE * _MOST_PAGES
    ) -> tuple[list[Instrument], bool]:
        """Read page after page, until all are there, or nothing new comes."""
        found: dict[int, Instrument] = {}
        received, complete = 0, False
        for number in range(1, _MOST_PAGES + 1):
            paging = {"fields": _FIELDS, "pageSize": str(size), "pageNumber": str(number)}
            page = page_of(self._rest.get(_SEARCH, {**query, **paging}, call))
            if page is None:
                raise _not_understood("items")
            new = {each.id: each for each in page.instruments if each.id not in found}
            found |= new
            received += page.count
            complete = _is_last(page, received, size)
            # A server that does not know of pages sends the first one again and again.
            if complete or not new or len(found) >= most:
                break
        return list(found.values()), complete


def _is_last(page: Page, received: int, size: int) -> bool:
    return page.count < size if page.total is None else received >= page.total


def _not_understood(field: str) -> EToroRestError:
    return EToroRestError(
        f"eToro's REST API answered with JSON that has no list {field!r}. Check rest_url; if it is "
        "eToro's, its interface has changed."
    )
