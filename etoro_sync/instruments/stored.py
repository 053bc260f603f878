"""What is kept of instruments, and how it is written down. Pure.

A symbol's entry says more than that of an id: that it is the only instrument with that symbol. So
what an id was described with is never the answer to a search for a symbol.
"""

import json
import math
from dataclasses import dataclass, field
from typing import Any

from .instrument import Instrument

__all__ = ["Entry", "Stored"]

_VERSION = 1
#: Entries of each kind; eToro has about 12,000 instruments.
_MOST = 50_000


@dataclass(frozen=True)
class Entry:
    """One instrument, and when eToro has said so.

    :param instrument: the instrument.
    :param at: seconds since the epoch.
    """

    instrument: Instrument
    at: float

    def has(self, symbol: str) -> bool:
        """Whether *symbol* is that of the instrument; capitals may differ."""
        return self.instrument.symbol.upper() == symbol.upper()

    @property
    def row(self) -> list[Any]:
        """What is written down."""
        return [self.instrument.id, self.instrument.symbol, self.instrument.name, int(self.at)]


@dataclass
class Stored:
    """All entries.

    :param symbols: symbol -> the only instrument that has it.
    :param ids: id -> how it was described.
    """

    symbols: dict[str, Entry] = field(default_factory=dict)
    ids: dict[int, Entry] = field(default_factory=dict)

    def merge(self, other: "Stored") -> None:
        """Take over what *other* has, where it is newer."""
        _merge(self.symbols, other.symbols)
        _merge(self.ids, other.ids)

    def replace(self, other: "Stored") -> None:
        """Take over what *other* has, whatever the time of the old entries: it may be wrong."""
        self.symbols.update(other.symbols)
        self.ids.update(other.ids)
        _shorten(self.symbols)
        _shorten(self.ids)

    def copy(self) -> "Stored":
        """Return the same entries."""
        return Stored(dict(self.symbols), dict(self.ids))

    def text(self, address: str) -> str:
        """Return all entries as JSON.

        :param address: where they are from.
        """
        content = {
            "version": _VERSION,
            "address": address,
            "symbols": {symbol: each.row for symbol, each in self.symbols.items()},
            "ids": [each.row for each in self.ids.values()],
        }
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def of(cls, text: str, address: str, now: float) -> "Stored":
        """Read what :meth:`text` has written, and leave out entries that cannot be.

        :param now: seconds since the epoch; what is later is of a clock that was set, and counts
            as old.
        :raises ValueError: when it is something else, or from another address.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            # Without its words, which quote the file.
            raise ValueError("it is no JSON") from None
        if not isinstance(content, dict) or content.get("version") != _VERSION:
            raise ValueError("it is of another kind")
        if content.get("address") != address:
            raise ValueError("it is of another address")
        symbols, ids = content.get("symbols"), content.get("ids")
        if not isinstance(symbols, dict) or not isinstance(ids, list):
            raise ValueError("it is not complete")
        entries = [entry for row in ids if (entry := _entry(row, now))]
        by_symbol = {
            symbol: entry for symbol, row in symbols.items() if (entry := _entry(row, now))
        }
        return cls(
            # A damaged file must not lead from one symbol to the instrument of another.
            {each: entry for each, entry in by_symbol.items() if entry.has(each)},
            {entry.instrument.id: entry for entry in entries},
        )


def _entry(row: Any, now: float) -> Entry | None:
    if not isinstance(row, list) or [type(each) for each in row[:3]] != [int, str, str]:
        return None
    at = row[3] if len(row) == 4 else None
    if not isinstance(at, (int, float)) or not math.isfinite(at) or not 0 < row[0] < 10**18:
        return None
    if not (row[1] + row[2]).isprintable():  # it is going to be shown in a terminal
        return None
    return Entry(Instrument(*row[:3]), float(at) if at <= now else 0.0)


def _merge(mine: dict[Any, Entry], others: dict[Any, Entry]) -> None:
    for key, entry in others.items():
        known = mine.get(key)
        if known is None or known.at < entry.at:
            mine[key] = entry
    _shorten(mine)


def _shorten(entries: dict[Any, Entry]) -> None:
    """Remove the oldest entries, if there are too many."""
    too_many = len(entries) - _MOST
    if too_many > 0:
        for key in sorted(entries, key=lambda key: entries[key].at)[:too_many]:
            del entries[key]
