"""Whatever nobody has reported of the service is listed once, with names and types."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from etoro_sync.doctor import Report
from etoro_sync.doctor.deviations import Deviations, Inspector, place_of
from etoro_sync.doctor.privacy import Scrubber
from etoro_sync.doctor.traffic import Traffic
from etoro_sync.redaction import Redactor
from etoro_sync.simulator import EToroSimulator
from tests.conftest import StartServer
from tests.doctor.tools import API_KEY, examined
from tests.support.clients import envelope
from tests.support.clocks import FakeClock
from tests.support.raw_server import BINARY, CLOSE, CONTINUATION, TEXT, Peer

RATE = "Trading.Instrument.Rate"
DATE = "2026-04-20T17:24:55.3632795Z"
#: The documented order event, without the account's values.
ORDER = {
    **dict.fromkeys(["OrderID", "CID", "InstrumentID", "CloseReason", "ErrorCode"], 0),
    **{"OrderType": 20, "StatusID": 11, "StatusId": 11, "IsInMirror": False},
    **{"RequestedUnits": 13.859902, "ExecutedUnits": 0.0, "NetProfit": 0.0, "EndRate": 0.0},
    **{"PendingClosePositionIDs": [1], "RequestGuid": "g", "RequestToken": "g"},
    **{"OpenDateTime": DATE, "RequestOccurred": DATE, "RequestedLots": 0.0},
}
ANSWER = {"id": "x", "success": True, "operation": "Subscribe"}
ORDER_TYPE = "Trading.OrderForCloseMultiple.Update"


@pytest.fixture
def deviations() -> Deviations:
    return Deviations(Scrubber(Redactor([API_KEY])), lambda: 12.34)


@pytest.fixture
def traffic(deviations: Deviations) -> Traffic:
    return Traffic(deviations)


def found(deviations: Deviations) -> list[tuple[str, str]]:
    return [(each.kind, each.what) for each in deviations.found]


@pytest.mark.parametrize(
    "text",
    [
        envelope("instrument:18", {"Date": DATE, "PriceRateID": "1"}),
        envelope("instrument:18", {"Ask": "4809.34", "Date": DATE, "PriceRateID": "1"}),
        envelope("instrument:18", {"ConversionRateAsk": "1.0", "ConversionRateBid": "1.0"}),
        envelope("instrument:18", {"IsInstrumentActive": "False"}, "Trading.Instrument.Active"),
        envelope("instrument:18", {"IsInstrumentActive": "true", "IsMarketOpen": "true"}),
        envelope(
            "instrument:18",
            {
                **{"InstrumentID": "18", "InstrumentId": "18", "Ask": "2", "Bid": "1"},
                **{"AvailabilityReason": "6", "IsExchangeOpen": "false", "DailyClose": "3"},
                "ClosingPrices": "System.Collections.Generic.Dictionary`2[System.String]",
            },
            "Snapshot",
        ),
        envelope("private", ORDER, ORDER_TYPE),
        '{"id": "x", "success": true, "operation": "Authenticate"}',
        '{"success": false, "errorCode": "BinaryMessagesNotSupported"}',
        '{"id": "x", "success": false, "operation": "Subscribe", "errorCode": "SubscribeFailed", '
        '"errorMessage": "Too many subscriptions for session"}',
    ],
)
def test_what_is_known_is_no_deviation(text: str, traffic: Traffic, deviations: Deviations) -> None:
    """Everything that users have recorded, and eToro's own example."""
    traffic.on_text(text)
    assert found(deviations) == []


@pytest.mark.parametrize(
    ("content", "kind", "what"),
    [
        ({"InstrumentID": "18"}, "unknown field", f"InstrumentID in {RATE} of instrument: string"),
        ({"Volume": "12"}, "unknown field", f"Volume in {RATE} of instrument: string"),
        ({"Ask": 12.5}, "type of a field", f"Ask in {RATE} of instrument: number, not string"),
        ({"Ask": None}, "type of a field", f"Ask in {RATE} of instrument: null, not string"),
        ({"Ask": "abc"}, "value of a field", f"Ask in {RATE} of instrument cannot be read"),
        ({"Date": "today"}, "value of a field", f"Date in {RATE} of instrument cannot be read"),
        (
            {"AvailabilityReason": "9"},
            "unknown code",
            f"AvailabilityReason 9 in {RATE} of instrument",
        ),
    ],
)
def test_fields_of_instruments(
    content: dict[str, Any], kind: str, what: str, traffic: Traffic, deviations: Deviations
) -> None:
    """Unknown ones, other types, and values that the client could not read."""
    traffic.on_text(envelope("instrument:18", {"Date": DATE, "PriceRateID": "1", **content}))
    assert (kind, what) in found(deviations)


