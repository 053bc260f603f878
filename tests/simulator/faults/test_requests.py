import time

import pytest

from tests.simulator.conftest import Connect, Dial, Simulate
from tests.support.frames import BINARY


@pytest.mark.parametrize(
    "code",
    [
        "InvalidKey",
        "Unauthorized",
        "Forbidden",
        "ApiKeyRequired",
        "UserKeyRequired",
        "DataRequired",
        "SessionAlreadyAuthenticated",
        "TooManyRequests",
        "UnhandledException",
    ],
)
def test_authentication_is_rejected_with_any_code(
    simulate: Simulate, connect: Connect, code: str
) -> None:
    """It has no effect, and the next one is granted."""
    sim = simulate()
    sim.fault("reject", operation="Authenticate", code=code, message="why", times=1)
    client = connect(sim, login=False)
    reply = client.authenticate()
    assert (reply["success"], reply["errorCode"], reply["errorMessage"]) == (False, code, "why")
    assert not sim.clients[0].authenticated
    assert client.authenticate()["success"]


def test_a_rejection_lasts_until_it_is_healed(simulate: Simulate, connect: Connect) -> None:
    """It concerns one operation only."""
    sim = simulate()
    client = connect(sim)
    with sim.fault("reject", operation="Subscribe", code="SubscribeFailed") as fault:
        for _ in range(3):
            assert client.subscribe("private")["errorCode"] == "SubscribeFailed"
        assert client.unsubscribe("private")["success"]
    assert fault.struck == 3
    assert client.subscribe("private")["success"]


def test_of_two_faults_of_a_request_the_older_one_comes_first(
    simulate: Simulate, connect: Connect
) -> None:
    """So answers can be laid down in order."""
    sim = simulate()
    client = connect(sim)
    sim.refuse("Subscribe", "First", times=2)
    sim.fault("reject", operation="Subscribe", code="Second", times=1)
    codes = [client.subscribe("private").get("errorCode") for _ in range(4)]
    assert codes == ["First", "First", "Second", None]


def test_requests_that_an_older_fault_strikes_count_as_let_pass(
    simulate: Simulate, connect: Connect
) -> None:
    """A fault that skips one strikes the second that comes, or the first after it that is left."""
    sim = simulate()
    client = connect(sim)
    sim.refuse("Subscribe", "First")
    sim.fault("reject", operation="Subscribe", code="Second", skip=1, times=1)
    codes = [client.subscribe("private").get("errorCode") for _ in range(4)]
    assert codes == ["First", "Second", None, None]
    sim.refuse("Subscribe", "First", times=3)
    sim.fault("reject", operation="Subscribe", code="Second", skip=1, times=1)
    codes = [client.subscribe("private").get("errorCode") for _ in range(5)]
    assert codes == ["First", "First", "First", "Second", None]


def test_a_request_without_an_answer_has_no_effect(simulate: Simulate, dial: Dial) -> None:
    """The next one is answered."""
    sim = simulate()
    client = dial(sim)
    sim.fault("no_answer", operation="Subscribe", times=1)
    client.ask("Subscribe", topics=["private"])
    expected = client.ask("Subscribe", topics=["instrument:18"])
    assert client.frame().json["id"] == expected
    assert sim.subscribed == {"instrument:18"}


def test_a_late_answer_comes_behind_what_the_request_has_led_to(
    simulate: Simulate, dial: Dial
) -> None:
    """Snapshots keep their place behind the answer."""
    sim = simulate()
    client = dial(sim)
    sim.fault("late_answer", operation="Subscribe", delay=0.1, times=1)
    start = time.monotonic()
    client.ask("Subscribe", topics=["instrument:18"], snapshot=True)
    sim.wait_until(lambda s: "instrument:18" in s.subscribed)
    sim.publish(18, Ask="5")
    assert client.content()["Ask"] == "5"
    assert client.frame().json["success"]
    assert time.monotonic() - start >= 0.1
    assert "Bid" in client.content()
    assert client.subscribe("private").json["success"]


def test_a_client_that_has_gone_gets_no_late_answer(simulate: Simulate, dial: Dial) -> None:
    """Nothing breaks on that."""
    sim = simulate()
    client = dial(sim)
    sim.fault("late_answer", operation="Subscribe", delay=0.05)
    client.ask("Subscribe", topics=["private"])
    sim.wait_until(lambda s: s.subscribed)
    client.sock.close()
    sim.wait_until(lambda s: not s.clients)
    sim.wait_until(lambda s: not s._hub.timers._entries)
    sim.heal()
    assert dial(sim).subscribe("private").json["success"]


def test_an_answer_is_sent_more_than_once(simulate: Simulate, dial: Dial) -> None:
    """The request is carried out once, and its snapshots come once."""
    sim = simulate()
    client = dial(sim)
    sim.fault("double_answer", operation="Subscribe", copies=3, times=1)
    expected = client.ask("Subscribe", topics=["instrument:18"], snapshot=True)
    assert [client.frame().json["id"] for _ in range(3)] == [expected] * 3
    assert "Bid" in client.content()
    assert client.subscribe("private").json["success"]
    assert client.is_quiet()


def test_nul_keepalives_come_before_the_answer(simulate: Simulate, dial: Dial) -> None:
    """As the real feed does."""
    sim = simulate()
    sim.fault("nul_first", count=2)
    client = dial(sim, login=False)
    client.response()
    client.ask("Authenticate", apiKey="a", userKey="u")
    assert [(f.opcode, f.payload) for f in (client.frame(), client.frame())] == [
        (BINARY, b"\x00")
    ] * 2
    assert client.frame().json["success"]
    sim.fault("nul_first", operation="Subscribe", times=1)
    assert client.subscribe("private").payload == b"\x00"
    assert client.frame().json["success"]
    assert client.subscribe("private").json["success"]


def test_credentials_that_lack_a_permission_are_refused(
    simulate: Simulate, connect: Connect
) -> None:
    """With eToro's word for it, which differs from those for keys that are wrong."""
    sim = simulate()
    with sim.fault("insufficient_permissions"):
        reply = connect(sim, login=False).authenticate()
    assert reply["success"] is False
    assert reply["errorCode"] == "InsufficientPermissions"
    assert reply["errorMessage"]
    assert connect(sim, login=False).authenticate()["success"]
