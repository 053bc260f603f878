"""Keeps the last event of each order, so that a call for an order that is final returns at once.

It also keeps the last gaps, and since when there is one that has not ended: the event that such a
call waits for may have been sent in it.
"""

from ..models import OrderStatus, WsGap, WsPrivateEvent
from ..models.control import concerns_orders

__all__ = ["FINAL", "OrderStates", "is_final"]

#: After one of these nothing more happens to an order. PARTIALLY_FILLED is none of them: the rest
#: may still be filled.
FINAL = frozenset(
    [
        OrderStatus.FILLED,
        OrderStatus.REJECTED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
        OrderStatus.CANCELED_PARTIALLY_FILLED,
        OrderStatus.REJECTED_PARTIALLY_FILLED,
    ]
)
_MOST_ORDERS = 1000
_MOST_GAPS = 20
#: Seconds for which a gap may be that of an order of which nothing is known: one that was placed,
#: and waited for as soon as eToro had answered.
_RECENT = 60.0


def is_final(event: WsPrivateEvent) -> bool:
    """Whether nothing more will happen to the order behind *event*."""
    return event.status in FINAL


class OrderStates:
    """The last events of the last 1,000 orders. Written by the source's thread, read by any.

    No lock: who looks during a change may find nothing, and has to look again behind the next event
    of the stream.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything. While the source's thread does not run."""
        self._by_id: dict[int, WsPrivateEvent] = {}
        self._by_guid: dict[str, WsPrivateEvent] = {}
        # Each with the time at which it ended. Never changed, but replaced.
        self._gaps: tuple[tuple[float, WsGap], ...] = ()
        # Since when order events may be missing, by ``clocks.uptime``; None: they come.
        self._lost: float | None = None

    def note(self, event: WsPrivateEvent) -> None:
        """Remember *event*; one that is late changes no final state. The source's thread."""
        if event.order_id is not None:
            _keep(self._by_id, event.order_id, event)
        if event.request_guid:
            _keep(self._by_guid, event.request_guid, event)

    def note_gap(self, gap: WsGap, now: float) -> None:
        """Remember a gap that has just ended. The source's thread.

        :param now: by ``clocks.uptime``.
        """
        if concerns_orders(gap):
            self._gaps = (*self._gaps, (now, gap))[-_MOST_GAPS:]
            self._lost = None

    def note_loss(self, since: float) -> None:
        """Note that order events may be missing from now on, unless that is known. Any thread.

        :param since: by ``clocks.uptime``.
        """
        if self._lost is None:
            self._lost = since

    def note_return(self, generation: int, now: float, wall: float) -> None:
        """Note that order events come again, which ends a gap that nobody emits.

        That is one between two sessions: whoever has called ``disconnect()`` knows of it. The
        source's thread; arguments as of :meth:`open_gap`.
        """
        gap = self.open_gap(generation, now, wall)
        if gap is not None:
            self.note_gap(gap, now)

    def open_gap(self, generation: int, now: float, wall: float) -> WsGap | None:
        """Return the gap that has not ended, as if it ended now; None: there is none.

        :param generation: of the newest connection.
        :param now: by ``clocks.uptime``.
        :param wall: the same moment in seconds since the epoch.
        """
        lost = self._lost
        return None if lost is None else WsGap(wall - (now - lost), wall, generation, ("private",))

    def gaps_behind(self, event: WsPrivateEvent | None, now: float) -> list[WsGap]:
        """Return the gaps in which a later event of an order may have been lost.

        :param event: the order's last one; None: nothing is known of it.
        :param now: by ``clocks.uptime``.
        """
        if event is not None:
            return [gap for _, gap in self._gaps if gap.generation > event.generation]
        return [gap for ended, gap in self._gaps if now - ended <= _RECENT]

    def get(self, order_id: int | None, request_guid: str | None) -> WsPrivateEvent | None:
        """Return the last event of an order, by whichever of the two is known; None: none came."""
        by_guid = self._by_guid.get(request_guid) if request_guid else None
        if by_guid is None or by_guid.order_id is None:
            by_id = None if order_id is None else self._by_id.get(order_id)
            # Of an order whose events have one of the two each, the final one is the last.
            return by_guid if by_id is None or (by_guid and is_final(by_guid)) else by_id
        # The id decides, because one request may bring several orders, and later events may lack
        # the request.
        key = by_guid.order_id if order_id is None else order_id
        return self._by_id.get(key, by_guid if by_guid.order_id == key else None)


def _keep(known: dict, key: int | str, event: WsPrivateEvent) -> None:  # type: ignore[type-arg]
    before = known.get(key)
    if before is not None and is_final(before) and not is_final(event):
        return
    # As the newest: the oldest gives way.
    known.pop(key, None)
    known[key] = event
    if len(known) > _MOST_ORDERS:
        del known[next(iter(known))]