def test_an_example_is_kept_of_market_data_only(traffic: Traffic, deviations: Deviations) -> None:
    """A value of an order event is of the account."""
    traffic.on_text(envelope("instrument:18", {"Volume": "1234567"}))
    traffic.on_text(envelope("private", {**ORDER, "Balance": "7654321"}, ORDER_TYPE))
    market, private = deviations.found
    assert market.example == "'1234567'"
    assert private.what == f"Balance in {ORDER_TYPE} of private: string"
    assert private.example == ""
    assert market.first == 12.3


@pytest.mark.parametrize("name", ["GCID", "UserName", "accountId", "E-Mail"])
def test_a_field_that_may_be_of_the_account_has_no_example(
    name: str, traffic: Traffic, deviations: Deviations
) -> None:
    """Wherever it stands: snapshots may be made for the user, as AllowBuy suggests."""
    traffic.on_text(envelope("instrument:18", {name: "77798765"}, "Snapshot"))
    (only,) = deviations.found
    assert (only.what, only.example) == (f"{name} in Snapshot of instrument: string", "")


@pytest.mark.parametrize(
    ("closes", "kind", "what"),
    [
        ('{"Daily":1,"Yearly":2}', "unknown field", "Yearly in ClosingPrices in Snapshot"),
        ("[1]", "value of a field", "ClosingPrices in Snapshot of instrument cannot be read"),
        ("none", "value of a field", "ClosingPrices in Snapshot of instrument cannot be read"),
    ],
)
def test_closing_prices_are_a_level_of_their_own(
    closes: str, kind: str, what: str, traffic: Traffic, deviations: Deviations
) -> None:
    """JSON in a string, in a string; its fields are known, too."""
    known = '{"Daily":4788.7,"Weekly":1,"Monthly":2}'
    for value in (known, closes):
        traffic.on_text(envelope("instrument:18", {"ClosingPrices": value}, "Snapshot"))
    (only,) = deviations.found
    assert (only.kind, only.count) == (kind, 1)
    assert only.what.startswith(what)


def test_the_same_deviation_is_counted(traffic: Traffic, deviations: Deviations) -> None:
    """One line, however often."""
    for _ in range(3):
        traffic.on_text(envelope("instrument:18", {"Volume": "1"}))
    (only,) = deviations.found
    assert only.count == 3


@pytest.mark.parametrize(
    ("change", "kind", "what"),
    [
        (
            {"OrderID": "1"},
            "type of a field",
            f"OrderID in {ORDER_TYPE} of private: string, not integer",
        ),
        ({"StatusID": 14}, "unknown code", f"StatusID 14 in {ORDER_TYPE} of private"),
        ({"CloseReason": 5}, "unknown code", f"CloseReason 5 in {ORDER_TYPE} of private"),
        ({"ErrorCode": 812}, "unknown code", f"ErrorCode 812 in {ORDER_TYPE} of private"),
    ],
)
def test_fields_of_order_events(
    change: dict[str, Any], kind: str, what: str, traffic: Traffic, deviations: Deviations
) -> None:
    """Types, and the codes of which there is no public list."""
    traffic.on_text(envelope("private", {**ORDER, **change}, ORDER_TYPE))
    assert found(deviations) == [(kind, what)]


@pytest.mark.parametrize("code", [10_000, 77798765, "77798", True, [14]])
def test_what_is_too_large_for_a_code_is_not_shown(
    code: object, traffic: Traffic, deviations: Deviations
) -> None:
    """It may be an id of the account."""
    traffic.on_text(envelope("private", {**ORDER, "ErrorCode": code}, ORDER_TYPE))
    assert all(kind == "type of a field" for kind, _ in found(deviations))
    assert "777" not in repr(deviations.found)


