"""Reads an HTTP refusal: its status, and the wait that the header Retry-After requires. Pure.

Retry-After holds seconds or a date. A date is compared with the header Date, if there is one,
because this machine's clock may be wrong.
"""

import re
from datetime import timezone
from email.utils import parsedate_to_datetime
from http import HTTPStatus

__all__ = ["retry_after", "status_text"]

#: The statuses for which Retry-After is read.
_STATUSES = frozenset([HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE])


def retry_after(status: int | None, head: bytes, now: float) -> float | None:
    """Return the seconds to wait; None: the answer has no Retry-After that can be parsed.

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
    """Return a status with its name, and with the wait that the answer requires.

    :param status: of the answer.
    :param asked: from :func:`retry_after`.
    """
    try:
        text = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        text = f"HTTP {status}"
    return text if asked is None else f"{text} and asks to wait for {asked:.0f} s (Retry-After)"


def _header(head: bytes, name: bytes) -> str | None:
    for line in head.split(b"\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip().decode("latin-1")
    return None


def _moment(date: str) -> float | None:
    try:
        # HTTP dates are UTC, but the oldest format does not say so.
        return parsedate_to_datetime(date).replace(tzinfo=timezone.utc).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
