"""The lines of a recording: what a journal has noted, as JSON, and back. Pure.

Each line is an object with the same four fields, so that pandas, polars and DuckDB read a segment
as one table:

- ``at``: when it was received or happened, in seconds since the epoch, UTC;
- ``generation``: the number of the connection;
- ``kind``: ``"text"`` for a frame as it was sent, else one of the words below;
- ``text``: the frame, or for the other kinds their details, as JSON.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .. import codec
from ..errors import EToroError
from ..events import EVENTS
from ..market.book_state import BookState, InstrumentState
from ..market.instrument import UNKNOWN
from ..market.message_parser import BAD_VALUE, decode_private_event
from ..models import WsGap, WsPrivateEvent

__all__ = [
    "BOOK_KINDS",
    "Entry",
    "Line",
    "decode_details",
    "decode_instrument",
    "decode_visible",
    "encode",
    "encode_line",
    "parse_line",
]

#: The kinds of a journal whose details are topics.
BOOK_KINDS = frozenset(
    ["generation", "lost", "expect", "expect-none", "subscribed", "forget", "clear"]
)
# Seven decimals are enough for each float to come back as it was.
_TEXT = '{"at":%.7f,"generation":%d,"kind":"text","text":%s}\n'
_quote = json.encoder.encode_basestring_ascii
#: The flags of an instrument that a keyframe keeps.
_FLAGS = ("awaits_snapshot", "shown", "settled", "closed")
#: The fields of a state that are tuples, and lists in JSON.
_TUPLES = ("changed", "closes")
#: The fields of a state that are numbers with a fraction.
_NUMBERS = {
    *("ask", "bid", "last_execution", "bid_discounted", "ask_discounted"),
    *("conversion_rate_ask", "conversion_rate_bid", "received_at"),
}


class Entry(NamedTuple):
    """What was noted at one moment, before it is encoded.

    :param kind: of :class:`~etoro_sync.delivery.journal.Journal`, or ``"state"`` with a
        :class:`BookState`, or ``"hole"`` with what is missing.
    :param at: seconds since the epoch.
    :param generation: the number of the connection.
    :param details: as the journal got them.
    """

    kind: str
    at: float
    generation: int
    details: Any


class Line(NamedTuple):
    """One line of a recording, as it stands there."""

    at: float
    generation: int
    kind: str
    text: str


def encode(entry: Entry, redact: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines of *entry*, each with its end.

    :param redact: removes the keys from text, such as of a server that repeats them.
    """
    at, generation, details = entry.at, entry.generation, entry.details
    if entry.kind == "texts":
        for text in details[1]:
            yield _TEXT % (details[0], generation, _quote(redact(text)))
        return
    if entry.kind == "state":
        yield from _encode_state(at, details)
        return
    if entry.kind == "event":
        event, arguments = details
        details = {"event": event, "arguments": [_plain(argument) for argument in arguments]}
    elif entry.kind == "rate":
        details = {"instrument_id": details[0], "state": _sparse(details[1])}
    elif entry.kind in BOOK_KINDS:
        details = {"topics": details}
    yield encode_line(entry.kind, at, generation, details, redact)


def encode_line(
    kind: str, at: float, generation: int, details: Any, redact: Callable[[str], str] = str
) -> str:
    """Return the line of a kind whose text is JSON."""
    text = redact(json.dumps(details, separators=(",", ":"), default=str))
    return f'{{"at":{at:.7f},"generation":{generation},"kind":"{kind}","text":{_quote(text)}}}\n'


def _plain(argument: Any) -> Any:
    """Return an argument of an event as JSON has it."""
    if isinstance(argument, BaseException):
        return {"error": type(argument).__name__, "message": str(argument)}
    return argument.to_dict() if isinstance(argument, (WsGap, WsPrivateEvent)) else argument


def _sparse(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if value != UNKNOWN[name]}


