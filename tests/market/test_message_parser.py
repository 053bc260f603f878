"""eToro's recorded messages, byte for byte, and what a hostile server may put in their place."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etoro_sync import codec
from etoro_sync.errors import EToroValidationError
from etoro_sync.market.message_parser import (
    ParsedInstrumentDelta,
    ParsedInstrumentRate,
    ParsedMessage,
    ParsedPrivateEvent,
    decode_delta,
    decode_private_event,
    instrument_id_of,
    parse_content,
    parse_envelope,
    parse_messages,
)
from etoro_sync.models import OrderStatus, OrderType, WsInstrumentDelta, WsInstrumentRate, WsMessage

HEARTBEAT = (
    r'{"messages":[{"topic":"instrument:18","content":"{\"Date\":\"2026-03-16T23:11:51.2168235Z\",'
    r'\"PriceRateID\":\"135650796216\"}","id":"ebfab7bc-6579-4d0c-9979-8fbd844312b0",'
    r'"type":"Trading.Instrument.Rate"}]}'
)
ASK_SIDE = (
    r'{"messages":[{"topic":"instrument:18","content":"{\"Ask\":\"4809.34\",'
    r"\"Date\":\"2026-04-20T17:24:55.3632795Z\",\"UnitMarginAsk\":\"4809.34\","
    r"\"PriceRateID\":\"139453668908\",\"AskDiscounted\":\"4808.73\","
    r'\"UnitMarginAskDiscounted\":\"4808.73\"}","id":"a","type":"Trading.Instrument.Rate"}]}'
)
FULL = (
    r'{"messages":[{"topic":"instrument:18","content":"{\"Ask\":\"4809.15\",\"Bid\":\"4807.7\",'
    r"\"LastExecution\":\"4808.31\",\"Date\":\"2026-04-20T17:24:50.3029106Z\","
    r"\"NewUnitMargin\":\"4807.7\",\"PriceRateID\":\"139453668086\","
    r'\"BidDiscounted\":\"4808.31\",\"AskDiscounted\":\"4808.54\"}",'
    r'"id":"b","type":"Trading.Instrument.Rate"}]}'
)
OFFICIAL = (
    r'{"messages":[{"topic":"instrument:100000","content":"{\"Ask\":\"84917.73\",'
    r"\"Bid\":\"83232.21\",\"LastExecution\":\"84072.94\","
    r"\"Date\":\"2025-04-01T08:36:02.8305456Z\","
    r'\"PriceRateID\":\"106439224591\"}","id":"c","type":"Trading.Instrument.Rate"}]}'
)
ORDER = (
    r'{"messages":[{"topic":"private","content":"{\"OrderID\":981286176,\"OrderType\":20,'
    r"\"CID\":4219,\"StatusID\":11,\"StatusId\":11,\"InstrumentID\":1111,"
    r"\"UnitsToDeduct\":0.0,\"RequestGuid\":\"0c5c6ba1-0f0f-4a1e-8f1e-0a5a7b5d1b57\","
    r"\"RequestOccurred\":\"2025-04-01T08:55:53.6910145Z\",\"RequestToken\":\"opaque\","
    r"\"ErrorCode\":0,\"RequestedUnits\":13.859902,\"EndRate\":0.0,\"NetProfit\":0.0,"
    r"\"CloseReason\":0,\"PendingClosePositionIDs\":[2980225895],"
    r"\"OpenDateTime\":\"2025-04-01T08:55:53.6910145Z\",\"IsInMirror\":false,"
    r"\"TotalExternalFees\":0.5,\"TotalExternalTaxes\":0.25,\"LotsToDeduct\":0.0,"
    r'\"RequestedLots\":1.5,\"ExecutedLots\":0.0,\"ExecutedUnits\":0.0}","id":"d",'
    r'"type":"Trading.OrderForCloseMultiple.Update"}]}'
)


def one(text: str) -> ParsedMessage:
    """The only message of an envelope."""
    (message,) = parse_messages(parse_envelope(text))
    return message


def envelope(topic: str, content: Any, type_: str = "Trading.Instrument.Rate") -> str:
    """The text of an envelope; content that is no string becomes JSON."""
    text = content if isinstance(content, str) else json.dumps(content)
    return json.dumps({"messages": [{"topic": topic, "content": text, "id": "1", "type": type_}]})


def delta_of(content: Any, type_: str = "Trading.Instrument.Rate") -> WsInstrumentDelta:
    parsed = one(envelope("instrument:18", content, type_))
    assert parsed.type == "instrument:delta"
    assert isinstance(parsed.data, ParsedInstrumentDelta)
    assert parsed.data.instrument_id == 18
    return parsed.data.delta


# Recorded messages -------------------------------------------------------------------------------


def test_a_recorded_heartbeat_is_a_delta_without_state() -> None:
    """etoropy drops it; here it is distinguished from a price."""
    parsed = one(HEARTBEAT)
    assert parsed.type == "instrument:delta"
    assert isinstance(parsed.data, ParsedInstrumentDelta)
    assert parsed.data.delta == WsInstrumentDelta(
        date="2026-03-16T23:11:51.2168235Z",
        price_rate_id=135650796216,
        type="Trading.Instrument.Rate",
    )
    assert parsed.data.delta.is_heartbeat


def test_a_recorded_ask_side_is_a_delta() -> None:
    """Only what was sent is set."""
    parsed = one(ASK_SIDE)
    assert isinstance(parsed.data, ParsedInstrumentDelta)
    assert parsed.data.delta == WsInstrumentDelta(
        ask=4809.34,
        date="2026-04-20T17:24:55.3632795Z",
        price_rate_id=139453668908,
        ask_discounted=4808.73,
        unit_margin_ask=4809.34,
        unit_margin_ask_discounted=4808.73,
        type="Trading.Instrument.Rate",
    )


def test_a_recorded_full_message_is_a_rate() -> None:
    """Strings on the wire, numbers in the object."""
    parsed = one(FULL)
    assert parsed == ParsedMessage(
        "instrument:rate",
        ParsedInstrumentRate(
            18,
            WsInstrumentRate(
                ask=4809.15,
                bid=4807.7,
                last_execution=4808.31,
                date="2026-04-20T17:24:50.3029106Z",
                price_rate_id=139453668086,
                bid_discounted=4808.31,
                ask_discounted=4808.54,
            ),
        ),
    )


def test_the_official_rate_example_is_a_rate() -> None:
    """The five fields that etoropy knows have etoropy's values and types."""
    parsed = one(OFFICIAL)
    assert isinstance(parsed.data, ParsedInstrumentRate)
    rate = parsed.data.rate
    assert parsed.data.instrument_id == 100000
    five = (rate.ask, rate.bid, rate.last_execution, rate.date, rate.price_rate_id)
    assert five == (84917.73, 83232.21, 84072.94, "2025-04-01T08:36:02.8305456Z", 106439224591)
    assert [type(value) for value in five] == [float, float, float, str, int]


