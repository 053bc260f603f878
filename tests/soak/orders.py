"""Which order events arrived. Pure, but for the list that two threads share.

The server numbers them consecutively. So on one connection no number may be missing, and what is
missing between two connections must have been sent in a gap that was told.
"""

from __future__ import annotations

from collections.abc import Sequence

from etoro_sync.models import WsGap, WsPrivateEvent

__all__ = ["OrderBook"]


class OrderBook:
    """Order events as one consumer sees them; noted by one thread, judged by another.

    :param name: of the consumer.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.received = self.lost = 0
        self.wrong: list[str] = []
        self._new: list[int] = []
        self._last = 0
        self._generation = 0

    def on_event(self, event: WsPrivateEvent) -> None:
        """Note one event."""
        number = event.order_id
        if type(number) is not int or number <= 0:
            return  # a fault's, not an order
        self.received += 1
        self._new.append(number)
        same = event.generation == self._generation
        if number <= self._last:
            self.wrong.append(f"{self.name}: order {number} came after {self._last}")
        elif same and number != self._last + 1:
            self.wrong.append(
                f"{self.name}: orders {self._last + 1} to {number - 1} are missing on connection "
                f"{event.generation}"
            )
        self._last, self._generation = number, event.generation

    def judge(
        self, sent: Sequence[Sequence[float]], gaps: Sequence[WsGap], slack: float
    ) -> list[str]:
        """Return what is wrong with all that was sent since the last call.

        :param sent: number and time of each event.
        :param gaps: that were told.
        :param slack: seconds for which an event may wait in the server before its connection is
            lost.
        """
        arrived = set(self._new)
        self._new.clear()
        wrong, self.wrong = self.wrong, []
        for number, at in sent:
            if number in arrived:
                continue
            self.lost += 1
            if not any(gap.from_ - slack <= at <= gap.until for gap in gaps):
                wrong.append(f"{self.name}: order {number:.0f} is missing, and there was no gap")
        return wrong
