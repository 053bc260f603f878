"""What a publisher's connection goes through, as it stands in Redis, and back. Pure."""

import json
from collections.abc import Callable
from typing import Any

from ... import errors
from ...errors import EToroError
from ...models import WsGap
from ...text import shorten, show
from .parsing import is_id, is_number, masked, odd, parse

__all__ = ["CONNECTED", "PUBLISHED", "TAKEOVER", "decode_event", "encode_event"]

#: Emitted when another publisher may write, or what was written is not all there any more.
TAKEOVER = "takeover"
#: Whether the publisher is connected to eToro, all of its connections; stands before what it says.
CONNECTED = "connected"
#: The events of a stream that are handed on as such; rates and orders have streams of their own.
PUBLISHED = ("open", "authenticated", "close", "reconnecting", "reconnected", "stale", "error")


def encode_event(name: str, args: tuple[Any, ...], redact: Callable[[str], str] = str) -> str:
    """Return the arguments of an event as JSON.

    :param name: one of :data:`PUBLISHED`, :data:`TAKEOVER` or :data:`CONNECTED`.
    :param redact: removes the keys from text.
    """
    return json.dumps(masked([_plain(each) for each in args], redact), default=show)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        code = getattr(value, "error_code", None)
        return {
            "error": type(value).__name__,
            "message": shorten(str(value), 1000),
            "code": code if isinstance(code, str) else None,
        }
    if isinstance(value, WsGap):
        return [value.from_, value.until, value.generation, list(value.topics)]
    return value


def decode_event(name: str, text: bytes | str, where: str) -> tuple[Any, ...]:
    """Return the arguments of an event, as handlers get them.

    :param name: the event.
    :param where: the key, for errors.
    :raises EToroValidationError: for an unknown event, or arguments that it does not have.
    """
    args = parse(text, where)
    check = _ARGUMENTS.get(name)
    if check is None:
        raise odd(where, name, "event")
    if type(args) is not list:
        raise odd(where, args)
    try:
        return check(*args)
    except (TypeError, ValueError, KeyError, OverflowError):
        raise odd(where, args, name) from None


def _nothing() -> tuple[Any, ...]:
    return ()


def _flag(value: Any) -> tuple[Any, ...]:
    if type(value) is not bool:
        raise TypeError
    return (value,)


def _close(code: Any, reason: Any) -> tuple[Any, ...]:
    return _checked(code, int | None), _checked(reason, str | None)


def _reconnecting(attempt: Any, delay: Any) -> tuple[Any, ...]:
    return _checked(attempt, int), _time(delay)


def _reconnected(gap: Any) -> tuple[Any, ...]:
    from_, until, generation, topics = _checked(gap, list)
    names = tuple(_checked(topic, str) for topic in _checked(topics, list))
    return (WsGap(_time(from_), _time(until), _checked(generation, int), names),)


def _stale(instrument_id: Any, age: Any) -> tuple[Any, ...]:
    if not is_id(instrument_id):
        raise ValueError
    return instrument_id, _time(age)


def _error(error: Any) -> tuple[Any, ...]:
    values = _checked(error, dict)
    message, code = _checked(values["message"], str), _checked(values["code"], str | None)
    kind = _checked(values["error"], str)
    found = getattr(errors, kind) if kind in _PLAIN_ERRORS else EToroError
    made = found(message)
    if hasattr(made, "error_code"):
        made.error_code = code
    return (made,)


def _checked(value: Any, kind: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise TypeError
    return value


def _time(value: Any) -> float:
    if not is_number(value):
        raise ValueError
    return float(value)


_ARGUMENTS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "open": _nothing,
    "authenticated": _nothing,
    TAKEOVER: _nothing,
    CONNECTED: _flag,
    "close": _close,
    "reconnecting": _reconnecting,
    "reconnected": _reconnected,
    "stale": _stale,
    "error": _error,
}
#: Errors that are made of a message alone; any other comes as an EToroError.
_PLAIN_ERRORS = tuple(name for name in errors.__all__ if name != "EToroOrderError")