@pytest.mark.parametrize(
    "content",
    [
        {"Ask": 2, "Bid": 1},
        {"Ask": "2", "Bid": "1", "PriceRateID": 5},
        {"Ask": "2", "Bid": "1", "Foreign": [{}], "ask": 7, "generation": 7, "changed": "xyz"},
        {"Ask": "2", "Bid": "1", "LastExecution": None, "Date": None},
    ],
)
def test_absent_fields_of_a_rate_have_etoropys_defaults(content: dict[str, Any]) -> None:
    """Numbers are as good as strings; names that are not of the wire count for nothing."""
    parsed = one(envelope("instrument:5", content))
    assert isinstance(parsed.data, ParsedInstrumentRate)
    expected = WsInstrumentRate(2.0, 1.0, price_rate_id=content.get("PriceRateID", 0))
    assert parsed.data.rate == expected


def test_conversion_rates_alone_are_a_delta() -> None:
    """Neither a date nor an id is needed."""
    delta = delta_of({"ConversionRateAsk": "1.0", "ConversionRateBid": "1.0"})
    assert (delta.conversion_rate_ask, delta.conversion_rate_bid) == (1.0, 1.0)
    assert (delta.date, delta.price_rate_id) == (None, None)
    assert not delta.is_heartbeat


@pytest.mark.parametrize(
    ("content", "active", "reason"),
    [
        ('{"IsInstrumentActive":"False","AvailabilityReason":"4"}', False, 4),
        ('{"IsInstrumentActive":"True","AvailabilityReason":"2"}', True, 2),
        ('{"IsInstrumentActive":"False"}', False, None),
    ],
)
def test_recorded_active_messages_are_deltas(content: str, active: bool, reason: Any) -> None:
    """What says False is False, and not a string that counts as true."""
    delta = delta_of(content, "Trading.Instrument.Active")
    assert delta.is_instrument_active is active
    assert delta.availability_reason == reason
    assert delta.type == "Trading.Instrument.Active"