@pytest.mark.parametrize(
    ("text", "kind", "what"),
    [
        (envelope("private", {}, "Trading.PositionUpdate"), "unknown type", "of private"),
        (envelope("instrument:18", {}, "Trading.Candle"), "unknown type", "Trading.Candle"),
        (envelope("quotes:18", {}), "unknown topic", "quotes:18"),
        ('{"messages": [], "seq": 5}', "unknown field", "seq in a frame: integer"),
        ('{"messages": {}}', "type of a field", "messages in a frame: object, not array"),
        ('{"messages": [5]}', "frame", "a message that is no object"),
        ('{"messages": []}', "frame", "another number of messages"),
        ('{"id": "x", "success": "true"}', "type of a field", "success in an answer: string"),
        ('{"id": "x", "hello": 1}', "answer", "neither success nor errorCode"),
        ('{"id": "x", "success": false, "errorCode": "Maintenance"}', "unknown error code", "Main"),
        ("[1]", "frame", "no object: array"),
        ("hello", "frame", "not JSON"),
        ("\0", "frame", "padding"),
        ('\0{"id": "x", "success": true}', "frame", "padding around"),
        ('{"messages": [{"topic": "private", "content": "x"}]}', "message", "no type"),
        ('{"messages": [{"topic": "private", "content": "x"}]}', "message", "no id"),
        ('{"success": true, "operation": "Subscribe"}', "answer", "no id"),
        ('{"success": true, "id": "x"}', "answer", "no operation"),
        ('{"success": true, "id": "x", "operation": "Renew"}', "unknown operation", "Renew"),
        ('{"success": true, "id": "x", "operation": [1]}', "unknown operation", "[1]"),
        ('{"success": false, "id": "x"}', "answer", "a refusal without errorCode"),
        ('{"success": true, "errorCode": "Forbidden"}', "answer", "success with an errorCode"),
        ('{"messages": [{"topic": "private", "content": "x"}]}', "content", "not JSON"),
        ('{"messages": [{"topic": "private", "content": {}}]}', "type of a field", "content in"),
        ('{"messages": [{"topic": "private", "content": "[]"}]}', "content", "no object: array"),
    ],
)
def test_shapes_of_texts(
    text: str, kind: str, what: str, traffic: Traffic, deviations: Deviations
) -> None:
    """Each layer of a text is compared with what is known of it."""
    traffic.on_text(text)
    assert any(k == kind and what in w for k, w in found(deviations)), found(deviations)


def test_what_the_client_cannot_read_is_a_deviation(
    traffic: Traffic, deviations: Deviations
) -> None:
    """By the client's own parser."""
    traffic.on_text(envelope("instrument:18", {"Ask": "x", "Bid": "1"}))
    assert ("not readable", "the client cannot decode the rate of a message") in found(deviations)


def test_words_of_the_server_are_scrubbed(traffic: Traffic, deviations: Deviations) -> None:
    """Keys, numbers and addresses in the names of fields and types are not passed on."""
    name = f"{API_KEY} 12345678 someone@example.test"
    traffic.on_text(envelope("private", {name: 1}, f"Trading.{name}"))
    refusal = {"id": "x", "success": False, "operation": "Subscribe", "errorCode": name}
    traffic.on_text(json.dumps(refusal))
    traffic.on_text(envelope(f"orders:{name}", {}))
    shown = repr(deviations.found)
    assert len(deviations.found) == 4
    assert "12345678" not in shown
    assert "someone" not in shown
    assert API_KEY not in shown


def test_kinds_are_bounded(deviations: Deviations) -> None:
    """A server may make up any number of fields; they are counted."""
    inspector = Inspector(deviations)
    for number in range(150):
        inspector.reply({**ANSWER, f"f{number}": 1})
    assert len(deviations.found) == 100
    assert deviations.left_out == 50
    other = deviations.another()
    Inspector(other).reply({**ANSWER, "f0": 1, "f200": 1})
    deviations.merge(other)
    assert deviations.found[0].count == 2
    assert deviations.left_out == 51
    full = deviations.another()
    for number in range(103):
        full.add("kind", str(number))
    nearly_empty = deviations.another()
    nearly_empty.merge(full)
    assert (len(nearly_empty.found), nearly_empty.left_out) == (100, 3)


def test_a_report_says_how_many_kinds_it_leaves_out(raw_server: StartServer) -> None:
    """Nothing is cut without a word."""

    def send(peer: Peer) -> None:
        for number in range(120):
            peer.send_json({**ANSWER, f"f{number}": 1})

    report = examined(raw_server(frames(send)).url, {"seconds": 1.0})
    assert report.more_deviations == 20
    assert "and 20 more kinds" in report.to_markdown()


def test_silence_is_measured_up_to_now(deviations: Deviations) -> None:
    """Each frame ends it, also one that no client shows; a new connection begins anew."""
    clock = FakeClock()
    traffic = Traffic(deviations, clock)
    clock.advance(2)
    assert traffic.silence() == 2
    traffic.on_frame(0x82, b"\0")
    clock.advance(1)
    traffic.on_frame(0x82, b"\0")
    clock.advance(1.5)
    traffic.on_text("{}")
    assert traffic.silence() == 2
    assert list(traffic.nul_intervals) == [1]
    clock.advance(7)
    traffic.begin()
    traffic.on_frame(0x82, b"\0")
    assert traffic.silence() == 2
    assert list(traffic.nul_intervals) == [1]


def test_kinds_of_rates_are_counted_apart(traffic: Traffic) -> None:
    """A heartbeat is a sign of life, and no price; what has no price is none either."""
    for content in ({"Date": DATE, "PriceRateID": "1"}, {"ConversionRateAsk": "1"}):
        traffic.on_text(envelope("instrument:18", content))
    assert traffic.counts == {"texts": 2, "heartbeats": 1, "rates": 1}
    assert traffic.priced == set()
    traffic.on_text(envelope("instrument:18", {"Bid": "1"}))
    assert traffic.priced == {18}


