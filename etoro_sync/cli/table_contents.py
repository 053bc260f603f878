"""The contents of the live table, updated by events. Pure: no terminal, no clock, no client."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..models import WsGap, WsInstrumentRate, WsPrivateEvent
from .lines import decimals, duration
from .sparks import PriceHistory

__all__ = ["Row", "TableContents"]

_ORDERS = 100
_NOTES = 3
#: Seconds over which messages per second are averaged.
_WINDOW = 2.0


@dataclass
class Row:
    """One instrument.

    :param rate: its latest rate.
    :param first_mid: its first mid price, from which the change is computed.
    :param digits: decimals to show: the most that its prices have had, so that columns do not move.
    :param updated_at: when the rate came, by the clock that counts the machine's sleep.
    :param move: +1 after a rise, -1 after a fall, 0 before either.
    :param history: the mid prices of the last minute.
    """

    rate: WsInstrumentRate
    first_mid: float
    digits: int
    updated_at: float
    move: int = 0
    history: PriceHistory = field(default_factory=PriceHistory)

    @property
    def change(self) -> float:
        """The change since the first price, in per cent."""
        return (self.rate.mid / self.first_mid - 1) * 100 if self.first_mid else 0.0

    def update(self, rate: WsInstrumentRate, now: float) -> None:
        """Replace the rate by a newer one."""
        difference = rate.mid - self.rate.mid
        self.move = (difference > 0) - (difference < 0) or self.move
        self.digits = max(self.digits, decimals(rate.bid), decimals(rate.ask))
        self.rate = rate
        self.updated_at = now
        self.history.add(rate.mid, now)


class TableContents:
    """Everything that the table shows.

    :param instrument_ids: the rows, in this order.
    :param source: describes where the data comes from.
    :param private: whether to show order events.
    :param now: the time, by the clock that counts the machine's sleep.
    :param name_of: returns the name of an instrument, or ``""`` for as long as it is not known.
    :param sparks: whether to show a small picture of each price.
    """

    def __init__(
        self,
        instrument_ids: tuple[int, ...],
        source: str,
        private: bool,
        now: float,
        name_of: Callable[[int | None], str] = lambda _: "",
        sparks: bool = False,
    ) -> None:
        self.name_of = name_of
        self.sparks = sparks
        self.rows: dict[int, Row | None] = dict.fromkeys(instrument_ids)
        self.source = source
        self.private = private
        self.started_at = now
        self.state = "connecting"
        self.detail = ""
        self.generation = 0
        self.messages = 0
        self.gaps = 0
        self.orders: deque[WsPrivateEvent] = deque(maxlen=_ORDERS)
        self.order_count = 0
        self.notes: deque[str] = deque(maxlen=_NOTES)
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])

    def add(self, event: str, item: Any, now: float) -> None:
        """Add an event.

        :param event: its name.
        :param item: an item from a queue of this event.
        :param now: the time, by the clock that counts the machine's sleep.
        """
        if event == "instrument:rate":
            self._rate(item[0], item[1], now)
        elif event == "private:event":
            self.orders.append(item)
            self.order_count += 1
        elif event == "close":
            code, reason = item
            self.detail = f"connection lost (code {code}{', ' if reason else ''}{reason})"
        elif event == "reconnecting":
            self.detail = f"attempt {item[0]} in {duration(item[1])}"
        elif event == "reconnected":
            self._gap(item)
        else:
            self.notes.append(f"{event}: {item}")

    def _rate(self, instrument_id: int, rate: WsInstrumentRate, now: float) -> None:
        row = self.rows.get(instrument_id)
        if row is None:
            digits = max(decimals(rate.bid), decimals(rate.ask))
            row = self.rows[instrument_id] = Row(rate, rate.mid, digits, now)
        row.update(rate, now)

    def _gap(self, gap: WsGap) -> None:
        self.gaps += 1
        self.detail = f"last gap {duration(gap.seconds)}"

    def measure(self, state: str, generation: int, messages: int, now: float) -> None:
        """Set the client's state and count of messages.

        :param state: the client's state.
        :param generation: the number of its connection.
        :param messages: how many messages it has received.
        :param now: the time, by the clock that counts the machine's sleep.
        """
        self.state, self.generation, self.messages = state, generation, messages
        self._samples.append((now, messages))
        while len(self._samples) > 2 and now - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()

    @property
    def messages_per_second(self) -> float:
        """The average over the last seconds."""
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - begin) if end > begin else 0.0
