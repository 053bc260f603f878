"""What is remembered of orders."""

from __future__ import annotations

import pytest

from etoro_sync import OrderStatus, WsGap, WsPrivateEvent
from etoro_sync.market import order_states as module
from etoro_sync.market.order_states import OrderStates, is_final


def event(order_id: int | None, status: OrderStatus, guid: str | None = None) -> WsPrivateEvent:
    return WsPrivateEvent(order_id=order_id, status_id=int(status), request_guid=guid)


@pytest.mark.parametrize("status", OrderStatus)
def test_six_of_the_statuses_are_final(status: OrderStatus) -> None:
    """A partly filled order may still be filled; what is pending or waiting goes on."""
    final = {"FILLED", "REJECTED", "CANCELED", "EXPIRED"}
    final |= {"CANCELED_PARTIALLY_FILLED", "REJECTED_PARTIALLY_FILLED"}
    assert is_final(event(1, status)) is (status.name in final)


def test_a_status_that_nobody_knows_is_not_final() -> None:
    """Nor is none at all."""
    assert not is_final(WsPrivateEvent(status_id=99))
    assert not is_final(WsPrivateEvent())


def test_the_last_event_is_found_by_either_name() -> None:
    """An event may lack one of them."""
    states = OrderStates()
    placed = event(7, OrderStatus.PLACED, "a")
    states.note(placed)
    assert states.get(7, None) is states.get(None, "a") is placed
    filled = event(7, OrderStatus.FILLED)
    states.note(filled)
    assert states.get(7, "a") is filled
    assert states.get(None, "b") is states.get(8, None) is states.get(8, "b") is None


def test_a_request_leads_to_the_last_event_of_its_order() -> None:
    """Which may lack the request; and where a request brought several orders, the id decides."""
    states = OrderStates()
    states.note(event(7, OrderStatus.PLACED, "a"))
    filled = event(7, OrderStatus.FILLED)
    states.note(filled)
    assert states.get(None, "a") is filled
    states.note(event(8, OrderStatus.CANCELED, "a"))
    assert states.get(7, "a") is filled
    assert states.get(9, "a") is None


def test_a_final_event_that_has_the_request_alone_is_found() -> None:
    """Though the last one with the id is not final."""
    states = OrderStates()
    states.note(event(7, OrderStatus.PLACED))
    filled = event(None, OrderStatus.FILLED, "a")
    states.note(filled)
    assert states.get(7, "a") is filled


def test_a_late_event_changes_no_final_state() -> None:
    """Whichever way eToro's events overtake each other."""
    states = OrderStates()
    filled = event(7, OrderStatus.FILLED)
    states.note(filled)
    states.note(event(7, OrderStatus.RECEIVED))
    assert states.get(7, None) is filled


def test_the_orders_of_which_nothing_came_for_longest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that memory is bounded."""
    monkeypatch.setattr(module, "_MOST_ORDERS", 3)
    states = OrderStates()
    for number in (1, 2, 3, 1, 4):
        states.note(event(number, OrderStatus.PLACED, f"guid-{number}"))
    assert [n for n in range(1, 5) if states.get(n, None)] == [1, 3, 4]
    assert [n for n in range(1, 5) if states.get(None, f"guid-{n}")] == [1, 3, 4]


def test_gaps_behind_the_last_event_of_an_order_count_however_old_they_are() -> None:
    """And no others: an event of the new connection came behind its gap."""
    states = OrderStates()
    gaps = [WsGap(1.0, 2.0, generation) for generation in (2, 3, 4)]
    for gap in gaps:
        states.note_gap(gap, now=10.0)
    assert states.gaps_behind(WsPrivateEvent(order_id=7, generation=2), now=1e6) == gaps[1:]
    assert states.gaps_behind(WsPrivateEvent(order_id=7, generation=4), now=10.0) == []


def test_of_an_unknown_order_the_gaps_of_the_last_minute_count() -> None:
    """It was placed a moment ago; and only some gaps are kept."""
    states = OrderStates()
    assert states.gaps_behind(None, now=0.0) == []
    for number in range(100):
        states.note_gap(WsGap(0.0, 1.0, number), now=float(number))
    assert [gap.generation for gap in states.gaps_behind(None, now=150.0)] == [*range(90, 100)]
    assert len(states.gaps_behind(None, now=99.0)) == 20


def test_a_gap_that_has_not_ended_lasts_until_now() -> None:
    """It begins with the first of several losses, by the wall clock of now."""
    states = OrderStates()
    assert states.open_gap(3, 50.0, 1050.0) is None
    states.note_loss(40.0)
    states.note_loss(45.0)
    assert states.open_gap(3, 50.0, 1050.0) == WsGap(1040.0, 1050.0, 3, ("private",))
    assert states.gaps_behind(None, 50.0) == []
    states.note_gap(WsGap(1.0, 2.0, 4, ("instrument:1",)), 50.0)
    assert states.open_gap(3, 50.0, 1050.0) is not None
    gap = WsGap(1040.0, 1050.0, 4, ("private", "instrument:1"))
    states.note_gap(gap, 50.0)
    assert states.open_gap(3, 50.0, 1050.0) is None
    assert states.gaps_behind(None, 50.0) == [gap]


def test_events_that_come_again_end_a_gap_that_nobody_emits() -> None:
    """Where there is none, they end nothing."""
    states = OrderStates()
    states.note_return(1, 10.0, 1010.0)
    assert states.gaps_behind(None, 10.0) == []
    states.note_loss(20.0)
    states.note_return(2, 30.0, 1030.0)
    states.note_return(2, 31.0, 1031.0)
    gap = WsGap(1020.0, 1030.0, 2, ("private",))
    assert states.gaps_behind(None, 31.0) == [gap]
    placed = event(7, OrderStatus.PLACED)
    placed.generation = 1
    assert states.gaps_behind(placed, 31.0) == [gap]
    placed.generation = 2
    assert states.gaps_behind(placed, 31.0) == []
