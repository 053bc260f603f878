"""What a feed in Redis has at one moment: how far its streams go, who writes, each last rate."""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

from ...errors import EToroRedisError, EToroValidationError
from ...market.message_parser import BAD_VALUE
from ...models import WsInstrumentRate
from ...text import show
from ..layout.event_rows import CONNECTED, TAKEOVER, decode_event
from ..layout.keys import VERSION, Keys
from ..layout.rows import decode_rates, decode_state
from .line import Command, Line

__all__ = [
    "BAD_CONTENT",
    "START",
    "Moment",
    "Place",
    "States",
    "connection_of",
    "fields_of",
    "place_of",
    "read_moment",
    "read_states",
    "spell",
    "text_of",
    "whole_of",
]

#: What may be raised where anybody may have written anything.
BAD_CONTENT = BAD_VALUE
#: Events that are looked at in one step, and how many steps; a stream has about 10,000.
_PAGE, _PAGES = 1000, 12

#: The place of an entry in a stream.
Place = tuple[int, int]
START: Place = (0, 0)
Report = Callable[[str, str, Exception], None]


class Stream(NamedTuple):
    """How far a stream goes.

    :param first: the place of its first entry; None: it has none.
    :param last: the last place that was given in it.
    :param last_entry: the fields of its last entry; None: it has none.
    """

    first: Place | None
    last: Place
    last_entry: dict[bytes, bytes] | None


_NO_STREAM = Stream(None, START, None)


class Moment(NamedTuple):
    """How far a feed is.

    :param epoch: its number; 0: nobody has ever written.
    :param lease: milliseconds for which the publisher's lease holds; -1: for ever, -2: there is
        none.
    :param streams: by name: rates, orders, events.
    """

    epoch: int
    lease: int
    streams: dict[str, Stream]

    @property
    def next_number(self) -> int | None:
        """The number that the next rate of the epoch will have; None: nobody knows.

        :raises EToroValidationError: when the last entry cannot be understood.
        """
        entry = self.streams["rates"].last_entry
        if entry is None:
            return None if self.streams["rates"].last > START else 1
        if whole_of(entry, b"e") != self.epoch:
            return 1
        return whole_of(entry, b"n") + len(decode_rates(entry[b"r"], "rates"))


class States(NamedTuple):
    """The last rates of an epoch, at one moment.

    :param moment: how far the feed is then.
    :param rates: in the order of their numbers.
    """

    moment: Moment
    rates: list[WsInstrumentRate]


NAMES = ("rates", "orders", "events")


def _how_far(keys: Keys) -> list[Command]:
    streams: list[Command] = [("XINFO", "STREAM", getattr(keys, name)) for name in NAMES]
    return [("GET", keys.epoch), ("PTTL", keys.lease), *streams]


def read_moment(line: Line, keys: Keys) -> Moment:
    """Ask how far the feed is."""
    return _moment(line, keys, line.transaction(_how_far(keys)))


def _moment(line: Line, keys: Keys, answers: list[Any]) -> Moment:
    epoch, lease, *streams = answers
    for answer in (epoch, lease):
        _check(line, answer)
    try:
        number = 0 if epoch is None else _number(epoch, keys.epoch)
    except EToroValidationError as exc:
        # Not final, unlike another layout: the next publisher sets it right.
        raise EToroRedisError(f"{exc} A publisher sets it right.", "EPOCH") from None
    known = {name: _stream(line, answer) for name, answer in zip(NAMES, streams, strict=True)}
    return Moment(number, lease, known)


def _check(line: Line, answer: Any) -> None:
    if isinstance(answer, Exception):
        raise line.error(answer)


def _stream(line: Line, answer: Any) -> Stream:
    if isinstance(answer, Exception):
        if "no such key" in str(answer):
            return _NO_STREAM
        raise line.error(answer)
    found = fields_of(answer)
    first, last = found[b"first-entry"], found[b"last-entry"]
    return Stream(
        None if first is None else place_of(first[0]),
        place_of(found[b"last-generated-id"]),
        None if last is None else fields_of(last[1]),
    )