SNAPSHOT = {
    "InstrumentID": "18",
    "InstrumentId": "18",
    "Bid": "4807.7",
    "LastExecution": "4808.31",
    "Date": "2026-03-13T20:58:00Z",
    "PriceRateID": "135650796216",
    "ConversionRateAsk": "1",
    "ConversionRateBid": "1.0",
    "IsInstrumentActive": "True",
    "OfficialClosingPrice": "4788.7",
    "IsOfficialClosingPrice": "False",
    "IsMarketOpen": "false",
    "IsExchangeOpen": "false",
    "AllowBuy": "True",
    "AllowSell": "False",
    "MaxPositionUnits": "1000",
    "DelayedAsk": "0",
    "DelayedBid": "0",
    "AvailabilityReason": "2",
    "ClosingPrices": '{"Daily":4788.7,"Weekly":4700.1,"Monthly":4600}',
    "CfdMarkupAsk": "0.5",
    "CfdMarkupBid": "0.25",
    "RealMarkupAsk": "0.75",
    "RealMarkupBid": "1.25",
    "DailyClose": "4788.7",
}


def test_a_snapshot_has_its_types() -> None:
    """Every value of a snapshot is a string on the wire; none is one of "truth" afterwards."""
    delta = delta_of(SNAPSHOT, "Snapshot")
    assert delta.is_snapshot
    flags = (delta.is_instrument_active, delta.is_official_closing_price, delta.is_market_open)
    assert flags == (True, False, False)
    assert (delta.is_exchange_open, delta.allow_buy, delta.allow_sell) == (False, True, False)
    assert (delta.official_closing_price, delta.max_position_units) == (4788.7, 1000.0)
    assert (delta.delayed_ask, delta.delayed_bid, delta.availability_reason) == (0.0, 0.0, 2)
    assert (delta.cfd_markup_ask, delta.cfd_markup_bid) == (0.5, 0.25)
    assert (delta.real_markup_ask, delta.real_markup_bid) == (0.75, 1.25)
    assert delta.closing_prices == SNAPSHOT["ClosingPrices"]


def test_a_full_snapshot_is_a_rate() -> None:
    """With both sides the flags come along."""
    parsed = one(envelope("instrument:18", {**SNAPSHOT, "Ask": "4809.15"}, "Snapshot"))
    assert isinstance(parsed.data, ParsedInstrumentRate)
    assert parsed.data.rate.is_market_open is False
    assert parsed.data.rate.allow_buy is True


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{"Daily":4788.7}', '{"Daily":4788.7}'),
        (
            "System.Collections.Generic.Dictionary`2[System.String,System.Object]",
            "System.Collections.Generic.Dictionary`2[System.String,System.Object]",
        ),
        ({"Daily": 4788.7}, '{"Daily": 4788.7}'),
        ("", ""),
        (None, None),
    ],
)
def test_closing_prices_are_kept_as_sent(sent: Any, kept: str | None) -> None:
    """JSON in a string in a string, or the server's mistake: never an error."""
    assert delta_of({"ClosingPrices": sent}, "Snapshot").closing_prices == kept


def test_the_official_order_event_has_all_its_fields() -> None:
    """Numbers are numbers, and both spellings of the status are kept."""
    parsed = one(ORDER)
    assert parsed.type == "private:event"
    assert isinstance(parsed.data, ParsedPrivateEvent)
    event = parsed.data.event
    assert (event.order_id, event.order_type, event.cid) == (981286176, 20, 4219)
    assert (event.status_id, event.status_id_variant, event.instrument_id) == (11, 11, 1111)
    assert event.close_reason == 0
    assert type(event.close_reason) is int
    assert event.request_guid == "0c5c6ba1-0f0f-4a1e-8f1e-0a5a7b5d1b57"
    assert event.request_occurred == event.open_date_time == "2025-04-01T08:55:53.6910145Z"
    assert (event.request_token, event.error_code) == ("opaque", 0)
    assert (event.requested_units, event.executed_units) == (13.859902, 0.0)
    assert (event.end_rate, event.net_profit, event.units_to_deduct) == (0.0, 0.0, 0.0)
    assert event.pending_close_position_ids == [2980225895]
    assert event.is_in_mirror is False
    assert (event.total_external_fees, event.total_external_taxes) == (0.5, 0.25)
    assert (event.lots_to_deduct, event.requested_lots, event.executed_lots) == (0.0, 1.5, 0.0)
    assert event.position_id is None
    assert event.extra == {}
    assert event.type == "Trading.OrderForCloseMultiple.Update"
    assert event.status is OrderStatus.WAITING_FOR_MARKET
    assert event.order_type_name is OrderType.CLOSE_MULTIPLE


