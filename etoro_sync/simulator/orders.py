"""Order events, with all fields of the only example that eToro documents."""

from random import Random

from .wire import date_text, new_uuid

FILLED = 3
_EXECUTED = {FILLED, 5, 9, 10}  # filled, and the three kinds of partially filled


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
        :param status_id: 3 is filled, 4 rejected, 7 canceled, 11 waiting for the market.
        :param rate: the price of the execution, if the order was executed.
        :param now_ns: wall clock, nanoseconds since 1970.
        """
        if order_id is None:
            order_id = self._next_order_id
            self._next_order_id += self._random.randint(1, 9)
        filled = status_id in _EXECUTED
        executed = float(units) if filled else 0.0
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
            "ErrorCode": 0,
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
