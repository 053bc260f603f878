"""The events that a client emits, and checks of the arguments that name events and topics."""

from collections.abc import Iterable, Iterator
from typing import Any

from .errors import EToroValidationError
from .numbers import flag, real, whole
from .text import show

__all__ = [
    "EVENTS",
    "INNER_EVENTS",
    "INSTRUMENT_EVENTS",
    "MARKET_EVENTS",
    "SYMBOLS",
    "advice_on_id",
    "advice_on_number",
    "check_event",
    "check_events",
    "check_filter",
    "check_filter_of_several",
    "check_flag",
    "check_instrument_id",
    "check_instrument_ids",
    "check_snapshot",
    "check_timeout",
    "check_topics",
]

#: Event name -> the arguments of its handlers. The comments say when each is emitted.
EVENTS: dict[str, str] = {
    # A connection is open; the keys are not accepted yet.
    "open": "()",
    # eToro has accepted the keys on this connection.
    "authenticated": "()",
    # A data frame has come; as received.
    "message": "(WsEnvelope)",
    # A message carried a price, and both sides are known; merged with all messages before it.
    "instrument:rate": "(instrument_id, WsInstrumentRate)",
    # A market message has come, heartbeats included; as sent, with the absent fields None.
    "instrument:delta": "(instrument_id, WsInstrumentDelta)",
    # An order was placed, filled, refused, ...
    "private:event": "(WsPrivateEvent)",
    # A message of an unknown topic or type has come.
    "unknown": "(WsMessage)",
    # The connection is lost, and the next attempt begins in *delay_seconds*.
    "reconnecting": "(attempt, delay_seconds)",
    # All subscriptions are acknowledged again.
    "reconnected": "(WsGap)",
    # An instrument has sent nothing for ``stale_after``; once, until it sends something.
    "stale": "(instrument_id, age_seconds)",
    # A connection has ended.
    "close": "(code, reason)",
    # Anything went wrong, including an exception of a handler of another event.
    "error": "(Exception)",
}
#: Events between parts of the library, to which no user can listen. ``"bar"``: ``(number of the
#: candles, Bar)``.
INNER_EVENTS = ("bar",)
#: Events whose first argument is an instrument id, so that they can be filtered by it.
INSTRUMENT_EVENTS = frozenset(["instrument:rate", "instrument:delta", "stale"])
#: Events that come as often as the feed sends messages; too slow consumers may lose some.
MARKET_EVENTS = frozenset(["instrument:rate", "instrument:delta", "message", "unknown"])
#: Thirty years, in seconds: more could overflow when a clock's reading is added.
_FOREVER = 1e9
#: Words in the order topics of other services; eToro sends order events on "private".
_OF_ORDERS = ("order", "position", "portfolio", "execution", "account", "trading")
#: Advice for a symbol, such as "BTC", in the place of an instrument id.
SYMBOLS = "Instruments().find() returns the id of a symbol."


def check_event(event: Any) -> str:
    """Return the name of a known event.

    :raises EToroValidationError: for any other value, with the most similar known name.
    """
    if isinstance(event, str) and event in EVENTS:
        return str.__str__(event)  # for a member of a str Enum this is its value
    word = show(event, 60).strip("'").lower()
    near = [name for name in EVENTS if word and word in name] or _close(word, EVENTS)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    if callable(event):  # a decorator without its parentheses
        hint = " The event's name comes first, as in @client.on('instrument:rate')."
    elif isinstance(event, (list, tuple, set, frozenset)):
        hint = " Only queue() takes several; name one."
    raise EToroValidationError(
        f"Unknown event {show(event, 60)}.{hint} Known events: {', '.join(EVENTS)}.", "event"
    )


def check_events(events: Any) -> tuple[str, ...]:
    """Return several events as a tuple; :raises EToroValidationError: as :func:`check_event`."""
    members = None if isinstance(events, bytes) else _members(events)
    if members is None:
        return (check_event(events),)  # which says what is wrong
    checked = tuple(dict.fromkeys(check_event(each) for each in members))
    if not checked:
        raise EToroValidationError("event is empty; name at least one event.", "event")
    return checked


def _close(word: str, names: Iterable[str], cutoff: float = 0.4) -> list[str]:
    import difflib  # imported here, because it is slow to load and rarely needed

    return difflib.get_close_matches(word, names, n=1, cutoff=cutoff)


def check_instrument_id(value: Any, field: str = "instrument_id") -> int:
    """Return *value* as an int.

    :raises EToroValidationError: unless it is a positive whole number.
    """
    number = whole(value)
    if number is None or not 0 < number < 10**18:
        raise EToroValidationError(
            f"{field} must be a positive whole number such as 100000, not {show(value, 60)}."
            f"{advice_on_id(value)}",
            field,
        )
    return number


def check_instrument_ids(values: Any, field: str = "instrument_ids") -> tuple[int, ...]:
    """Return *values*, an iterable of ids or a single id, as a tuple without repetitions.

    :raises EToroValidationError: for anything else, and when there is no id.
    """
    if whole(values) is not None:
        values = [values]
    members = None if isinstance(values, (str, bytes)) else _members(values)
    if members is None:
        raise EToroValidationError(
            f"{field} must be a list of instrument ids, not {show(values, 60)}."
            f"{advice_on_id(values)}",
            field,
        )
    ids = tuple(dict.fromkeys(check_instrument_id(value, field) for value in members))
    if not ids:
        raise EToroValidationError(f"{field} is empty; name at least one instrument.", field)
    return ids


