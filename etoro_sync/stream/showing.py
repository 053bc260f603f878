"""What a notebook shows of a stream: a table of the moment, or a live one."""

import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import EToroError, EToroValidationError
from ..events import check_instrument_ids
from ..extras import advice
from ..html_tables import html_or_none, stream_table
from ..numbers import whole
from ..state import ClientState
from ..text import show
from .core import core_of

if TYPE_CHECKING:
    from ..notebook import LiveTable

__all__ = ["MOST_ROWS", "open_table", "to_html"]

#: A table of more rows would keep the browser busy, and nobody reads it.
MOST_ROWS = 500
_GONE = (
    "Nothing refers to the stream any more, so it has ended. Keep it in a variable, and run the "
    "cell again."
)


def to_html(stream: object) -> str | None:
    """Return a table of what a stream is doing, and of its first rates; None: it has none."""
    return html_or_none(lambda: _to_html(stream))


def _to_html(stream: object) -> str:
    core = core_of(stream)
    if core.guard.foreign:
        return stream_table(repr(stream), {}, {})
    stats = core.stats()
    values = {
        "error": core.lifecycle.error if core.state is ClientState.FAILED else None,
        "messages": stats.messages,
        "rates": stats.rates,
        "order events": stats.private_events,
        "last message": None if (age := stats.last_message_age) is None else f"{age:.1f} s ago",
        "reconnects": stats.reconnects,
        "callbacks waiting": stats.callbacks_waiting,
    }
    return stream_table(repr(stream), values, core.rates)


def open_table(
    stream: object, instrument_ids: Iterable[int] | int | None, names: Any, max_rows: int
) -> "LiveTable":
    """Return the table that ``live()`` returns; the arguments are its own.

    The table does not keep the stream alive: a notebook keeps what a cell has displayed.
    """
    known, ids = _instruments(instrument_ids)
    rows = whole(max_rows)
    if rows is None or not 1 <= rows <= MOST_ROWS:
        raise EToroValidationError(
            f"max_rows must be a whole number from 1 to {MOST_ROWS}, not {show(max_rows)}.",
            "max_rows",
        )
    known, lookup = _names(known, names)
    try:
        from ..notebook import Contents, Glance, LiveTable, Names
    except ImportError as exc:
        raise EToroError(
            f"live() needs anywidget, which cannot be imported: {advice('anywidget', 'jupyter')}"
        ) from exc
    here, use = weakref.ref(stream), object()

    def look() -> Glance:
        there = here()
        if there is None:
            return Glance(ClientState.CLOSED, detail=_GONE)
        core = core_of(there)
        if core.guard.foreign:
            return Glance(ClientState.CLOSED)
        state, error = core.state, core.lifecycle.error
        failed = str(error) if state is ClientState.FAILED and error is not None else ""
        return Glance(state, core.rates, core.stats(), failed, core.generations)

    def release() -> None:
        there = here()
        if there is not None:
            core_of(there).source.release(use)

    found = Names(known, lookup)
    purpose = f"{id(stream)} {ids}"
    table = LiveTable(Contents(ids, found.get, rows), look, release, found.ask, purpose)
    # Of a table that nobody displays, or whose subscription is refused or interrupted.
    weakref.finalize(table, release).atexit = False
    if ids:
        core_of(stream).source.hold(use, [f"instrument:{each}" for each in ids], None)
    return table


def _instruments(given: Any) -> tuple[dict[int, str], tuple[int, ...] | None]:
    """Return the ids, and the names of those that know theirs."""
    if given is None:
        return {}, None
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        given = list(given)  # it may be a generator, and is read twice
    ids = check_instrument_ids(given)
    each = given if isinstance(given, list) else [given]
    names = {
        int(one): getattr(one, "name", "") or one.symbol for one in each if hasattr(one, "symbol")
    }
    return names, ids


def _names(known: dict[int, str], given: Any) -> tuple[dict[int, str], Any]:
    """Return names by id, and what is asked for further ones."""
    if given is None:
        return known, None
    if isinstance(given, Mapping):
        return known | {each: str(name) for each, name in given.items()}, None
    if callable(getattr(given, "lookup", None)):
        return known, given
    raise EToroValidationError(
        f"names must be a dictionary from id to name, or Instruments, not {show(given, 60)}.",
        "names",
    )
