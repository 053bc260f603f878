"""What is publicly known of the service, as data: whatever else it sends is a deviation.

eToro documents little of it. The rest is known from frames that users have recorded and from runs
that they have measured. What the models know comes from them, so that it stands in one place.
"""

from ..codec import wire_fields
from ..models import OrderStatus, OrderType, WsInstrumentDelta
from ..ws.protocol.replies import KNOWN_CODES

__all__ = [
    "CLOSES",
    "CLOSE_CODES",
    "CODES",
    "ENVELOPE_FIELDS",
    "ERROR_CODES",
    "MARKET_FIELDS",
    "MESSAGE_FIELDS",
    "OPERATIONS",
    "PRIVATE_FIELDS",
    "PRIVATE_TYPES",
    "REPLY_FIELDS",
    "SNAPSHOT_FIELDS",
    "WITHOUT_CLOSES",
    "WITHOUT_ID",
    "json_type",
]

#: Error codes that a public source names, or has received.
ERROR_CODES = KNOWN_CODES
#: Those of answers that have no id, since no request is meant.
WITHOUT_ID = frozenset(["BinaryMessagesNotSupported"])
#: Close codes of the server that were reported: 1000, once, after 265 s. Usually a connection ends
#: without a close frame.
CLOSE_CODES = frozenset([1000])

#: Field of a frame -> its JSON types.
ENVELOPE_FIELDS = {"messages": {"array"}}
MESSAGE_FIELDS = {"topic": {"string"}, "content": {"string"}, "id": {"string"}, "type": {"string"}}
OPERATIONS = frozenset(["Authenticate", "Subscribe", "Unsubscribe"])
REPLY_FIELDS = {
    "id": {"string"},
    "operation": {"string"},
    "success": {"boolean"},
    "errorCode": {"string"},
    "errorMessage": {"string"},
}

#: Fields of snapshots: those of the model, and those that only name the instrument or repeat a
#: close. Each value is a JSON string.
SNAPSHOT_FIELDS = frozenset(
    [*wire_fields(WsInstrumentDelta), "InstrumentID", "InstrumentId", "DailyClose"]
)
#: What a snapshot's ``ClosingPrices`` holds, as JSON in a string; some have a mistake of the server
#: instead, which begins like this.
CLOSES = frozenset(["Daily", "Weekly", "Monthly"])
WITHOUT_CLOSES = "System.Collections.Generic.Dictionary"
_SIDES = ("Bid", "Ask", "BidDiscounted", "AskDiscounted")
#: Type -> its fields. A rate has few, and takes flags only within a minute after an opening.
MARKET_FIELDS = {
    "Snapshot": SNAPSHOT_FIELDS,
    "Trading.Instrument.Rate": frozenset(
        [
            *("Date", "PriceRateID", "LastExecution", "NewUnitMargin", *_SIDES),
            *(f"UnitMargin{side}" for side in _SIDES),
            *("ConversionRateAsk", "ConversionRateBid", "IsInstrumentActive", "IsMarketOpen"),
        ]
    ),
    "Trading.Instrument.Active": frozenset(["IsInstrumentActive", "AvailabilityReason"]),
}

#: The only type of order events that is documented. Other programs name more, but nobody has shown
#: one, so each is worth a line in a report.
PRIVATE_TYPES = frozenset(["Trading.OrderForCloseMultiple.Update"])
_INTEGER, _NUMBER, _TEXT = {"integer"}, {"integer", "number"}, {"string"}
#: Field of eToro's example of that type -> its JSON types there.
PRIVATE_FIELDS = {
    **dict.fromkeys(["OrderID", "OrderType", "StatusID", "StatusId", "InstrumentID"], _INTEGER),
    **dict.fromkeys(["CID", "CloseReason", "ErrorCode"], _INTEGER),
    **dict.fromkeys(["RequestedUnits", "ExecutedUnits", "UnitsToDeduct", "NetProfit"], _NUMBER),
    **dict.fromkeys(["EndRate", "TotalExternalFees", "TotalExternalTaxes"], _NUMBER),
    **dict.fromkeys(["LotsToDeduct", "RequestedLots", "ExecutedLots"], _NUMBER),
    **dict.fromkeys(["OpenDateTime", "RequestOccurred", "RequestGuid", "RequestToken"], _TEXT),
    "PendingClosePositionIDs": {"array"},
    "IsInMirror": {"boolean"},
}
#: Field whose values are codes -> those that were seen, or have a name. A code tells nothing about
#: an account, so others are reported with their value.
CODES: dict[str, frozenset[int]] = {
    "StatusID": frozenset(map(int, OrderStatus)),
    "StatusId": frozenset(map(int, OrderStatus)),
    "OrderType": frozenset(map(int, OrderType)),
    "CloseReason": frozenset([0]),
    "ErrorCode": frozenset([0, 720]),
    "AvailabilityReason": frozenset([2, 4, 6]),
}


def json_type(value: object) -> str:
    """Return the JSON type of a parsed value; ``"integer"`` is a number without a fraction."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)
