"""What each fault may do to a client, phase by phase, and by when the client must have noticed.

A bound is a formula of the options, so what the page says and what is measured cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["EXPECTED", "MARGIN", "OPTIONS", "Expect", "Of", "Outcome", "seconds"]

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
#: On top of every bound: what a busy machine takes to do what is due "at once".
MARGIN = 0.5

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


@dataclass(frozen=True)
class Expect:
    """What is promised of one fault in one phase.

    :param outcome: of the connection.
    :param within: the bound within which the user is told.
    :param error: what ``connect()`` raises where it is the first connection.
    :param fails: the phase in which the connection fails, where it is not the phase of the fault.
    :param silent: no event tells, only the exception of the call.
    """

    outcome: Outcome
    within: str = AT_ONCE
    error: str = "EToroWebSocketError"
    fails: str = ""
    silent: bool = False


def _lost(within: str = AT_ONCE, error: str = "EToroWebSocketError", fails: str = "") -> Expect:
    return Expect(Outcome.REPLACED, within, error, fails)


def _unanswered(silent: bool) -> dict[str, Expect]:
    """No answer to a request: its own timeout, or the keepalive's where nothing comes at all."""
    auth = f"min(auth_timeout, {SILENCE})" if silent else "auth_timeout"
    request = f"min(request_timeout, {SILENCE})" if silent else "request_timeout"
    return {"authenticate": _lost(auth, "EToroAuthError"), "subscribe": _lost(request)}


_LOST = _lost()
_UNHARMED = Expect(Outcome.UNHARMED)
_REPORTED = Expect(Outcome.REPORTED)
_STALE = Expect(Outcome.STALE, STALE)
_CLOSED = Expect(Outcome.CLOSED, CLOSING)
_SILENT = _lost(SILENCE)
_TOO_LONG = _lost("max_message_bytes / 10_000_000")
_TOO_LATE = _lost("connect_timeout", "EToroTimeoutError")


def _everywhere(expect: Expect) -> dict[str, Expect]:
    """The same in all phases of an open connection but the last, which has a bound of its own."""
    phases = dict.fromkeys(("authenticate", "subscribe", "live"), expect)
    return {**phases, "closing": _CLOSED}


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
    "no_answer": _unanswered(silent=False),
    "late_answer": _unanswered(silent=False),
    "double_answer": {"authenticate": _UNHARMED, "subscribe": _UNHARMED},
    "nul_first": {"authenticate": _UNHARMED, "subscribe": _UNHARMED},
    # Silence and slowness.
    "mute": {**_unanswered(silent=True), "live": _SILENT, "closing": _CLOSED},
    "half_open": {**_unanswered(silent=True), "live": _SILENT, "closing": _CLOSED},
    "stall": {**_unanswered(silent=True), "live": _SILENT, "closing": _CLOSED},
    "pong_only": {**_unanswered(silent=False), "live": _STALE, "closing": _CLOSED},
    "drip": {**_unanswered(silent=False), "live": _STALE, "closing": _CLOSED},
    # The request that was read is answered; the next one gets stuck.
    "stop_reading": {
        "authenticate": _lost(f"min(request_timeout, {SILENCE})", fails="subscribe"),
        "subscribe": _lost("request_timeout"),
        "live": _UNHARMED,
        "closing": _CLOSED,
    },
    "one_byte": _everywhere(_UNHARMED),
    "endless_fragments": _everywhere(_TOO_LONG),
    # Endings, and frames that nobody may send.
    **{
        name: _everywhere(_LOST)
        for name in (
            *("reset", "close", "close_reset"),
            *("huge_frame", "bad_utf8", "masked", "reserved_bits"),
        )
    },
    "pongs": _everywhere(_UNHARMED),
    "ping_flood": _everywhere(_UNHARMED),
    # What messages say.
    **{name: _everywhere(_REPORTED) for name in ("bad_json", "wrong_types", "nan", "deep_nesting")},
    # Too many, too few, in disorder.
    "duplicate": {"live": _UNHARMED},
    "reorder": {"live": _UNHARMED},
    "repeat_snapshot": {"live": _UNHARMED},
    "forget": {"live": _STALE},
    "freeze": {"live": _STALE},
}