def read_states(line: Line, keys: Keys, wanted: frozenset[int] | None, report: Report) -> States:
    """Read each last rate of the present epoch, with how far the streams are at that moment.

    Rates of earlier epochs are left out: the present publisher has not brought them, and nobody
    keeps them up to date.

    :param wanted: the only instruments to return; None: all.
    :param report: called with what cannot be understood and is left out.
    :raises EToroValidationError: when the feed has another layout than this version reads.
    """
    # Without the names of the fields: each row has its instrument, and parsing them takes time.
    rows: Command = ("HVALS", keys.last) if wanted is None else ("HMGET", keys.last, *wanted)
    more = [("HGET", keys.meta, "version"), rows]
    *answers, version, last = line.transaction([*_how_far(keys), *more])
    for answer in (version, last):
        _check(line, answer)
    if version not in (None, b"%d" % VERSION):
        raise EToroValidationError(
            f"The feed {keys.feed!r} has version {show(version)}, and this etoro-sync reads "
            f"version {VERSION}. Use the same etoro-sync as its publisher, or another feed.",
            "version",
        )
    moment = _moment(line, keys, answers)
    found: list[tuple[int, WsInstrumentRate]] = []
    for text in last:
        if text is None:  # of an instrument that is wanted, and was never written
            continue
        try:
            epoch, number, rate = decode_state(text, keys.last)
        except BAD_CONTENT as exc:
            report("state", keys.last, exc)
            continue
        if epoch == moment.epoch:
            found.append((number, rate))
    found.sort(key=lambda pair: pair[0])
    return States(moment, [rate for _, rate in found])


def connection_of(line: Line, keys: Keys, moment: Moment) -> bool | None:
    """Return whether the publisher is connected to eToro; None: it has not said so yet."""
    end = spell(moment.streams["events"].last)
    for _ in range(_PAGES):
        entries = line.call("XREVRANGE", keys.events, end, "-", "COUNT", _PAGE)
        for place, pairs in entries:
            fields = fields_of(pairs)
            name = fields.get(b"k")
            if fields.get(b"e") != b"%d" % moment.epoch or name == TAKEOVER.encode():
                return None
            if name == CONNECTED.encode():
                with contextlib.suppress(*BAD_CONTENT):
                    (connected,) = decode_event(CONNECTED, fields[b"a"], keys.events)
                    return bool(connected)
            end = f"({place.decode()}"
        if len(entries) < _PAGE:
            break
    # So much has been said since that it was trimmed: then rates are a sign of it.
    last_rates = moment.streams["rates"].last_entry or {}
    return True if last_rates.get(b"e") == b"%d" % moment.epoch else None


def fields_of(pairs: Any) -> dict[bytes, Any]:
    """Return names and values that follow each other in a list as a dictionary."""
    each = iter(pairs)
    return dict(zip(each, each, strict=True))


def place_of(text: bytes) -> Place:
    """Return the place that Redis has given to an entry."""
    time, _, number = text.partition(b"-")
    return int(time), int(number)


def spell(place: Place) -> str:
    """Return a place as Redis spells it."""
    return f"{place[0]}-{place[1]}"


def whole_of(fields: dict[bytes, bytes], name: bytes) -> int:
    """Return a whole number of an entry; :raises EToroValidationError: when it is none."""
    return _number(fields.get(name), text_of(name))


def _number(text: Any, where: str) -> int:
    if not (type(text) is bytes and text.isdigit() and len(text) < 19):
        raise EToroValidationError(f"{where} in Redis is no number: {show(text)}.", where)
    return int(text)


def text_of(name: bytes) -> str:
    """Return bytes that anybody may have written, for errors."""
    return show(name, 60)[2:-1] if not name.isascii() or len(name) > 60 else name.decode()
