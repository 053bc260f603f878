"""What each fault may do to a client, phase by phase, and by when the client must have noticed.

A bound is a formula of the options, so what the page says and what is measured cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

__all__ = ["EARLY", "EXPECTED", "MARGIN", "OPTIONS", "Expect", "Of", "Order", "Outcome", "seconds"]

#: Short, and each timeout another one, so that it shows which one has struck. On a slow machine,
#: all times are multiplied; see ``slowness`` in :mod:`scenarios`.
OPTIONS: dict[str, float] = {
    "connect_timeout": 0.7,
    "auth_timeout": 0.5,
    "request_timeout": 0.6,
    "heartbeat_interval": 0.5,
    "heartbeat_timeout": 0.3,
    "close_timeout": 0.3,
    "reconnect_delay": 0.05,
    "reconnect_max_delay": 0.2,
    "max_message_bytes": 1_000_000,
}
#: On top of every bound: what a machine takes to do what is due "at once". It is smaller than any
#: bound, so that one that is missed by its own length shows.
MARGIN = 0.15
#: By how much something may seem to have come too early: what began it was noted that much later.
EARLY = 0.05

AT_ONCE = "0"
SILENCE = "heartbeat_interval + heartbeat_timeout"
STALE = "stale_after * 1.25"
CLOSING = "close_timeout + 0.1"


def seconds(bound: str, options: Mapping[str, Any]) -> float:
    """Return what a bound is with these options, without the margin."""
    return float(eval(bound, {"min": min}, dict(options)))


class Of(str):
    """An argument of a fault that is a formula of the options."""

    def __repr__(self) -> str:
        return str(self)


class Outcome(Enum):
    """What becomes of a connection that a fault has struck."""

    REPLACED = "replaced"  #: it is given up, and another one takes its place
    UNHARMED = "unharmed"  #: nothing is to be noticed
    REPORTED = "reported"  #: it stays, and `error` tells
    STALE = "stale"  #: it stays, and `stale` tells
    CLOSED = "closed"  #: the user disconnects, whatever goes wrong
    ENDED = "ended"  #: the client ends: trying again cannot help


class Order(Enum):
    """In which order the messages of one connection come."""

    RISING = "rising"  #: each once
    TWICE = "twice"  #: the server sends some of them more than once
    PAIRS = "pairs"  #: neighbours have changed places


@dataclass(frozen=True)
class Expect:
    """What is promised of one fault in one phase.

    :param outcome: of the connection.
    :param within: the bound within which the user is told.
    :param earliest: before that, nobody may have been told.
    :param error: the class of `error`, and what ``connect()`` raises on the first connection.
    :param code: of the ``close`` that the fault leads to, as a regular expression.
    :param fails: the phase in which the connection fails, where it is not the phase of the fault.
    :param silent: no event tells, only the exception of the call.
    :param order: what the fault makes of it.
    :param withheld: how long prices may be held back behind a gap.
    """

    outcome: Outcome
    within: str = AT_ONCE
    earliest: str = AT_ONCE
    error: str = "EToroWebSocketError"
    code: str = "1006"
    fails: str = ""
    silent: bool = False
    order: Order = Order.RISING
    withheld: str = AT_ONCE


def _lost(
    within: str = AT_ONCE,
    error: str = "EToroWebSocketError",
    *,
    earliest: str = "",
    fails: str = "",
    code: str = "1006",
) -> Expect:
    """A timeout strikes neither later nor earlier than it is promised to."""
    return Expect(Outcome.REPLACED, within, earliest or within, error, code, fails)


def _unanswered(silent: bool) -> dict[str, Expect]:
    """No answer to a request: its own timeout, or the keepalive's where nothing comes at all."""
    auth = f"min(auth_timeout, {SILENCE})" if silent else "auth_timeout"
    request = f"min(request_timeout, {SILENCE})" if silent else "request_timeout"
    return {"authenticate": _lost(auth, "EToroAuthError"), "subscribe": _lost(request)}


_LOST = _lost()
_UNHARMED = Expect(Outcome.UNHARMED)
_REPORTED = Expect(Outcome.REPORTED, error="EToroValidationError")
_STALE = Expect(Outcome.STALE, STALE, "stale_after")
_SILENT = _lost(SILENCE)
_TOO_LONG = _lost(
    "max_message_bytes / 10_000_000", earliest="max_message_bytes / 20_000_000", code="1009"
)
_TOO_LATE = _lost("connect_timeout", "EToroTimeoutError")


