"""The names of instruments in a live table, which must not wait for the network."""

import logging
import threading
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ..logs import log
from ..text import shorten

__all__ = ["Lookup", "Names"]

#: Characters of a name.
_LENGTH = 40


class Lookup(Protocol):
    """What finds names, as :class:`~etoro_sync.Instruments` does."""

    def lookup(self, ids: Iterable[int]) -> Mapping[int, Any]:
        """Return the instruments with these ids, by id."""


class Names:
    """Finds names in a mapping, in instruments, or by asking on a short-lived thread.

    Only the updater's thread calls :meth:`get`. The thread that asks updates the dictionary in one
    step, so that no lock is needed.

    :param known: names by id.
    :param lookup: asked once for each id that is not known; None: nobody is.
    """

    def __init__(self, known: Mapping[int, str], lookup: Lookup | None = None) -> None:
        self._known = {each: shorten(str(name), _LENGTH) for each, name in known.items() if name}
        self._lookup = lookup
        self._asked = set(self._known)
        self._wanted: list[int] = []
        self._asking = False

    def get(self, instrument_id: int) -> str:
        """Return a name, or ``""`` for as long as it is not known."""
        if instrument_id not in self._asked:
            self._asked.add(instrument_id)
            self._wanted.append(instrument_id)
        return self._known.get(instrument_id, "")

    def ask(self) -> None:
        """Ask for what :meth:`get` did not find, without waiting for the answer."""
        if self._asking:
            return  # one at a time, for the network may be slow, and new ids come all the time
        wanted, self._wanted = self._wanted, []
        if wanted and self._lookup is not None:
            self._asking = True
            arguments = (self._lookup, wanted)
            # A daemon, because the resolver of names cannot be interrupted.
            thread = threading.Thread(
                target=self._ask, args=arguments, name="etoro-sync-names", daemon=True
            )
            thread.start()

    def _ask(self, lookup: Lookup, wanted: list[int]) -> None:
        """Ask. Runs on the thread of its own."""
        try:
            names = {int(one): one.name or one.symbol for one in lookup.lookup(wanted).values()}
            self._known |= {each: shorten(name, _LENGTH) for each, name in names.items()}
        except Exception as exc:  # it may be a lookup of the user's
            log(logging.WARNING, "Names of instruments are not known: %s", exc)
        finally:
            self._asking = False
