import json
import queue
import threading
import uuid
from collections.abc import Callable

import pytest

from etoro_sync.simulator import EToroSimulator, SimulatorClient
from tests.simulator.client import PATIENCE, was_reset
from tests.simulator.conftest import Connect, Simulate


def test_published_fields_go_out_exactly_as_given(simulate: Simulate, connect: Connect) -> None:
    """A stamp is all that is added, and the state takes the fields over."""
    sim = simulate({18: 4800.0})
    client = connect(sim)
    client.subscribe("instrument:18")
    assert sim.publish(18, Ask="4810.5", Odd=True) == 1
    message = client.message()
    assert (message.topic, message.type) == ("instrument:18", "Trading.Instrument.Rate")
    assert uuid.UUID(message.id).version == 4
    assert message.content.keys() == {"Ask", "Odd", "Date", "PriceRateID"}
    assert (message.content["Ask"], message.content["Odd"]) == ("4810.5", True)
    assert sim.last(18).items() >= {("Ask", "4810.5"), ("Odd", "true")}
    assert sim.last(18)["PriceRateID"] == message.content["PriceRateID"]


def test_a_stamp_can_be_given_or_left_out(simulate: Simulate, connect: Connect) -> None:
    """Messages without Date and PriceRateID exist on the real feed, too."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18")
    sim.publish(18, stamp=False, ConversionRateAsk="1.0")
    assert client.message().content == {"ConversionRateAsk": "1.0"}
    sim.publish(18, Bid="1", Date="2026-01-01T00:00:00Z")
    content = client.message().content
    assert content.keys() == {"Bid", "Date", "PriceRateID"}
    assert content["Date"] == "2026-01-01T00:00:00Z"


def test_a_heartbeat_has_a_date_and_an_id_only(simulate: Simulate, connect: Connect) -> None:
    """It says that the instrument is alive, and nothing about prices."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18")
    assert sim.heartbeat(18) == 1
    assert client.message().content.keys() == {"Date", "PriceRateID"}


def test_only_subscribers_are_reached(simulate: Simulate, connect: Connect) -> None:
    """The number that comes back says how many."""
    sim = simulate()
    one, two, _ = connect(sim), connect(sim), connect(sim, login=False)
    assert sim.publish(18, Ask="1") == 0
    one.subscribe("instrument:18")
    assert sim.publish(18, Ask="2") == 1
    two.subscribe("instrument:18", "instrument:19")
    assert sim.publish(18, Ask="3") == 2
    assert sim.publish(19, Ask="4") == 1
    one.unsubscribe("instrument:18")
    assert sim.publish(18, Ask="5") == 1
    assert [one.message().content["Ask"] for _ in range(2)] == ["2", "3"]
    assert [two.message().content["Ask"] for _ in range(3)] == ["3", "4", "5"]
    assert sim.subscribed == {"instrument:18", "instrument:19"}


def test_a_closed_instrument_is_announced_and_shows_in_snapshots(
    simulate: Simulate, connect: Connect
) -> None:
    """Opening it again shows in the same way."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18")
    for active, reason, words in [(False, None, "4"), (True, None, "2"), (False, "6", "6")]:
        assert sim.set_active(18, active, *([reason] if reason else []), flags_after=60) == 1
        message = client.message()
        assert message.type == "Trading.Instrument.Active"
        expected = {"IsInstrumentActive": str(active), "AvailabilityReason": words}
        assert message.content == expected
        client.subscribe("instrument:18", snapshot=True)
        snapshot = client.message().content
        flag = {"IsInstrumentActive": str(active).lower(), "AvailabilityReason": words}
        assert snapshot.items() >= flag.items()
        assert snapshot["IsMarketOpen"] == str(active).lower()
        assert snapshot == sim.last(18)


def test_an_opening_is_followed_by_a_rate_with_the_flags(
    simulate: Simulate, connect: Connect
) -> None:
    """Without it, subscribers would take the market for closed until their next snapshot."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18")
    sim.set_active(18, False)
    sim.set_active(18, True)
    assert [client.message().type for _ in range(2)] == ["Trading.Instrument.Active"] * 2
    message = client.message()
    assert message.type == "Trading.Instrument.Rate"
    flags = {"IsInstrumentActive": "true", "IsMarketOpen": "true"}
    assert message.content.items() >= flags.items()
    assert sim.last(18).items() >= flags.items()


