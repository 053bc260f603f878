"""What eToro's REST API answers, as instruments; and which of them is the one. Pure.

Its two endpoints write the same things differently (``instrumentId`` and ``instrumentID``), so that
names of fields are read without regard to capitals. What cannot be read is left out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..errors import EToroInstrumentError, EToroRestError
from .instrument import Instrument

__all__ = ["Page", "choose", "not_all", "page_of", "read_details", "similar", "unknown"]

_SYMBOL = ("internalsymbolfull", "symbolfull")
_NAME = ("displayname", "instrumentdisplayname", "internalinstrumentdisplayname")
#: Longer text is no name of an instrument.
_LONGEST = 120
#: So many candidates are named in an error.
_SHOWN = 5


@dataclass(frozen=True)
class Page:
    """One page of the answer to a search.

    :param instruments: those that could be read.
    :param count: how many items it had, readable or not.
    :param total: how many items all pages have; None: it does not say.
    """

    instruments: list[Instrument]
    count: int
    total: int | None


def page_of(body: Any) -> Page | None:
    """Read the answer of ``market-data/search``; None: it is something else."""
    fields = _fields(body)
    items = fields.get("items")
    if not isinstance(items, list):
        return None
    return Page(_instruments(items), len(items), _whole(fields.get("totalitems")))


def read_details(body: Any) -> list[Instrument] | None:
    """Read the answer of ``market-data/instruments``; None: it is something else."""
    items = _fields(body).get("instrumentdisplaydatas")
    return _instruments(items) if isinstance(items, list) else None


def _instruments(items: list[Any]) -> list[Instrument]:
    return [found for item in items if (found := _instrument(item)) is not None]


def _instrument(item: Any) -> Instrument | None:
    fields = _fields(item)
    number = _whole(fields.get("instrumentid"))
    if number is None or not 0 < number < 10**18:
        return None
    symbol, name = _text(fields, _SYMBOL), _text(fields, _NAME)
    return Instrument(number, symbol, name) if symbol or name else None


def _fields(value: Any) -> dict[str, Any]:
    return {key.lower(): each for key, each in value.items()} if isinstance(value, dict) else {}


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
        return int(value)
    return value if type(value) is int else None


def _text(fields: dict[str, Any], names: Iterable[str]) -> str:
    """Return the first text there is, on one line: it is going to be shown in a terminal.

    Where a letter cannot be shown, a blank stands, also at an end: a symbol with such a letter is
    not the one without.
    """
    for name in names:
        value = fields.get(name)
        if isinstance(value, str):
            cut = value.strip()[:_LONGEST]
            shown = "".join(letter if letter.isprintable() else " " for letter in cut)
            if shown.strip():
                return shown
    return ""


def choose(symbol: str, found: list[Instrument], redact: Callable[[str], str]) -> Instrument | None:
    """Return the instrument that has exactly this symbol; None: there is none.

    Capitals may differ, unless there is one with the very same letters.

    :param redact: masks the keys: a server may have written one into a name, or a user have passed
        one for a symbol.
    :raises EToroInstrumentError: when several have it.
    """
    one_each = list({each.id: each for each in found}.values())
    exact = [each for each in one_each if each.symbol == symbol]
    # Not of other letters: the capitals of one may be two.
    if not exact and symbol.isascii():
        exact = [each for each in one_each if each.symbol.upper() == symbol.upper()]
    if len(exact) > 1:
        words = (
            f"{len(exact)} instruments have the symbol {symbol!r}: {_named(exact)}. Use the id of "
            "the one that you mean."
        )
        raise EToroInstrumentError(redact(words), exact)
    return exact[0] if exact else None


def similar(symbol: str, found: list[Instrument]) -> list[Instrument]:
    """Return those that have *symbol* in theirs."""
    return [each for each in found if symbol.upper() in each.symbol.upper()]


def not_all(symbol: str, redact: Callable[[str], str]) -> EToroRestError:
    """Return the error for an answer that is too long to say that no instrument has a symbol."""
    return EToroRestError(
        redact(
            f"eToro's REST API has more results for the symbol {symbol!r} than can be read, and "
            "none of those that were read has it. search() may find it."
        )
    )


def unknown(symbol: str, near: list[Instrument], redact: Callable[[str], str]) -> Exception:
    """Return the error for a symbol that no instrument has.

    :param near: what a search has found for it.
    :param redact: as in :func:`choose`.
    """
    hint = f"What comes near: {_named(near)}." if near else "Nothing comes near."
    words = (
        f"No instrument has the symbol {symbol!r}. {hint} Use one of eToro's symbols exactly as "
        "it is, or look for a name: search(), or etoro-sync find --search in a terminal."
    )
    return EToroInstrumentError(redact(words), near)


def _named(instruments: list[Instrument]) -> str:
    words = ", ".join(each.describe() for each in instruments[:_SHOWN])
    more = len(instruments) - _SHOWN
    return f"{words} and {more} more" if more > 0 else words
