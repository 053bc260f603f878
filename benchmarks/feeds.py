"""What the feed server sends: mixes of message shapes as recorded from eToro, with text values.

A message has the fields, the escaping and so the size of a recorded one: a full message is about
500 bytes long, a heartbeat 206 to 210, a snapshot about 1 KB.
"""

import json
import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import wire

__all__ = [
    "FIRST_INSTRUMENT",
    "MARKER_END",
    "MARKER_START",
    "MIXES",
    "Block",
    "Scenario",
    "build",
    "marker",
    "order",
    "snapshot",
]

#: Shape -> share in per cent.
MIXES = {
    # All 11,855 instruments of eToro, 10.95 million messages.
    "universe": {"full": 15, "heartbeat": 59, "bid": 13, "ask": 11, "last": 2},
    # One liquid instrument, 4,274 messages.
    "liquid": {"full": 70, "heartbeat": 21.5, "bid": 4.5, "ask": 3.5, "last": 0.5},
    "full": {"full": 100},
}
FIRST_INSTRUMENT = 1001
#: Instruments whose messages tell a client that the measurement begins and ends.
MARKER_START = 9_000_001
MARKER_END = 9_000_002

_RATE = "Trading.Instrument.Rate"


@dataclass(frozen=True)
class Scenario:
    """What the server is to do with the next connection.

    :param act: ``"feed"``; ``"drop"``: feed, and drop the connection; ``"reset"``: drop the
        connection once, and feed the next one; ``"silent"``: answer nothing after the subscription.
    :param rate: messages per second; 0 is as fast as the client reads.
    :param orders: per second, beside a feed that has a rate.
    """

    mix: str = "universe"
    messages: int = 100_000
    instruments: int = 1000
    rate: float = 0.0
    act: str = "feed"
    orders: float = 0.0


@dataclass(frozen=True)
class Block:
    """Frames that are sent one after the other, again and again.

    :param shapes: how many of each shape.
    """

    frames: list[bytes]
    shapes: Counter[str]

    @property
    def price_changes(self) -> int:
        """How many of its messages carry a price."""
        return len(self.frames) - self.shapes["heartbeat"]


