"""Messages that say the same in another way, or nothing where something should be."""

from __future__ import annotations

import json
from typing import Any

from tests.simulator.client import Client
from tests.simulator.conftest import Connect, Simulate


def raw(client: Client) -> dict[str, Any]:
    """Give the message of the next envelope, whatever it looks like."""
    (message,) = json.loads(client.receive())["messages"]
    assert isinstance(message, dict)
    return message


def test_messages_come_without_a_type(simulate: Simulate, connect: Connect) -> None:
    """Snapshots, rates and order events; nothing else of them changes."""
    sim = simulate()
    client = connect(sim)
    with sim.fault("no_type") as fault:
        client.subscribe("instrument:18", "private", snapshot=True)
        sim.publish(18, Ask="1")
        sim.fill_order(7)
        messages = [raw(client) for _ in range(3)]
        assert all(message.keys() == {"topic", "content", "id"} for message in messages)
        assert json.loads(messages[1]["content"])["Ask"] == "1"
        assert fault.struck == 3
    sim.publish(18, Ask="2")
    assert client.message().type == "Trading.Instrument.Rate"


def test_a_content_comes_as_an_object(simulate: Simulate, connect: Connect) -> None:
    """Of one topic, as often as told."""
    sim = simulate()
    client = connect(sim)
    fault = sim.fault("content_object", topic="instrument:18", times=2)
    client.subscribe("instrument:18", "instrument:19", snapshot=True)
    contents = {message["topic"]: message["content"] for message in (raw(client), raw(client))}
    assert contents["instrument:18"] == sim.last(18)
    assert isinstance(contents["instrument:19"], str)
    sim.publish(18, Ask="1")
    assert raw(client)["content"]["Ask"] == "1"
    assert fault.struck == 2
    assert sim.faults == []
    sim.publish(18, Ask="2")
    assert client.message().content["Ask"] == "2"


def test_a_last_execution_is_zero_where_there_is_one(simulate: Simulate, connect: Connect) -> None:
    """On the wire; the simulator knows better, and says so when it is healed."""
    sim = simulate()
    client = connect(sim)
    with sim.fault("zero_last_execution") as fault:
        client.subscribe("instrument:18", snapshot=True)
        assert client.message().content["LastExecution"] == "0"
        sim.publish(18, Ask="5000")
        assert "LastExecution" not in client.message().content
        sim.publish(18, Bid="4999", LastExecution="4999.5")
        assert client.message().content["LastExecution"] == "0"
        assert fault.struck == 2
    client.subscribe("instrument:18", snapshot=True)
    assert client.message().content["LastExecution"] == "4999.5"


def test_the_feed_itself_never_sends_a_last_execution_of_zero(
    simulate: Simulate, connect: Connect
) -> None:
    """In thousands of recorded messages there was none."""
    client = connect(simulate(rate=3000))
    client.subscribe(*(f"instrument:{n}" for n in range(20)))
    found = [client.message().content.get("LastExecution", "none") for _ in range(2000)]
    assert "0" not in found
