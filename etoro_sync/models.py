"""What eToro sends and what users receive, as dataclasses with explicit wire names.

dataclasses-json's field metadata is the single definition of the wire format;
:mod:`etoro_sync.codec` compiles its decoders from it. Two facts about eToro's feed shape the
models (both from recorded frames): market values arrive as *strings* and a message carries only
what changed, so an absent field means "unchanged".

``Optional[...]`` is spelled out and annotations are not postponed, because dataclasses-json
evaluates postponed ones on every call.
"""

from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from typing import Any, Dict, List, Optional, Tuple, TypeVar, Union  # noqa: UP035  # see above

from dataclasses_json import DataClassJsonMixin, config

from .codec import (
    decode_bool,
    decode_code,
    decode_int,
    decode_int_list,
    decode_number,
    decode_text,
)

__all__ = [
    "OrderStatus",
    "OrderType",
    "WsAuthenticateOperation",
    "WsEnvelope",
    "WsGap",
    "WsInstrumentDelta",
    "WsInstrumentRate",
    "WsMessage",
    "WsPrivateEvent",
    "WsSubscribeOperation",
    "WsUnsubscribeOperation",
    "parse_date",
]

Code = TypeVar("Code", bound=IntEnum)


def _wire(name: str, decoder: Any, default: Any = MISSING) -> Any:
    """Return a field that is called *name* on the wire; required when it has no default."""
    return field(default=default, metadata=config(field_name=name, decoder=decoder))


def _number(name: str, default: Any = MISSING) -> Any:
    return _wire(name, decode_number, default)


def _int(name: str, default: Any = MISSING) -> Any:
    return _wire(name, decode_int, default)


def _text(name: str, default: Any = MISSING) -> Any:
    return _wire(name, decode_text, default)


def _flag(name: str) -> Any:
    return _wire(name, decode_bool, None)


