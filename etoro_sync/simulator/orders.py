"""Order events, with all fields of the only example that eToro documents."""

from collections.abc import Iterator, Mapping
from itertools import cycle
from random import Random
from typing import Any, NamedTuple

from .wire import date_text, new_uuid

FILLED = 3
_REJECTED, _CANCELED, _EXPIRED, _WAITING = 4, 7, 8, 11
_PARTIALLY_FILLED, _REST_CANCELED, _REST_REJECTED = 5, 9, 10
#: How much of an order was executed; nothing in all other cases.
_EXECUTED = {FILLED: 1.0, _PARTIALLY_FILLED: 0.5, _REST_CANCELED: 0.5, _REST_REJECTED: 0.5}
#: The only error code that users have reported: the size is below the minimum.
_TOO_SMALL = 720

#: What becomes of one order after the other: the statuses of its events.
_COURSES = (
    (FILLED,),
    (_REJECTED,),
    (_PARTIALLY_FILLED, FILLED),
    (_WAITING, _CANCELED),
    (_PARTIALLY_FILLED, _REST_CANCELED),
    (_WAITING, FILLED),
    (_WAITING, _EXPIRED),
)
#: What stays the same in all events of an order.
_OF_THE_REQUEST = (
    *("RequestGuid", "RequestToken", "RequestOccurred", "OpenDateTime"),
    "PendingClosePositionIDs",
)


class OrderEvents:
    """Builds the contents of order events.

    :param seed: the same seed gives the same ids.
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(f"{seed}/orders")
        self._next_order_id = 981_286_176

    def event(
        self,
        *,
        order_id: int | None,
        instrument_id: int,
        units: float,
        status_id: int,
        rate: float,
        now_ns: int,
    ) -> dict[str, object]:
        """Build one event. Unlike in rates, numbers and booleans are not strings.

        :param order_id: None uses the next free id.
        :param instrument_id: the instrument of the order.
        :param units: how many units were ordered.
        :param status_id: 3 is filled, 4 rejected, 5 partially filled (half of it), 7 canceled, 11
            waiting for the market.
        :param rate: the price of the execution, if the order was executed.
        :param now_ns: wall clock, nanoseconds since 1970.
        """
        if order_id is None:
            order_id = self._next_order_id
            self._next_order_id += self._random.randint(1, 9)
        filled = status_id in _EXECUTED
        executed = round(units * _EXECUTED.get(status_id, 0.0), 6)
        occurred, token = date_text(now_ns // 100), new_uuid(self._random)
        # Names, order and equal values as in eToro's example.
        return {
            "OrderID": order_id,
            "OrderType": 20,
            "CID": 12345678,
            "StatusID": status_id,
            "InstrumentID": instrument_id,
            "UnitsToDeduct": 0.0,
            "RequestGuid": token,
            "RequestOccurred": occurred,
            "RequestToken": token,
            "ErrorCode": _TOO_SMALL if status_id == _REJECTED else 0,
            "RequestedUnits": float(units),
            "ExecutedUnits": executed,
            "EndRate": rate if filled else 0.0,
            "NetProfit": round(self._random.uniform(-50, 50), 2) if filled else 0.0,
            "CloseReason": 0,
            "PendingClosePositionIDs": [2_980_000_000 + self._random.randrange(1_000_000)],
            "OpenDateTime": occurred,
            "IsInMirror": False,
            "StatusId": status_id,  # sent twice, in two spellings
            "TotalExternalFees": 0.0,
            "TotalExternalTaxes": 0.0,
            "LotsToDeduct": 0.0,
            "RequestedLots": float(units),
            "ExecutedLots": executed,
        }


class NextEvent(NamedTuple):
    """The next event of the automatic orders.

    :param order_id: the order whose event it is; None: a new one.
    :param status_id: as in :meth:`OrderEvents.event`.
    """

    order_id: int | None
    instrument_id: int
    units: float
    status_id: int
    fields: Mapping[str, object]


class AutomaticOrders:
    """Decides what becomes of the orders that come by themselves: not all are filled.

    :param random: chooses the instruments and the units.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._courses = cycle(_COURSES)
        self._left: Iterator[int] = iter(())
        self._last: dict[str, Any] = {}

    def next_event(self, instrument_ids: list[int]) -> NextEvent:
        """Return the next event of the present order, or the first one of a new order.

        :param instrument_ids: the instruments of which a new order has one.
        """
        status_id = next(self._left, None)
        if status_id is not None:
            last = self._last
            order = last["OrderID"], last["InstrumentID"], last["RequestedUnits"]
            fields = {name: last[name] for name in _OF_THE_REQUEST}
            if last["ExecutedUnits"]:
                more = _EXECUTED[status_id] / _EXECUTED[last["StatusID"]]
                fields["NetProfit"] = round(last["NetProfit"] * more, 2)
            return NextEvent(*order, status_id, fields)
        self._left = iter(next(self._courses))
        instrument_id = self._random.choice(instrument_ids)
        units = self._random.randint(1, 500) / 10
        return NextEvent(None, instrument_id, units, next(self._left), {})

    def sent(self, content: dict[str, Any]) -> None:
        """Note the content of the event that was sent; the order's next ones follow from it."""
        self._last = content
