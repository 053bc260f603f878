"""eToro as the protocol fact sheet tells of it, on one thread: subscriptions, prices, answers.

It notes with each message what was true at its sending, so that whatever a client publishes can be
held against it. Each price has a number of its own, which it carries as its ``PriceRateID``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.support.clients import envelope

__all__ = ["INSTRUMENTS", "Frame", "Period", "Price", "Server"]

INSTRUMENTS = (1, 2, 3, 4, 5)


@dataclass(eq=False)
class Period:
    """From a topic's subscription to its end.

    :param asked: the request that began it asked for a snapshot.
    :param begun: when the server took it.
    """

    asked: bool
    begun: float
    asked_ever: bool = False  #: this or a later one did
    asked_again: bool = False  #: one did that may still be granted
    acknowledged: bool = False  #: the client has read it
    told_so: bool = False  #: a later request for a snapshot was refused
    snapshot: int | None = None  #: the number of the first one
    obliged: bool = False  #: from now on the client must publish each price


@dataclass(eq=False)
class Price:
    """What was true of an instrument when a message about it was sent."""

    number: int
    instrument: int
    ask: float
    bid: float
    last: float
    connection: int
    period: Period
    full: bool


@dataclass(eq=False)
class Frame:
    """A text on its way to the client, and what it means."""

    text: str
    price: Price | None = None
    order: int | None = None
    acknowledges: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()


class Server:
    """Answers requests one after the other, as the walk tells it to.

    :param strict: refuses topics that are subscribed already, with the whole frame.
    """

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.now = 0.0
        self.asked_at = 0.0
        self.connection = 0
        self.numbers = 0
        self.prices: dict[int, Price] = {}
        self.truth = {i: [10.0 + i, 9.0 + i, 9.5 + i] for i in INSTRUMENTS}
        self.old_replies: list[str] = []
        self.connect()

    def connect(self) -> None:
        """Begin a new connection, which knows nothing of the one before."""
        self.connection += 1
        self.subscribed: dict[str, Period] = {}
        self.inbox: list[dict[str, Any]] = []
        self.outbox: list[Frame] = []
        self.owed: list[str] = []  # snapshots that are late

    # -- data ----------------------------------------------------------------------------------

    def move(self, instrument: int, how: str, by: float) -> None:
        """Let something happen to an instrument, and tell of it those who have subscribed."""
        ask, bid, last = self.truth[instrument]
        fields: dict[str, str] = {}
        if how in ("ask", "full", "flags"):
            ask = max(ask + by, 1.0)
            fields["Ask"] = str(ask)
        if how in ("bid", "full"):
            bid = max(bid + by, 1.0)
            fields["Bid"] = str(bid)
        if how in ("last", "full"):
            last = max(last + by, 1.0)
            fields["LastExecution"] = str(last)
        if how == "no last":
            fields["LastExecution"] = "0"  # nothing fresh: the previous one stays
        if how == "flags":
            fields["IsMarketOpen"] = "True"
        self.truth[instrument] = [ask, bid, last]
        self._tell(instrument, fields, "Trading.Instrument.Rate")

    def _tell(self, instrument: int, fields: dict[str, str], kind: str) -> None:
        topic = f"instrument:{instrument}"
        period = self.subscribed.get(topic)
        if period is None:
            return
        self.numbers += 1
        fields |= {"Date": "2026-04-20T17:24:50.3Z", "PriceRateID": str(self.numbers)}
        price = None
        if len(fields) > 2:
            full = "Ask" in fields and "Bid" in fields
            ask, bid, last = self.truth[instrument]
            price = Price(self.numbers, instrument, ask, bid, last, self.connection, period, full)
            self.prices[self.numbers] = price
            if kind == "Snapshot" and period.snapshot is None:
                period.snapshot = self.numbers
        self.outbox.append(Frame(envelope(topic, fields, kind), price))

    def order(self) -> None:
        """Let something happen to an order."""
        if "private" in self.subscribed:
            self.numbers += 1
            content = {"OrderID": self.numbers, "StatusID": 3}
            text = envelope("private", content, "Trading.OrderForCloseMultiple.Update")
            self.outbox.append(Frame(text, order=self.numbers))

    def pay(self) -> None:
        """Send the snapshots that are late."""
        for topic in self.owed:
            self._snapshot(topic)
        self.owed = []

    def _snapshot(self, topic: str) -> None:
        if topic in self.subscribed and topic != "private":
            instrument = int(topic.partition(":")[2])
            ask, bid, last = map(str, self.truth[instrument])
            fields = {"Ask": ask, "Bid": bid, "LastExecution": last, "IsMarketOpen": "True"}
            self._tell(instrument, fields, "Snapshot")

    # -- requests ------------------------------------------------------------------------------

    def take(self, text: str) -> None:
        """Note a request; it waits for :meth:`answer`."""
        request = json.loads(text)
        self.asked_at = self.now
        self.inbox.append(request)
        if request["data"].get("snapshot"):
            for topic in request["data"]["topics"]:
                if topic in self.subscribed:
                    self.subscribed[topic].asked_again = True
                    self.subscribed[topic].asked_ever = True

    def answer(self, how: str) -> None:
        """Answer the oldest request: "ok", "data first", "twice", "later", "no snapshot", a code.

        A refusal changes nothing; only subscriptions and authentications are refused.
        """
        if not self.inbox:
            return
        self.pay()  # in order: what an earlier request asked for comes before the next reply
        request = self.inbox.pop(0)
        operation, topics = request["operation"], request["data"].get("topics", [])
        duplicates = [t for t in topics if t in self.subscribed and operation == "Subscribe"]
        if self.strict and duplicates:
            self._refuse(request, "TopicAlreadySubscribed")
        elif how[0].isupper() and operation != "Unsubscribe":
            self._refuse(request, how)
        elif operation == "Subscribe":
            self._subscribe(request, how)
        else:
            for topic in topics:
                self.subscribed.pop(topic, None)
            self._accept(request, how)

    def _subscribe(self, request: dict[str, Any], how: str) -> None:
        topics, asked = request["data"]["topics"], request["data"]["snapshot"]
        for topic in topics:
            self.subscribed.setdefault(topic, Period(asked, self.now, asked, asked))
        if how == "data first":
            for instrument in INSTRUMENTS:
                self.move(instrument, "ask", 1.0)
        else:
            self._accept(request, how)
        if asked and how == "later":
            self.owed += topics
        elif asked and how != "no snapshot":
            for topic in topics:
                self._snapshot(topic)
        if how == "data first":
            self._accept(request, how)

    def _accept(self, request: dict[str, Any], how: str) -> None:
        reply = {"id": request["id"], "success": True, "operation": request["operation"]}
        topics = request["data"].get("topics", ()) if reply["operation"] == "Subscribe" else ()
        self.old_replies.append(json.dumps(reply))
        for _ in range(2 if how == "twice" else 1):
            self.outbox.append(Frame(self.old_replies[-1], acknowledges=tuple(topics)))

    def _refuse(self, request: dict[str, Any], code: str) -> None:
        reply = {"id": request["id"], "success": False, "operation": request["operation"]}
        text = json.dumps({**reply, "errorCode": code, "errorMessage": code})
        topics = request["data"].get("topics", ())
        self.outbox.append(Frame(text, refuses=tuple(topics)))

    def noise(self, back: int) -> None:
        """Repeat an old reply, maybe one of an old connection; or send a keepalive."""
        old = self.old_replies[-1 - back :][:1] if back else ["\0"]
        self.outbox += [Frame(text) for text in old]