def _encode_state(at: float, book: BookState) -> Iterator[str]:
    """Yield the lines of a keyframe: its head, and one for each instrument and each rate."""
    head = {
        "awaited": sorted(book.awaited),
        "unsubscribed": sorted(book.unsubscribed),
        "instruments": len(book.instruments),
        "latest": len(book.latest),
    }
    yield encode_line("keyframe", at, book.generation, head)
    shown = {one.topic: one.visible for one in book.instruments}
    for one in book.instruments:
        flags = [name for name in _FLAGS if getattr(one, name)]
        details: dict[str, Any] = {"topic": one.topic, "flags": flags, "state": _sparse(one.state)}
        if one.visible is not one.state:
            details["visible"] = _sparse(one.visible)
        yield encode_line("instrument", at, book.generation, details)
    for key, visible in book.latest:
        details = {"instrument_id": key}
        # Most are the visible states of the instruments above, and are not written twice.
        if shown.get(f"instrument:{key}") is not visible:
            details["visible"] = _sparse(visible)
        yield encode_line("latest", at, book.generation, details)


# Back --------------------------------------------------------------------------------------------


def parse_line(raw: bytes) -> Line:
    """Return one line.

    :raises EToroError: when it is none.
    """
    try:
        data = codec.loads(raw.decode())
        line = Line(data["at"], data["generation"], data["kind"], data["text"])
        # Checked by itself, because every message of a recording comes through here.
        numbers = type(line.at) is float and type(line.generation) is int
        if numbers and type(line.kind) is type(line.text) is str:
            return line
    except BAD_VALUE:
        pass
    raise EToroError(f"{raw[:60]!r} is no line of a recording")


def decode_details(line: Line) -> Any:
    """Return the details of a line as a journal has noted them.

    :raises EToroError: when they are none of this kind.
    """
    try:
        details = codec.loads(line.text)
        if line.kind in BOOK_KINDS:
            return tuple(map(str, details["topics"]))
        if line.kind == "rate":
            return int(details["instrument_id"]), _full(details["state"])
        if line.kind == "event":
            event, arguments = details["event"], details["arguments"]
            return event, _arguments(line, event, arguments)
        return dict(details)
    except BAD_VALUE as exc:
        raise EToroError(
            f"The details of a line of kind {line.kind!r} are not valid: {exc}"
        ) from exc


def decode_instrument(line: Line) -> InstrumentState:
    """Return one instrument of a keyframe.

    :raises EToroError: when the line has none.
    """
    details = decode_details(line)
    try:
        state = _full(details["state"])
        visible = _full(details["visible"]) if "visible" in details else state
        flags = {name: name in details["flags"] for name in _FLAGS}
        return InstrumentState(str(details["topic"]), state, visible, **flags)
    except BAD_VALUE as exc:
        raise EToroError(f"An instrument of a keyframe is not valid: {exc}") from exc


def decode_visible(line: Line) -> tuple[int, dict[str, Any] | None]:
    """Return instrument id and state of a rate of a keyframe; None: the instrument's visible one.

    :raises EToroError: when the line has none.
    """
    details = decode_details(line)
    try:
        visible = details.get("visible")
        return int(details["instrument_id"]), None if visible is None else _full(visible)
    except BAD_VALUE as exc:
        raise EToroError(f"A rate of a keyframe is not valid: {exc}") from exc


def _full(sparse: dict[str, Any]) -> dict[str, Any]:
    """Return a state with all fields.

    :raises ValueError: when a value is not of its field's kind.
    """
    for name, value in sparse.items():
        if name in _NUMBERS:
            sparse[name] = codec.decode_number(value)
        elif name not in UNKNOWN or (type(value) in (dict, list) and name not in _TUPLES):
            raise ValueError(f"{name!r} is no field of a state, or has no such value")
    tuples = {name: tuple(sparse[name]) for name in _TUPLES if sparse.get(name) is not None}
    return {**UNKNOWN, **sparse, **tuples}


def _arguments(line: Line, event: str, plain: list[Any]) -> tuple[Any, ...]:
    if event not in EVENTS:
        raise ValueError(f"there is no event {event!r}")
    if event == "reconnected":
        return (WsGap.from_dict(plain[0]),)
    if event == "private:event":
        order = decode_private_event(plain[0], str(plain[0].get("type") or ""))
        order.generation, order.received_at = line.generation, line.at
        return (order,)
    if event == "error":
        return (EToroError(f"{plain[0]['error']}: {plain[0]['message']}"),)
    return tuple(plain)
