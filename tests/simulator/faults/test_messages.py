import json
from typing import Any

import pytest

from tests.simulator.conftest import Dial, Simulate


def test_text_that_is_not_json_is_sent(simulate: Simulate, dial: Dial) -> None:
    """A message cut short, or whatever is given."""
    sim = simulate()
    client = dial(sim)
    sim.fault("bad_json")
    with pytest.raises(ValueError):
        client.frame().json  # noqa: B018 - reading it is the test
    sim.fault("bad_json", text="<html>")
    assert client.frame().payload == b"<html>"
    assert client.subscribe("private").json["success"]


def test_wrong_types_are_good_json_every_time(simulate: Simulate, dial: Dial) -> None:
    """Each something else, and none a message as it should be."""
    sim = simulate()
    client = dial(sim)
    sim.fault("wrong_types", at="Subscribe")
    request_id = client.ask("Subscribe", topics=["private"])
    seen: list[Any] = []
    while not seen or not isinstance(seen[-1], dict) or seen[-1].get("id") != request_id:
        seen.append(client.frame().json)
    assert seen.pop()["success"] is True
    assert len({json.dumps(message) for message in seen}) >= 15
    assert None in seen
    sim.fault("wrong_types")
    assert client.frame().json is None


def test_rates_that_are_no_numbers_are_sent(simulate: Simulate, dial: Dial) -> None:
    """To clients whatever they have subscribed to; as strings and as bare words."""
    sim = simulate()
    client = dial(sim)
    sim.fault("nan", instrument_id=5)
    frames = [client.frame().json["messages"][0] for _ in range(4)]
    assert {frame["topic"] for frame in frames} == {"instrument:5"}
    contents = [frame["content"] for frame in frames]
    assert contents[:2] == ['{"Ask":"NaN","Bid":"NaN"}', '{"Ask":NaN,"Bid":NaN}']
    assert contents[2] == '{"Ask":Infinity,"Bid":-Infinity}'


def test_json_can_be_nested_deeper_than_a_parser_follows(simulate: Simulate, dial: Dial) -> None:
    """Bare, and within the content of a good envelope."""
    sim = simulate()
    client = dial(sim)
    sim.fault("deep_nesting", depth=50_000)
    with pytest.raises(RecursionError):
        client.frame().json  # noqa: B018 - reading it is the test
    (message,) = client.frame().json["messages"]
    with pytest.raises(RecursionError):
        json.loads(message["content"])
    sim.fault("deep_nesting", depth=2)
    assert client.frame().payload == b"[[]]"