def check_topics(topics: Any) -> list[str]:
    """Return *topics* in eToro's spelling, without repetitions.

    :param topics: ``"private"``, ``"instrument:<id>"`` or ints for instruments; one, or several.
    :raises EToroValidationError: for anything else, since eToro has no other topics.
    """
    if isinstance(topics, str) or whole(topics) is not None:
        topics = [topics]
    members = None if isinstance(topics, bytes) else _members(topics)
    if members is None:
        raise EToroValidationError(
            f"topics must be a list of strings or instrument ids, not {show(topics, 60)}."
            f"{advice_on_id(topics)}",
            "topics",
        )
    checked = list(dict.fromkeys(_check_topic(topic) for topic in members))
    if not checked:
        raise EToroValidationError("topics is empty; name at least one topic.", "topics")
    return checked


def _members(values: Any) -> Iterator[Any] | None:
    try:
        members: Iterator[Any] = iter(values)
    except TypeError:
        return None
    return members


def _check_topic(topic: Any) -> str:
    number = whole(topic)
    if isinstance(topic, str):
        if topic == "private":
            return "private"
        prefix, _, digits = topic.partition(":")
        number = _digits(digits) if prefix == "instrument" else None
    if number is not None and 0 < number < 10**18:
        return f"instrument:{number}"
    raise EToroValidationError(
        f"Unknown topic {show(topic, 60)}. Allowed are 'private', 'instrument:<id>', and a "
        f"positive whole number for an instrument.{_advice_on_topic(topic)}",
        "topics",
    )


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def advice_on_id(value: Any) -> str:
    """Return advice to append for *value*, which is no instrument id; ``""`` if there is none."""
    if isinstance(value, str):
        word = value[:60].strip().lower()
        number = _digits(word.removeprefix("instrument:"))
        if number is None and word.isascii() and any(c.isalpha() for c in word):
            return f" {SYMBOLS}"
    else:
        # pandas turns a column of ids into floats when a value is missing.
        number = int(value) if isinstance(value, float) and value.is_integer() else None
    return f" Write {number}." if number is not None and 0 < number < 10**18 else ""


def _advice_on_topic(topic: Any) -> str:
    if not isinstance(topic, str):
        return advice_on_id(topic)
    word = topic[:60].strip().lower()
    if word in EVENTS:
        return f" {word!r} is an event, for on() and queue()."
    prefix, _, rest = word.partition(":")
    if prefix == "instrument" and _digits(rest):
        return f" Write {word!r}."
    if not rest and _close(prefix, ["private"], 0.7):
        return " Did you mean 'private'?"
    if any(part in word for part in _OF_ORDERS):
        return " Order events come with 'private'."
    return advice_on_id(topic) if prefix == "instrument" or ":" not in word else ""


def check_snapshot(snapshot: Any) -> bool:
    """Return *snapshot* as a bool.

    :raises EToroValidationError: for anything else: ``subscribe(100000, 1001)`` passes a topic.
    """
    known = flag(snapshot)
    if known is None:
        raise EToroValidationError(
            f"snapshot must be True or False, not {show(snapshot, 60)}. Several topics go in a "
            "list: subscribe([100000, 1001]).",
            "snapshot",
        )
    return known


def check_flag(name: str, value: Any) -> bool:
    """Return *value* as a bool; :raises EToroValidationError: naming the argument."""
    known = flag(value)
    if known is None:
        raise EToroValidationError(f"{name} must be True or False, not {show(value, 60)}.", name)
    return known


def check_filter(event: str, instrument_ids: Any, field: str) -> tuple[int, ...] | None:
    """Return the ids that filter a known *event*, or None for no filter.

    :raises EToroValidationError: for bad ids, and for ids with an event that has no instrument.
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


def check_filter_of_several(
    events: tuple[str, ...], instrument_ids: Any, field: str
) -> tuple[int, ...] | None:
    """Return the ids that filter those of *events* that have an instrument, or None.

    :raises EToroValidationError: for bad ids, and where no event has an instrument.
    """
    filtered = [event for event in events if event in INSTRUMENT_EVENTS]
    return check_filter((filtered or events)[0], instrument_ids, field)


def check_timeout(timeout: Any, name: str = "timeout") -> float | None:
    """Return *timeout* as an int or a float, of thirty years at most; None stays None.

    :raises EToroValidationError: unless it is None or a number of seconds, 0 or more.
    """
    if timeout is None:
        return None
    # The usual types first, because this runs for every item that is read from a queue.
    seconds = timeout if type(timeout) in (float, int) else real(timeout)
    if seconds is None or not seconds >= 0:  # NaN fails every comparison
        raise EToroValidationError(
            f"{name} must be a number of seconds, 0 or more, or None, not {show(timeout)}."
            f"{advice_on_number(timeout, float)}",
            name,
        )
    return seconds if seconds <= _FOREVER else _FOREVER


def advice_on_number(value: Any, kind: type[int] | type[float]) -> str:
    """Return how to convert *value* to a number. It is not shown: it may be a misplaced key."""
    if hasattr(value, "total_seconds"):
        return " Pass its total_seconds()."
    try:
        kind(value if isinstance(value, str) else "")
    except ValueError:
        return ""
    return f" Convert it with {kind.__name__}()."
