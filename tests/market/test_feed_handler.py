"""From text to events: what is emitted, what is counted, and what is understood though odd."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etoro_sync import WsEnvelope, WsMessage, WsPrivateEvent
from etoro_sync.codec import loads, loads_standard
from etoro_sync.market import feed_handler
from etoro_sync.market.message_parser import ParsedPrivateEvent, parse_envelope, parse_messages
from etoro_sync.market.rate_view import RateView
from tests.market.tools import FULL, Bench
from tests.support.clients import envelope


def test_every_listener_gets_what_its_event_promises(bench: Bench) -> None:
    """Rate, delta and envelope of one message; the rate carries generation and reception."""
    bench.listen("instrument:rate", "instrument:delta", "message")
    assert bench.take(envelope("instrument:18", FULL)) is None
    ((key, rate),) = bench.got("instrument:rate")
    assert (key, rate.ask, rate.bid, rate.generation) == (18, 2.5, 2.0, 1)
    assert rate.received_at == 1_700_000_000.0
    ((key, delta),) = bench.got("instrument:delta")
    assert (key, delta.ask, delta.last_execution, delta.generation) == (18, 2.5, None, 1)
    assert delta.received_at == 1_700_000_000.0
    (message,) = bench.got("message")
    assert isinstance(message, WsEnvelope)
    assert message.messages[0].topic == "instrument:18"


def test_all_messages_of_an_envelope_count(bench: Bench) -> None:
    """Batching is legal, though it was never seen."""
    bench.listen("instrument:rate")
    one, two = (json.loads(envelope(f"instrument:{n}", FULL))["messages"][0] for n in (1, 2))
    bench.take(json.dumps({"messages": [one, two]}))
    assert [key for key, _ in bench.got("instrument:rate")] == [1, 2]
    assert bench.counters.messages == 2


def test_objects_without_a_listener_are_not_built(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without listeners a rate is merged, and neither rate, delta nor envelope is made."""
    built: list[str] = []
    for name in ("make_rate", "decode_delta", "decode_envelope"):
        monkeypatch.setattr(feed_handler, name, lambda *args, name=name: built.append(name))
    monkeypatch.setattr(bench.feed.out, "_make_item", lambda state: built.append("item"))
    bench.listen("instrument:rate", "instrument:delta", ids=(99,))
    bench.take(envelope("instrument:18", FULL))
    assert built == []
    assert bench.book.latest[18].visible["ask"] == 2.5
    assert bench.counters.rates == 1


def test_heartbeats_are_counted_and_are_no_rates(bench: Bench) -> None:
    """They are deltas for those who listen to deltas."""
    bench.listen("instrument:rate", "instrument:delta")
    bench.take(envelope("instrument:18", FULL))
    bench.take(envelope("instrument:18", {"Date": "2026-04-20T17:24:51Z", "PriceRateID": "8"}))
    assert len(bench.got("instrument:rate")) == 1
    assert [d.is_heartbeat for _, d in bench.got("instrument:delta")] == [False, True]
    assert bench.counters.heartbeats == 1


def test_control_messages_are_returned_for_the_protocol(bench: Bench) -> None:
    """Told apart by their keys, as on eToro's socket."""
    reply = {"id": "1", "success": True, "operation": "Subscribe"}
    assert bench.take(json.dumps(reply)) == reply
    no_id = {"success": False, "errorCode": "BinaryMessagesNotSupported"}
    assert bench.take(json.dumps(no_id)) == no_id
    assert bench.counters.bad_messages == 0


@pytest.mark.parametrize("padding", ["\x00", " ", "\x00\x00", "\n"])
def test_padding_around_a_frame_is_tolerated(bench: Bench, padding: str) -> None:
    """Two clients report a leading NUL or blank and a trailing record separator."""
    bench.listen("instrument:rate")
    bench.take(padding + envelope("instrument:18", FULL) + "\x1e")
    assert len(bench.got("instrument:rate")) == 1
    assert bench.take(padding) is None
    assert bench.counters.bad_messages == 0