# Private events are never lost -------------------------------------------------------------------


@pytest.mark.parametrize("reason", [0, 7, "StopLoss", "²"])
def test_a_close_reason_is_a_number_or_a_word(reason: int | str) -> None:
    """etoropy loses the event because it wants a string."""
    event = decode_private_event({"CloseReason": reason}, "x")
    assert event.close_reason == reason
    assert event.extra == {}


def test_fields_of_strange_types_are_kept_beside_the_good_ones() -> None:
    """One bad field costs that field's place in the model, and nothing else."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    content = {
        "OrderID": 5,
        "StatusID": {"id": 3},
        "RequestedUnits": "NaN",
        "CID": None,
        "PositionID": 1.8446744073709552e19,
        "IsBuy": deep,
        "New": [1],
        "NewNull": None,
        "type": "not the message's",
    }
    event = decode_private_event(content, "T")
    assert (event.order_id, event.status_id, event.requested_units) == (5, None, 0.0)
    assert event.type == "T"
    assert set(event.extra) == {
        *("StatusID", "RequestedUnits", "PositionID", "IsBuy", "New", "NewNull", "type")
    }
    assert event.extra["IsBuy"] is deep


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
PRIVATE_NAMES = st.sampled_from(["OrderID", "CloseReason", "IsBuy", "RequestGuid", "extra", "New"])


@given(st.dictionaries(PRIVATE_NAMES, JSON))
def test_every_value_of_an_order_event_is_somewhere(content: dict[str, Any]) -> None:
    """A field is decoded, null, or in extra as sent; the parser never raises."""
    event = decode_private_event(content, "T")
    for wire, value in content.items():
        if wire in event.extra:
            assert event.extra[wire] is value
        else:
            assert wire in {"OrderID", "CloseReason", "IsBuy", "RequestGuid"}


def test_half_of_a_surrogate_pair_does_not_lose_an_order() -> None:
    """.NET may cut a message in the middle of a character; orjson refuses such JSON."""
    parsed = one(envelope("private", r'{"OrderID":5,"ErrorMessage":"cut \ud83d"}'))
    assert isinstance(parsed.data, ParsedPrivateEvent)
    assert parsed.data.event.order_id == 5
    assert parsed.data.event.error_message == "cut \ud83d"


# Topics and types --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("topic", "instrument_id"),
    [
        ("instrument:18", 18),
        ("instrument:999999999999999999", 999999999999999999),
        ("instrument:1000000000000000000", None),
        ("instrument:", None),
        ("instrument:0", None),
        ("instrument:018", None),
        ("instrument:-1", None),
        ("instrument:1.5", None),
        ("instrument: 18", None),
        ("instrument:١", None),
        ("instrument:18:x", None),
        ("Instrument:18", None),
        ("private", None),
        ("", None),
    ],
)
def test_an_instrument_has_one_topic(topic: str, instrument_id: int | None) -> None:
    """Two spellings of one id would be two states of one instrument."""
    assert instrument_id_of(topic) == instrument_id


@pytest.mark.parametrize(
    ("topic", "type_"),
    [
        ("instrument:18", "Trading.Instrument.Novelty"),
        ("instrument:x", "Trading.Instrument.Rate"),
        ("private:x", "x"),
        ("news", "x"),
    ],
)
def test_an_unknown_topic_or_type_is_passed_on_as_received(topic: str, type_: str) -> None:
    """Its content is not even looked at."""
    parsed = one(envelope(topic, "not JSON", type_))
    assert parsed == ParsedMessage("unknown", WsMessage(topic, "not JSON", "1", type_))


def test_all_messages_of_an_envelope_are_parsed_in_order() -> None:
    """Every recorded frame had one, but more are legal."""
    messages = [json.loads(text)["messages"][0] for text in (FULL, HEARTBEAT, ORDER)]
    parsed = parse_messages(parse_envelope(json.dumps({"messages": messages})))
    assert [m.type for m in parsed] == ["instrument:rate", "instrument:delta", "private:event"]


# Hostile input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "5",
        "null",
        '"x"',
        "NaN",
        '{"messages":5}',
        '{"messages":{}}',
        '{"messages":[null]}',
        '{"messages":[{}]}',
        '{"messages":["x"]}',
        "[" * 100000,
        '{"messages":[{"topic":null,"content":null,"id":null,"type":null}]}',
        '{"messages":[{"topic":5,"content":"","id":"","type":""}]}',
    ],
    ids=lambda text: text[:40],
)
def test_a_bad_envelope_is_one_kind_of_error(text: str) -> None:
    """Whatever comes, EToroValidationError, with the field's name and a short text."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(EToroValidationError, match="Bad envelope") as caught:
            parse_envelope(text)
    assert caught.value.field == "envelope"
    assert len(str(caught.value)) < 400
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("text", ["{}", '{"messages":null}', '{"messages":[]}', '{"success":true}'])
def test_an_envelope_without_messages_is_empty(text: str) -> None:
    """As in etoropy: a control message is no error here."""
    assert parse_messages(parse_envelope(text)) == []


