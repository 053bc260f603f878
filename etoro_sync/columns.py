"""The columns of tables of rates, order events, gaps and texts, in files and data frames.

Pure, and the single definition for all of them; the fields are those of the models.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import Field, dataclass, fields
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from .errors import EToroValidationError
from .models import WsInstrumentRate, WsPrivateEvent
from .text import show

__all__ = ["TABLES", "Column", "Table", "Text", "check_table", "iso_text", "nanoseconds"]

_SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Text(NamedTuple):
    """One text frame of a recording, as it was sent.

    :param at: when it was received, in seconds since the epoch.
    :param generation: the number of its connection.
    :param text: the frame.
    """

    at: float
    generation: int
    text: str


class Column(NamedTuple):
    """One column of a table.

    :param name: its heading.
    :param kind: ``"number"``, ``"flag"``, ``"int"``, ``"whole"`` (an int that is always there),
        ``"time"`` (nanoseconds since the epoch, UTC), ``"text"``, or what has few different
        values: ``"word"``, and ``"key"`` for ids.
    :param value: returns the value for an item; None: it has none.
    """

    name: str
    kind: str
    value: Callable[[Any], Any]


@dataclass(frozen=True)
class Table:
    """A kind of table.

    :param name: what users call it.
    :param columns: in their order.
    """

    name: str
    columns: tuple[Column, ...]

    def batches(self, items: Iterable[Any], most: int) -> Iterator[dict[str, list[Any]]]:
        """Yield the values of up to *most* items at once: a list for each column."""
        source = iter(items)
        while some := list(islice(source, most)):
            yield {column.name: list(map(column.value, some)) for column in self.columns}


def check_table(what: object) -> Table:
    """Return the table of a name.

    :raises EToroValidationError: naming those that there are.
    """
    found = TABLES.get(what) if isinstance(what, str) else None
    if found is None:
        names = ", ".join(map(repr, TABLES))
        raise EToroValidationError(f"what must be one of {names}, not {show(what, 60)}.", "what")
    return found


# Times -------------------------------------------------------------------------------------------


def nanoseconds(seconds: float) -> int | None:
    """Return a time in whole hundreds of nanoseconds, which is all that a float keeps of it.

    :param seconds: since the epoch; 0: the time is not known.
    """
    whole = int(seconds // 1)
    return whole * _SECOND + round((seconds - whole) * 10_000_000) * 100 if seconds else None


def _date_nanoseconds(text: str) -> int | None:
    """Return a date of the feed, with all of its digits; None: it is none."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    whole = _whole_seconds(head)
    if whole is None or len(fraction) > 9 or (fraction and not _is_digits(fraction)):
        return None
    return whole * _SECOND + int(fraction.ljust(9, "0"))


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


@lru_cache(maxsize=4096)
def _whole_seconds(head: str) -> int | None:
    try:
        moment = datetime.strptime(head, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None
    since = moment - _EPOCH
    return since.days * 86400 + since.seconds


def iso_text(value: int) -> str:
    """Write a time as ISO 8601 in UTC, with seven digits of fraction, as eToro's dates have.

    :param value: nanoseconds since the epoch.
    """
    seconds, rest = divmod(value, _SECOND)
    return f"{_second_text(seconds)}.{rest // 100:07d}Z"


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


# Columns of the models ---------------------------------------------------------------------------


def _of_field(field: Field[Any]) -> Column:
    """Return the column of a field, by its type."""
    name, get = field.name, attrgetter(field.name)
    if name == "received_at":
        return Column(name, "time", lambda item: nanoseconds(get(item)))
    if name in _DATES:
        return Column(name, "time", lambda item: _date_nanoseconds(get(item)))
    spelt = str(field.type)
    if any(word in spelt for word in _NESTED):
        return Column(name, "text", lambda item: _as_json(get(item)))
    return Column(name, next(kind for kind, word in _KINDS.items() if word in spelt), get)


_DATES = {"date", "open_date_time", "request_occurred"}
#: What stands in the type of a field; the first kind that fits is taken.
_KINDS = {
    "flag": "bool",
    "number": "float",
    "whole": "<class 'int'>",
    "int": "int",
    "word": "str",
}
#: Likewise: becomes JSON.
_NESTED = ("Union[int, str", "Dict", "List")


def _as_json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"), default=str)


@lru_cache(maxsize=4096)
def _joined(names: tuple[str, ...]) -> str:
    return " ".join(names)


def _close(number: int, name: str) -> Column:
    def value(rate: WsInstrumentRate) -> float | None:
        return rate.closes[number] if len(rate.closes) > number else None

    return Column(name, "number", value)


def _rate_columns() -> tuple[Column, ...]:
    own = {field.name: _of_field(field) for field in fields(WsInstrumentRate)}
    own["instrument_id"] = Column("instrument_id", "key", attrgetter("instrument_id"))
    own["changed"] = Column("changed", "word", lambda rate: _joined(rate.changed))
    del own["closes"]
    closes = map(_close, range(3), ("daily_close", "weekly_close", "monthly_close"))
    first = [own.pop(name) for name in ("instrument_id", "received_at", "date", "bid", "ask")]
    last = [own.pop(name) for name in ("changed", "generation")]
    return (*first, *own.values(), *closes, *last)


def _order_columns() -> tuple[Column, ...]:
    own = {field.name: _of_field(field) for field in fields(WsPrivateEvent)}
    own["instrument_id"] = Column("instrument_id", "key", attrgetter("instrument_id"))
    status = Column("status", "word", lambda event: event.status and event.status.name)
    first = [own.pop(name) for name in ("received_at", "order_id")]
    return (*first, status, *own.values())


#: Name -> the table. Its items are WsInstrumentRate, WsPrivateEvent, WsGap, and Text.
TABLES = {
    table.name: table
    for table in (
        Table("rates", _rate_columns()),
        Table("orders", _order_columns()),
        Table(
            "gaps",
            (
                Column("since", "time", lambda gap: nanoseconds(gap.from_)),
                Column("until", "time", lambda gap: nanoseconds(gap.until)),
                Column("generation", "whole", attrgetter("generation")),
                Column("topics", "word", lambda gap: _joined(gap.topics)),
            ),
        ),
        Table(
            "texts",
            (
                Column("received_at", "time", lambda text: nanoseconds(text.at)),
                Column("generation", "whole", attrgetter("generation")),
                Column("text", "text", attrgetter("text")),
            ),
        ),
    )
}
