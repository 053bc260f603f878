"""Events that the tests of the command line show."""

from __future__ import annotations

from typing import Any

from etoro_sync import WsInstrumentRate, WsPrivateEvent

__all__ = ["order", "rate"]


def rate(bid: float, ask: float, **more: Any) -> WsInstrumentRate:
    return WsInstrumentRate(ask=ask, bid=bid, **{"generation": 1, **more})


def order(**more: Any) -> WsPrivateEvent:
    values = {"order_id": 7, "instrument_id": 1001, "status_id": 3, "net_profit": -1.5}
    return WsPrivateEvent(**{**values, "executed_units": 2.5, "requested_units": 3.0, **more})