@pytest.mark.parametrize("content", ["", "x", "[]", "null", "5", "[" * 100_000, "NaN"])
def test_bad_content_is_one_kind_of_error(content: str) -> None:
    """Content is JSON in a string, and an object."""
    with pytest.raises(EToroValidationError, match="Bad content") as caught:
        parse_content(content)
    assert caught.value.field == "content"
    for topic in ("instrument:1", "private"):
        with pytest.raises(EToroValidationError):
            one(envelope(topic, content))


@pytest.mark.parametrize("value", ["x", True, [], {}, "1e999", "[" * 900 + "]" * 900])
def test_a_bad_price_is_one_kind_of_error(value: Any) -> None:
    """A price that is not a number is never taken for one."""
    deep = json.loads(value) if isinstance(value, str) and value.startswith("[") else value
    with pytest.raises(EToroValidationError, match="Bad rate"):
        one(envelope("instrument:1", {"Ask": deep, "Bid": "1"}))
    with pytest.raises(EToroValidationError, match="Bad instrument message"):
        one(envelope("instrument:1", {"Ask": deep}))


def test_decode_delta_takes_only_names_of_the_wire() -> None:
    """The server cannot set our own fields."""
    content = {"type": 5, "generation": "x", "received_at": [], "ask": "1", "Bid": None}
    assert decode_delta(content, "T") == WsInstrumentDelta(type="T")


@settings(deadline=None)
@given(st.sampled_from(["instrument:1", "private", "x"]), JSON, st.booleans())
def test_any_json_in_any_place_is_data_or_one_kind_of_error(
    topic: str, value: Any, standard: bool
) -> None:
    """With either backend nothing else escapes the parser."""
    texts = [envelope(topic, {"Ask": value, "Date": value, "OrderID": value, "CID": value})]
    texts += [json.dumps(value), json.dumps({"messages": value}), json.dumps({"messages": [value]})]
    texts.append(
        json.dumps({"messages": [{"topic": topic, "content": value, "id": "", "type": ""}]})
    )
    with pytest.MonkeyPatch.context() as patch:
        if standard:
            patch.setattr(codec, "loads", codec.loads_standard)
        for text in texts:
            try:
                parsed = parse_messages(parse_envelope(text))
            except EToroValidationError:
                continue
            assert all(isinstance(message, ParsedMessage) for message in parsed)


@pytest.mark.parametrize("padding", ["\0", "\0\0 ", "\x1e", "\r\n"])
def test_an_envelope_may_have_padding_around_it(padding: str) -> None:
    """As the live client accepts it."""
    assert parse_envelope(padding + HEARTBEAT + padding) == parse_envelope(HEARTBEAT)


def test_an_envelope_may_lack_ids_and_types() -> None:
    """Its messages are typed by their looks, or unknown."""
    contents: list[Any] = [
        {"Ask": "2", "Bid": "1"},
        {"Bid": "1"},
        {"InstrumentID": "18", "Ask": "2", "Bid": "1"},
        {"Volume": "5"},
    ]
    messages = [{"topic": "instrument:18", "content": content} for content in contents]
    parsed = parse_messages(parse_envelope(json.dumps({"messages": messages})))
    assert [each.type for each in parsed] == [
        "instrument:rate",
        "instrument:delta",
        "instrument:rate",
        "unknown",
    ]
    delta, unknown = parsed[1].data, parsed[3].data
    assert isinstance(delta, ParsedInstrumentDelta)
    assert delta.delta.type == "Trading.Instrument.Rate"
    assert isinstance(unknown, WsMessage)
    assert json.loads(unknown.content) == contents[3]