def _closed(code: str) -> Expect:
    return Expect(Outcome.CLOSED, CLOSING, code=code)


#: The server does not answer the close frame, or it does.
_NOT_ANSWERED, _ANSWERED = _closed("1006"), _closed("1000")
_EITHER = _closed("1000|1006")


def _open(expect: Expect, closing: Expect) -> dict[str, Expect]:
    """The same in all phases of an open connection but the last, which has a bound of its own."""
    return {**dict.fromkeys(("authenticate", "subscribe", "live"), expect), "closing": closing}


def _ends(code: str) -> dict[str, Expect]:
    """What ends the connection, and may do so before or after the user's own end."""
    return _open(_lost(code=code), _closed(f"{code}|1000|1006"))


_TWICE = Expect(Outcome.UNHARMED, order=Order.TWICE)
_PAIRS = Expect(Outcome.UNHARMED, order=Order.PAIRS)

#: Fault -> phase -> what is promised.
EXPECTED: dict[str, dict[str, Expect]] = {
    # On the way in.
    "refuse": {"connect": _LOST},
    "accept_drop": {"connect": _LOST},
    "no_handshake": {"tls": _TOO_LATE, "handshake": _TOO_LATE},
    "drip_handshake": {"handshake": _TOO_LATE},
    "wrong_certificate": {"tls": _LOST},
    "expired_certificate": {"tls": _LOST},
    "wrong_host": {"tls": _LOST},
    "http_status": {"handshake": _LOST},
    "redirect": {"handshake": _LOST},
    "bad_accept_key": {"handshake": _LOST},
    # Answers to requests.
    "reject": {"authenticate": _LOST, "subscribe": _LOST},
    "insufficient_permissions": {
        "authenticate": Expect(Outcome.ENDED, error="EToroAuthError"),
    },
    "no_answer": _unanswered(silent=False),
    "late_answer": _unanswered(silent=False),
    "double_answer": {"authenticate": _UNHARMED, "subscribe": _UNHARMED},
    "nul_first": {"authenticate": _UNHARMED, "subscribe": _UNHARMED},
    # Silence and slowness.
    "mute": {**_unanswered(silent=True), "live": _SILENT, "closing": _NOT_ANSWERED},
    "half_open": {**_unanswered(silent=True), "live": _SILENT, "closing": _NOT_ANSWERED},
    "stall": {**_unanswered(silent=True), "live": _SILENT, "closing": _NOT_ANSWERED},
    "pong_only": {**_unanswered(silent=False), "live": _STALE, "closing": _ANSWERED},
    "drip": {**_unanswered(silent=False), "live": _STALE, "closing": _EITHER},
    # The request that was read is answered; the next one gets stuck.
    "stop_reading": {
        "authenticate": _lost(f"min(request_timeout, {SILENCE})", fails="subscribe"),
        "subscribe": _lost("request_timeout"),
        "live": _UNHARMED,
        "closing": _NOT_ANSWERED,
    },
    "one_byte": _open(_UNHARMED, _ANSWERED),
    "endless_fragments": _open(_TOO_LONG, _closed("1009|1000|1006")),
    # Endings, and frames that nobody may send.
    "reset": _open(_LOST, _NOT_ANSWERED),
    "close": _open(_lost(code="1000"), _ANSWERED),
    "close_reset": _open(_lost(code="1000"), _EITHER),
    "close_every": {"live": _lost("0.2", code="1000")},
    "huge_frame": _ends("1009"),
    "bad_utf8": _ends("1007"),
    "masked": _ends("1002"),
    "reserved_bits": _ends("1002"),
    "pongs": _open(_UNHARMED, _ANSWERED),
    "ping_flood": _open(_UNHARMED, _ANSWERED),
    # What messages say.
    **{
        name: _open(_REPORTED, replace(_ANSWERED, error="EToroValidationError"))
        for name in ("bad_json", "wrong_types", "nan", "deep_nesting")
    },
    # The same in other words.
    "no_type": {"live": _UNHARMED},
    "content_object": {"live": _UNHARMED},
    "zero_last_execution": {"live": _UNHARMED},
    # Too many, too few, in disorder.
    "duplicate": {"live": _TWICE},
    "reorder": {"live": _PAIRS},
    "repeat_snapshot": {"live": _TWICE},
    "forget": {"live": _STALE},
    "freeze": {"live": _STALE},
}
