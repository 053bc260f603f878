"""Prices: the merged state of an instrument, and one market message as it was sent."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Optional, Tuple  # noqa: UP035  # dataclasses-json wants them

from dataclasses_json import config

from ..codec import decode_as_text
from .fields import WireModel, decimals, flag, integer, number, parse_date, text, wire

__all__ = ["WsInstrumentDelta", "WsInstrumentRate"]


@dataclass(frozen=True)
class WsInstrumentRate(WireModel):
    """The complete state of one instrument: every delta so far, merged.

    Prices are in the instrument's own currency, before conversion.

    :param ask: the price at which one buys.
    :param bid: the price at which one sells.
    :param last_execution: eToro's last execution price; 0.0 while none is known. It never leaves
        the spread and is no trade print.
    :param date: when eToro made the price, as sent: UTC, ISO format, 0 to 7 digits of fraction.
    :param price_rate_id: eToro's id of the price; it repeats and is not monotone.
    :param bid_discounted: the bid before the retail markup, where sent.
    :param ask_discounted: the ask before the retail markup, where sent.
    :param conversion_rate_ask: from the instrument's currency to US dollars, where sent.
    :param conversion_rate_bid: from the instrument's currency to US dollars, where sent.
    :param is_instrument_active: whether the instrument can be traded now, where sent.
    :param is_market_open: whether its market is open, where sent.
    :param is_exchange_open: whether its exchange is open, where sent; independent of the former.
    :param allow_buy: where sent.
    :param allow_sell: where sent.
    :param availability_reason: 2 was seen with open instruments, 4 and 6 with closed ones.
    :param changed: names of the fields that the last message carried.
    :param generation: the number of the connection that brought the last message; each that the
        client has opened counts, from 1.
    :param received_at: when it was received: seconds since the epoch, UTC, by the local clock.
    """

    ask: float = number("Ask")
    bid: float = number("Bid")
    last_execution: float = number("LastExecution", 0.0)
    date: str = text("Date", "")
    price_rate_id: int = integer("PriceRateID", 0)
    bid_discounted: Optional[float] = number("BidDiscounted", None)
    ask_discounted: Optional[float] = number("AskDiscounted", None)
    conversion_rate_ask: Optional[float] = number("ConversionRateAsk", None)
    conversion_rate_bid: Optional[float] = number("ConversionRateBid", None)
    is_instrument_active: Optional[bool] = flag("IsInstrumentActive")
    is_market_open: Optional[bool] = flag("IsMarketOpen")
    is_exchange_open: Optional[bool] = flag("IsExchangeOpen")
    allow_buy: Optional[bool] = flag("AllowBuy")
    allow_sell: Optional[bool] = flag("AllowSell")
    availability_reason: Optional[int] = integer("AvailabilityReason", None)
    changed: Tuple[str, ...] = field(default=(), metadata=config(decoder=tuple))
    generation: int = 0
    received_at: float = 0.0

    @property
    def mid(self) -> float:
        """The middle between bid and ask, in their currency, to one decimal more than they have."""
        return round((self.ask + self.bid) / 2, max(decimals(self.ask), decimals(self.bid)) + 1)

    @property
    def spread(self) -> float:
        """Ask minus bid, in their currency, to as many decimals as they have."""
        # The difference of two binary fractions has an error: 24.80000000000291 for 24.8.
        return round(self.ask - self.bid, max(decimals(self.ask), decimals(self.bid)))

    @property
    def timestamp(self) -> Optional[datetime]:
        """:attr:`date` as an aware datetime in UTC; None when the feed sent none."""
        return parse_date(self.date)


@dataclass(frozen=True)
class WsInstrumentDelta(WireModel):
    """One market message as it was sent; a field that it does not carry is None.

    A heartbeat carries only :attr:`date` and :attr:`price_rate_id`. ``last_execution`` may be 0,
    which means "no valid value". Field meanings are those of :class:`WsInstrumentRate`; those
    that only stand here are undocumented or deprecated by eToro.

    :param type: the message's type on the wire, such as ``"Snapshot"``.
    :param generation: the number of the connection that brought it; each that the client has opened
        counts, from 1.
    :param received_at: seconds since the epoch, UTC, by the local clock.
    """

    ask: Optional[float] = number("Ask", None)
    bid: Optional[float] = number("Bid", None)
    last_execution: Optional[float] = number("LastExecution", None)
    date: Optional[str] = text("Date", None)
    price_rate_id: Optional[int] = integer("PriceRateID", None)
    bid_discounted: Optional[float] = number("BidDiscounted", None)
    ask_discounted: Optional[float] = number("AskDiscounted", None)
    conversion_rate_ask: Optional[float] = number("ConversionRateAsk", None)
    conversion_rate_bid: Optional[float] = number("ConversionRateBid", None)
    is_instrument_active: Optional[bool] = flag("IsInstrumentActive")
    is_market_open: Optional[bool] = flag("IsMarketOpen")
    is_exchange_open: Optional[bool] = flag("IsExchangeOpen")
    allow_buy: Optional[bool] = flag("AllowBuy")
    allow_sell: Optional[bool] = flag("AllowSell")
    availability_reason: Optional[int] = integer("AvailabilityReason", None)
    new_unit_margin: Optional[float] = number("NewUnitMargin", None)
    unit_margin_ask: Optional[float] = number("UnitMarginAsk", None)
    unit_margin_bid: Optional[float] = number("UnitMarginBid", None)
    unit_margin_ask_discounted: Optional[float] = number("UnitMarginAskDiscounted", None)
    unit_margin_bid_discounted: Optional[float] = number("UnitMarginBidDiscounted", None)
    official_closing_price: Optional[float] = number("OfficialClosingPrice", None)
    is_official_closing_price: Optional[bool] = flag("IsOfficialClosingPrice")
    max_position_units: Optional[float] = number("MaxPositionUnits", None)
    delayed_ask: Optional[float] = number("DelayedAsk", None)
    delayed_bid: Optional[float] = number("DelayedBid", None)
    cfd_markup_ask: Optional[float] = number("CfdMarkupAsk", None)
    cfd_markup_bid: Optional[float] = number("CfdMarkupBid", None)
    real_markup_ask: Optional[float] = number("RealMarkupAsk", None)
    real_markup_bid: Optional[float] = number("RealMarkupBid", None)
    # JSON in a string, or the name of a .NET type by a mistake of the server: kept as sent.
    closing_prices: Optional[str] = wire("ClosingPrices", decode_as_text, None)
    type: str = ""
    generation: int = 0
    received_at: float = 0.0

    @property
    def is_heartbeat(self) -> bool:
        """Whether the message carries no price and no state: a sign of life only."""
        return not any(getattr(self, name) is not None for name in _STATE_FIELDS)

    @property
    def is_snapshot(self) -> bool:
        """Whether the message is the full state that follows a subscription."""
        return self.type == "Snapshot"

    @property
    def timestamp(self) -> Optional[datetime]:
        """:attr:`date` as an aware datetime in UTC; None when the message carries none."""
        return None if self.date is None else parse_date(self.date)


_NO_STATE = {"date", "price_rate_id", "type", "generation", "received_at"}
_STATE_FIELDS = tuple(f.name for f in fields(WsInstrumentDelta) if f.name not in _NO_STATE)