def test_unknown_topics_and_types_are_emitted_as_they_came(bench: Bench) -> None:
    """Nothing that eToro may add is lost."""
    bench.listen("unknown", "instrument:rate", "error")
    bench.take(envelope("instrument:18", FULL, "Trading.Instrument.New"))
    bench.take(envelope("candles:18", {"a": 1}))
    bench.take(envelope("instrument:gold", FULL))
    messages = bench.got("unknown")
    assert all(isinstance(message, WsMessage) for message in messages)
    assert [m.topic for m in messages] == ["instrument:18", "candles:18", "instrument:gold"]
    assert bench.counters.unknown == 3
    assert bench.got("instrument:rate") == bench.got("error") == []


def test_an_order_event_is_delivered_whatever_its_fields(bench: Bench) -> None:
    """A field of another type than documented does not lose the order."""
    bench.listen("private:event")
    bench.take(envelope("private", {"OrderID": 5, "StatusID": "strange"}, "Trading.New"))
    (event,) = bench.got("private:event")
    assert isinstance(event, WsPrivateEvent)
    assert (event.order_id, event.status_id, event.type) == (5, None, "Trading.New")
    assert event.extra == {"StatusID": "strange"}
    assert event.generation == 1
    assert event.received_at == 1_700_000_000.0


def private(content: str, rest: str = ', "type": "T", "id": "1"') -> str:
    """The text of a frame with one message of ``private``, whose content is written as it is."""
    return f'{{"messages": [{{"topic": "private", "content": {content}{rest}}}]}}'


@pytest.mark.parametrize("parse", [loads, loads_standard])
@pytest.mark.parametrize(
    "text",
    [
        private(r'"{\"OrderID\": 7, \"ErrorMessage\": \"a\\ud83d\"}"'),
        private(r'"{\"OrderID\": 7, \"ErrorMessage\": \"a\ud83d\"}"'),
        private(r'"{\"OrderID\": 7, \"NetProfit\": NaN, \"EndRate\": -Infinity}"'),
        private(r'"{\"OrderID\": 7, \"ErrorMessage\": \"a\tb\"}"'),
        private(r'"\u0000{\"OrderID\": 7}\u0000"'),
        private(r'"{\"OrderID\": 7, \"NetProfit\": 1e999}"'),
        private('{"OrderID": 7}'),
        private(r'"{\"OrderID\": 7}"', ""),
        private(r'"{\"OrderID\": 7}"', ', "type": null'),
        private(r'"{\"OrderID\": 7}"', ', "type": ["T"]'),
    ],
)
def test_an_order_event_is_delivered_however_it_is_spelt(parse: Any, text: str) -> None:
    """With either parser of JSON."""
    bench = Bench(parse).listen("private:event", "error")
    bench.take(text)
    (event,) = bench.got("private:event")
    assert event.order_id == 7
    assert event.type in ("T", "", "['T']")
    assert event.net_profit == 0.0
    assert bench.got("error") == []


@pytest.mark.parametrize("content", ["[]", '"{"', "null", "5", '"[{}]"', '"' + "[" * 9999 + '"'])
def test_an_order_event_that_cannot_be_parsed_is_delivered_as_it_came(
    bench: Bench, content: str
) -> None:
    """And emitted as an error, since its reader has to look the order up elsewhere."""
    bench.listen("private:event", "error")
    bench.take(private(content))
    (event,) = bench.got("private:event")
    assert (event.type, event.order_id, event.generation) == ("T", None, 1)
    assert event.extra == {"content": loads(content)}
    (error,) = bench.got("error")
    assert error.field == "content"
    assert bench.counters.private_events == bench.counters.bad_messages == 1


@pytest.mark.parametrize("parse", [loads, loads_standard])
def test_a_number_too_large_is_no_price(parse: Any) -> None:
    """Python reads 1e999 as infinity: such a frame, or at least such a side, is reported as bad."""
    bench = Bench(parse).listen("instrument:rate", "error")
    bench.take(envelope("instrument:18", FULL))
    bench.take(envelope("instrument:18", FULL).replace(r"\"2.5\"", "1e999"))
    assert [rate.ask for _, rate in bench.got("instrument:rate")] == [2.5]
    assert len(bench.got("error")) == 1


