"""Checks of a client's options, with an error that says what each may be.

A check takes the name and the value of an option, and returns the value to keep. Numbers and flags
become Python's own types, because those of numpy differ in ``repr`` and arithmetic and cannot be
written as JSON. No error shows a string, because it may be a key in the wrong place.
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

#: Longest time, eleven days: selectors overflow at twenty-five.
_MOST_SECONDS = 1_000_000
#: Shortest interval, in seconds: less would be a busy loop.
_SHORTEST = 0.01
_SOCKS = ("socks5", "socks5h")


def or_none(check: Check) -> Check:
    """Return a check that accepts None, and what *check* accepts."""
    return lambda name, value: None if value is None else check(name, value)


def whole_number(least: int, more: str = "") -> Check:
    """Return a check for a whole number.

    :param least: the smallest one that is allowed.
    :param more: added to the error after that number.
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
    """Return a check for a number of seconds.

    :param positive: whether 0 is refused.
    :param recurring: whether it is an interval; 0 disables it, and very small values are refused.
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
                f"{name} must be 0 (off) or at least {_SHORTEST} s: a shorter interval would only "
                "keep a processor busy.",
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
    """Return *value* for an error: a number as it is, of anything else only the type."""
    return show(value) if real(value) is not None else f"a {type(value).__name__}"


def check_key(name: str, value: Any, what: str) -> None:
    """Check a key that was given or that a callable has returned; it may be empty.

    :param name: of the option.
    :param value: never shown, because it may be a key of a wrong type.
    :param what: what the error calls the value.
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
    """Check a key, or a callable that returns one."""
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
    """Check the URL, and that the keys cannot be read on the way to it."""
    # The value is never shown, because it may contain a password.
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except (ValueError, AttributeError, TypeError):
        host = None
    if not isinstance(value, str) or not host or parts.scheme not in ("ws", "wss"):
        raise EToroValidationError(
            f"{name} must be a string like wss://host/path, with a scheme of wss and a host.", name
        )
    # urlsplit drops line breaks, which could be used to forge a request.
    if not value.isascii() or not value.isprintable() or " " in value or "\\" in value:
        raise EToroValidationError(
            f"{name} must not hold blanks, backslashes, control or non-ASCII characters.", name
        )
    if parts.username is not None or parts.fragment:
        raise EToroValidationError(f"{name} must not hold a user or a fragment.", name)
    # websocket-client treats what follows a ; as parameters, and does not send it.
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
    """Check the URL of a proxy; None and ``""`` are allowed."""
    if value is None or value == "":
        return value
    try:
        parts = urlsplit(value)
        good = isinstance(value, str) and bool(parts.hostname) and parts.port is not None
        good = good and value.isascii() and value.isprintable() and " " not in value
        # A password with an unescaped / or # is parsed as path or fragment, its beginning as port.
        good = good and "@" not in parts.path + parts.query + parts.fragment
        good = good and parts.scheme in ("http", *_SOCKS)
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        # Without the value, which may contain a password.
        raise EToroValidationError(
            f"{name} must look like http://host:port, socks5://host:port or socks5h://host:port, "
            "optionally with user:password@ before the host.",
            name,
        )
    if parts.scheme in _SOCKS and importlib.util.find_spec("socksio") is None:
        raise EToroValidationError(NO_SOCKS, name)
    return value


def check_context(name: str, value: Any) -> Any:
    """Check that *value* can be used as a TLS context; what it verifies is checked elsewhere."""
    # Not isinstance(), because libraries such as truststore replace the class.
    methods = ("wrap_socket", "verify_mode", "check_hostname")
    good = not isinstance(value, type) and all(hasattr(value, method) for method in methods)
    if value is not None and not good:
        raise EToroValidationError(
            f"{name} must be None, an ssl.SSLContext, or an object with its wrap_socket(), "
            f"verify_mode and check_hostname, not {type(value).__name__}.",
            name,
        )
    return value
