"""An order event as a row of the file, and back. Pure."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from ..models import WsPrivateEvent
from ..text import show

__all__ = ["Row", "StoredEvent", "column", "decode", "encode", "finite"]

#: Fields that the library adds. They do not count when two events are compared.
_ADDED = ("message_id", "generation", "received_at")
_NAMES = frozenset(f.name for f in fields(WsPrivateEvent))
#: SQLite's integers have 64 bits.
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True)
class StoredEvent:
    """One event of a store.

    :param number: 1 for the first event of the file, and rising; the same in every delivery, so
        that a handler can tell whether it has seen the event before a crash.
    :param event: the order event. If it was altered so as to hide the keys, they are ``***``.
    :param stored_at: when it was stored, by the local clock: seconds since the epoch, UTC.
    :param acknowledged_at: when it was acknowledged, likewise; None: it was not.
    """

    number: int
    event: WsPrivateEvent
    stored_at: float
    acknowledged_at: float | None = None


class Row(NamedTuple):
    """What is written of one event.

    :param key: of the message's id and its content: the same message has the same key.
    :param content: of all that eToro sent.
    """

    key: bytes
    content: bytes
    order_id: int | str | None
    request_guid: int | str | None
    status_id: int | str | None
    received_at: float
    text: str


def encode(event: WsPrivateEvent, redact: Callable[[str], str]) -> Row:
    """Return the row of an event. Never raises, because no event must be lost for its form.

    :param redact: removes the keys from text.
    """
    try:
        values = event.to_row()
        text = redact(json.dumps(_masked(values, redact)))
        # Parsed again: where a key stood outside of a string, what is left is not JSON.
        values = json.loads(text)
        sent = {k: v for k, v in values.items() if k not in _ADDED and v is not None}
        content = json.dumps(sent, sort_keys=True)
    except Exception:  # such as a RecursionError, or what a user's own event has in it
        odd = redact(show(vars(event), 10_000))
        values = {"order_id": column(event.order_id), "extra": {"content": odd}}
        text = content = json.dumps(values)
    message_id = json.dumps(values.get("message_id", ""))
    return Row(
        _digest(f"{message_id} {content}"),
        _digest(content),
        column(values.get("order_id")),
        column(values.get("request_guid")),
        column(event.status_id if event.status_id is not None else event.status_id_variant),
        finite(event.received_at),
        text,
    )


def decode(text: str) -> WsPrivateEvent:
    """Return the event of a row, also of one that a later version with more fields has written.

    Never raises: one row that somebody has changed must not keep the others from being read.
    """
    try:
        values: dict[str, Any] = json.loads(text)
        return WsPrivateEvent(**{name: v for name, v in values.items() if name in _NAMES})
    except (AttributeError, RecursionError, TypeError, ValueError):
        return WsPrivateEvent(extra={"content": text})


def column(value: object) -> int | str | None:
    """Return an id as SQLite can store it, and as it is looked for: large ones are text."""
    if value is None or (type(value) is int and value in _INTEGERS):
        return value
    try:
        text = str(value)
    except Exception:  # an int of more than 4,300 digits, or a user's own type
        text = show(value)
    return text.encode("utf-8", "backslashreplace").decode()


def finite(value: object) -> float:
    """Return a time as SQLite can store it, which takes NaN for nothing."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _masked(value: Any, redact: Callable[[str], str]) -> Any:
    """Remove the keys from each text in *value*: JSON would escape the escapes in them again."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {_masked(k, redact): _masked(v, redact) for k, v in value.items()}
    return [_masked(v, redact) for v in value] if isinstance(value, list) else value


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]