def test_the_flags_of_an_opening_are_not_sent_when_it_has_ended(
    simulate: Simulate, connect: Connect
) -> None:
    """Neither once it is closed again, nor twice after two openings."""
    sim = simulate()
    client = connect(sim)
    client.subscribe("instrument:18", "instrument:19")
    sim.set_active(18, True, flags_after=0)
    sim.set_active(18, False)
    for instrument_id in (18, 19):
        sim.set_active(instrument_id, True, flags_after=0.01)
        sim.set_active(instrument_id, True, flags_after=0.02)
    rates: list[str] = []
    while len(rates) < 2:
        message = client.message()
        rates += [message.topic] if message.type == "Trading.Instrument.Rate" else []
    assert sorted(rates) == ["instrument:18", "instrument:19"]
    sim.send_text("end")
    assert client.receive() == "end"


def test_a_filled_order_is_told_to_subscribers_of_private(
    simulate: Simulate, connect: Connect
) -> None:
    """The content comes back, and every field can be changed or added."""
    sim = simulate({18: 4800.0})
    client, other = connect(sim), connect(sim)
    client.subscribe("private", snapshot=True)
    content = sim.fill_order(77, 18, 2.5, CloseReason=1, Extra="x")
    message = client.message()
    assert (message.topic, message.type) == ("private", "Trading.OrderForCloseMultiple.Update")
    assert message.content == content
    assert content["OrderID"] == 77
    assert content["StatusID"] == content["StatusId"] == 3
    assert (content["CloseReason"], content["Extra"]) == (1, "x")
    assert content["EndRate"] == float(sim.last(18)["Bid"])
    assert sim.fill_order(instrument_id=5, status_id=11)["EndRate"] == 0.0
    assert sim.fill_order(instrument_id=5)["EndRate"] == 0.0
    other.ws.close()


def test_any_text_and_any_bytes_go_to_all_who_are_authenticated(
    simulate: Simulate, connect: Connect
) -> None:
    """Also what no real server would send."""
    sim = simulate()
    client, _ = connect(sim), connect(sim, login=False)
    assert sim.send_text("{broken") == 1
    assert sim.send_binary(b"\x00\x01") == 1
    assert [client.receive() for _ in range(2)] == ["{broken", b"\x00\x01"]


def test_requests_are_refused_as_often_as_told(simulate: Simulate, connect: Connect) -> None:
    """Afterwards they are granted again."""
    sim = simulate()
    sim.refuse("Authenticate", "InvalidKey", "no such key")
    sim.refuse("Subscribe", "TooManyRequests", times=2)
    client = connect(sim, login=False)
    reply = client.authenticate()
    assert (reply["errorCode"], reply["errorMessage"]) == ("InvalidKey", "no such key")
    assert client.authenticate()["success"]
    replies = [client.subscribe("instrument:18") for _ in range(3)]
    assert [r.get("errorCode") for r in replies] == ["TooManyRequests", "TooManyRequests", None]
    assert sim.subscribed == {"instrument:18"}


def test_an_ignored_request_gets_no_reply_and_has_no_effect(
    simulate: Simulate, connect: Connect
) -> None:
    """The next one is answered."""
    sim = simulate()
    client = connect(sim)
    sim.ignore("Subscribe")
    client.ws.send(json.dumps({"operation": "Subscribe", "data": {"topics": ["instrument:18"]}}))
    assert client.subscribe("instrument:19")["success"]
    assert sim.subscribed == {"instrument:19"}
    assert len(sim.requests) == 3


