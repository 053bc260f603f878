"""The contents of a live table, and what of them has changed. Pure: no widget, thread or clock."""

import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..html_tables import decimals, moment, percent, price, table
from ..models import WsInstrumentRate
from ..state import ClientState
from ..stats import WsStats
from ..text import shorten

__all__ = ["ENDED", "Contents", "Glance"]

#: Seconds between two points of a sparkline, and how many points there are: two minutes.
STEP = 1.0
POINTS = 120
#: A table that nothing happens to is sent again after so many seconds. The front end reports a
#: kernel that sends nothing for longer.
BEAT = 1.0
#: All rows are sent after so many seconds, in case the front end has missed some.
REFRESH = 5.0
#: Seconds over which messages per second are averaged.
_WINDOW = 2.0
#: By which the front end tells the clocks of several kernels apart.
_PROCESS = uuid.uuid4().hex
#: The stream does not come back from these by itself.
ENDED = (ClientState.CLOSED, ClientState.FAILED)

Message = dict[str, Any]
_NEW = object()


@dataclass(frozen=True)
class Glance:
    """What is to be seen of a stream at one moment.

    :param state: its state.
    :param rates: its latest rates; None when it cannot be read any more.
    :param stats: its counters; None likewise.
    :param detail: why it has ended, if it has failed.
    :param generations: the numbers of its open connections; None: the last counts alone.
    """

    state: ClientState
    rates: Mapping[int, WsInstrumentRate] | None = None
    stats: WsStats | None = None
    detail: str = ""
    generations: frozenset[int] | None = None


@dataclass
class _Row:
    """One instrument.

    :param rate: its latest rate; None before the first.
    :param present: whether the stream still has a rate; not after it was unsubscribed from.
    :param digits: decimals to show: the most that its prices have had, so that columns stay put.
    :param move: +1 after a rise, -1 after a fall, 0 before either.
    :param cells: what was sent last.
    :param history: mid prices, one for each step; None where the stream was not live.
    """

    rate: WsInstrumentRate | None = None
    present: bool = False
    digits: int = 2
    move: int = 0
    cells: Message = field(default_factory=dict)
    history: tuple[float | None, ...] = ()

    def update(self, rate: WsInstrumentRate) -> None:
        if self.rate is not None:
            difference = rate.mid - self.rate.mid
            self.move = (difference > 0) - (difference < 0) or self.move
        self.digits = max(self.digits, decimals(rate.bid), decimals(rate.ask))
        self.rate = rate


