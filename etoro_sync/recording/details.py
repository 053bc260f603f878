"""What a journal has noted, as lines of a recording, and back. Pure."""

from collections.abc import Callable, Iterator
from typing import Any

from ..errors import EToroError
from ..events import EVENTS
from ..market.message_parser import BAD_VALUE
from ..models import (
    WsEnvelope,
    WsGap,
    WsInstrumentDelta,
    WsInstrumentRate,
    WsMessage,
    WsPrivateEvent,
)
from ..models.fields import WireModel
from .keyframes import encode_state, full, sparse
from .lines import Entry, Line, encode_line, encode_texts, fields_of
from .values import number, text, whole

__all__ = ["BOOK_KINDS", "decode_details", "encode"]

#: The kinds of a journal whose details are topics.
BOOK_KINDS = frozenset(
    ["generation", "lost", "expect", "expect-none", "subscribed", "forget", "clear"]
)
#: Event -> the place of an argument that is a model, and its class.
_MODELS: dict[str, tuple[int, type[WireModel]]] = {
    "message": (0, WsEnvelope),
    "instrument:rate": (1, WsInstrumentRate),
    "instrument:delta": (1, WsInstrumentDelta),
    "private:event": (0, WsPrivateEvent),
    "unknown": (0, WsMessage),
    "reconnected": (0, WsGap),
}


def encode(entry: Entry, redact: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines of *entry*, each with its end.

    :param redact: removes the keys from text, such as of a server that repeats them.
    """
    kind, at, generation, details = entry
    if kind == "texts":
        yield from encode_texts(details[0], generation, details[1], redact)
        return
    if kind in ("state", "restored"):
        yield from encode_state(at, details, kind == "restored", redact)
        return
    if kind == "event":
        event, arguments = details
        details = {"event": event, "arguments": list(arguments)}
    elif kind == "rate":
        details = {"instrument_id": details[0], "state": sparse(details[1])}
    elif kind in BOOK_KINDS:
        details = {"topics": details}
    yield encode_line(kind, at, generation, details, redact)


def decode_details(line: Line) -> Any:
    """Return the details of a line as a journal has noted them.

    :raises EToroError: when they are none of this kind.
    """
    details = fields_of(line)
    try:
        if line.kind in BOOK_KINDS:
            return tuple(map(text, details["topics"]))
        if line.kind == "rate":
            return whole(details["instrument_id"]), full(details["state"])
        if line.kind == "event":
            event, arguments = details["event"], details["arguments"]
            return event, _arguments(event, list(arguments))
        return details
    except BAD_VALUE as exc:
        raise EToroError(
            f"The details of a line of kind {line.kind!r:.40} are not valid: {exc!s:.200}"
        ) from exc


def _arguments(event: str, plain: list[Any]) -> tuple[Any, ...]:
    if event not in EVENTS:
        raise ValueError(f"there is no event {event!r:.40}")
    if event == "error" and len(plain) == 1 and type(plain[0]) is dict:
        return (EToroError(f"{plain[0]['error']}: {plain[0]['message']}"),)
    place, model = _MODELS.get(event, (0, None))
    # A source of the user may have emitted another object.
    if model is not None and place < len(plain) and type(plain[place]) is dict:
        plain[place] = _checked(model.from_dict(plain[place]))
    return tuple(plain)


def _checked(model: Any) -> Any:
    """Return a model of an event.

    :raises TypeError: when a field that is not on the wire is not of its kind, as ``ValueError``;
        the decoders of the others have checked them.
    """
    whole(getattr(model, "generation", 0))
    for name in ("received_at", "from_", "until"):
        number(getattr(model, name, 0.0))
    for topic in getattr(model, "topics", ()):
        text(topic)
    return model