def test_disconnecting_sends_the_close_frame_behind_everything_else(
    simulate: Simulate, connect: Connect
) -> None:
    """All clients get code and reason, and count as gone at once."""
    sim = simulate()
    client, other = connect(sim), connect(sim, login=False)
    for n in range(500):
        sim.send_text(str(n))
    assert sim.disconnect(4001, "enough") == 2
    assert (sim.clients, sim.subscribed) == ([], frozenset())
    assert [client.receive() for _ in range(500)] == [str(n) for n in range(500)]
    for closed in (client.closed(), other.closed()):
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "enough")
    assert sim.disconnect() == 0


def test_dropping_resets_every_connection_without_a_close_frame(
    simulate: Simulate, connect: Connect
) -> None:
    """As when a load balancer forgets a connection."""
    sim = simulate()
    clients = [connect(sim), connect(sim, login=False)]
    assert sim.drop() == 2
    assert sim.clients == []
    assert all(was_reset(client.closed()) for client in clients)
    assert connect(sim).subscribe("private")["success"]
    assert sim.connections == 3


def test_clients_are_described_as_they_are(simulate: Simulate, connect: Connect) -> None:
    """The description is a snapshot, in the order of connection."""
    sim = simulate()
    client, _ = connect(sim), connect(sim, login=False)
    client.subscribe("private", "instrument:18")
    sim.wait_until(lambda s: s.clients[0].messages_sent == 2)
    assert sim.clients == [
        SimulatorClient(1, True, frozenset({"private", "instrument:18"}), 2),
        SimulatorClient(2, False, frozenset(), 0),
    ]
    with pytest.raises(AttributeError):
        sim.clients[0].id = 5  # type: ignore[misc]


def test_requests_are_kept_in_order_and_without_keys(simulate: Simulate, connect: Connect) -> None:
    """A failed test may print them."""
    sim = simulate(api_key="secret-a", user_key="secret-u")
    client = connect(sim, login=False)
    client.authenticate("secret-a", "secret-u")
    client.subscribe("private")
    client.ws.send("no request")
    assert client.reply()["errorCode"] == "UnhandledException"
    assert [request["operation"] for request in sim.requests] == ["Authenticate", "Subscribe"]
    assert sim.requests[1]["data"] == {"topics": ["private"], "snapshot": False}
    assert "secret" not in repr([sim.requests, sim.clients, sim])


def test_waiting_ends_with_the_change_that_was_waited_for(
    simulate: Simulate, connect: Connect
) -> None:
    """Every change is looked at: connecting, requests, messages sent, disconnecting."""
    sim = simulate()
    reached: queue.SimpleQueue[int] = queue.SimpleQueue()
    conditions: list[Callable[[EToroSimulator], object]] = [
        lambda s: s.connections == 1,
        lambda s: s.clients[0].authenticated,
        lambda s: "private" in s.subscribed,
        lambda s: s.clients[0].messages_sent == 3,
        lambda s: not s.clients,
    ]

    def watch() -> None:
        for number, condition in enumerate(conditions):
            sim.wait_until(condition, timeout=PATIENCE)
            reached.put(number)

    watcher = threading.Thread(target=watch)
    watcher.start()
    client = connect(sim, login=False)
    steps = [client.authenticate, lambda: client.subscribe("private"), lambda: sim.send_text("x")]
    for number, step in enumerate([*steps, client.ws.close]):
        assert reached.get(timeout=PATIENCE) == number
        step()
    assert reached.get(timeout=PATIENCE) == len(conditions) - 1
    watcher.join()


def test_waiting_in_vain_ends_with_a_timeout_that_tells_the_state(simulate: Simulate) -> None:
    """The message says where the simulator is and who is connected."""
    sim = simulate()
    with pytest.raises(TimeoutError, match=r"not true within 0.01 s: <EToroSimulator ws:.* 0 cl"):
        sim.wait_until(lambda s: s.clients, timeout=0.01)


def test_a_simulator_that_is_not_running_can_be_looked_at() -> None:
    """Controls work on nobody."""
    sim = EToroSimulator()
    assert (sim.clients, sim.requests, sim.connections, sim.slow_clients) == ([], [], 0, 0)
    assert sim.publish(18, Ask="1") == sim.disconnect() == sim.drop() == 0
    assert repr(sim) == "<EToroSimulator not running, 0 clients>"