class Contents:
    """What a live table shows.

    :meth:`update` returns the cells that have changed, as numbered messages to the front end, and
    :meth:`snapshot` all of them. They are texts, so that the precision of prices is decided here,
    once for the live table and the static one.

    :param ids: the rows, in this order; None: all that have a rate.
    :param name_of: returns an instrument's name, or ``""`` for as long as it is not known.
    :param max_rows: further instruments are only counted.
    """

    def __init__(
        self, ids: tuple[int, ...] | None, name_of: Callable[[int], str], max_rows: int
    ) -> None:
        self._ids = ids
        self._name_of = name_of
        self._max_rows = max_rows
        self._rows: dict[int, _Row] = {}
        self._head: Message = {}
        self._hidden = 0
        self._number = 0
        self._samples: deque[tuple[float, int]] = deque()
        self._sent_at = self._full_at = self._stepped_at = float("-inf")

    def update(self, glance: Glance, now: float, wall: float) -> Message | None:
        """Take over the present state; return the message about it, or None if there is none.

        :param now: monotonic seconds.
        :param wall: seconds since the epoch.
        """
        full = now - self._full_at >= REFRESH
        changed = self._update_rows(glance)
        step = now - self._stepped_at >= STEP
        if step:
            self._stepped_at = now
            self._step(glance.state is ClientState.LIVE)
        head = self._make_head(glance, now, wall)
        same = head["state"] == self._head.get("state")
        self._head = head
        if same and not (full or step or changed or now - self._sent_at >= BEAT):
            return None
        self._number += 1
        self._sent_at = now
        if full:
            self._full_at = now
        return {
            "number": self._number,
            "head": head,
            "rows": self._cells() if full else changed,
            "order": [str(each) for each in self._rows],
            "step": step,
            "full": full,
        }

    def refresh(self) -> None:
        """Let the next message have all rows. Any thread."""
        self._full_at = float("-inf")

    def snapshot(self) -> Message:
        """Return the whole, for a front end that begins."""
        rows = dict(self._rows)  # a copy: this runs on the thread that asks
        return {
            "number": self._number,
            "head": self._head,
            "rows": {str(each): row.cells for each, row in rows.items()},
            "order": [str(each) for each in rows],
            "history": {str(each): row.history for each, row in rows.items()},
        }

    @property
    def complete(self) -> bool:
        """Whether each row has a price, and there is one."""
        return bool(self._rows) and all(row.rate is not None for row in self._rows.values())

    def html(self) -> str:
        """Return the present contents as a table that does not change any more."""
        rows = [
            (
                f"{cells['name']} ({cells['id']})" if cells["name"] else cells["id"],
                *(cells[name] for name in ("bid", "ask", "spread", "change")),
                _received(cells),
            )
            for cells in self._cells().values()
        ]
        headings = ("instrument", "bid", "ask", "spread", "change", "received")
        return table(headings, rows, title=self._title(), note=self._note())

    def text(self) -> str:
        """Return the present contents as lines, for what shows no HTML."""
        rows = [
            f"{each['id']:>10} {each['bid']:>14} {each['ask']:>14}  "
            f"{_received(each):19}  {each['name']}"
            for each in self._cells().values()
        ]
        return "\n".join(line.rstrip() for line in (self._title(), *rows, self._note()))

    # -- parts ---------------------------------------------------------------------------------

    def _cells(self) -> dict[str, Message]:
        return {str(each): row.cells for each, row in dict(self._rows).items()}

    def _title(self) -> str:
        # With date and zone: a notebook is opened again after days, and elsewhere.
        when = datetime.fromtimestamp(self._head["at"]).astimezone().isoformat(" ", "seconds")
        return f"Prices at {when}"

    def _note(self) -> str:
        hidden = self._head["hidden"]
        return " ".join(
            text
            for text in (
                self._head["detail"],
                "" if self._rows else "No rate has come.",
                f"{hidden} more instruments are not shown." if hidden else "",
                f"This table does not change. The stream's state then: {self._head['state']}.",
            )
            if text
        )

    def _update_rows(self, glance: Glance) -> dict[str, Message]:
        """Take over the rates; return those cells of each row that have changed."""
        rates = glance.rates
        if rates is not None:
            ids = tuple(rates) if self._ids is None else self._ids
            if glance.state in (ClientState.CLOSING, *ENDED):
                # A stream that ends may forget its prices; its table does not.
                ids = tuple(dict.fromkeys((*self._rows, *ids)))
            shown = ids[: self._max_rows]
            for gone in self._rows.keys() - set(shown):
                del self._rows[gone]
            for each in shown:
                row = self._rows.setdefault(each, _Row())
                rate = rates.get(each)
                row.present = rate is not None
                if rate is not None and rate != row.rate:
                    row.update(rate)
            self._hidden = len(ids) - len(shown)
        changed = {}
        for each, row in self._rows.items():
            before, row.cells = row.cells, self._make_cells(each, row, glance)
            news = {name: v for name, v in row.cells.items() if before.get(name, _NEW) != v}
            if news:
                changed[str(each)] = news
        return changed

    def _make_cells(self, instrument_id: int, row: _Row, glance: Glance) -> Message:
        cells: Message = dict.fromkeys(("bid", "ask", "spread", "change"), "")
        cells |= {"id": str(instrument_id), "name": self._name_of(instrument_id), "at": None}
        cells |= {"mid": None, "move": row.move, "old": False, "closed": False}
        rate = row.rate
        if rate is None:
            return cells
        if glance.generations is not None:
            lost = rate.generation not in glance.generations
        else:
            connections = 0 if glance.stats is None else glance.stats.connections
            lost = glance.state is not ClientState.LIVE or rate.generation < connections
        return cells | {
            "bid": price(rate.bid, row.digits),
            "ask": price(rate.ask, row.digits),
            "spread": price(rate.spread, row.digits),
            "change": percent(rate.change),
            "mid": rate.mid,
            "at": round(rate.received_at, 3),
            # Of a connection that is lost, or of an instrument that is not subscribed to any more.
            "old": lost or not row.present,
            "closed": rate.is_market_open is False,
        }

    def _step(self, live: bool) -> None:
        for row in self._rows.values():
            point = row.cells["mid"] if live and not row.cells["old"] else None
            # Replaced, and not changed, because another thread may read it for a snapshot.
            row.history = (*row.history, point)[-POINTS:]

    def _make_head(self, glance: Glance, now: float, wall: float) -> Message:
        stats = glance.stats
        count = 0 if stats is None else stats.messages
        self._samples.append((now, count))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        return {
            "state": glance.state.value,
            "ended": glance.state in ENDED,
            "detail": shorten(glance.detail, 300),
            "at": round(wall, 3),
            "process": _PROCESS,
            "age": None if stats is None else stats.last_message_age,
            "messages": count,
            "per_second": round((after - before) / (end - begin)) if end > begin else 0,
            "hidden": self._hidden,
        }


def _received(cells: Message) -> str:
    return moment(cells["at"], "seconds") if cells["at"] else ""
