"""Order events as they stand in Redis, and back. Pure."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from typing import Any

from ...models import WsPrivateEvent
from ...text import show
from .parsing import is_number, is_whole, masked, odd, parse

__all__ = ["decode_order", "digest_of", "encode_order", "numbered", "parted", "subject_of"]

#: Fields that the library adds. They do not count when two events are compared.
_ADDED = ("message_id", "generation", "received_at")
_ORDER_FIELDS = {field.name: field for field in dataclasses.fields(WsPrivateEvent)}


def encode_order(event: WsPrivateEvent, redact: Callable[[str], str] = str) -> str:
    """Return an order event as JSON. Never raises, because no event must be lost for its form.

    :param redact: removes the keys from text.
    """
    try:
        values = masked({k: v for k, v in event.to_row().items() if v is not None}, redact)
        return json.dumps(values, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except Exception:  # such as a RecursionError, or what a user's own event has in it
        odd = redact(show(vars(event), 10_000))
        kept = {"order_id": event.order_id, "message_id": event.message_id}
        kept = {k: v for k, v in kept.items() if type(v) in (int, str)}
        return json.dumps(masked({**kept, "extra": {"content": odd}}, redact), sort_keys=True)


def digest_of(order: str) -> str:
    """Return what two publishers agree on of one order event, whatever its message's id is.

    :param order: as :func:`encode_order` returns it.
    """
    values = {k: v for k, v in json.loads(order).items() if k not in _ADDED}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def numbered(content: str, number: int) -> str:
    """Return the digest of the event with which an order has come to a state again.

    :param content: the digest of the content, as :func:`digest_of` returns it.
    :param number: 1 for the first time.
    """
    return content if number == 1 else f"{content}.{number}"


def parted(digest: str) -> tuple[str, int]:
    """Return the digest of the content, and for which time it came."""
    content, _, number = digest.partition(".")
    return content, int(number) if number.isdigit() and len(number) < 10 else 1


def subject_of(order: str) -> Any:
    """Return what tells the order of an event from others; None: the event does not say.

    :param order: as :func:`encode_order` returns it.
    """
    values = json.loads(order)
    return values.get("order_id") or values.get("request_guid")


def decode_order(text: bytes | str, where: str) -> WsPrivateEvent:
    """Return an order event, also of one that a later version with more fields has written.

    :param where: the key, for errors.
    :raises EToroValidationError: for a text that is no JSON object, or a value of a wrong type.
    """
    values = parse(text, where)
    if type(values) is not dict:
        raise odd(where, values)
    known = {name: value for name, value in values.items() if name in _ORDER_FIELDS}
    for name, value in known.items():
        if not _fits(value, str(_ORDER_FIELDS[name].type)):
            raise odd(where, value, name)
        if type(value) is int and "float" in str(_ORDER_FIELDS[name].type):
            known[name] = float(value)
    return WsPrivateEvent(**known)


def _fits(value: Any, spelt: str) -> bool:
    """Whether a value has the type of a field, as its annotation is spelt."""
    if "List[int]" in spelt:
        return type(value) is list and all(map(is_whole, value))
    if "Dict" in spelt:
        return type(value) is dict
    if "Union" in spelt:
        return type(value) in (int, str)
    if "float" in spelt:
        return is_number(value)
    return type(value).__name__ in spelt
