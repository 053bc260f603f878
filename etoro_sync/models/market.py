"""Models of prices: the merged state of an instrument, and one market message as it was sent."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Optional, Tuple  # noqa: UP035  # dataclasses-json wants them

from dataclasses_json import config

from ..codec import decode_as_text
from .fields import ShownModel, decimals, flag, integer, number, parse_date, text, wire

__all__ = ["WsInstrumentDelta", "WsInstrumentRate", "middle"]


def middle(bid: float, ask: float) -> float:
    """Return the middle between two prices, with one decimal more than theirs."""
    return round((ask + bid) / 2, max(decimals(ask), decimals(bid)) + 1)


@dataclass(frozen=True)
class WsInstrumentRate(ShownModel):
    """The complete state of one instrument: all messages of this connection so far, merged.

    Prices are in the instrument's own currency. Fields that eToro does not send for every
    instrument are None until it does. ``docs/prices.md`` has what recordings show of flags.

    :param ask: the price at which you buy.
    :param bid: the price at which you sell.
    :param last_execution: eToro's last execution price; 0.0 until one is known. It always lies
        within the spread, so it is not the price of a trade on an exchange.
    :param date: when eToro made the price, as sent: UTC, ISO format, with 0 to 7 digits of
        fraction; see :attr:`timestamp`.
    :param price_rate_id: eToro's id of the price. Ids repeat, and do not always rise.
    :param bid_discounted: the bid before eToro's markup for retail customers.
    :param ask_discounted: the ask before eToro's markup for retail customers.
    :param conversion_rate_ask: ask of the rate from the instrument's currency to US dollars.
    :param conversion_rate_bid: bid of the rate from the instrument's currency to US dollars.
    :param is_instrument_active: whether the instrument can be traded now.
    :param is_market_open: whether its market is open. At a recorded opening it stayed False for a
        minute in which prices came already.
    :param is_exchange_open: False in every recording, also while the market was open.
    :param allow_buy: whether it may be bought; True in every recording, also of closed markets.
    :param allow_sell: whether it may be sold; likewise.
    :param availability_reason: a code without public meaning; 2 was seen while an instrument was
        open, 4 and 6 while it was closed.
    :param changed: the Python names of the fields that the last message carried.
    :param generation: the number of the connection on which the last message came. The client
        counts every connection that it has opened, from 1.
    :param received_at: when the last message that changed anything was received (so not a mere
        heartbeat), by the local clock: seconds since the epoch, UTC.
    :param instrument_id: eToro's id of the instrument, from the message's topic.
    :param closes: the closing prices of the last day, week and month, in the instrument's currency;
        see :attr:`daily_close` and its siblings. They stand in snapshots only, so they are as old
        as the last one; empty if it had none.
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
    instrument_id: int = 0
    closes: Tuple[Optional[float], ...] = field(default=(), metadata=config(decoder=tuple))

    def __str__(self) -> str:
        """Return the instrument, both sides and the time: ``100000: bid 1.5 ask 1.6, 2026-...``."""
        when = f", {self.date}" if self.date else ""
        return f"{self.instrument_id}: bid {self.bid} ask {self.ask}{when}"

    @property
    def mid(self) -> float:
        """The middle between bid and ask, in their currency, with one decimal more than theirs."""
        return middle(self.bid, self.ask)

    @property
    def spread(self) -> float:
        """Ask minus bid, in their currency, with as many decimals as theirs."""
        # Floats cannot represent most decimal fractions: without this, 24.80000000000291.
        return round(self.ask - self.bid, max(decimals(self.ask), decimals(self.bid)))

    @property
    def daily_close(self) -> Optional[float]:
        """The last day's closing price at the last snapshot, in the instrument's currency.

        None if that had none: in many, the server sends the name of a type instead.
        """
        return self.closes[0] if self.closes else None

    @property
    def weekly_close(self) -> Optional[float]:
        """The last week's closing price; like :attr:`daily_close`."""
        return self.closes[1] if self.closes else None

    @property
    def monthly_close(self) -> Optional[float]:
        """The last month's closing price; like :attr:`daily_close`."""
        return self.closes[2] if self.closes else None

    @property
    def change(self) -> Optional[float]:
        """The bid against :attr:`daily_close`, as a fraction: 0.01 is one percent more.

        The bid, since eToro's charts follow it. None while the close is not known.
        """
        close = self.daily_close
        return self.bid / close - 1.0 if close else None

    @property
    def timestamp(self) -> Optional[datetime]:
        """:attr:`date` as an aware datetime in UTC; None if eToro sent none."""
        return parse_date(self.date)


@dataclass(frozen=True)
class WsInstrumentDelta(ShownModel):
    """One market message as it was sent. Fields that it does not carry are None.

    A heartbeat carries only :attr:`date` and :attr:`price_rate_id`. A ``last_execution`` of 0 means
    that there is no valid one. The fields mean the same as in :class:`WsInstrumentRate`; eToro does
    not document the others, or has deprecated them.

    :param type: the message's type on the wire, such as ``"Snapshot"``.
    :param generation: the number of its connection; see :class:`WsInstrumentRate`.
    :param received_at: when it was received, by the local clock: seconds since the epoch, UTC.
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
    # As sent: JSON in a string or, because of a bug of the server, the name of a .NET type.
    closing_prices: Optional[str] = wire("ClosingPrices", decode_as_text, None)
    type: str = ""
    generation: int = 0
    received_at: float = 0.0

    @property
    def is_heartbeat(self) -> bool:
        """Whether the message carries no price and no state, but shows that the feed is alive."""
        return not any(getattr(self, name) is not None for name in _STATE_FIELDS)

    @property
    def is_snapshot(self) -> bool:
        """Whether the message is the full state, which eToro sends after a subscription."""
        return self.type == "Snapshot"

    @property
    def timestamp(self) -> Optional[datetime]:
        """:attr:`date` as an aware datetime in UTC; None if the message carries none."""
        return None if self.date is None else parse_date(self.date)


_NO_STATE = {"date", "price_rate_id", "type", "generation", "received_at"}
_STATE_FIELDS = tuple(f.name for f in fields(WsInstrumentDelta) if f.name not in _NO_STATE)
