from typing import Any

import pytest

from etoro_sync.simulator import EToroSimulator
from tests.support.foreign import Float, Int, bool_


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"instruments": "18"}, TypeError, "instruments must be a mapping id -> mid price"),
        ({"instruments": 18}, TypeError, "instruments must be a mapping id -> mid price"),
        ({"instruments": ["18"]}, TypeError, "instruments: an id must be an integer"),
        ({"instruments": [True]}, TypeError, "instruments: an id must be an integer"),
        ({"instruments": [-1]}, ValueError, "instruments: an id must be 0 or more"),
        ({"instruments": {18: 0}}, ValueError, "mid price of 18 must be more than 1e-09"),
        ({"instruments": {18: "5"}}, TypeError, "mid price of 18 must be a number"),
        ({"instruments": {18: float("inf")}}, ValueError, "mid price of 18 must be more"),
        ({"api_key": ""}, ValueError, "api_key must not be empty"),
        ({"user_key": 5}, TypeError, "user_key must be a string, not int"),
        ({"rate": -1}, ValueError, "rate must be 0 or more"),
        ({"rate": "fast"}, TypeError, "rate must be a number, 0 or more"),
        ({"rate": True}, TypeError, "rate must be a number"),
        ({"mix": "none"}, ValueError, "mix must be one of own, universe, liquid, full"),
        ({"seed": 1.5}, TypeError, "seed must be an integer"),
        ({"order_interval": 0}, ValueError, "order_interval must be more than 0"),
        ({"nul_interval": None}, TypeError, "nul_interval must be a number"),
        ({"nul_before_auth": 1}, TypeError, "nul_before_auth must be True or False"),
        ({"max_topics": -1}, ValueError, "max_topics must be 0 or more"),
        ({"max_frame_bytes": 0}, ValueError, "max_frame_bytes must be 1 or more"),
        ({"max_backlog": 0}, ValueError, "max_backlog must be 1 or more"),
        ({"duplicate_error": "no"}, TypeError, "duplicate_error must be True or False"),
        ({"tls": None}, TypeError, "tls must be True or False"),
        ({"host": "0.0.0.0"}, ValueError, "host must be a loopback address"),
        ({"host": "example.org"}, ValueError, "host must be a loopback address"),
        ({"port": 65536}, ValueError, "port must be 65535 or less"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(
    options: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A mistake shows when the simulator is made, not when it runs."""
    with pytest.raises(error) as caught:
        EToroSimulator(**options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("method", "arguments", "error", "words"),
    [
        ("publish", {"instrument_id": "18"}, TypeError, "instrument_id must be an integer"),
        ("publish", {"instrument_id": 5}, ValueError, "instrument_id must be one of"),
        ("publish", {"instrument_id": 18, "ask": "1"}, ValueError, "wire names: Ask, not ask"),
        ("publish", {"instrument_id": 18, "Ask": {1}}, TypeError, "Ask must be a value that"),
        ("publish", {"instrument_id": 18, "stamp": 0}, TypeError, "stamp must be True or False"),
        ("last", {"instrument_id": 5}, ValueError, "instrument_id must be one of"),
        ("heartbeat", {"instrument_id": -1}, ValueError, "instrument_id must be 0 or more"),
        ("set_active", {"instrument_id": 18, "active": "no"}, TypeError, "active must be True"),
        (
            "set_active",
            {"instrument_id": 18, "active": True, "reason": 2},
            TypeError,
            "reason must be a string",
        ),
        ("fill_order", {"order_id": "1"}, TypeError, "order_id must be an integer"),
        ("fill_order", {"units": "1"}, TypeError, "units must be a number"),
        ("fill_order", {"status_id": None}, TypeError, "status_id must be an integer"),
        ("fill_order", {"Extra": {1}}, TypeError, "Extra must be a value that"),
        ("send_text", {"text": b"x"}, TypeError, "text must be a string"),
        ("send_text", {"text": "x\ud800"}, ValueError, "text must be text that UTF-8"),
        ("send_binary", {"data": "x"}, TypeError, "data must be bytes"),
        (
            "refuse",
            {"operation": "Dance", "error_code": "X"},
            ValueError,
            "operation must be one of Authenticate, Subscribe, Unsubscribe",
        ),
        (
            "refuse",
            {"operation": "Subscribe", "error_code": ""},
            ValueError,
            "error_code must not be empty",
        ),
        ("ignore", {"operation": "Subscribe", "times": 0}, ValueError, "times must be 1 or more"),
        ("disconnect", {"code": 1006}, ValueError, "code must be 1000 to 1003"),
        ("disconnect", {"code": "1000"}, TypeError, "code must be an integer"),
        ("disconnect", {"reason": "x" * 124}, ValueError, "reason must not be longer"),
        ("wait_until", {"predicate": bool, "timeout": -1}, ValueError, "timeout must be 0"),
    ],
)
def test_a_bad_argument_is_named_with_what_is_allowed(
    method: str, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    """A mistake never goes out on the wire."""
    sim = EToroSimulator({18: 4800.0})
    with pytest.raises(error) as caught:
        getattr(sim, method)(**arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_every_loopback_address_will_do(host: str) -> None:
    """The simulator can be bound to any address of this machine alone."""
    EToroSimulator(host=host)


def test_a_wrong_key_does_not_show_in_the_message() -> None:
    """Keys stay secret also when they are of the wrong type."""
    with pytest.raises(TypeError) as caught:
        EToroSimulator(api_key=b"secret")  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_numbers_of_other_libraries_are_numbers() -> None:
    """Such as numpy's, from a table of prices; they become Python's own, as JSON needs them."""
    with EToroSimulator({Int(18): Float(1.5)}, rate=Float(0.0), port=Int(0)) as sim:  # type: ignore[dict-item, arg-type]
        assert sim.publish(Int(18), Bid=1.5) == 0  # type: ignore[arg-type]
        order: Any = sim.fill_order(Int(7), Int(18), Float(2.0))  # type: ignore[arg-type]
        assert order["OrderID"] == 7
        sim.set_active(Int(18), bool_(False))  # type: ignore[arg-type]
        assert sim.last(18)["IsMarketOpen"] == "false"
    with pytest.raises(TypeError, match="seed must be an integer"):
        EToroSimulator(seed=bool_())  # type: ignore[arg-type]
