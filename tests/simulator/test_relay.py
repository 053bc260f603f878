"""Frames of elsewhere, sent by the simulator to whoever has subscribed to their topics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from etoro_sync import WsClient
from etoro_sync.simulator import EToroSimulator
from tests.support.clients import envelope, make_client


@pytest.fixture
def simulator() -> Iterator[EToroSimulator]:
    with EToroSimulator({}) as new:
        yield new


def snapshot(instrument_id: int, **content: str) -> str:
    return envelope(f"instrument:{instrument_id}", content, "Snapshot")


def both(client: WsClient) -> tuple[float, float]:
    rate = client.wait_for("instrument:rate", timeout=5)[1]
    return rate.bid, rate.ask


def test_each_message_goes_to_the_subscribers_of_its_topic(simulator: EToroSimulator) -> None:
    """As it was sent, byte for byte; an answer goes to nobody."""
    with make_client(simulator.url) as one, make_client(simulator.url) as other:
        frames, others = one.queue("message"), other.queue("instrument:rate")
        one.subscribe([18, "private"])
        other.subscribe([28])
        text = envelope("instrument:18", {"Ask": "2", "Bid": "1"})
        order = envelope("private", {"OrderID": 5}, "T")
        assert simulator.relay(text) == 1
        assert simulator.relay(envelope("instrument:7", {"Ask": "2"})) == 0
        assert simulator.relay('{"success":true,"operation":"Subscribe"}') == 0
        assert simulator.relay(order) == 1
        assert simulator.relay(envelope("instrument:28", {"Ask": "4", "Bid": "3"})) == 1
        topics = [frames.get(timeout=5).messages[0].topic for _ in range(2)]
        assert topics == ["instrument:18", "private"]
        assert others.get(timeout=5)[0] == 28
        assert frames.qsize() == 0


def test_the_messages_of_one_frame_are_sent_apart(simulator: EToroSimulator) -> None:
    """A client that has subscribed to one of the topics gets nothing of the other."""
    messages = [json.loads(envelope(f"instrument:{n}", {"Ask": "2", "Bid": "1"})) for n in (18, 28)]
    frame = json.dumps({"messages": [each["messages"][0] for each in messages]})
    with make_client(simulator.url) as client:
        frames = client.queue("message")
        client.subscribe([28])
        assert simulator.relay(frame) == 1
        assert [m.topic for m in frames.get(timeout=5).messages] == ["instrument:28"]


def test_a_snapshot_is_what_was_relayed(simulator: EToroSimulator) -> None:
    """Merged from the first snapshot and all later messages, and from nothing else."""
    simulator.relay(snapshot(18, Ask="20", Bid="10", IsMarketOpen="true"))
    simulator.relay(envelope("instrument:18", {"Ask": "21"}))
    with make_client(simulator.url) as client, client.queue("instrument:rate") as rates:
        client.subscribe([18], snapshot=True)
        _, rate = rates.get(timeout=5)
        assert (rate.bid, rate.ask, rate.is_market_open) == (10.0, 21.0, True)
    simulator.relay(snapshot(18, Ask="30", Bid="29"))
    with make_client(simulator.url) as client, client.queue("instrument:rate") as rates:
        client.subscribe([18], snapshot=True)
        assert rates.get(timeout=5)[1].is_market_open is None


def test_a_closed_market_is_so_in_snapshots(simulator: EToroSimulator) -> None:
    """A message of its own type says so, in another spelling."""
    simulator.relay(snapshot(18, Ask="20", Bid="10", IsMarketOpen="true"))
    content = {"IsInstrumentActive": "False", "AvailabilityReason": "4"}
    simulator.relay(envelope("instrument:18", content, "Trading.Instrument.Active"))
    with make_client(simulator.url) as client, client.queue("instrument:rate") as rates:
        client.subscribe([18], snapshot=True)
        _, rate = rates.get(timeout=5)
        flags = rate.is_instrument_active, rate.is_market_open, rate.availability_reason
        assert flags == (False, False, 4)


def test_nothing_is_invented(simulator: EToroSimulator) -> None:
    """No snapshot until both sides are known, then one; and none of what was forgotten."""
    simulator.relay(envelope("instrument:18", {"Ask": "20"}))
    with make_client(simulator.url) as client, client.queue("message") as frames:
        client.subscribe([18, 28], snapshot=True)
        simulator.relay(envelope("instrument:18", {"Bid": "10"}))
        assert "Bid" in frames.get(timeout=5).messages[0].content
        late = frames.get(timeout=5).messages[0]
        assert (late.type, late.topic) == ("Snapshot", "instrument:18")
        simulator.forget_relayed()
        client.unsubscribe([18])
        client.subscribe([18], snapshot=True)
        simulator.relay(envelope("instrument:28", {"Bid": "11"}))
        assert frames.get(timeout=5).messages[0].topic == "instrument:28"
        simulator.relay(snapshot(18, Ask="2", Bid="1"))
        simulator.relay(envelope("instrument:18", {"Bid": "1.5"}))
        types = [frames.get(timeout=5).messages[0].type for _ in range(2)]
        assert types == ["Snapshot", "Trading.Instrument.Rate"]


def test_faults_act_on_what_is_relayed(simulator: EToroSimulator) -> None:
    """As on any message."""
    with make_client(simulator.url) as client, client.queue("message") as frames:
        client.subscribe([18])
        text = envelope("instrument:18", {"Ask": "2", "Bid": "1"})
        with simulator.fault("freeze", instrument_id=18):
            assert simulator.relay(text) == 0
        with simulator.fault("duplicate", topic="instrument:18"):
            assert simulator.relay(text) == 2
        assert frames.get(timeout=5) == frames.get(timeout=5)


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", '{"messages":7}', '{"messages":[7,{"topic":7}]}', "[" * 100_000],
)
def test_texts_that_are_no_frames_are_ignored(simulator: EToroSimulator, text: str) -> None:
    """A recording has whatever came."""
    assert simulator.relay(text) == 0


@pytest.mark.parametrize("content", [7, "x", {"content": 7}, {"Ask": None, "Bid": [1]}])
def test_contents_that_are_none_are_sent_and_not_merged(
    simulator: EToroSimulator, content: Any
) -> None:
    """What eToro has sent, a client gets."""
    message = {"topic": "instrument:18", "content": content, "id": "1", "type": "T"}
    with make_client(simulator.url) as client, client.queue("error"):
        client.subscribe([18])
        assert simulator.relay(json.dumps({"messages": [message]})) == 1


def test_relay_takes_text_only(simulator: EToroSimulator) -> None:
    """Bytes are a mistake of the caller's."""
    with pytest.raises(TypeError, match="text"):
        simulator.relay(b"{}")  # type: ignore[arg-type]
