"""Merges a message into the state of its instrument, and makes the rate that users get of a state.

eToro sends only what has changed: over all its instruments, 15 % of the messages carry both sides
and 59 % are heartbeats. A state is a dictionary by Python name. It is never changed; a message that
carries news makes a new one, so that the reader thread can merge while other threads read, without
a lock. Pure: no sockets, no threads, no clock.
"""

from collections.abc import Callable
from typing import Any

from dataclasses_json import DataClassJsonMixin

from ..codec import compile_fields, decode_number, loads, wire_fields
from ..models import WsInstrumentRate
from .instrument import UNKNOWN, Instrument
from .message_parser import BAD_VALUE
from .shapes import Shape

__all__ = ["Report", "make_rate", "merge", "merge_usual"]

#: Called with the wire name of each field that cannot be decoded, and the error.
Report = Callable[[str, Exception], None]

_decode = compile_fields(WsInstrumentRate)
_FIELDS = wire_fields(WsInstrumentRate)
#: The fields that say whether an instrument is traded now.
_FLAGS = ("is_market_open", "is_instrument_active")

#: The names of the closing prices on the wire, in the order of a rate's.
_CLOSES = ("Daily", "Weekly", "Monthly")

_new = object.__new__
# The class is frozen. This does what object.__setattr__(rate, "__dict__", ...) does, but faster.
_set_fields = vars(DataClassJsonMixin)["__dict__"].__set__


def merge(
    instrument: Instrument,
    content: dict[str, Any],
    generation: int,
    received_at: float,
    report: Report,
) -> bool | None:
    """Merge one message into the state of its instrument.

    :param content: the parsed content, by wire name.
    :param generation: the number of the connection on which it came.
    :param received_at: when it was received, in seconds since the epoch.
    :param report: called for each field that cannot be decoded.
    :returns: whether it carried a price; None for a heartbeat, which changes nothing.
    """
    if len(content) == 2 and "Date" in content and "PriceRateID" in content:
        return None
    news, bad = _decode_news(content, report)
    priced = "ask" in news or "bid" in news or "last_execution" in news
    if not priced:
        # They belong to no price, and must not replace those of the last price.
        news.pop("date", None)
        news.pop("price_rate_id", None)
        if not news:  # a heartbeat of another shape, or unknown fields only
            return None
    if "ClosingPrices" in content:
        closes = _closing_prices(content["ClosingPrices"])
        # Where this snapshot has none, those of an earlier one may be of another day.
        if closes or instrument.state["closes"]:
            news["closes"] = closes
    changed = tuple(news)
    flags = [news[name] for name in _FLAGS if name in news]
    if flags:
        # Only the flags of the last message count: the one that opens a market carries one flag,
        # while a snapshot before the opening has both as false.
        instrument.closed = False in flags
    if priced:
        _drop_bad_prices(news, report)
    last = news.get("last_execution")
    if last is not None and last <= 0 and "last_execution" not in bad:
        # eToro sends 0 when it has no fresh value; the previous value stays.
        del news["last_execution"]
    instrument.state = {
        **instrument.state,
        **news,
        "changed": changed,
        "instrument_id": instrument.id,
        "generation": generation,
        "received_at": received_at,
    }
    return priced


def merge_usual(
    instrument: Instrument, shape: Shape, content: dict[str, Any], received_at: float
) -> dict[str, Any]:
    """Do what :func:`merge` does, faster, for prices of a settled instrument.

    :param shape: the shape of *content*; not a heartbeat's.
    :param content: parsed from a text without underscores, because ``float()`` reads 1_0 as ten.
    :returns: the new state.
    :raises ValueError: when a value is unusual; nothing has changed then.
    :raises TypeError: likewise.
    """
    before = instrument.state
    state = before.copy()
    total = 0.0
    for name, wire in shape.numbers:
        text = content[wire]
        if type(text) is not str:
            raise TypeError(wire)
        state[name] = number = float(text)
        total += number
    date, price_rate_id = content["Date"], content["PriceRateID"]
    # The total is finite only if each number is.
    if total - total != 0.0 or type(date) is not str or type(price_rate_id) is not str:
        raise ValueError("not finite, or no text")
    if state["ask"] <= 0.0 or state["bid"] <= 0.0:
        raise ValueError("no price")
    if shape.has_last and state["last_execution"] <= 0:
        state["last_execution"] = before["last_execution"]  # as in merge()
    state["date"] = date
    state["price_rate_id"] = int(price_rate_id)
    state["changed"] = shape.changed
    state["received_at"] = received_at
    instrument.state = instrument.visible = state
    return state


def _closing_prices(sent: Any) -> tuple[float | None, ...]:
    """Return the closing prices of day, week and month that a snapshot carries; empty: none.

    They are JSON in a string, or JSON, or the name of a .NET type by a mistake of the server
    (protocol fact sheet, section 4). One that is absent, or no number, costs none of the others.
    """
    try:
        prices = loads(sent) if isinstance(sent, str) else sent
    except BAD_VALUE:
        return ()
    found: list[float | None] = []
    for wire in _CLOSES:
        try:
            price = decode_number(prices[wire])
        except BAD_VALUE:
            price = 0.0
        found.append(price if price > 0 else None)
    return tuple(found) if any(found) else ()


def _decode_news(content: dict[str, Any], report: Report) -> tuple[dict[str, Any], list[str]]:
    """Return the decoded fields of *content*, and the names of those that cannot be decoded.

    These become unknown: their previous value must not look like a new one.
    """
    bad: list[str] = []
    try:
        return _decode(content), bad
    except BAD_VALUE:
        pass
    news: dict[str, Any] = {}
    for wire, value in content.items():
        try:
            news.update(_decode({wire: value}))
        except BAD_VALUE as exc:
            report(wire, exc)
            name = _FIELDS[wire].name
            bad.append(name)
            news[name] = UNKNOWN[name]
    return news, bad


def _drop_bad_prices(news: dict[str, Any], report: Report) -> None:
    """Make a side unknown if it is not above zero: a price of 0 would trigger every stop."""
    for name, wire in (("ask", "Ask"), ("bid", "Bid")):
        price = news.get(name)
        if price is not None and price <= 0:
            report(wire, ValueError(f"{price!r} is not a price"))
            news[name] = None


def make_rate(state: dict[str, Any]) -> WsInstrumentRate:
    """Return a rate with a copy of *state*, so that a user who changes it changes no other rate."""
    rate = _new(WsInstrumentRate)
    _set_fields(rate, state.copy())
    return rate
