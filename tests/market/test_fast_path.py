"""The short way through the feed does exactly what the plain one does, on the same bytes.

Each stream goes through two feeds: one cuts and takes it as the reader does, the other takes text
by text on the plain way. What both have emitted, counted and kept is compared, to the last field.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etoro_sync import EVENTS
from etoro_sync.codec import loads, loads_standard
from etoro_sync.delivery.dispatcher import Dispatcher
from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.publisher import Publisher
from etoro_sync.delivery.queues import ItemQueue
from etoro_sync.delivery.registry import Registry
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.market.merging import make_rate
from etoro_sync.market.rate_book import RateBook
from etoro_sync.stats import Counters
from etoro_sync.ws.transport.frames import FrameParser
from tests.support.amounts import amount
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.heavy

RATE = "Trading.Instrument.Rate"
STAMP = {"Date": "2026-04-20T17:24:50.3029106Z", "PriceRateID": "139453668086"}
FULL = {
    **{"Ask": "4809.15", "Bid": "4807.7", "LastExecution": "4808.31", **STAMP},
    **{"NewUnitMargin": "4807.7", "UnitMarginAsk": "4809.34", "UnitMarginBid": "4809.34"},
    **{"BidDiscounted": "4808.31", "AskDiscounted": "4808.54"},
}
BID = {"Bid": "4807.8", **STAMP, "UnitMarginBid": "4809.34", "BidDiscounted": "4808.32"}
LAST = {"LastExecution": "4808.4", **STAMP}
ACTIVE = {"IsInstrumentActive": "False", "AvailabilityReason": "4"}
USUAL = [FULL, BID, LAST, STAMP, {"Ask": "4809.2", **STAMP}]
#: News without a price, and a heartbeat with a field that nobody knows.
SHAPES = [*USUAL, {"BidDiscounted": "4808.3", **STAMP}, {"Foo": "1", **STAMP}]


class Side:
    """A feed whose events go to queues, and what can be seen of it."""

    def __init__(self, json_loads: Any) -> None:
        self.registry = Registry(EVENTS)
        self.counters = Counters()
        self.clock = FakeClock()
        self.book = RateBook()
        self.book.begin_generation([])
        self.book.expect_snapshots(["instrument:3"])
        dispatcher = Dispatcher("etoro-sync-test", self.registry, self.counters, 100)
        dispatcher.open(1, lambda error: None)
        self.feed = FeedHandler(
            self.book,
            self.registry,
            Publisher(self.registry, dispatcher, make_rate, 1),
            self.counters,
            str,
            json_loads,
            self.clock,
            lambda: 1_700_000_000.0,
        )
        self.queues: dict[str, ItemQueue] = {}
        # Not "message" and "instrument:delta": with these, everything goes the plain way.
        for event in ("instrument:rate", "private:event", "unknown", "error"):
            self.queues[event] = ItemQueue(
                event, make_buffer(event, 0, None), self.registry.remove_queue
            )
            self.registry.add_queue(self.queues[event], None)
        self.replies: list[Any] = []

    def take(self, reads: Iterable[bytes], plainly: bool) -> Side:
        """Take the stream read by read, as the reader thread does, or text by text."""
        parser = FrameParser(1 << 20)
        for data in reads:
            texts = parser.feed(data)
            self.clock.advance(1.0)
            self.feed.begin_read()
            if not plainly:
                self.feed.on_texts(texts, self.replies.append)
            for text in texts if plainly else ():
                reply = self.feed.on_text(text)
                if reply is not None:
                    self.replies.append(reply)
            self.feed.out.flush()
        return self

    def seen(self) -> dict[str, Any]:
        """Everything that the two ways must agree on."""
        events = {
            event: [_shown(queue.get_nowait()) for _ in range(queue.qsize())]
            for event, queue in self.queues.items()
        }
        counts = {name: getattr(self.counters, name) for name in Counters.__slots__}
        kept = {
            topic: (one.state, one.visible, one.settled, one.last_message_at, one.awaits_snapshot)
            for topic, one in self.book.by_topic.items()
        }
        latest = {key: one.visible for key, one in self.book.latest.items()}
        return {"counts": counts, "kept": kept, "latest": latest, "replies": self.replies, **events}


def _shown(item: Any) -> Any:
    """Values and their types: 1, 1.0 and True are equal, and not the same."""
    if isinstance(item, tuple):
        return tuple(map(_shown, item))
    return (
        repr(item)
        if isinstance(item, Exception)
        else (type(item), repr(vars(item)))
        if hasattr(item, "__dict__")
        else item
    )


def frame(text: str) -> bytes:
    """A server's text frame."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes([0x81, size]) + payload
    return b"\x81\x7e" + size.to_bytes(2, "big") + payload


def text_of(topic: Any, content: Any, type_: Any = RATE) -> str:
    """An envelope with one message; a content that is no text becomes JSON."""
    inner = content if isinstance(content, str) else json.dumps(content)
    message = {"topic": topic, "content": inner, "id": "1", "type": type_}
    return json.dumps({"messages": [message]})


#: All usual shapes, for instruments that are settled after it: 3 still waits for its snapshot.
PRELUDE = b"".join(
    frame(text_of(f"instrument:{n}", content)) for n in (1, 2, 3) for content in SHAPES
)
prices = st.floats(1.0, 5000.0).map(lambda price: f"{price:.4f}")
ODD_TEXTS = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1_0",
    "",
    " 5 ",
    "-3",
    "0",
    "0.0",
    "x",
    "５",
    "1" * 5000,
]
ODD_VALUES = [*ODD_TEXTS, None, True, False, 5, -2, 5.5, [], ["1"], {}, {"a": "1"}]
odd_values = st.sampled_from(ODD_VALUES)


