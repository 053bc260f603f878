"""Models of order events, and names for the codes in them."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, Dict, List, Optional, TypeVar, Union  # noqa: UP035  # dataclasses-json wants them

from dataclasses_json import config

from ..codec import decode_code, decode_int_list
from .fields import ShownModel, flag, integer, number, parse_date, text, wire

__all__ = ["OrderStatus", "OrderType", "WsPrivateEvent"]

Code = TypeVar("Code", bound=IntEnum)


class OrderStatus(IntEnum):
    """Names for ``StatusID``, from eToro's REST portal (v1.375).

    Two older public tables contradict this one, but users' logs agree with it.
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
    """Names for ``OrderType``, taken from users' logs, because there is no public list."""

    OPEN_BY_AMOUNT = 17
    CLOSE_POSITION = 19
    CLOSE_MULTIPLE = 20


def _known(enum: type[Code], value: Any) -> Optional[Code]:
    try:
        return enum(value)
    except ValueError:
        return None


@dataclass
class WsPrivateEvent(ShownModel):
    """One event of the account: an order was placed, filled, refused, ...

    eToro documents one type, ``Trading.OrderForCloseMultiple.Update``, by one example. Other types
    may lack any of its fields, so no field is required. What eToro did not send is None, except
    0.0 for :attr:`requested_units`, :attr:`executed_units` and :attr:`net_profit`, and ``""`` for
    dates; a 0 or 0.0 of other fields was sent. Confirm what matters by REST, as other users do.

    :param order_id: eToro's id of the order.
    :param order_type: a code; :attr:`order_type_name` has its name.
    :param status_id: a code; :attr:`status` has its name.
    :param instrument_id: the instrument that is traded.
    :param cid: the id of the account, which differs between demo and real.
    :param requested_units: units of the instrument that were ordered; 0.0 also if absent.
    :param executed_units: units that were bought or sold so far; 0.0 also if absent.
    :param net_profit: profit of what was closed, in the account's money; 0.0 also if absent.
    :param close_reason: a code, a number on the wire; only 0 was seen.
    :param open_date_time: when the order was opened, as sent: UTC, ISO format, with 0 to 7 digits
        of fraction. In eToro's example it equals :attr:`request_occurred`.
    :param request_occurred: when the order was requested, likewise; :attr:`timestamp` as a time.
    :param error_code: 0 is success; 720 was seen for a size below the minimum.
    :param error_message: why an order was refused. Not in eToro's example, as the next five: they
        are named by other clients, and nobody has shown a message that has them.
    :param position_id: the position that was opened or closed.
    :param rate: the price of the execution, in the instrument's currency.
    :param amount: the order's amount of money.
    :param is_buy: whether the position is long.
    :param leverage: 1 is none.
    :param units_to_deduct: units to close; 0.0 in eToro's example, which closes whole positions.
    :param end_rate: the price at which positions were closed, in the instrument's currency; 0.0
        while none was.
    :param pending_close_position_ids: the ids of the positions that are still to be closed.
    :param is_in_mirror: whether the position is part of a copied portfolio.
    :param total_external_fees: fees of others than eToro, in the account's money.
    :param total_external_taxes: taxes, likewise.
    :param lots_to_deduct: :attr:`units_to_deduct` in lots.
    :param requested_lots: :attr:`requested_units` in lots.
    :param executed_lots: :attr:`executed_units` in lots.
    :param request_guid: the id of the request that placed the order, by which you know the order
        before you know its :attr:`order_id`.
    :param request_token: the same as :attr:`request_guid` in eToro's example.
    :param status_id_variant: the value of a second key of the same meaning, ``StatusId``.
    :param type: the message's type on the wire.
    :param extra: by wire name, as sent: fields that are not known here, and known ones whose value
        could not be decoded. If nothing of the event could be parsed, ``extra["content"]`` is what
        eToro sent.
    :param generation: the number of its connection; see :class:`WsInstrumentRate`.
    :param received_at: when it was received, by the local clock: seconds since the epoch, UTC.
    :param message_id: eToro's id of the message, a uuid; ``""`` if it is missing.
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
    message_id: str = ""

    def __str__(self) -> str:
        """Return the order, its status and its units: ``order 7 FILLED, 2 of 2 units of 18``."""
        status = self.status if self.status is not None else f"status {self.status_id}"
        units = f"{self.executed_units:.15g} of {self.requested_units:.15g} units"
        return f"order {self.order_id} {status}, {units} of {self.instrument_id}"

    @property
    def timestamp(self) -> Optional[datetime]:
        """:attr:`request_occurred` as an aware datetime in UTC; None when eToro sent none."""
        return parse_date(self.request_occurred)

    @property
    def status(self) -> Optional[OrderStatus]:
        """The name of :attr:`status_id`; None if it is absent or unknown."""
        known = self.status_id if self.status_id is not None else self.status_id_variant
        return _known(OrderStatus, known)

    @property
    def order_type_name(self) -> Optional[OrderType]:
        """The name of :attr:`order_type`; None if it is absent or unknown."""
        return _known(OrderType, self.order_type)
