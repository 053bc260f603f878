"""The command ``find``: ids, symbols and names of instruments."""

import json
import sys

from ..errors import EToroInstrumentError
from ..instruments import Instrument, Instruments
from .names import resolve

__all__ = ["find"]


def find(words: list[str], instruments: Instruments, similar: bool, as_json: bool) -> None:
    """Write a line for each instrument: its id, its symbol, its name.

    :param words: exact symbols or ids; or, with *similar*, parts of names.
    :param instruments: where to ask.
    :param similar: write whatever a search finds.
    :param as_json: write one JSON object per line.
    :raises EToroInstrumentError: for a word that nothing was found for; the others are written.
    """
    found: list[Instrument] = []
    failures: list[EToroInstrumentError] = []
    for word in words:
        try:
            found += instruments.search(word) if similar else [_exact(word, instruments)]
        except EToroInstrumentError as exc:
            failures.append(exc)
    _write(found, as_json)
    if failures:
        raise EToroInstrumentError(" ".join(map(str, failures)))


def _exact(word: str, instruments: Instruments) -> Instrument:
    (found,) = resolve([word], instruments)
    if found.symbol:
        return found
    described = instruments.lookup([found.id])
    if found.id not in described:
        raise EToroInstrumentError(f"eToro has no instrument with the id {found.id}.")
    return described[found.id]


def _write(found: list[Instrument], as_json: bool) -> None:
    if as_json:
        lines = [
            json.dumps({"instrument_id": each.id, "symbol": each.symbol, "name": each.name})
            for each in found
        ]
    else:
        ids = max((len(str(each)) for each in found), default=0)
        symbols = max((len(each.symbol) for each in found), default=0)
        lines = [f"{each.id:>{ids}}  {each.symbol:<{symbols}}  {each.name}" for each in found]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
