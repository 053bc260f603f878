import pytest

from tests.simulator.conftest import Connect, Simulate


def asks(client: object, count: int) -> list[str]:
    return [client.message().content["Ask"] for _ in range(count)]  # type: ignore[attr-defined]


def test_messages_come_twice_with_the_same_id(simulate: Simulate, connect: Connect) -> None:
    """Those of one topic, if one is given, and as many as told."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18", "instrument:19", "private")
    sim.fault("duplicate", topic="instrument:18", times=1)
    sim.publish(19, Ask="1")
    assert sim.publish(18, Ask="2") == 1
    sim.publish(18, Ask="3")
    messages = [client.message() for _ in range(4)]
    assert [m.content["Ask"] for m in messages] == ["1", "2", "2", "3"]
    assert messages[1] == messages[2]
    sim.fault("duplicate")
    sim.fill_order(7)
    assert client.message() == client.message()


def test_messages_change_places_in_pairs(simulate: Simulate, connect: Connect) -> None:
    """Per topic; healed, one that waits for its second comes alone."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18", "instrument:19")
    with sim.fault("reorder", topic="instrument:18"):
        for ask in "12345":
            assert sim.publish(18, Ask=ask) == 1
        sim.publish(19, Ask="9")
        assert asks(client, 5) == ["2", "1", "4", "3", "9"]
    assert asks(client, 1) == ["5"]
    sim.fault("reorder", times=1)
    for ask in "1234":
        sim.publish(18, Ask=ask)
    assert asks(client, 4) == ["2", "1", "3", "4"]


@pytest.mark.parametrize("healed", [False, True])
def test_what_waits_for_its_second_comes_when_the_pairs_are_used_up(
    simulate: Simulate, connect: Connect, healed: bool
) -> None:
    """A message of another topic than the last pair's is not lost, whether anybody heals or not."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18", "private")
    sim.fault("reorder", times=1)
    sim.fill_order(order_id=7)
    sim.publish(18, Ask="1")
    sim.publish(18, Ask="2")
    if healed:
        sim.heal()
    assert sim.faults == []
    messages = [client.message() for _ in range(3)]
    assert [m.content["OrderID"] for m in messages if m.topic == "private"] == [7]
    assert [m.content["Ask"] for m in messages if m.topic != "private"] == ["2", "1"]


def test_reordered_and_doubled_messages_are_both(simulate: Simulate, connect: Connect) -> None:
    """Faults of the feed follow each other in the order in which they were set."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18")
    sim.fault("reorder")
    sim.fault("duplicate")
    for ask in "12":
        sim.publish(18, Ask=ask)
    assert asks(client, 4) == ["2", "2", "1", "1"]


def test_snapshots_are_repeated(simulate: Simulate, connect: Connect) -> None:
    """Of one instrument or of all that the client has subscribed to."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18", "instrument:19", "private")
    sim.fault("repeat_snapshot")
    messages = [client.message() for _ in range(2)]
    assert [(m.topic, m.type) for m in messages] == [
        ("instrument:18", "Snapshot"),
        ("instrument:19", "Snapshot"),
    ]
    assert messages[0].content == sim.last(18)
    sim.fault("repeat_snapshot", instrument_id=19)
    sim.fault("repeat_snapshot", instrument_id=20)
    assert client.message().topic == "instrument:19"
    assert client.subscribe("private")["success"]
    assert not client.waiting


def test_a_topic_is_forgotten_without_a_word(simulate: Simulate, connect: Connect) -> None:
    """Subscribing again brings it back."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18", "instrument:19")
    sim.fault("forget", topic="instrument:18")
    assert sim.subscribed == {"instrument:19"}
    assert sim.publish(18, Ask="1") == 0
    assert client.subscribe("instrument:18")["success"]
    sim.publish(18, Ask="2")
    assert asks(client, 1) == ["2"]
    assert sim.faults == []


def test_a_frozen_instrument_stands_still(simulate: Simulate, connect: Connect) -> None:
    """The others move on; its snapshots show it as it was, and healed it goes on from there."""
    sim = simulate({18: 100.0, 19: 200.0}, rate=1000)
    client = connect(sim)
    client.subscribe("instrument:18", "instrument:19")
    fault = sim.fault("freeze", instrument_id=18)
    before = sim.last(18)
    assert sim.publish(18, Ask="7") == 0
    while client.message().topic == "instrument:18":
        pass
    assert {client.message().topic for _ in range(50)} == {"instrument:19"}
    assert sim.last(18) == before
    fault.heal()
    while client.message().topic == "instrument:19":
        pass
    assert sim.last(18) != before


def test_snapshots_never_come(simulate: Simulate, connect: Connect) -> None:
    """The subscription is granted and its rates come; healed, the next snapshots come again."""
    sim = simulate()
    client = connect(sim)
    with sim.fault("no_snapshot", topic="instrument:18") as fault:
        assert client.subscribe("instrument:18", "instrument:19", snapshot=True)["success"]
        assert client.message().topic == "instrument:19"
        sim.publish(18, Ask="1")
        assert client.message().content["Ask"] == "1"
        assert fault.struck == 1
    assert client.subscribe("instrument:18", snapshot=True)["success"]
    assert client.message().type == "Snapshot"
