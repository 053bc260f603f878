import uuid
from random import Random
from typing import Any

import pytest

from etoro_sync.simulator.orders import AutomaticOrders, OrderEvents


def event(desk: OrderEvents, **changes: Any) -> dict[str, object]:
    """Make an event about 2.5 units of instrument 18."""
    usual: dict[str, Any] = {"order_id": None, "instrument_id": 18, "units": 2.5, "status_id": 3}
    return desk.event(**{**usual, "rate": 4800.5, "now_ns": 1_790_000_000_123_456_789, **changes})


def test_an_event_has_every_documented_field_with_its_own_json_type() -> None:
    """Unlike in rates, numbers are numbers here."""
    types = {name: type(value) for name, value in event(OrderEvents(0)).items()}
    integers = ("OrderID", "OrderType", "CID", "StatusID", "StatusId", "InstrumentID")
    numbers = ("UnitsToDeduct", "LotsToDeduct", "RequestedUnits", "ExecutedUnits", "RequestedLots")
    more = ("ExecutedLots", "EndRate", "NetProfit", "TotalExternalFees", "TotalExternalTaxes")
    texts = ("RequestGuid", "RequestOccurred", "RequestToken", "OpenDateTime")
    assert types == {
        **dict.fromkeys((*integers, "ErrorCode", "CloseReason"), int),
        **dict.fromkeys((*numbers, *more), float),
        **dict.fromkeys(texts, str),
        "PendingClosePositionIDs": list,
        "IsInMirror": bool,
    }


def test_an_event_is_like_the_official_example() -> None:
    """The order of the fields, and which of them say the same, as on eToro's page of topics."""
    found = event(OrderEvents(0), status_id=11, units=13.859902, instrument_id=1111)
    example = {
        **{"OrderID": 981286176, "OrderType": 20, "CID": 32612044, "StatusID": 11},
        **{"InstrumentID": 1111, "UnitsToDeduct": 0.0},
        "RequestGuid": "fca38698-1fcf-407d-b930-3222e57274fa",
        "RequestOccurred": "2025-04-01T08:55:53.6910145Z",
        "RequestToken": "fca38698-1fcf-407d-b930-3222e57274fa",
        **{"ErrorCode": 0, "RequestedUnits": 13.859902, "ExecutedUnits": 0.0, "EndRate": 0.0},
        **{"NetProfit": 0.0, "CloseReason": 0, "PendingClosePositionIDs": [2980225895]},
        "OpenDateTime": "2025-04-01T08:55:53.6910145Z",
        **{"IsInMirror": False, "StatusId": 11, "TotalExternalFees": 0.0},
        **{"TotalExternalTaxes": 0.0, "LotsToDeduct": 0.0, "RequestedLots": 13.859902},
        "ExecutedLots": 0.0,
    }
    assert list(found) == list(example)
    ours = {"CID", "RequestGuid", "RequestToken", "RequestOccurred", "OpenDateTime"}
    ours.add("PendingClosePositionIDs")
    assert {k: v for k, v in found.items() if k not in ours} == {
        k: v for k, v in example.items() if k not in ours
    }
    assert found["RequestToken"] == found["RequestGuid"]
    assert found["OpenDateTime"] == found["RequestOccurred"]


def test_a_filled_order_has_executed_units_and_a_rate() -> None:
    """What was asked for has been done."""
    found = event(OrderEvents(0))
    assert found["StatusID"] == found["StatusId"] == 3
    assert found["RequestedUnits"] == found["ExecutedUnits"] == found["ExecutedLots"] == 2.5
    assert found["EndRate"] == 4800.5
    assert found["OrderType"] == 20
    assert uuid.UUID(str(found["RequestGuid"])).version == 4
    assert found["RequestOccurred"] == "2026-09-21T14:13:20.1234567Z"


def test_a_waiting_order_has_executed_nothing() -> None:
    """The official example waits for its market."""
    found = event(OrderEvents(0), status_id=11)
    assert found["ExecutedUnits"] == found["EndRate"] == found["NetProfit"] == 0
    assert found["RequestedUnits"] == 2.5


def test_orders_are_numbered_unless_a_number_is_given() -> None:
    """Two orders are two orders, and a seed fixes what they look like."""
    desk = OrderEvents(0)
    first, second, chosen = event(desk), event(desk), event(desk, order_id=7)
    assert first["OrderID"] != second["OrderID"]
    assert chosen["OrderID"] == 7
    assert first == event(OrderEvents(0)) != event(OrderEvents(1))


@pytest.mark.parametrize(
    ("status_id", "executed", "code"),
    [(3, 2.5, 0), (4, 0, 720), (5, 1.25, 0), (7, 0, 0), (8, 0, 0), (9, 1.25, 0), (10, 1.25, 0)],
)
def test_an_event_says_how_much_was_executed(status_id: int, executed: float, code: int) -> None:
    """All, half of it, or nothing; a rejection has the code that users have seen."""
    found = event(OrderEvents(0), status_id=status_id)
    assert (found["ExecutedUnits"], found["ExecutedLots"]) == (executed, executed)
    assert (found["ErrorCode"], found["EndRate"]) == (code, 4800.5 if executed else 0.0)


def test_orders_that_come_by_themselves_end_differently() -> None:
    """The events of one order follow each other and name the same request; each order ends."""
    desk, automatic = OrderEvents(0), AutomaticOrders(Random(0))
    orders: dict[object, list[dict[str, Any]]] = {}
    for second in range(12):
        order_id, instrument_id, units, status_id, fields = automatic.next_event([18, 1001])
        made = {"order_id": order_id, "instrument_id": instrument_id, "units": units}
        content = event(desk, **made, status_id=status_id, now_ns=second * 10**9) | fields
        automatic.sent(content)
        orders.setdefault(content["OrderID"], []).append(content)
    assert [[each["StatusID"] for each in order] for order in orders.values()] == [
        *([3], [4], [5, 3], [11, 7], [5, 9], [11, 3], [11, 8])
    ]
    half, whole = next(order for order in orders.values() if order[0]["StatusID"] == 5)
    assert whole["NetProfit"] == pytest.approx(2 * half["NetProfit"])
    same = ["RequestGuid", "RequestOccurred", "InstrumentID", "RequestedUnits"]
    assert all(
        len({order[0][name], order[-1][name]}) == 1 for order in orders.values() for name in same
    )
    assert {each["InstrumentID"] for order in orders.values() for each in order} == {18, 1001}
