"""The live table, drawn from a :class:`Board`."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .board import Board, Row
from .lines import clock, price, status, units

__all__ = ["dashboard"]

_MOVES = {1: "green", -1: "red", 0: ""}
_STATES = {"live": "bold green", "failed": "bold red", "reconnecting": "bold yellow"}
#: Lines above the instruments: where the client stands, and the head of the table.
_ABOVE = 2
#: Lines above the order events: an empty one, the title, and the head of the table.
_ABOVE_ORDERS = 3
_MOST_ORDERS = 5


def dashboard(board: Board, now: float, height: int, hint: str = "") -> RenderableType:
    """Draw everything.

    :param board: what to show.
    :param now: the monotonic clock.
    :param height: lines there are; instruments that find no room are counted only.
    :param hint: the last words, such as how to end.
    """
    parts: list[RenderableType] = [_heading(board, now)]
    notes = [Text(note, style="dim", no_wrap=True, overflow="ellipsis") for note in board.notes]
    shown = min(max(len(board.orders), 1), _MOST_ORDERS, max((height - 8) // 3, 1))
    below = len(notes) + bool(hint) + (_ABOVE_ORDERS + shown) * board.private
    if board.rows:
        parts.append(_instruments(board, now, max(height - _ABOVE - below, 1)))
    if board.private:
        parts.append(_orders(board, shown))
    parts += notes
    if hint:
        parts.append(Text(hint, style="dim"))
    return Group(*parts)


def _heading(board: Board, now: float) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append("● ", _STATES.get(board.state, "bold yellow"))
    line.append(board.state, _STATES.get(board.state, "bold yellow"))
    if board.trouble:
        line.append(f" ({board.trouble})")
    line.append(f"  {board.messages_per_second:.0f} messages/s  ")
    line.append(f"{board.messages} in {max(now - board.started_at, 0):.0f} s", "dim")
    line.append(f"  connection {board.generation}  ", "dim")
    line.append(board.source, "dim")
    return line


def _plain_table(title: str | None = None) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        header_style="bold cyan",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )


def _instruments(board: Board, now: float, room: int) -> Table:
    table = _plain_table()
    table.add_column("instrument", justify="right", min_width=10)
    for name, width in (("bid", 11), ("ask", 11), ("spread", 8), ("change", 9), ("age", 6)):
        table.add_column(name, justify="right", min_width=width, no_wrap=True)
    items = list(board.rows.items())
    hidden = len(items) - room
    for instrument_id, row in items[: room - 1] if hidden > 0 else items:
        table.add_row(str(instrument_id), *_cells(row, board, now))
    if hidden > 0:
        table.add_row(f"+ {hidden + 1} more", style="dim")
    return table


def _cells(row: Row | None, board: Board, now: float) -> list[Text]:
    if row is None:
        return [Text("…", style="dim")]
    rate, digits = row.rate, row.digits
    change = row.change
    # A price of an earlier connection is what was true before the gap.
    old = board.state != "live" or rate.generation < board.generation
    style = "dim" if old else _MOVES[row.move]
    return [
        Text(price(rate.bid, digits), style),
        Text(price(rate.ask, digits), style),
        Text(price(rate.spread, digits)),
        Text(f"{change:+.3f} %", _MOVES[(change > 0) - (change < 0)]),
        Text(_age(now - row.updated_at), "dim"),
    ]


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{max(seconds, 0):.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.0f} h"


def _orders(board: Board, shown: int) -> Table:
    table = _plain_table(f"\norder events: {board.order_count}")
    table.add_column("time", min_width=12, no_wrap=True)
    table.add_column("order", justify="right", min_width=10)
    table.add_column("instrument", justify="right")
    table.add_column("status", min_width=8)
    table.add_column("units", justify="right", min_width=6)
    table.add_column("profit", justify="right", min_width=7)
    for order in list(board.orders)[-shown:]:
        table.add_row(
            clock(order.received_at),
            str(order.order_id),
            str(order.instrument_id),
            status(order),
            units(order.executed_units),
            Text(f"{order.net_profit:+.2f}", "red" if order.net_profit < 0 else "green"),
        )
    if not board.orders:
        table.add_row(Text("none yet", "dim"))
    return table
