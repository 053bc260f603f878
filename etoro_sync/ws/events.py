"""The events that a client emits, and how their names and topics are checked."""

from collections.abc import Iterable
from typing import Any

from ..errors import EToroValidationError
from ..text import show

__all__ = [
    "EVENTS",
    "INSTRUMENT_EVENTS",
    "MARKET_EVENTS",
    "check_event",
    "check_filter",
    "check_instrument_id",
    "check_instrument_ids",
    "check_snapshot",
    "check_timeout",
    "check_topics",
]

#: Event name -> what its handlers are called with.
EVENTS: dict[str, str] = {
    "open": "()",
    "authenticated": "()",
    "message": "(WsEnvelope)",
    "instrument:rate": "(instrument_id, WsInstrumentRate)",
    "instrument:delta": "(instrument_id, WsInstrumentDelta)",
    "private:event": "(WsPrivateEvent)",
    "unknown": "(WsMessage)",
    "reconnecting": "(attempt, delay_seconds)",
    "reconnected": "(WsGap)",
    "stale": "(instrument_id, age_seconds)",
    "close": "(code, reason)",
    "error": "(Exception)",
}
#: Events whose first argument is an instrument id, so that they can be filtered by it.
INSTRUMENT_EVENTS = frozenset(["instrument:rate", "instrument:delta", "stale"])
#: Events that come as fast as the feed.
MARKET_EVENTS = frozenset(["instrument:rate", "instrument:delta", "message", "unknown"])


def check_event(event: Any) -> str:
    """Return *event*; :raises EToroValidationError: naming the nearest known event."""
    if isinstance(event, str) and event in EVENTS:
        return event
    import difflib  # only here: it takes its time to load, and mistakes are rare

    word = show(event, 60).strip("'").lower()
    near = [name for name in EVENTS if word and word in name]
    near = near or difflib.get_close_matches(word, EVENTS, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise EToroValidationError(
        f"Unknown event {show(event, 60)}.{hint} Known events: {', '.join(EVENTS)}.", "event"
    )


def check_instrument_id(value: Any, field: str = "instrument_id") -> int:
    """Return *value*; :raises EToroValidationError: unless it is a positive int."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 10**18:
        raise EToroValidationError(
            f"{field} must be a positive whole number, not {show(value, 60)}.", field
        )
    return value


def check_instrument_ids(values: Any, field: str = "instrument_ids") -> tuple[int, ...]:
    """Return *values* as a tuple without repetitions; a single id counts as one of them."""
    if isinstance(values, int) and not isinstance(values, bool):
        values = [values]
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise EToroValidationError(
            f"{field} must be a list of instrument ids, not {show(values, 60)}.", field
        )
    ids = tuple(dict.fromkeys(check_instrument_id(value, field) for value in values))
    if not ids:
        raise EToroValidationError(f"{field} is empty; name at least one instrument.", field)
    return ids


def check_topics(topics: Any) -> list[str]:
    """Return *topics* in eToro's spelling, without repetitions.

    :param topics: ``"private"``, ``"instrument:<id>"`` or ints for instruments; one, or several.
    :raises EToroValidationError: for anything else, since eToro has no other topics.
    """
    if isinstance(topics, (str, int)):
        topics = [topics]
    if isinstance(topics, bytes) or not isinstance(topics, Iterable):
        raise EToroValidationError(
            f"topics must be a list of strings or instrument ids, not {show(topics, 60)}.", "topics"
        )
    checked = list(dict.fromkeys(_check_topic(topic) for topic in topics))
    if not checked:
        raise EToroValidationError("topics is empty; name at least one topic.", "topics")
    return checked


def _check_topic(topic: Any) -> str:
    if isinstance(topic, str):
        if topic == "private":
            return topic
        prefix, _, digits = topic.partition(":")
        good = prefix == "instrument" and digits.isascii() and digits.isdigit()
        if good and len(digits) <= 18 and int(digits) > 0:
            return f"instrument:{int(digits)}"
    elif isinstance(topic, int) and not isinstance(topic, bool) and 0 < topic < 10**18:
        return f"instrument:{topic}"
    raise EToroValidationError(
        f"Unknown topic {show(topic, 60)}. Allowed are 'private', 'instrument:<id>', and a "
        "positive whole number for an instrument.",
        "topics",
    )


def check_snapshot(snapshot: Any) -> None:
    """:raises EToroValidationError: for a second topic in the place of True or False."""
    if not isinstance(snapshot, bool):
        raise EToroValidationError(
            f"snapshot must be True or False, not {show(snapshot, 60)}. Several topics go in a "
            "list: subscribe([100000, 1001]).",
            "snapshot",
        )


def check_filter(event: str, instrument_ids: Any, field: str) -> tuple[int, ...] | None:
    """Return the ids that filter a known *event*, or None.

    :raises EToroValidationError: for bad ids, and for an event that has no instrument.
    """
    if instrument_ids is None:
        return None
    if event not in INSTRUMENT_EVENTS:
        raise EToroValidationError(
            f"{event!r} does not belong to an instrument; {field} is for "
            f"{', '.join(sorted(INSTRUMENT_EVENTS))}.",
            field,
        )
    return check_instrument_ids(instrument_ids, field)


def check_timeout(timeout: Any) -> None:
    """:raises EToroValidationError: unless *timeout* is None or seconds, 0 or more."""
    good = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    if timeout is not None and (not good or not timeout >= 0):
        raise EToroValidationError(
            f"timeout must be a number of seconds, 0 or more, or None, not {show(timeout)}.",
            "timeout",
        )
