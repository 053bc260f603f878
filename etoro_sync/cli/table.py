"""The live table, drawn from a :class:`TableContents`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..models import WsPrivateEvent
from .lines import clock, price, status, units
from .sparks import WIDTH
from .table_contents import Row, TableContents

__all__ = ["dashboard"]

_MOVES = {1: "green", -1: "red", 0: ""}
_STATES = {"live": "bold green", "failed": "bold red", "reconnecting": "bold yellow"}
#: Lines above the instruments: the client's state and the headings of the table.
_ABOVE = 2
#: Lines above the order events: an empty line, the title, and the headings of the table.
_ABOVE_ORDERS = 3
_MOST_ORDERS = 5
#: Spaces between two columns.
_GAP = 2


@dataclass(frozen=True)
class _Column:
    """A column of a table.

    :param name: its heading.
    :param rank: a terminal that is too narrow leaves out the column of the highest rank first.
    :param width: its least width, so that columns do not move while values change.
    :param justify: the side on which its text is aligned.
    :param optional: leave it out while nothing stands in it.
    """

    name: str
    rank: int
    width: int
    justify: Literal["left", "right"] = "right"
    optional: bool = False


# Without its age, a price could be an old one; so the age is kept longer than spread and change.
_INSTRUMENTS = (
    _Column("instrument", 0, 10),
    _Column("name", 4, 4, "left", optional=True),
    _Column("bid", 1, 11),
    _Column("ask", 2, 11),
    _Column("spread", 5, 8),
    _Column("change", 6, 9),
    _Column("age", 3, 6),
    _Column("last minute", 7, WIDTH, "left", optional=True),
)
_ORDERS = (
    _Column("time", 6, 12, "left"),
    _Column("order", 2, 10),
    _Column("instrument", 0, 10),
    _Column("name", 5, 4, "left", optional=True),
    _Column("status", 1, 18, "left"),
    _Column("units", 4, 6),
    _Column("profit", 3, 7),
)
#: Characters of a name; with them, all columns of usual prices have room in a line of 80.
_NAME = 13


def dashboard(
    contents: TableContents, now: float, height: int, hint: str = "", width: int = 80
) -> RenderableType:
    """Draw the tables of instruments and order events, with a heading and notes.

    :param contents: what to show.
    :param now: the time, by the clock that counts the machine's sleep.
    :param height: the number of lines; instruments that do not fit are only counted.
    :param hint: a last line, such as how to end.
    :param width: characters in a line; columns that do not fit are left out as a whole, since a
        truncated price would be a wrong price.
    """
    parts: list[RenderableType] = [_heading(contents, now)]
    notes = [Text(note, style="dim", no_wrap=True, overflow="ellipsis") for note in contents.notes]
    shown = min(max(len(contents.orders), 1), _MOST_ORDERS, max((height - 8) // 3, 1))
    below = len(notes) + bool(hint) + (_ABOVE_ORDERS + shown) * contents.private
    if contents.rows:
        parts.append(_instruments(contents, now, max(height - _ABOVE - below, 1), width))
    if contents.private:
        parts.append(_orders(contents, shown, width))
    parts += notes
    if hint:
        parts.append(Text(hint, style="dim"))
    return Group(*parts)


def _heading(contents: TableContents, now: float) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("● ", _STATES.get(contents.state, "bold yellow"))
    line.append(contents.state, _STATES.get(contents.state, "bold yellow"))
    if contents.detail:
        line.append(f" ({contents.detail})")
    line.append(f"  {contents.messages_per_second:.0f} messages/s  ")
    line.append(f"{contents.messages} in {max(now - contents.started_at, 0):.0f} s", "dim")
    line.append(f"  connection {contents.generation}  ", "dim")
    line.append(contents.source, "dim")
    return line


def _table(
    columns: Sequence[_Column], rows: list[list[Text]], width: int, title: str | None = None
) -> Table:
    """Draw rows of cells; each has a cell for every column, or only for the first."""
    widths = [
        max(column.width, *(row[n].cell_len for row in rows if len(row) == len(columns)), 0)
        for n, column in enumerate(columns)
    ]
    full = [row for row in rows if len(row) == len(columns)]
    used = [n for n, column in enumerate(columns) if not column.optional or any(r[n] for r in full)]
    kept = sorted(used, key=lambda n: columns[n].rank)
    while len(kept) > 1 and sum(widths[n] + _GAP for n in kept) - _GAP > width:
        kept.pop()
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        header_style="bold cyan",
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
    )
    kept.sort()
    for n in kept:
        table.add_column(
            columns[n].name, justify=columns[n].justify, min_width=widths[n], no_wrap=True
        )
    for row in rows:
        table.add_row(*([row[n] for n in kept] if len(row) == len(columns) else row))
    return table


def _instruments(contents: TableContents, now: float, room: int, width: int) -> Table:
    items = list(contents.rows.items())
    hidden = len(items) - room
    rows = [
        [
            Text(str(instrument_id)),
            _name(contents, instrument_id),
            *_cells(row, contents, now),
        ]
        for instrument_id, row in (items[: room - 1] if hidden > 0 else items)
    ]
    if hidden > 0:
        rows.append([Text(f"+ {hidden + 1} more", "dim")])
    return _table(_INSTRUMENTS, rows, width)


def _cells(row: Row | None, contents: TableContents, now: float) -> list[Text]:
    if row is None:
        return [Text("…", "dim"), *[Text()] * 5]
    rate, digits = row.rate, row.digits
    change = row.change
    # Prices from before a gap are dimmed.
    old = contents.state != "live" or rate.generation < contents.generation
    style = "dim" if old else _MOVES[row.move]
    return [
        Text(price(rate.bid, digits), style),
        Text(price(rate.ask, digits), style),
        Text(price(rate.spread, digits)),
        Text(f"{change:+.3f} %", _MOVES[(change > 0) - (change < 0)]),
        Text(_age(now - row.updated_at), "dim"),
        Text(row.history.line(now) if contents.sparks else "", style),
    ]


def _name(contents: TableContents, instrument_id: int | None) -> Text:
    name = Text(contents.name_of(instrument_id))
    name.truncate(_NAME, overflow="ellipsis")
    return name


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.0f} h"


def _outcome(order: WsPrivateEvent) -> str:
    return f"{status(order)} ({order.error_code})" if order.error_code else status(order)


def _orders(contents: TableContents, shown: int, width: int) -> Table:
    rows = [
        [
            Text(clock(order.received_at)),
            Text(str(order.order_id)),
            Text(str(order.instrument_id)),
            _name(contents, order.instrument_id),
            Text(_outcome(order)),
            Text(units(order.executed_units)),
            Text(f"{order.net_profit:+.2f}", "red" if order.net_profit < 0 else "green"),
        ]
        for order in list(contents.orders)[-shown:]
    ]
    title = f"\norder events: {contents.order_count}"
    return _table(_ORDERS, rows or [[Text("none yet", "dim")]], width, title)