class _Maker:
    """Makes messages with prices that move, as text."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._time = datetime(2026, 3, 16, 14, 30)

    def frame(self, shape: str, instrument_id: int) -> bytes:
        content = _SHAPES[shape](self)
        id_ = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        return wire.frame(envelope(instrument_id, content, id_))

    def _prices(self) -> tuple[str, str, str, str]:
        """Bid and ask as the trader sees them, and before the markup."""
        bid = 4000 + self._random.random() * 1000
        return f"{bid:.2f}", f"{bid + 1.45:.2f}", f"{bid + 0.61:.2f}", f"{bid + 0.84:.2f}"

    def _stamp(self) -> dict[str, str]:
        self._time += timedelta(microseconds=self._random.randrange(1000))
        date = f"{self._time:%Y-%m-%dT%H:%M:%S.%f}{self._random.randrange(1, 10)}Z"
        return {"Date": date, "PriceRateID": str(self._random.randrange(10**11, 10**12))}

    def full(self) -> dict[str, str]:
        bid, ask, low, high = self._prices()
        return {
            **{"Ask": ask, "Bid": bid, "LastExecution": low, **self._stamp()},
            **{"NewUnitMargin": bid, "UnitMarginAsk": ask, "UnitMarginBid": bid},
            **{"BidDiscounted": low, "AskDiscounted": high},
            **{"UnitMarginBidDiscounted": low, "UnitMarginAskDiscounted": high},
        }

    def heartbeat(self) -> dict[str, str]:
        return self._stamp()

    def bid(self) -> dict[str, str]:
        bid, _, low, _ = self._prices()
        return {
            **{"Bid": bid, **self._stamp(), "UnitMarginBid": bid, "BidDiscounted": low},
            **{"UnitMarginBidDiscounted": low, "NewUnitMargin": bid},
        }

    def ask(self) -> dict[str, str]:
        _, ask, _, high = self._prices()
        return {
            **{"Ask": ask, **self._stamp(), "UnitMarginAsk": ask, "AskDiscounted": high},
            **{"UnitMarginAskDiscounted": high},
        }

    def last(self) -> dict[str, str]:
        return {"LastExecution": self._prices()[2], **self._stamp()}


_SHAPES: dict[str, Callable[[_Maker], dict[str, str]]] = {
    "full": _Maker.full,
    "heartbeat": _Maker.heartbeat,
    "bid": _Maker.bid,
    "ask": _Maker.ask,
    "last": _Maker.last,
}


def envelope(instrument_id: int, content: dict[str, str], id_: str, type_: str = _RATE) -> bytes:
    """Return the text of one message as eToro writes it: JSON in a string in JSON."""
    text = json.dumps(content, separators=(",", ":"))
    message = {"topic": f"instrument:{instrument_id}", "content": text, "id": id_, "type": type_}
    return json.dumps({"messages": [message]}, separators=(",", ":")).encode()


def build(mix: str, count: int, instruments: int, seed: int = 1) -> Block:
    """Return *count* messages of *mix*, in random order, over all instruments in turn."""
    maker = _Maker(seed)
    shapes = list(_shapes(mix, count))
    random.Random(seed).shuffle(shapes)
    ids = list(range(FIRST_INSTRUMENT, FIRST_INSTRUMENT + instruments))
    random.Random(seed + 1).shuffle(ids)
    frames = [maker.frame(shape, ids[i % instruments]) for i, shape in enumerate(shapes)]
    return Block(frames, Counter(shapes))


def _shapes(mix: str, count: int) -> Iterator[str]:
    """Yield *count* shapes with the shares of *mix*; what rounding leaves is of the commonest."""
    shares = MIXES[mix]
    numbers = {shape: int(count * share / 100) for shape, share in shares.items()}
    commonest = max(shares, key=lambda shape: shares[shape])
    numbers[commonest] += count - sum(numbers.values())
    for shape, number in numbers.items():
        yield from [shape] * number


def marker(instrument_id: int, number: int = 0) -> bytes:
    """Return a full message of a marker instrument, with *number* in a field that is delivered."""
    content = {**_Maker(1).full(), "PriceRateID": f"{number:012d}"}
    return wire.frame(envelope(instrument_id, content, str(uuid.UUID(int=number))))


def order(number: int) -> bytes:
    """Return an order event with *number* as its id."""
    content = {"OrderID": number, "OrderType": 19, "StatusID": 1, "CloseReason": 0}
    message = {
        **{"topic": "private", "content": json.dumps(content, separators=(",", ":"))},
        **{"id": str(uuid.UUID(int=number)), "type": "Trading.OrderForCloseMultiple.Update"},
    }
    return wire.frame(json.dumps({"messages": [message]}, separators=(",", ":")).encode())


def snapshot(instrument_id: int) -> bytes:
    """Return the full state that follows a subscription."""
    conversion = {"ConversionRateAsk": "1.0", "ConversionRateBid": "1.0"}
    numbers = {"MaxPositionUnits": "100000", "DelayedAsk": "0", "DelayedBid": "0"}
    flags = ("IsInstrumentActive", "IsMarketOpen", "IsExchangeOpen", "AllowBuy", "AllowSell")
    content = {
        **{"InstrumentID": str(instrument_id), "InstrumentId": str(instrument_id)},
        **_Maker(instrument_id).full(),
        **conversion,
        **dict.fromkeys(flags, "True"),
        **numbers,
        **{"OfficialClosingPrice": "4788.7", "IsOfficialClosingPrice": "True"},
        **{
            "AvailabilityReason": "2",
            "ClosingPrices": '{"Daily":4788.7,"Weekly":4790.1,"Monthly":4801.3}',
        },
    }
    return wire.frame(envelope(instrument_id, content, str(uuid.UUID(int=1)), "Snapshot"))