def parse_date(text: str) -> Optional[datetime]:
    """Return the time that eToro wrote as *text*, in UTC, or None when it is not one.

    The feed trims trailing zeros, so a fraction has 0 to 7 digits; Python keeps 6 of them.

    :param text: such as ``"2025-04-01T08:36:02.8305456Z"``.
    """
    head, dot, fraction = text.removesuffix("Z").partition(".")
    if dot and not (fraction.isascii() and fraction.isdigit() and len(fraction) <= 9):
        return None
    try:
        moment = datetime.strptime(head, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        return None
    microseconds = int(fraction[:6].ljust(6, "0")) if dot else 0
    return moment.replace(tzinfo=timezone.utc) + timedelta(microseconds=microseconds)


# Envelopes -------------------------------------------------------------------------------------


@dataclass
class WsMessage(DataClassJsonMixin):
    """One message of an envelope, as received.

    :param topic: ``"instrument:<id>"`` or ``"private"``.
    :param content: JSON inside a string: it must be parsed a second time.
    :param id: a uuid, unique per message.
    :param type: such as ``"Trading.Instrument.Rate"`` or ``"Snapshot"``.
    """

    topic: str = _text("topic")
    content: str = _text("content")
    id: str = _text("id")
    type: str = _text("type")


def _messages(value: Any) -> List[WsMessage]:
    if type(value) is not list:
        raise TypeError(f"{value!r:.40} is not a list")
    return [WsMessage.from_dict(item) for item in value]


@dataclass
class WsEnvelope(DataClassJsonMixin):
    """One data frame of the feed.

    :param messages: every recorded frame held exactly one, but more are legal.
    """

    messages: List[WsMessage] = field(
        default_factory=list, metadata=config(field_name="messages", decoder=_messages)
    )


# Market data -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class WsInstrumentRate(DataClassJsonMixin):
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
    :param generation: which connection of the client brought the last message, counted from 1.
    :param received_at: when it was received: seconds since the epoch, UTC, by the local clock.
    """

    ask: float = _number("Ask")
    bid: float = _number("Bid")
    last_execution: float = _number("LastExecution", 0.0)
    date: str = _text("Date", "")
    price_rate_id: int = _int("PriceRateID", 0)
    bid_discounted: Optional[float] = _number("BidDiscounted", None)
    ask_discounted: Optional[float] = _number("AskDiscounted", None)
    conversion_rate_ask: Optional[float] = _number("ConversionRateAsk", None)
    conversion_rate_bid: Optional[float] = _number("ConversionRateBid", None)
    is_instrument_active: Optional[bool] = _flag("IsInstrumentActive")
    is_market_open: Optional[bool] = _flag("IsMarketOpen")
    is_exchange_open: Optional[bool] = _flag("IsExchangeOpen")
    allow_buy: Optional[bool] = _flag("AllowBuy")
    allow_sell: Optional[bool] = _flag("AllowSell")
    availability_reason: Optional[int] = _int("AvailabilityReason", None)
    changed: Tuple[str, ...] = field(default=(), metadata=config(decoder=tuple))
    generation: int = 0
    received_at: float = 0.0

    @property
    def mid(self) -> float:
        """The middle between bid and ask, in the price's currency."""
        return (self.ask + self.bid) / 2

    @property
    def spread(self) -> float:
        """Ask minus bid, in the price's currency."""
        return self.ask - self.bid

    @property
    def timestamp(self) -> Optional[datetime]:
        """:attr:`date` as an aware datetime in UTC; None when the feed sent none."""
        return parse_date(self.date)


@dataclass(frozen=True)
class WsInstrumentDelta(DataClassJsonMixin):
    """One market message as it was sent; a field that it does not carry is None.

    A heartbeat carries only :attr:`date` and :attr:`price_rate_id`. ``last_execution`` may be 0,
    which means "no valid value". Field meanings are those of :class:`WsInstrumentRate`; those
    that only stand here are undocumented or deprecated by eToro.

    :param type: the message's type on the wire, such as ``"Snapshot"``.
    :param generation: which connection of the client brought it, counted from 1.
    :param received_at: seconds since the epoch, UTC, by the local clock.
    """

    ask: Optional[float] = _number("Ask", None)
    bid: Optional[float] = _number("Bid", None)
    last_execution: Optional[float] = _number("LastExecution", None)
    date: Optional[str] = _text("Date", None)
    price_rate_id: Optional[int] = _int("PriceRateID", None)
    bid_discounted: Optional[float] = _number("BidDiscounted", None)
    ask_discounted: Optional[float] = _number("AskDiscounted", None)
    conversion_rate_ask: Optional[float] = _number("ConversionRateAsk", None)
    conversion_rate_bid: Optional[float] = _number("ConversionRateBid", None)
    is_instrument_active: Optional[bool] = _flag("IsInstrumentActive")
    is_market_open: Optional[bool] = _flag("IsMarketOpen")
    is_exchange_open: Optional[bool] = _flag("IsExchangeOpen")
    allow_buy: Optional[bool] = _flag("AllowBuy")
    allow_sell: Optional[bool] = _flag("AllowSell")
    availability_reason: Optional[int] = _int("AvailabilityReason", None)
    new_unit_margin: Optional[float] = _number("NewUnitMargin", None)
    unit_margin_ask: Optional[float] = _number("UnitMarginAsk", None)
    unit_margin_bid: Optional[float] = _number("UnitMarginBid", None)
    unit_margin_ask_discounted: Optional[float] = _number("UnitMarginAskDiscounted", None)
    unit_margin_bid_discounted: Optional[float] = _number("UnitMarginBidDiscounted", None)
    official_closing_price: Optional[float] = _number("OfficialClosingPrice", None)
    is_official_closing_price: Optional[bool] = _flag("IsOfficialClosingPrice")
    max_position_units: Optional[float] = _number("MaxPositionUnits", None)
    delayed_ask: Optional[float] = _number("DelayedAsk", None)
    delayed_bid: Optional[float] = _number("DelayedBid", None)
    cfd_markup_ask: Optional[float] = _number("CfdMarkupAsk", None)
    cfd_markup_bid: Optional[float] = _number("CfdMarkupBid", None)
    real_markup_ask: Optional[float] = _number("RealMarkupAsk", None)
    real_markup_bid: Optional[float] = _number("RealMarkupBid", None)
    # JSON in a string, or the name of a .NET type by a mistake of the server: kept as sent.
    closing_prices: Optional[str] = field(
        default=None, metadata=config(field_name="ClosingPrices", decoder=str)
    )
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


# Order events ----------------------------------------------------------------------------------


class OrderStatus(IntEnum):
    """Names of ``StatusID``, from eToro's REST portal (v1.375), the table that agrees with users'
    logs; two older public tables contradict it.
    """

    RECEIVED = 1
    PLACED = 2
    FILLED = 3
    REJECTED = 4
    PARTIALLY_FILLED = 5
    PENDING_CANCEL = 6
    CANCELED = 7
    EXPIRED = 8
    CANCELED_PARTIALLY_FILLED = 9
    REJECTED_PARTIALLY_FILLED = 10
    WAITING_FOR_MARKET = 11
    PENDING_TRIGGERED_RATE = 12


class OrderType(IntEnum):
    """Names of ``OrderType``, as seen in users' logs; there is no public list."""

    OPEN_BY_AMOUNT = 17
    CLOSE_POSITION = 19
    CLOSE_MULTIPLE = 20


def _known(enum: type[Code], value: Any) -> Optional[Code]:
    try:
        return enum(value)
    except ValueError:
        return None


@dataclass
class WsPrivateEvent(DataClassJsonMixin):
    """One event of the account: an order was placed, filled, refused, ...

    eToro documents one type, ``Trading.OrderForCloseMultiple.Update``; other types may lack any
    of its fields, so nothing here is required. Users treat these events as hints and confirm
    them by REST.

    :param order_id: eToro's id of the order.
    :param order_type: see :class:`OrderType`.
    :param status_id: see :class:`OrderStatus` and :attr:`status`.
    :param instrument_id: what is traded.
    :param cid: the account; it differs between demo and real.
    :param close_reason: a number on the wire; 0 is the only value ever seen.
    :param error_code: 0 is success; 720 was seen for a size below the minimum.
    :param status_id_variant: the second key of the same meaning, ``StatusId``.
    :param type: the message's type on the wire.
    :param extra: fields that are not known here, and known ones whose value has another type
        than documented, by wire name and as sent.
    :param generation: which connection of the client brought it, counted from 1.
    :param received_at: seconds since the epoch, UTC, by the local clock.
    """

    order_id: Optional[int] = _int("OrderID", None)
    order_type: Optional[int] = _int("OrderType", None)
    status_id: Optional[int] = _int("StatusID", None)
    instrument_id: Optional[int] = _int("InstrumentID", None)
    cid: Optional[int] = _int("CID", None)
    requested_units: float = _number("RequestedUnits", 0.0)
    executed_units: float = _number("ExecutedUnits", 0.0)
    net_profit: float = _number("NetProfit", 0.0)
    close_reason: Optional[Union[int, str]] = _wire("CloseReason", decode_code, None)
    open_date_time: str = _text("OpenDateTime", "")
    request_occurred: str = _text("RequestOccurred", "")
    error_code: Optional[int] = _int("ErrorCode", None)
    error_message: Optional[str] = _text("ErrorMessage", None)
    position_id: Optional[int] = _int("PositionID", None)
    rate: Optional[float] = _number("Rate", None)
    amount: Optional[float] = _number("Amount", None)
    is_buy: Optional[bool] = _flag("IsBuy")
    leverage: Optional[int] = _int("Leverage", None)
    units_to_deduct: Optional[float] = _number("UnitsToDeduct", None)
    end_rate: Optional[float] = _number("EndRate", None)
    pending_close_position_ids: Optional[List[int]] = _wire(
        "PendingClosePositionIDs", decode_int_list, None
    )
    is_in_mirror: Optional[bool] = _flag("IsInMirror")
    total_external_fees: Optional[float] = _number("TotalExternalFees", None)
    total_external_taxes: Optional[float] = _number("TotalExternalTaxes", None)
    lots_to_deduct: Optional[float] = _number("LotsToDeduct", None)
    requested_lots: Optional[float] = _number("RequestedLots", None)
    executed_lots: Optional[float] = _number("ExecutedLots", None)
    request_guid: Optional[str] = _text("RequestGuid", None)
    request_token: Optional[str] = _text("RequestToken", None)
    status_id_variant: Optional[int] = _int("StatusId", None)
    type: str = ""
    extra: Dict[str, Any] = field(default_factory=dict, metadata=config(decoder=dict))
    generation: int = 0
    received_at: float = 0.0

    @property
    def status(self) -> Optional[OrderStatus]:
        """:attr:`status_id` by name; None when it is absent or not in the table."""
        known = self.status_id if self.status_id is not None else self.status_id_variant
        return _known(OrderStatus, known)

    @property
    def order_type_name(self) -> Optional[OrderType]:
        """:attr:`order_type` by name; None when it is absent or not in the table."""
        return _known(OrderType, self.order_type)


# Connection ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WsGap(DataClassJsonMixin):
    """A hole in the stream that has ended: what was sent in between is gone.

    :param from_: when the last data before it was received, in seconds since the epoch, UTC.
    :param until: when the subscriptions were acknowledged again, likewise.
    :param generation: the number of the connection that follows the gap.
    :param topics: the topics that were restored, each with a snapshot to come.
    """

    from_: float = field(metadata=config(field_name="from"))
    until: float
    generation: int
    topics: Tuple[str, ...] = field(default=(), metadata=config(decoder=tuple))

    @property
    def seconds(self) -> float:
        """How long the gap lasted."""
        return self.until - self.from_


@dataclass
class WsAuthenticateOperation(DataClassJsonMixin):
    """The first request on a connection; its ``repr`` does not show the keys.

    :param id: a uuid that the answer repeats.
    :param data: ``apiKey`` and ``userKey``.
    """

    id: str
    operation: str = "Authenticate"
    data: Dict[str, str] = field(default_factory=dict, repr=False, metadata=config(decoder=dict))


@dataclass
class WsSubscribeOperation(DataClassJsonMixin):
    """A request for topics.

    :param id: a uuid that the acknowledgement repeats.
    :param data: ``topics`` and ``snapshot``.
    """

    id: str
    operation: str = "Subscribe"
    data: Dict[str, Any] = field(default_factory=dict, metadata=config(decoder=dict))


@dataclass
class WsUnsubscribeOperation(DataClassJsonMixin):
    """A request to end topics.

    :param id: a uuid that the acknowledgement repeats.
    :param data: ``topics``.
    """

    id: str
    operation: str = "Unsubscribe"
    data: Dict[str, Any] = field(default_factory=dict, metadata=config(decoder=dict))
