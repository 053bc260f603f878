"""Keyframes: the state of the book as lines of a recording, and back. Pure.

A line of kind ``"keyframe"`` says how many follow: one ``"instrument"`` for each instrument, and
one ``"latest"`` for each rate that users see.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import EToroError
from ..market.book_state import BookState, InstrumentState
from ..market.instrument import UNKNOWN
from ..market.message_parser import BAD_VALUE
from .lines import Line, encode_line, fields_of
from .values import flag, items, number, text, whole

__all__ = ["IncompleteKeyframe", "encode_state", "full", "read_keyframe", "sparse"]

#: The flags of an instrument that a keyframe keeps.
_FLAGS = ("awaits_snapshot", "shown", "settled", "closed")
#: More instruments than a keyframe has: it is bounded as the rate book is.
_MOST_INSTRUMENTS = 200_000


class IncompleteKeyframe(Exception):
    """The keyframe ends before all of it has come.

    :param line: what stands behind it; None: nothing does.
    """

    def __init__(self, line: Line | None) -> None:
        super().__init__("a keyframe is not complete")
        self.line = line


def encode_state(
    at: float, book: BookState, restored: bool, redact: Callable[[str], str]
) -> Iterator[str]:
    """Yield the lines of a keyframe.

    :param restored: it is not what a reader knows from the lines before.
    """

    def line(kind: str, details: dict[str, Any]) -> str:
        return encode_line(kind, at, book.generation, details, redact)

    head: dict[str, Any] = {
        "awaited": sorted(book.awaited),
        "unsubscribed": sorted(book.unsubscribed),
        "instruments": len(book.instruments),
        "latest": len(book.latest),
    }
    yield line("keyframe", {**head, "restored": True} if restored else head)
    shown = {one.topic: one.visible for one in book.instruments}
    for one in book.instruments:
        flags = [name for name in _FLAGS if getattr(one, name)]
        details: dict[str, Any] = {"topic": one.topic, "flags": flags, "state": sparse(one.state)}
        if one.visible is not one.state:
            details["visible"] = sparse(one.visible)
        yield line("instrument", details)
    for key, visible in book.latest:
        details = {"instrument_id": key}
        # Most are the visible states of the instruments above, and are not written twice.
        if shown.get(f"instrument:{key}") is not visible:
            details["visible"] = sparse(visible)
        yield line("latest", details)


def read_keyframe(head: Line, lines: Iterator[Line]) -> tuple[BookState, bool]:
    """Return a state, and whether it replaces what is known from the lines before.

    :param head: its first line.
    :param lines: those behind; the keyframe's own are taken off.
    :raises IncompleteKeyframe: when they end.
    :raises EToroError: when they are not valid.
    """
    try:
        return _read(head, lines)
    except BAD_VALUE as exc:
        raise EToroError(f"A keyframe is not valid: {exc!s:.200}.") from exc


def _read(head: Line, lines: Iterator[Line]) -> tuple[BookState, bool]:
    details = fields_of(head)
    instruments: dict[str, InstrumentState] = {}
    for _ in range(_count(details["instruments"])):
        one = _instrument(fields_of(_next(lines, "instrument")))
        instruments[one.topic] = one
    latest: list[tuple[int, dict[str, Any]]] = []
    for _ in range(_count(details["latest"])):
        fields = fields_of(_next(lines, "latest"))
        key = whole(fields["instrument_id"])
        shown = fields.get("visible")
        visible = instruments[f"instrument:{key}"].visible if shown is None else full(shown)
        if not _is_complete(visible):
            raise ValueError(f"a side of the rate of instrument {key} is missing")
        latest.append((key, visible))
    awaited = frozenset(map(whole, items(details["awaited"])))
    unsubscribed = frozenset(map(text, items(details["unsubscribed"])))
    state = BookState(head.generation, [*instruments.values()], latest, awaited, unsubscribed)
    return state, details.get("restored") is True


def _count(value: Any) -> int:
    count = whole(value)
    if not 0 <= count <= _MOST_INSTRUMENTS:
        raise ValueError(f"it cannot have {count} instruments")
    return count


def _next(lines: Iterator[Line], kind: str) -> Line:
    line = next(lines, None)
    if line is None or line.kind != kind:
        raise IncompleteKeyframe(line)
    return line


def _instrument(fields: dict[str, Any]) -> InstrumentState:
    state = full(fields["state"])
    visible = full(fields["visible"]) if "visible" in fields else state
    flags = {name: name in items(fields["flags"]) for name in _FLAGS}
    if flags["settled"] and not _is_complete(state):
        raise ValueError("a side of a price that is settled is missing")
    return InstrumentState(text(fields["topic"]), state, visible, **flags)


# The states of instruments -----------------------------------------------------------------------


def sparse(state: dict[str, Any]) -> dict[str, Any]:
    """Return those fields of a state that are known."""
    return {name: state[name] for name, value in UNKNOWN.items() if state[name] != value}


def full(known: dict[str, Any]) -> dict[str, Any]:
    """Return a state with all fields.

    :raises TypeError: when a value is not of its field's kind, as ``ValueError`` and ``KeyError``.
    """
    state = dict(UNKNOWN)
    for name, value in known.items():
        state[name] = _FIELDS[name](value)
    return state


def _is_complete(state: dict[str, Any]) -> bool:
    return state["ask"] is not None and state["bid"] is not None


def _closes(value: Any) -> tuple[float | None, ...]:
    return tuple(None if each is None else number(each) for each in items(value))


#: Name of a field of a state -> what makes it of JSON.
_FIELDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(UNKNOWN, whole),
    **dict.fromkeys(("ask", "bid", "last_execution", "received_at"), number),
    **dict.fromkeys(("bid_discounted", "ask_discounted"), number),
    **dict.fromkeys(("conversion_rate_ask", "conversion_rate_bid"), number),
    **dict.fromkeys(("is_instrument_active", "is_market_open", "is_exchange_open"), flag),
    **dict.fromkeys(("allow_buy", "allow_sell"), flag),
    "date": text,
    "changed": lambda value: tuple(map(text, items(value))),
    "closes": _closes,
}