def test_answers_to_pings_are_counted_beyond_those_whose_times_are_kept(
    deviations: Deviations,
) -> None:
    """An observation may take days; an answer that nobody has asked for is none."""
    traffic = Traffic(deviations, FakeClock())
    for number in range(10_001):
        traffic.ping_sent(str(number).encode())
        traffic.on_frame(0x8A, str(number).encode())
    traffic.on_frame(0x8A, b"0")
    assert (traffic.answered, len(traffic.round_trips)) == (10_001, 10_000)


@pytest.mark.parametrize(
    ("topic", "place"),
    [("private", "private"), ("instrument:1", "instrument"), ("instrument:x", ""), (5, "")],
)
def test_places_of_topics(topic: object, place: str) -> None:
    """Two kinds of topics are known."""
    assert place_of(topic) == place


# -- frames, on a real connection ------------------------------------------------------------------


def frames(send: Callable[[Peer], object]) -> Callable[[Peer], None]:
    """A service that sends what a test says behind the acknowledgement of order events."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_message("instrument:100000", "Snapshot", {"Ask": "2", "Bid": "1"})
        peer.send_message("instrument:100000", RATE, {"Ask": "2"})
        peer.acknowledge()
        send(peer)
        peer.serve()

    return script


def examine_frames(raw_server: StartServer, send: Callable[[Peer], object]) -> Report:
    return examined(raw_server(frames(send)).url, {"seconds": 0.1})


@pytest.mark.parametrize(
    ("send", "what"),
    [
        (lambda peer: peer.send_ping(b"x"), "a ping of the server"),
        (lambda peer: peer.send_pong(b"x"), "a pong that answers no ping"),
        (lambda peer: peer.send_frame(BINARY, b"\1\2"), "a binary frame that is no keepalive"),
        (lambda peer: peer.send_frame(BINARY, b"\0\0"), "NULs in another number than 1"),
        (
            lambda peer: (
                peer.send_frame(TEXT, b'{"id": "x",', fin=False),
                peer.send_frame(CONTINUATION, b'"success": true}'),
            ),
            "a fragmented message",
        ),
    ],
)
def test_frames_that_nobody_has_reported(
    send: Callable[[Peer], object], what: str, raw_server: StartServer
) -> None:
    """A client does not show them; the doctor does."""
    report = examine_frames(raw_server, send)
    assert report.ok, str(report.failure)
    assert what in [each.what for each in report.deviations]


def test_a_nul_keepalive_is_known(raw_server: StartServer) -> None:
    """It is counted, and is no deviation."""
    report = examine_frames(raw_server, lambda peer: peer.send_frame(BINARY, b"\0"))
    assert report.ok, str(report.failure)
    assert report.traffic["NUL keepalives"] == 1
    assert report.deviations == []


@pytest.mark.parametrize(("code", "deviates"), [(1000, False), (1012, True), (4321, True)])
def test_close_codes(code: int, deviates: bool, service: EToroSimulator) -> None:
    """1000 was reported; any other one is news."""
    service.fault("close", code=code, reason="see you", at="Subscribe")
    report = examined(service.url)
    assert report.failure is not None
    assert str(code) in report.failure.found
    assert [each.what for each in report.deviations] == [str(code)] * deviates


@pytest.mark.parametrize("payload", [b"\x03", b"\x00\x05", b"\x03\xed"])
def test_a_close_frame_that_is_not_valid(payload: bytes, raw_server: StartServer) -> None:
    """Its code is the client's word for it, and not the server's."""
    report = examine_frames(raw_server, lambda peer: peer.send_frame(CLOSE, payload))
    assert report.failure is not None
    (only,) = report.deviations
    assert (only.what, only.example) == ("an invalid close frame", payload.hex())


def test_a_violation_of_the_protocol(service: EToroSimulator) -> None:
    """The step fails, and the violation is listed."""
    service.fault("reserved_bits", bits=4, at="Subscribe")
    report = examined(service.url)
    assert report.failure is not None
    assert any("reserved bits" in each.what for each in report.deviations)


@pytest.mark.parametrize("fault", ["wrong_types", "bad_json", "deep_nesting", "nan"])
def test_no_message_ends_the_examination(fault: str, service: EToroSimulator) -> None:
    """Whatever comes is a deviation, and no exception."""
    arguments = {"instrument_id": 100000} if fault == "nan" else {}

    def misbehave(taken: Any) -> None:
        if taken.name == "rate":
            service.fault(fault, **arguments)

    report = examined(service.url, {"on_step": misbehave})
    assert report.ok, str(report.failure)
    assert report.deviations