@st.composite
def contents(draw: st.DrawFn) -> Any:
    """A usual shape with new values; often with an odd one, now and then in another form."""
    content = {
        wire: draw(prices) if value[0] == "4" else value
        for wire, value in draw(st.sampled_from(SHAPES)).items()
    }
    content["Date"] = f"2026-04-20T17:24:{draw(st.integers(10, 59))}Z"
    content["PriceRateID"] = str(draw(st.integers(1, 10**12)))
    if draw(st.booleans()):
        content[draw(st.sampled_from(list(content)))] = draw(odd_values)
    form = draw(st.integers(0, 9))
    if form == 0:
        content[draw(st.sampled_from(["IsMarketOpen", "ask", "Foo", "a_b"]))] = draw(odd_values)
    elif form == 1:
        content = dict(draw(st.permutations(list(content.items()))))
    elif form == 2:
        return list(content)
    elif form == 3:
        return {wire: content[wire] for wire in draw(st.permutations(list(content)))[:3]}
    return content


topics = st.sampled_from(["instrument:1", "instrument:1", "instrument:2", "instrument:3"])
types = st.sampled_from([RATE, RATE, RATE, "Snapshot", "Trading.Instrument.Active", "New", 5, None])
messages = st.builds(text_of, topics, contents(), types)
strange = st.sampled_from(
    [
        text_of("instrument:1", FULL)[:-1],
        text_of("instrument:1", "[" * 2000),
        text_of("instrument:1", "5"),
        text_of("instrument:1", '"Date"'),
        text_of("private", {"OrderID": 5}),
        text_of(["instrument:1"], FULL),
        text_of("candles:1", FULL),
        json.dumps({"messages": [json.loads(text_of("instrument:1", FULL))["messages"][0]] * 2}),
        json.dumps({"messages": {"topic": 1}}),
        json.dumps({"messages": "x"}),
        json.dumps({"messages": []}),
        json.dumps({"messages": [5]}),
        json.dumps({"id": "1", "success": True, "operation": "Subscribe"}),
        "\x00" + text_of("instrument:1", FULL) + " ",
        "NaN",
        "",
        " ",
    ]
)
streams = st.lists(st.one_of(messages, messages, messages, strange), max_size=12)
BACKENDS = pytest.mark.parametrize("json_loads", [loads, loads_standard], ids=["orjson", "json"])


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Bad messages are logged, and here most are bad."""
    caplog.set_level(logging.CRITICAL, logger="etoro_sync")


def both(json_loads: Any, reads: list[bytes]) -> dict[str, Any]:
    """Let both ways take the same reads, and return what they have agreed on."""
    quick = Side(json_loads).take(reads, plainly=False).seen()
    assert quick == Side(json_loads).take(reads, plainly=True).seen()
    return quick


@pytest.mark.long_form
@BACKENDS
@settings(max_examples=amount(60, 150))
@given(texts=streams, seed=st.integers(0, 1000))
def test_both_ways_agree_on_any_stream_however_it_is_cut(
    json_loads: Any, texts: list[str], seed: int
) -> None:
    """Events, counters, states and replies are the same, value by value and type by type."""
    data = b"".join(map(frame, texts))
    cuts = sorted(random.Random(seed).choices(range(len(data) + 1), k=seed % 7))
    both(
        json_loads, [PRELUDE, *(data[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True))]
    )


@BACKENDS
@pytest.mark.parametrize("wire", FULL)
def test_both_ways_agree_on_any_odd_value_in_any_field(json_loads: Any, wire: str) -> None:
    """Each one between two usual messages, so that what it leaves behind shows."""
    for value in ODD_VALUES:
        odd = {**FULL, wire: value}
        texts = [text_of("instrument:1", content) for content in (odd, BID, FULL)]
        both(json_loads, [PRELUDE, b"".join(map(frame, texts))])


@BACKENDS
def test_both_ways_agree_at_every_boundary(json_loads: Any) -> None:
    """A stream of all shapes, cut in two at each of its bytes."""
    texts = [text_of("instrument:1", content) for content in [*USUAL, ACTIVE, BID]]
    data = b"".join(map(frame, texts))
    for cut in range(len(data) + 1):
        seen = both(json_loads, [data[:cut], data[cut:]])
        assert seen["counts"]["messages"] == len(texts)


@BACKENDS
def test_usual_messages_do_go_the_short_way(
    json_loads: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a shape is known and the instrument is settled, nothing asks for the plain way."""
    side = Side(json_loads).take([PRELUDE], plainly=False)
    texts = [text_of("instrument:1", content) for content in USUAL]
    data = b"".join(map(frame, texts))
    before = side.counters.messages

    def plain(*_: Any) -> None:
        raise AssertionError("the plain way was taken")

    monkeypatch.setattr(side.feed, "on_text", plain)
    side.take([data], plainly=False)
    assert side.counters.messages == before + len(USUAL)


def test_a_server_that_invents_shapes_does_not_fill_the_memory() -> None:
    """Beyond a bound they are taken plainly, and none is lost."""
    side = Side(loads)
    texts = [text_of("instrument:1", FULL)]
    texts += [text_of("instrument:1", {f"New{n}": "1", **FULL}) for n in range(1000)]
    side.take([frame(text) for text in texts], plainly=False)
    assert side.counters.rates == 1001
    assert len(side.feed._shapes) == 200
