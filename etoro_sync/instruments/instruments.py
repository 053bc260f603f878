"""From symbols to ids, and from ids to names: what users call."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from .. import clocks
from ..closeable import Closeable
from ..errors import EToroClosedError, EToroError, EToroInstrumentError
from ..events import check_instrument_id
from ..logs import log
from ..redaction import Redactor
from ..text import count, repeated
from ..throttle import LogThrottle
from ..ws.options import WsClientOptions, hide_locals, secrets_of
from .address import find_address
from .answers import choose, not_all, similar, unknown
from .arguments import (
    cache_path,
    check_ids,
    check_limit,
    check_options,
    check_text,
    deadline_after,
)
from .cache import Cache
from .calls import Call, Calls
from .instrument import Instrument
from .queries import Queries
from .rest import Rest
from .stored import Entry

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..ws.options import Settings

__all__ = ["Instruments"]

T = TypeVar("T")

#: Seconds after a failure for which an old entry is used without another attempt.
_PAUSE = 30.0
#: Candidates that are looked for when no instrument has a symbol.
_NEAR = 10


class Instruments(Closeable):
    """eToro's instruments: their ids, symbols and names, from its REST API. Nothing else.

    Answers are kept for a day, in a file in the user's cache folder, too. When eToro cannot be
    asked, older ones are used, with a warning in the log: ids never change. Any thread may call
    any method; one that has to ask blocks for the time of a request.

    :param options: a client's, for the keys, the proxy, TLS and ``connect_timeout``,
        ``request_timeout`` and ``max_message_bytes``; None reads them from the environment.
    :param rest_url: the address; None takes ``ETORO_REST_URL``, or else eToro's. Plain ``http://``
        only to this machine.
    :param cache_dir: the folder for the file; ``""``: no file; None is the user's cache folder, and
        no file where the address is this machine's, as a simulator's is.
    :param settings: options by keyword instead, such as ``Instruments(api_key=..., user_key=...)``;
        the environment has the others.
    :raises EToroValidationError: naming the argument.
    """

    _no_copies = (
        "Instruments cannot be copied or pickled, for they hold keys and locks. Make others "
        "from the same options; what is known is in the file of both."
    )

    @hide_locals
    def __init__(
        self,
        options: WsClientOptions | None = None,
        *,
        rest_url: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        **settings: "Unpack[Settings]",
    ) -> None:
        options = check_options(options, settings)
        self._address = find_address(rest_url)
        self._redactor = Redactor(secrets_of(options))
        self._queries = Queries(Rest(options, self._address, self._redactor))
        self._cache = Cache(cache_path(cache_dir, self._address), self._address)
        self._calls = Calls()
        self._throttle = LogThrottle()
        self._failed_at = -float("inf")

    # Questions -----------------------------------------------------------------------------

    @hide_locals
    def find(self, symbol: str, *, timeout: float | None = None) -> Instrument:
        """Return the instrument that has exactly this symbol, as an id that can be subscribed to.

        Small letters find a symbol of capitals, too. What is only similar is never returned.

        :param symbol: one of eToro's, such as ``"BTC"`` or ``"MSFT.RTH"``.
        :param timeout: seconds to wait at most; None: each step has its own bound.
        :raises EToroInstrumentError: with candidates, when no instrument has it, or several have.
        :raises EToroRestError: when eToro cannot be asked, and no earlier answer is known.
        :raises EToroAuthError: when it rejects the keys, or there are none.
        """
        symbol, deadline = check_text(symbol, "symbol"), deadline_after(timeout)
        entry = self._cache.of_symbol(symbol)
        if entry is not None and self._cache.fresh(entry):
            return entry.instrument
        try:
            return self._find(symbol, deadline, entry is None)
        except (EToroInstrumentError, EToroClosedError):
            raise
        except EToroError as exc:
            if entry is None:
                raise
            self._use_old([entry], f"the symbol {symbol}", exc)
        return entry.instrument

    @hide_locals
    def lookup(
        self, ids: Iterable[int] | int, *, timeout: float | None = None
    ) -> dict[int, Instrument]:
        """Return the instruments with these ids; those that eToro does not know are left out.

        A hundred of them are one request.

        :param ids: such as ``[100000, 1001]``.
        :param timeout: as :meth:`find`.
        :raises EToroRestError: when eToro cannot be asked, and some have no earlier answer.
        :raises EToroAuthError: as :meth:`find`.
        """
        # Without ids, eToro would send all that it has.
        wanted, deadline = check_ids(ids), deadline_after(timeout)
        known = self._cache.of_ids(wanted)
        old = [each for each in wanted if not self._cache.fresh(known.get(each))]
        needed = [each for each in old if each not in known]
        found = {each: entry.instrument for each, entry in known.items()}
        try:
            if old:
                found |= self._describe(old, deadline, bool(needed))
        except EToroClosedError:
            raise
        except EToroError as exc:
            if needed:
                raise
            self._use_old([known[each] for each in old], count(len(old), "instrument"), exc)
        return {each: found[each] for each in wanted if each in found}

    @hide_locals
    def name(self, instrument_id: int, *, timeout: float | None = None) -> str:
        """Return the name of an instrument, such as ``"Bitcoin"``.

        :param instrument_id: its id.
        :param timeout: as :meth:`find`.
        :raises EToroInstrumentError: when eToro knows no such id.
        :raises EToroRestError: as :meth:`lookup`.
        :raises EToroAuthError: as :meth:`find`.
        """
        number = check_instrument_id(instrument_id)
        found = self.lookup([number], timeout=timeout).get(number)
        if found is None:
            raise EToroInstrumentError(
                f"eToro knows no instrument with the id {number}. find() tells the id of a symbol."
            )
        return found.name or found.symbol

    @hide_locals
    def search(
        self, text: str, *, limit: int = 20, timeout: float | None = None
    ) -> list[Instrument]:
        """Return candidates for a name or a part of one, the best first, as eToro judges.

        For people to choose from: what is similar may be another instrument. Always asks.

        :param text: such as ``"apple"``.
        :param limit: how many at most.
        :param timeout: as :meth:`find`.
        :raises EToroRestError: when eToro cannot be asked.
        :raises EToroAuthError: as :meth:`find`.
        """
        text, most = check_text(text, "text"), check_limit(limit)
        with self._calls.begin(deadline_after(timeout), True) as call:
            return self._queries.by_text(text, most, call)

    @hide_locals
    def all(self, *, timeout: float | None = None) -> list[Instrument]:
        """Return all instruments that eToro has, of which not all can be traded. Always asks.

        More than 4,999 are too many for one connection: :class:`~etoro_sync.WsFleet` has several.

        :param timeout: as :meth:`find`.
        :raises EToroRestError: when eToro cannot be asked.
        :raises EToroAuthError: as :meth:`find`.
        """
        with self._calls.begin(deadline_after(timeout), True) as call:
            found = {each.id: each for each in self._queries.all(call)}
        self._keep(found.values(), {})
        return list(found.values())

    # Ends ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End the requests of other threads, which raise :class:`EToroClosedError`. Idempotent.

        Not needed otherwise: between two calls nothing is open.
        """
        self._calls.close()

    def __repr__(self) -> str:
        return f"<Instruments of {self._address}>"

    # How they are answered -----------------------------------------------------------------

    def _find(self, symbol: str, deadline: float | None, needed: bool) -> Instrument:
        """Ask for a symbol, as it is written and in capitals.

        :param needed: there is no old answer.
        """
        self._pause_after_failure(needed)
        seen: list[Instrument] = []
        complete = True
        with self._calls.begin(deadline, needed) as call:
            for spelling in dict.fromkeys([symbol, symbol.upper()]):
                more, all_of_them = self._asked(self._queries.by_symbol, spelling, call)
                seen += more
                complete = complete and all_of_them
                found = choose(symbol, seen, self._redactor)
                if found is not None:
                    # Without a name it would be no answer to name().
                    named = [found] if found.name else []
                    self._keep(named, {symbol: found, found.symbol: found})
                    return found
            if not complete:
                raise not_all(symbol, self._redactor)
            near = similar(symbol, seen)
            if not near:
                with contextlib.suppress(EToroError):  # it is a courtesy
                    near = self._queries.by_text(symbol, _NEAR, call.impatient())
        raise unknown(symbol, near, self._redactor)

    def _describe(
        self, ids: list[int], deadline: float | None, needed: bool
    ) -> dict[int, Instrument]:
        """Ask for ids; those that eToro does not know are left out.

        :param needed: for some there is no old answer.
        """
        self._pause_after_failure(needed)
        found: dict[int, Instrument] = {}
        with self._calls.begin(deadline, needed) as call:
            for part in self._queries.parts(ids):
                described = self._asked(self._queries.by_ids, part, call)
                new = {each.id: each for each in described if each.id in part}
                self._keep(new.values(), {})
                found |= new
        return found

    def _asked(self, question: Callable[[Any, Call], T], what: Any, call: Call) -> T:
        """Ask, and remember whether that has failed."""
        try:
            answer = question(what, call)
        except EToroError:
            self._failed_at = clocks.monotonic()
            raise
        self._failed_at = -float("inf")
        return answer

    def _pause_after_failure(self, needed: bool) -> None:
        if not needed and clocks.monotonic() - self._failed_at < _PAUSE:
            raise EToroError("the last request has failed just now")

    def _keep(self, instruments: Iterable[Instrument], symbols: dict[str, Instrument]) -> None:
        """Store what was answered, unless a server has written a key into it."""

        def clean(each: Instrument) -> bool:
            text = f"{each.symbol}\n{each.name}"
            return self._redactor(text) == text

        self._cache.keep(
            [each for each in instruments if clean(each)],
            {symbol: each for symbol, each in symbols.items() if clean(each)},
        )

    def _use_old(self, entries: list[Entry], what: str, error: EToroError) -> None:
        """Say that old entries are used, and why."""
        quiet = self._throttle.passes("old")
        if quiet is not None:
            log(
                logging.WARNING,
                "What eToro has said of %s %s is used, because it could not be asked: %s%s",
                self._redactor(what),
                self._cache.age(entries),
                error,
                repeated(quiet),
            )