@pytest.mark.parametrize("messages", ["null", "[]"])
def test_a_reply_may_have_an_empty_list_of_messages(bench: Bench, messages: str) -> None:
    """It is the answer to a request all the same."""
    reply = f'{{"id": "1", "success": true, "operation": "Subscribe", "messages": {messages}}}'
    assert bench.take(reply) == {**loads(reply)}
    assert bench.counters.bad_messages == 0


# Odd, and understood ------------------------------------------------------------------------------


def odd(content: Any, **more: Any) -> str:
    """A frame with one message on an instrument's topic, without what is not given."""
    return json.dumps({"messages": [{"topic": "instrument:18", "content": content, **more}]})


@pytest.mark.parametrize("type_", [{}, {"type": None}, {"type": ""}])
def test_what_looks_like_a_rate_is_one_without_a_type(
    bench: Bench, type_: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Prices of one side and heartbeats, too; it is counted, and logged once."""
    bench.listen("instrument:rate", "instrument:delta", "unknown", "error")
    for content in ({"Ask": "3", "Bid": "2"}, {"Bid": "2.5"}, {"PriceRateID": "7", "Date": "x"}):
        bench.take(odd(json.dumps(content), **type_))
    assert [(rate.ask, rate.bid) for _, rate in bench.got("instrument:rate")] == [(3, 2), (3, 2.5)]
    assert len(bench.got("instrument:delta")) == 3
    assert bench.got("error") == bench.got("unknown") == []
    counters = bench.counters
    assert (counters.odd_messages, counters.bad_messages, counters.heartbeats) == (3, 0, 1)
    (record,) = caplog.records
    assert "without a type" in record.getMessage()


def test_a_snapshot_without_a_type_ends_the_wait_for_it(bench: Bench) -> None:
    """It is known by the field that no rate has."""
    bench.listen("instrument:rate")
    bench.book.expect_snapshots(["instrument:18"])
    bench.take(odd('{"Ask": "9", "Bid": "8"}'))
    assert bench.got("instrument:rate") == []
    bench.take(odd('{"InstrumentID": "18", "Ask": "3", "Bid": "2"}'))
    assert [rate.ask for _, rate in bench.got("instrument:rate")] == [3.0]


def test_conversion_rates_and_flags_count_without_a_type(bench: Bench) -> None:
    """They come without a price, too; a rate that kept the old ones would be wrong."""
    bench.listen("instrument:rate", "instrument:delta", "unknown", "error")
    for content in (
        {"Ask": "3", "Bid": "2"},
        {"ConversionRateAsk": "1.25", "ConversionRateBid": "1.5"},
        {"IsInstrumentActive": "False", "AvailabilityReason": "4"},
        {"Bid": "2.5"},
    ):
        bench.take(odd(json.dumps(content)))
    assert bench.got("unknown") == bench.got("error") == []
    rate = bench.got("instrument:rate")[-1][1]
    assert (rate.bid, rate.conversion_rate_ask, rate.conversion_rate_bid) == (2.5, 1.25, 1.5)
    assert (rate.is_instrument_active, rate.availability_reason) == (False, 4)
    types = [delta.type for _, delta in bench.got("instrument:delta")]
    rate_type, active = "Trading.Instrument.Rate", "Trading.Instrument.Active"
    assert types == [rate_type, rate_type, active, rate_type]


def test_flags_without_a_type_do_not_pass_for_the_awaited_snapshot(bench: Bench) -> None:
    """It takes a price to be one."""
    bench.listen("instrument:rate")
    bench.book.expect_snapshots(["instrument:18"])
    bench.take(odd('{"Ask": "9", "Bid": "8"}'))
    bench.take(odd('{"InstrumentID": "18", "AllowBuy": "true"}'))
    assert bench.got("instrument:rate") == []


def test_what_does_not_look_like_a_rate_is_unknown_without_a_type(bench: Bench) -> None:
    """It is handed over as it came."""
    bench.listen("instrument:rate", "unknown", "error")
    bench.take(odd('{"Volume": "5"}'))
    assert bench.got("unknown") == [WsMessage("instrument:18", '{"Volume": "5"}', "", "")]
    assert bench.got("error") == bench.got("instrument:rate") == []


@pytest.mark.parametrize("type_", [{}, {"type": "Trading.Instrument.Rate"}, {"type": "Snapshot"}])
def test_a_content_may_be_an_object_already(
    bench: Bench, type_: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """It is read as the text would be; the envelope shows its JSON."""
    bench.listen("instrument:rate", "message", "error")
    for ask in ("3", "4"):
        bench.take(odd({"Ask": ask, "Bid": "2", "Date": "x", "PriceRateID": "7"}, **type_))
    assert [rate.ask for _, rate in bench.got("instrument:rate")] == [3.0, 4.0]
    contents = [json.loads(each.messages[0].content)["Ask"] for each in bench.got("message")]
    assert contents == ["3", "4"]
    assert bench.got("error") == []
    assert bench.counters.odd_messages == (2 if type_ else 4)
    assert len([r for r in caplog.records if "is an object" in r.getMessage()]) == 1


def test_an_order_whose_content_is_an_object_is_counted_as_odd(bench: Bench) -> None:
    """And delivered, like any order."""
    bench.listen("private:event")
    bench.take('{"messages": [{"topic": "private", "content": {"OrderID": 5}, "type": "x"}]}')
    assert [event.order_id for event in bench.got("private:event")] == [5]
    assert bench.counters.odd_messages == 1


def test_an_order_event_has_the_id_of_its_message(bench: Bench) -> None:
    """By it a message that came twice is known; one without an id, or with an odd one, counts."""
    bench.listen("private:event")
    bench.take(envelope("private", {"OrderID": 5}))
    for odd in ("", ', "id": 7', ', "id": null'):
        bench.take(f'{{"messages": [{{"topic": "private", "content": "{{}}"{odd}}}]}}')
    assert [event.message_id for event in bench.got("private:event")] == ["m", "", "", ""]
    text = envelope("private", {"OrderID": 5})
    (parsed,) = parse_messages(parse_envelope(text))
    assert isinstance(parsed.data, ParsedPrivateEvent)
    assert parsed.data.event.message_id == "m"


# What users do to what they get -------------------------------------------------------------------

_TOUCH: dict[str, Any] = {
    "vars": lambda rate: vars(rate).update(ask=1.0, bid=1.0),
    "__dict__": lambda rate: rate.__dict__.clear(),
    "setattr": lambda rate: object.__setattr__(rate, "ask", 1.0),
    "delattr": lambda rate: object.__delattr__(rate, "ask"),
    "a row": lambda rate: rate.to_row().clear(),
    "dict": lambda rate: rate.to_dict().clear(),
}


@pytest.mark.parametrize("touch", _TOUCH)
@pytest.mark.parametrize("usual", [True, False], ids=["usual", "odd"])
def test_what_users_do_to_a_rate_reaches_neither_the_next_nor_the_view(
    bench: Bench, touch: str, usual: bool
) -> None:
    """Whatever they take for a dictionary of their own; both ways through the feed."""
    bench.listen("instrument:rate", "instrument:delta")
    if usual:
        bench.registry.remove_queue(bench.queues["instrument:delta"])
    view = RateView(bench.book)
    stamp = {"Date": "2026-04-20T17:24:51Z", "PriceRateID": "8"}
    bench.take(envelope("instrument:18", {"Ask": "3", "Bid": "2", **stamp}))
    for bid in ("2.1", "2.2", "2.3"):
        before = view[18]
        for rate in (*(rate for _, rate in bench.got("instrument:rate")), view[18]):
            _TOUCH[touch](rate)
        assert view[18] == before
        bench.take(envelope("instrument:18", {"Bid": bid, **stamp}))
        ((_, rate),) = bench.got("instrument:rate")[-1:]
        assert (rate.ask, rate.bid) == (3.0, float(bid))
        _TOUCH[touch](rate)
        assert (view[18].ask, view[18].bid) == (3.0, float(bid))


def test_what_users_do_to_a_message_reaches_no_price(bench: Bench) -> None:
    """A content that came as an object is not the one that is merged."""
    bench.listen("message", "instrument:rate")
    bench.take(odd({"Ask": "3", "Bid": "2"}))
    (received,) = bench.got("message")
    received.messages[0].content = ""
    received.messages.clear()
    bench.take(odd({"Bid": "2.5"}))
    assert [rate.ask for _, rate in bench.got("instrument:rate")] == [3.0, 3.0]
