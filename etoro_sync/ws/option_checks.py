"""What each setting of a client may be, and what is said where it is something else.

A check takes the name and the value of a setting, and returns the value that is kept: numbers and
flags become Python's own, because those of numpy look and add up otherwise, and are no JSON. No
error shows a text: it may be a misplaced key.
"""

import importlib.util
import inspect
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..errors import EToroValidationError
from ..events import advice_on_number
from ..numbers import flag, real, whole
from ..text import shorten, show
from .transport.target import NO_SOCKS, is_loopback

__all__ = [
    "check_context",
    "check_flag",
    "check_key",
    "check_key_source",
    "check_proxy",
    "check_url",
    "or_none",
    "seconds",
    "whole_number",
]

Check = Callable[[str, Any], Any]

#: The longest of all times, eleven days: selectors overflow at twenty-five.
_MOST_SECONDS = 1_000_000
#: Seconds; looking more often than this is a busy loop.
_SHORTEST = 0.01
_SOCKS = ("socks5", "socks5h")


def or_none(check: Check) -> Check:
    """Return *check* for a setting that may also be None."""
    return lambda name, value: None if value is None else check(name, value)


def whole_number(least: int, more: str = "") -> Check:
    """Return the check of a whole number.

    :param more: what the error says behind the least.
    """

    def check(name: str, value: Any) -> int:
        number = whole(value)
        if number is None or number < least:
            raise EToroValidationError(
                f"{name} must be a whole number of at least {least}{more}, not {_kind(value)}."
                f"{advice_on_number(value, int)}",
                name,
            )
        return number

    return check


def seconds(*, positive: bool = False, recurring: bool = False) -> Check:
    """Return the check of a time.

    :param positive: 0 is no time.
    :param recurring: 0 switches off what otherwise happens again and again.
    """

    def check(name: str, value: Any) -> float:
        number = real(value)
        # NaN fails every comparison.
        good = number is not None and 0 <= number <= _MOST_SECONDS
        if number is None or not good or (positive and number == 0):
            bound = "more than 0" if positive else "0 or more"
            raise EToroValidationError(
                f"{name} must be a number of seconds, {bound} and at most {_MOST_SECONDS}, "
                f"not {_kind(value)}.{advice_on_number(value, float)}",
                name,
            )
        if recurring and 0 < number < _SHORTEST:
            raise EToroValidationError(
                f"{name} must be 0 (off) or at least {_SHORTEST} s: a shorter one would only "
                "keep a core busy.",
                name,
            )
        return number

    return check


def check_flag(name: str, value: Any) -> bool:
    """Check True or False."""
    known = flag(value)
    if known is None:
        raise EToroValidationError(f"{name} must be True or False, not {_kind(value)}.", name)
    return known


def _kind(value: Any) -> str:
    """Return a number as it is; of anything else the type alone."""
    return show(value) if real(value) is not None else f"a {type(value).__name__}"


def check_key(name: str, value: Any, what: str) -> None:
    """Check a key that was given, or that a callable has returned; an empty one is legal here.

    :param name: of the option.
    :param value: never shown: it may be a key in the wrong wrapping.
    :param what: how to call it in the error.
    :raises EToroValidationError: naming the option.
    """
    if not isinstance(value, str):
        raise EToroValidationError(f"{what} must be a string, not {type(value).__name__}.", name)
    if value != value.strip() or not value.isprintable():
        raise EToroValidationError(
            f"{what} has blanks around it or control characters in it; copy it again, or "
            "strip() it.",
            name,
        )


def check_key_source(name: str, value: Any) -> Any:
    """Check a key, or the function that returns one."""
    if not callable(value):
        check_key(name, value, name)
    elif inspect.iscoroutinefunction(value):
        raise EToroValidationError(
            f"{name} must not be a coroutine function: it is called in a thread. Write "
            "def instead of async def.",
            name,
        )
    return value


def check_url(name: str, value: Any) -> Any:
    """Check where to connect to, and that the keys cannot be read on the way."""
    # The value itself is never shown: it may hold a password, too.
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        host = None
    if not isinstance(value, str) or not host or parts.scheme not in ("ws", "wss"):
        raise EToroValidationError(
            f"{name} must be a string like wss://host/path, with a scheme of wss and a host.", name
        )
    # urlsplit drops line breaks, with which a request could be forged.
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise EToroValidationError(
            f"{name} must not hold blanks, backslashes, control or non-ASCII characters.", name
        )
    if parts.username is not None or parts.fragment:
        raise EToroValidationError(f"{name} must not hold a user or a fragment.", name)
    # websocket-client takes what follows for parameters, and does not send them.
    if ";" in parts.path.rpartition("/")[2]:
        raise EToroValidationError(
            f"{name} must not hold a ; in the last part of its path. Write %3B for it.", name
        )
    if parts.scheme == "ws" and not is_loopback(host):
        raise EToroValidationError(
            f"{name} must use wss:// to reach {shorten(host)}: over plain ws:// the keys could be "
            "read on the way. Only loopback addresses are exempt.",
            name,
        )
    return value


def check_proxy(name: str, value: Any) -> Any:
    """Check a proxy; None and ``""`` are none."""
    if value is None or value == "":
        return value
    try:
        parts = urlsplit(value)
        good = isinstance(value, str) and bool(parts.hostname) and parts.port is not None
        good = good and value.isascii() and value.isprintable() and " " not in value
        # A password with an unescaped / or # ends up in there, and its beginning in the port.
        good = good and "@" not in parts.path + parts.query + parts.fragment
        good = good and parts.scheme in ("http", *_SOCKS)
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        # Without the value: it may hold a password.
        raise EToroValidationError(
            f"{name} must look like http://host:port, socks5://host:port or socks5h://host:port, "
            "optionally with user:password@ before the host.",
            name,
        )
    if parts.scheme in _SOCKS and importlib.util.find_spec("socksio") is None:
        raise EToroValidationError(NO_SOCKS, name)
    return value


def check_context(name: str, value: Any) -> Any:
    """Check what does TLS; whether it verifies enough is another question."""
    # Not by its class, which a library may have replaced, as truststore does.
    methods = ("wrap_socket", "verify_mode", "check_hostname")
    good = not isinstance(value, type) and all(hasattr(value, method) for method in methods)
    if value is not None and not good:
        raise EToroValidationError(
            f"{name} must be an ssl.SSLContext or what has its wrap_socket(), verify_mode and "
            f"check_hostname, or None, not {type(value).__name__}.",
            name,
        )
    return value
