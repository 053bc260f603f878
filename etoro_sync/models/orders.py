"""Order events, and names for eToro's numbers."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Dict, List, Optional, TypeVar, Union  # noqa: UP035  # dataclasses-json wants them

from dataclasses_json import config

from ..codec import decode_code, decode_int_list
from .fields import WireModel, flag, integer, number, text, wire

__all__ = ["OrderStatus", "OrderType", "WsPrivateEvent"]

Code = TypeVar("Code", bound=IntEnum)


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

    def __str__(self) -> str:
        return self.name


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
class WsPrivateEvent(WireModel):
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
        than documented, by wire name and as sent. Of an event that could not be read at all,
        ``extra["content"]`` is what eToro sent.
    :param generation: the number of the connection that brought it; each that the client has opened
        counts, from 1.
    :param received_at: seconds since the epoch, UTC, by the local clock.
    """

    order_id: Optional[int] = integer("OrderID", None)
    order_type: Optional[int] = integer("OrderType", None)
    status_id: Optional[int] = integer("StatusID", None)
    instrument_id: Optional[int] = integer("InstrumentID", None)
    cid: Optional[int] = integer("CID", None)
    requested_units: float = number("RequestedUnits", 0.0)
    executed_units: float = number("ExecutedUnits", 0.0)
    net_profit: float = number("NetProfit", 0.0)
    close_reason: Optional[Union[int, str]] = wire("CloseReason", decode_code, None)
    open_date_time: str = text("OpenDateTime", "")
    request_occurred: str = text("RequestOccurred", "")
    error_code: Optional[int] = integer("ErrorCode", None)
    error_message: Optional[str] = text("ErrorMessage", None)
    position_id: Optional[int] = integer("PositionID", None)
    rate: Optional[float] = number("Rate", None)
    amount: Optional[float] = number("Amount", None)
    is_buy: Optional[bool] = flag("IsBuy")
    leverage: Optional[int] = integer("Leverage", None)
    units_to_deduct: Optional[float] = number("UnitsToDeduct", None)
    end_rate: Optional[float] = number("EndRate", None)
    pending_close_position_ids: Optional[List[int]] = wire(
        "PendingClosePositionIDs", decode_int_list, None
    )
    is_in_mirror: Optional[bool] = flag("IsInMirror")
    total_external_fees: Optional[float] = number("TotalExternalFees", None)
    total_external_taxes: Optional[float] = number("TotalExternalTaxes", None)
    lots_to_deduct: Optional[float] = number("LotsToDeduct", None)
    requested_lots: Optional[float] = number("RequestedLots", None)
    executed_lots: Optional[float] = number("ExecutedLots", None)
    request_guid: Optional[str] = text("RequestGuid", None)
    request_token: Optional[str] = text("RequestToken", None)
    status_id_variant: Optional[int] = integer("StatusId", None)
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
