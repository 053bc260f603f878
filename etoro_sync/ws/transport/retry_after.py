"""What an HTTP refusal says: its status in words, and the wait that Retry-After asks for. Pure.

The header holds seconds or a date. A date is compared with the server's own header Date, where
there is one: this machine's clock may be wrong.
"""

import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus

__all__ = ["retry_after", "status_text"]

#: The statuses whose Retry-After says when to ask again.
_STATUSES = frozenset([HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE])


def retry_after(status: int | None, head: bytes, now: float) -> float | None:
    """Return the seconds to wait, or None when the answer does not say, or not understandably.

    :param status: of the answer.
    :param head: status line and headers.
    :param now: this machine's wall clock, in seconds since 1970.
    """
    if status not in _STATUSES:
        return None
    value = _header(head, b"retry-after")
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    moment = _moment(value)
    if moment is None:
        return None
    said = _moment(_header(head, b"date") or "")
    return max(moment - (now if said is None else said), 0.0)


def status_text(status: int, asked: float | None = None) -> str:
    """Return a status with its name, and with what was asked for.

    :param asked: what :func:`retry_after` has returned.
    """
    try:
        words = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        words = f"HTTP {status}"
    return words if asked is None else f"{words} and asks to wait for {asked:.0f} s (Retry-After)"


def _header(head: bytes, name: bytes) -> str | None:
    for line in head.split(b"\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().decode("latin-1")
    return None


def _moment(date: str) -> float | None:
    try:
        # Dates of HTTP are of Greenwich; the oldest form does not say so.
        return parsedate_to_datetime(date).replace(tzinfo=timezone.utc).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
