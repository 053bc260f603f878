from typing import Any

import pytest

from etoro_sync.simulator import FAULTS, PHASES, EToroSimulator, Fault
from etoro_sync.simulator.faults.base import parameters
from tests.simulator.conftest import Dial, Simulate


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_says_what_it_is(name: str) -> None:
    """By its docstring, by what it concerns, and by the phases that it makes sense in."""
    cls = FAULTS[name]
    assert cls.name == name
    assert cls.__doc__
    assert cls.concerns
    assert cls.phases
    assert set(cls.phases) <= set(PHASES)
    own = [key for key in parameters(cls) if key not in ("at", "client", "times", "topic", "skip")]
    described = "".join(base.__doc__ or "" for base in cls.__mro__ if issubclass(base, Fault))
    for key in own:
        assert f":param {key}:" in described


@pytest.mark.parametrize(
    ("name", "phase"), [(name, phase) for name, cls in FAULTS.items() for phase in cls.phases]
)
def test_every_fault_can_be_made_for_each_of_its_phases(
    simulate: Simulate, dial: Dial, name: str, phase: str
) -> None:
    """With the arguments that it names; healed, the simulator behaves."""
    cls = FAULTS[name]
    given = dict(cls.phases[phase])
    if cls.needs_tls:
        sim = simulate(tls=True)
        assert sim.fault(name, **given).lasting
        assert sim.heal() == 1
        return
    sim = simulate()
    client = dial(sim)
    client.subscribe("instrument:18")
    sim.fault(name, **given)
    sim.heal()
    assert sim.faults == []
    later = dial(sim)
    assert later.subscribe("instrument:18").json["success"]
    sim.publish(18, Ask="7")
    assert later.content()["Ask"] == "7"


@pytest.mark.parametrize(
    ("name", "given", "error", "words"),
    [
        ("muted", {}, ValueError, "there is no fault 'muted'; did you mean 'mute'?"),
        ("Close", {}, ValueError, "did you mean 'close'?"),
        ("xyzzy", {}, ValueError, "there are refuse, accept_drop, "),
        (5, {}, ValueError, "there is no fault 5"),
        ("close", {"codes": 1}, ValueError, "no argument 'codes'; did you mean 'code'?"),
        ("reset", {"code": 1}, ValueError, "'reset' has no argument 'code'; there are times, at"),
        ("close", {"struck": 1}, ValueError, "no argument 'struck'"),
        ("reject", {"operation": "Subscribe"}, ValueError, "'reject' needs the argument 'code'"),
        ("reject", {"operation": "X", "code": "Y"}, ValueError, "operation must be one of"),
        ("reject", {"operation": "Subscribe", "code": ""}, ValueError, "code must not be empty"),
        ("close", {"code": 65536}, ValueError, "code must be 65535 or less"),
        ("close", {"code": "1000"}, TypeError, "code must be an integer"),
        ("close", {"reason": "x" * 124}, ValueError, "longer than 123 bytes"),
        ("close", {"code": None, "reason": "x"}, ValueError, "together with a code"),
        ("mute", {"at": "login"}, ValueError, "at must be one of open, Authenticate, "),
        ("mute", {"skip": 1}, ValueError, "skip can only be used together with at"),
        ("mute", {"at": "open", "skip": -1}, ValueError, "skip must be 0 or more"),
        ("mute", {"times": 0}, ValueError, "times must be 1 or more"),
        ("mute", {"client": "a"}, TypeError, "client must be an integer"),
        ("redirect", {"location": "x", "status": 200}, ValueError, "status must be 301, "),
        ("http_status", {"status": 302}, ValueError, "status must be 400 or more"),
        ("http_status", {"status": 429, "retry_after": -1}, ValueError, "retry_after must be 0"),
        ("no_handshake", {"during": "tea"}, ValueError, "during must be one of handshake, tls"),
        ("drip", {"interval": -1}, ValueError, "interval must be 0 or more"),
        ("late_answer", {"operation": "Subscribe", "delay": "1"}, TypeError, "delay must be"),
        ("nul_first", {"count": 0}, ValueError, "count must be 1 or more"),
        ("reserved_bits", {"bits": 8}, ValueError, "bits must be 7 or less"),
        ("huge_frame", {"length": 5}, ValueError, "length must be 65536 or more"),
        ("deep_nesting", {"depth": True}, TypeError, "depth must be an integer"),
        ("forget", {"topic": 5}, TypeError, "topic must be a string"),
        ("forget", {"topic": "18"}, ValueError, "topic must be 'private' or a topic such as 'i"),
        ("forget", {"topic": "instrument:018"}, ValueError, "not 'instrument:018'"),
        ("duplicate", {"topic": "Private"}, ValueError, "topic must be 'private' or"),
        ("reorder", {"topic": ""}, ValueError, "topic must be 'private' or"),
        ("bad_json", {"text": "\ud800"}, ValueError, "text must be text that UTF-8"),
        ("close", {"reason": "\ud800"}, ValueError, "reason must be text that UTF-8"),
        ("redirect", {"location": ""}, ValueError, "location must not be empty"),
        ("redirect", {"location": "ws://日本/"}, ValueError, "location must have printable ASCII"),
        ("redirect", {"location": "/a\r\nb: c"}, ValueError, "location must have printable ASCII"),
        ("refuse", {"times": 1}, ValueError, "'refuse' has no argument 'times'; it takes none"),
        ("freeze", {"instrument_id": -1}, ValueError, "instrument_id must be 0 or more"),
    ],
)
def test_a_mistake_is_named_with_what_was_probably_meant(
    name: Any, given: dict[str, Any], error: type[Exception], words: str
) -> None:
    """And nothing goes wrong by it."""
    sim = EToroSimulator()
    with pytest.raises(error) as caught:
        sim.fault(name, **given)
    assert words in str(caught.value)
    assert sim.faults == []


def test_healing_a_name_that_does_not_exist_is_a_mistake() -> None:
    """One that is not in force is not."""
    sim = EToroSimulator()
    assert sim.heal("mute") == 0
    with pytest.raises(ValueError, match="name must be one of"):
        sim.heal("muted")


def test_a_fault_shows_what_it_is() -> None:
    """What is in force can be printed."""
    sim = EToroSimulator()
    fault = sim.fault("drip", interval=0.5, at="Subscribe")
    assert "interval=0.5" in repr(fault)
    assert "at='Subscribe'" in repr(sim.faults)
    fault.heal()
    fault.heal()
    assert sim.faults == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("reset", {"at": "Subscribe"}),
        ("mute", {"at": "Subscribe"}),
        ("no_answer", {"operation": "Subscribe"}),
    ],
)
def test_a_fault_can_let_moments_pass_first(
    simulate: Simulate, dial: Dial, name: str, given: dict[str, Any]
) -> None:
    """So the third of three requests can be struck; other requests do not count."""
    sim = simulate()
    client = dial(sim)
    fault = sim.fault(name, skip=2, **given)
    assert client.subscribe("instrument:1").json["success"]
    client.ask("Unsubscribe", topics=["instrument:1"])
    assert client.frame().json["success"]
    assert client.subscribe("instrument:2").json["success"]
    assert fault.struck == 0
    client.ask("Subscribe", topics=["instrument:3"])
    sim.wait_until(lambda s: fault.struck == 1)
