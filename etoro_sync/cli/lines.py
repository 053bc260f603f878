"""Formats events as lines: for people, and as JSON for programs."""

import json
from collections.abc import Callable
from typing import Any

from ..html_tables import clock, decimals, price
from ..models import WsGap, WsInstrumentRate, WsPrivateEvent
from ..text import count, duration

__all__ = [
    "clock",
    "count",
    "decimals",
    "duration",
    "event_line",
    "json_line",
    "price",
    "status",
    "units",
]


def units(value: float) -> str:
    """Format a number of units without trailing zeros."""
    return f"{value:.{decimals(value)}f}".rstrip("0").rstrip(".")


def status(order: WsPrivateEvent) -> str:
    """Return the name of an order's status, or its number if it has no name."""
    if order.status is not None:
        return order.status.name.lower().replace("_", " ")
    return "?" if order.status_id is None else f"status {order.status_id}"


# For people ------------------------------------------------------------------------------------


def event_line(event: str, item: Any, name_of: Callable[[int | None], str] = lambda _: "") -> str:
    """Format an event for people.

    :param event: its name.
    :param item: an item from a queue of this event.
    :param name_of: returns the name of an instrument, or ``""``.
    """
    if event == "instrument:rate":
        return _rate_line(item[0], item[1], name_of)
    if event == "private:event":
        return _order_line(item, name_of)
    writer = _WRITERS.get(event)
    return f"{event} {item}" if writer is None else writer(item)


def _named(instrument_id: int | None, name_of: Callable[[int | None], str]) -> str:
    name = name_of(instrument_id)
    return f"instrument {instrument_id} ({name})" if name else f"instrument {instrument_id}"


def _rate_line(
    instrument_id: int, rate: WsInstrumentRate, name_of: Callable[[int | None], str]
) -> str:
    digits = max(decimals(rate.bid), decimals(rate.ask))
    return (
        f"{clock(rate.received_at)}  {_named(instrument_id, name_of)}  "
        f"bid {price(rate.bid, digits)}  ask {price(rate.ask, digits)}  "
        f"spread {price(rate.spread, digits)}"
    )


def _order_line(order: WsPrivateEvent, name_of: Callable[[int | None], str]) -> str:
    instrument = _named(order.instrument_id, name_of)
    line = (
        f"{clock(order.received_at)}  order {order.order_id}  {instrument}  "
        f"{status(order)}  units {units(order.executed_units)} of {units(order.requested_units)}  "
        f"profit {order.net_profit:+.2f}"
    )
    return f"{line}  error {order.error_code}" if order.error_code else line


def _close_line(item: tuple[int, str]) -> str:
    return f"connection closed (code {item[0]}): {item[1]}"


def _reconnecting_line(item: tuple[int, float]) -> str:
    return f"reconnecting in {duration(item[1])} (attempt {item[0]})"


def _gap_line(gap: WsGap) -> str:
    return (
        f"reconnected after a gap of {duration(gap.seconds)}: connection {gap.generation}, "
        f"{count(len(gap.topics), 'topic')} restored"
    )


_WRITERS: dict[str, Callable[[Any], str]] = {
    "close": _close_line,
    "reconnecting": _reconnecting_line,
    "reconnected": _gap_line,
}

# For programs ----------------------------------------------------------------------------------


def json_line(event: str, item: Any) -> str:
    """Format an event as one JSON object: ``event``, and the fields by their Python names.

    :param event: its name.
    :param item: an item from a queue of this event; its fields without a value are left out.
    """
    return json.dumps({"event": event, **_content(event, item)}, separators=(",", ":"))


def _content(event: str, item: Any) -> dict[str, Any]:
    if event == "instrument:rate":
        # First, and that of the event: a rate that somebody has made may not know its own.
        return {"instrument_id": 0, **_present(item[1])} | {"instrument_id": item[0]}
    if event == "private:event":
        return _present(item)
    if event == "close":
        return {"code": item[0], "reason": item[1]}
    if event == "reconnecting":
        return {"attempt": item[0], "delay_seconds": round(item[1], 3)}
    if event == "reconnected":
        gap: dict[str, Any] = item.to_dict()
        return gap
    return {"message": str(item)}


def _present(item: WsInstrumentRate | WsPrivateEvent) -> dict[str, Any]:
    return {name: value for name, value in item.to_row().items() if value is not None}
