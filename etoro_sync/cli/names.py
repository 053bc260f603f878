"""Symbols and names for the commands: which address is asked, and a thread that asks for names."""

import logging
import os
import queue
import threading
from types import TracebackType

from ..errors import EToroError
from ..instruments import Instrument, Instruments
from ..instruments.address import is_local
from ..logs import log
from ..synchronization import join_thread
from ..ws import WsClientOptions
from .ending import CommandError

__all__ = ["Names", "instruments_of", "instruments_with_keys", "resolve"]

#: Seconds that the end of a command waits for the thread, which may be in the resolver of names.
_PATIENCE = 0.5


def instruments_of(options: WsClientOptions) -> Instruments | None:
    """Return where to ask for names; None: the stream is a simulator's, and no REST API is given.

    :param options: of the stream.
    """
    if is_local(options.ws_url) and not os.environ.get("ETORO_REST_URL", "").strip():
        return None
    return Instruments(options)


def instruments_with_keys() -> Instruments | None:
    """Return where to ask for names beside what needs no keys; None: there are none."""
    options = WsClientOptions.from_env()
    return instruments_of(options) if options.api_key and options.user_key else None


def resolve(words: list[str], instruments: Instruments | None) -> list[Instrument]:
    """Return the instruments that a user has named, by id or by exact symbol.

    :param words: such as ``["100000", "AAPL"]``.
    :param instruments: where to ask for symbols.
    :raises CommandError: when a word is neither an id nor a symbol, or nobody can be asked.
    :raises EToroError: when a symbol has no instrument, or several, or cannot be asked for.
    """
    found = []
    for word in words:
        if not any(letter.isalpha() for letter in word):
            found.append(Instrument(_id(word)))
        elif instruments is None:
            raise CommandError(
                f"{word!r:.60} is a symbol, and the stream is of this machine. Set ETORO_REST_URL "
                "to the address of the simulator's REST API, which it shows at its start."
            )
        else:
            found.append(instruments.find(word))
    return found


def _id(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 18 and int(word) > 0):
        raise CommandError(
            "An instrument is a symbol such as BTC, or a whole number greater than 0 such as "
            f"100000, not {word!r:.60}."
        )
    return int(word)


class Names:
    """Names of instruments for a table. Those that are not known yet are asked for by a thread.

    A table never waits: :meth:`get` returns what is known. When eToro cannot be asked, the ids
    stand alone.

    :param instruments: where to ask; None: nowhere.
    :param known: instruments that were found by their symbols.
    """

    def __init__(self, instruments: Instruments | None, known: list[Instrument]) -> None:
        self._instruments = instruments
        self._names = {each.id: each.name or each.symbol for each in known if each.symbol}
        self._asked = set(self._names)
        # None ends the thread.
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def get(self, instrument_id: int | None) -> str:
        """Return a name, or ``""`` for as long as it is not known. Main thread."""
        if instrument_id is None or self._instruments is None:
            return self._names.get(instrument_id or 0, "")
        if instrument_id > 0 and instrument_id not in self._asked:
            self._asked.add(instrument_id)
            self._wanted.put(instrument_id)
        return self._names.get(instrument_id, "")

    def __enter__(self) -> "Names":
        if self._instruments is not None:
            # A daemon, because the resolver of names cannot be interrupted.
            self._thread = threading.Thread(
                target=self._run, args=(self._instruments,), name="etoro-sync-names", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wanted.put(None)
        if self._instruments is not None:
            self._instruments.close()
        if self._thread is not None:
            join_thread(self._thread, _PATIENCE)

    def _run(self, instruments: Instruments) -> None:
        """Ask for what is wanted, all of it at once. Runs on the thread of its own."""
        while (wanted := self._wanted.get()) is not None:
            ids: list[int | None] = [wanted]
            while not self._wanted.empty():
                ids.append(self._wanted.get())
            try:
                found = instruments.lookup([each for each in ids if each is not None])
            except EToroError as exc:
                log(logging.DEBUG, "Names of instruments are not known: %s", exc)
            else:
                self._names |= {each.id: each.name or each.symbol for each in found.values()}
            if None in ids:
                return
