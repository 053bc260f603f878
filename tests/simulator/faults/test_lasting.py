import contextlib
import socket
import time

import pytest

from etoro_sync.simulator import EToroSimulator
from tests.simulator.conftest import Connect, Dial, Simulate
from tests.simulator.raw import RawClient
from tests.support.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame


def subscribed(dial: Dial, sim: EToroSimulator) -> RawClient:
    client = dial(sim)
    assert client.subscribe("instrument:18").json["success"]
    return client


def test_a_mute_server_reads_and_says_nothing(simulate: Simulate, dial: Dial) -> None:
    """No data and no pong; healed, what has waited comes, and nothing is lost."""
    sim = simulate()
    client = subscribed(dial, sim)
    with sim.fault("mute"):
        client.ping(b"lost")
        client.ask("Subscribe", topics=["private"])
        sim.wait_until(lambda s: "private" in s.subscribed)
        assert sim.publish(18, Ask="7") == 1
        assert client.is_quiet()
    assert client.frame().json["success"]
    assert client.content()["Ask"] == "7"
    client.ping(b"again")
    assert client.frame().payload == b"again"


def test_a_mute_server_does_not_answer_a_close_frame(simulate: Simulate, dial: Dial) -> None:
    """Nor does the end of the stream give it away."""
    sim = simulate()
    client = subscribed(dial, sim)
    sim.fault("mute")
    client.send(CLOSE, close_payload(1000))
    assert client.is_quiet(0.3)


def test_a_client_that_has_said_goodbye_to_a_mute_server_is_let_go_when_it_is_healed(
    simulate: Simulate, dial: Dial
) -> None:
    """The answer to its close frame is lost, but it sees the end, as soon as nothing is mute."""
    sim = simulate()
    client = dial(sim)
    first = sim.fault("mute")
    sim.fault("mute")
    sim.fault("no_answer", operation="Subscribe")  # a waiting answer would end it in its own way
    # In one piece, so that both have been read when the request shows.
    request = frame(TEXT, b'{"operation":"Subscribe"}', mask=True)
    client.sock.sendall(request + frame(CLOSE, close_payload(1000), mask=True))
    sim.wait_until(lambda s: len(s.requests) == 2)
    first.heal()
    assert client.is_quiet()
    sim.heal()
    assert client.ended() == b""
    client.sock.close()
    sim.wait_until(lambda s: not s.clients)


def test_pongs_can_be_all_that_comes(simulate: Simulate, dial: Dial) -> None:
    """Healed, what has waited comes."""
    sim = simulate()
    client = subscribed(dial, sim)
    with sim.fault("pong_only"):
        sim.publish(18, Ask="7")
        client.ping(b"there?")
        frame = client.frame()
        assert (frame.opcode, frame.payload) == (PONG, b"there?")
        assert client.is_quiet()
    assert client.content()["Ask"] == "7"


def test_a_half_open_server_neither_reads_nor_writes(simulate: Simulate, dial: Dial) -> None:
    """Healed, both go on where they were."""
    sim = simulate()
    client = subscribed(dial, sim)
    with sim.fault("half_open"):
        client.ping(b"late")
        client.ask("Subscribe", topics=["private"])
        sim.publish(18, Ask="7")
        assert client.is_quiet()
        assert "private" not in sim.subscribed
    sim.wait_until(lambda s: "private" in s.subscribed)
    frames = [client.frame() for _ in range(3)]
    assert {frame.opcode for frame in frames} == {PONG, TEXT}
    assert [f.payload for f in frames if f.opcode == PONG] == [b"late"]


def test_what_is_sent_to_a_server_that_does_not_read_gets_stuck(
    simulate: Simulate, dial: Dial
) -> None:
    """It goes on sending; healed, it reads everything."""
    sim = simulate(max_frame_bytes=10**9)
    client = subscribed(dial, sim)
    with sim.fault("stop_reading"):
        client.sock.settimeout(0.1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 1_000_000_000:
                sent += client.sock.send(b"\x81\xfe\xff\xff" + bytes(4 + 0xFFFF))
        client.sock.settimeout(10)
        sim.publish(18, Ask="7")
        assert client.content()["Ask"] == "7"
    # The zeros were sent under a mask of zeros: requests that are none.
    assert client.frame().json["errorCode"] == "UnhandledException"
    assert 0xFFFF < sent < 1_000_000_000


def test_dripping_takes_its_time(simulate: Simulate, dial: Dial) -> None:
    """Piece by piece, with pauses; healed, the rest comes at once."""
    sim = simulate()
    client = subscribed(dial, sim)
    with sim.fault("drip", interval=0.005, size=3):
        start = time.monotonic()
        sim.send_text("x" * 58)
        assert client.frame().payload == b"x" * 58
        assert time.monotonic() - start >= 0.005 * 19
    with sim.fault("drip", interval=1000):
        sim.send_text("y" * 500)
        assert client.take(1) == b"\x81"
        assert client.is_quiet()
    assert client.take(503) == b"\x7e\x01\xf4" + b"y" * 500


def test_one_byte_at_a_time_is_still_the_same_stream(simulate: Simulate, connect: Connect) -> None:
    """With TLS, too, where each byte is a record."""
    for tls in (False, True):
        sim = simulate(tls=tls)
        sim.fault("one_byte")
        client = connect(sim)
        sim.send_text("x" * 300)
        assert client.receive() == "x" * 300
        assert sim.faults[0].struck == 1


def test_a_stall_stops_in_the_middle_of_a_frame(simulate: Simulate, dial: Dial) -> None:
    """Nothing follows, not even a pong; healed, the rest does."""
    sim = simulate()
    client = subscribed(dial, sim)
    with sim.fault("stall"):
        sim.send_text("z" * 98)
        assert client.take(50) == b"\x81\x62" + b"z" * 48
        client.ping()
        assert client.is_quiet()
    assert client.take(50) == b"z" * 50
    assert client.frame().opcode == PONG


def test_endless_fragments_end_when_they_are_healed(simulate: Simulate, dial: Dial) -> None:
    """As a message that is good JSON; pings are answered between them."""
    sim = simulate()
    client = subscribed(dial, sim)
    fault = sim.fault("endless_fragments", size=10, interval=0.001)
    first = client.frame()
    assert (first.opcode, first.fin, first.payload) == (TEXT, False, b" " * 10)
    client.ping()
    seen = [client.frame() for _ in range(20)]
    assert {f.opcode for f in seen} <= {CONTINUATION, PONG}
    assert not any(f.fin for f in seen if f.opcode == CONTINUATION)
    sim.publish(18, Ask="7")
    fault.heal()
    while not (last := client.frame()).fin or last.opcode == PONG:
        pass
    assert (last.opcode, last.json) == (CONTINUATION, {"messages": []})
    assert client.content()["Ask"] == "7"


def test_a_fault_strikes_those_to_come_as_well(simulate: Simulate, dial: Dial) -> None:
    """Until it is healed; healing one does not heal another."""
    sim = simulate()
    sim.fault("mute")
    sim.fault("pong_only")
    client = dial(sim, login=False)
    assert "101" in client.response()[0]
    client.ask("Authenticate", apiKey="a", userKey="u")
    sim.wait_until(lambda s: s.clients[0].authenticated)
    assert client.is_quiet()
    assert [fault.name for fault in sim.faults] == ["mute", "pong_only"]
    assert sim.heal("mute") == 1
    assert client.is_quiet()
    client.ping()
    assert client.frame().opcode == PONG
    assert sim.heal() == 1
    assert client.frame().json["success"]
    dial(sim)


def test_a_fault_can_be_for_one_client(simulate: Simulate, dial: Dial) -> None:
    """The others notice nothing."""
    sim = simulate()
    one, two = subscribed(dial, sim), subscribed(dial, sim)
    fault = sim.fault("mute", client=sim.clients[1].id)
    assert fault.struck == 1
    sim.publish(18, Ask="7")
    assert one.content()["Ask"] == "7"
    assert two.is_quiet()


def test_a_fault_can_be_for_a_number_of_connections(simulate: Simulate, dial: Dial) -> None:
    """Those that are open count first; they stay struck until it is healed."""
    sim = simulate()
    one = dial(sim)
    fault = sim.fault("pong_only", times=2)
    two = dial(sim, login=False)
    two.response()
    three = dial(sim)
    sim.send_text("hello")
    assert three.frame().payload == b"hello"
    assert one.is_quiet()
    assert fault.struck == 2
    fault.heal()
    assert one.frame().payload == b"hello"


@pytest.mark.parametrize("moment", ["Authenticate", "Subscribe", "Unsubscribe"])
def test_a_fault_can_wait_for_a_request(simulate: Simulate, dial: Dial, moment: str) -> None:
    """It strikes before the request is answered, and only who has sent it."""
    sim = simulate()
    other = dial(sim)
    fault = sim.fault("pong_only", at=moment, times=1)
    client = dial(sim, login=False)
    client.response()
    for operation in ("Authenticate", "Subscribe", "Unsubscribe"):
        client.ask(operation, apiKey="a", userKey="u", topics=["private"])
        if operation == moment:
            break
        assert client.frame().json["success"]
    sim.wait_until(lambda s: s.requests and s.requests[-1]["operation"] == moment)
    assert client.is_quiet()
    assert fault.struck == 1
    assert other.subscribe("private").json["success"]
    fault.heal()
    assert client.frame().json["operation"] == moment


def test_a_fault_can_wait_for_a_connection_to_be_open(simulate: Simulate, dial: Dial) -> None:
    """Those that are open already are not meant."""
    sim = simulate()
    client = dial(sim)
    sim.fault("pong_only", at="open")
    assert client.subscribe("private").json["success"]
    stranger = dial(sim, login=False)
    stranger.response()
    stranger.ask("Authenticate", apiKey="a", userKey="u")
    assert stranger.is_quiet()


def test_a_frame_is_cut_only_after_all_that_want_whole_frames_have_seen_it(
    simulate: Simulate, dial: Dial
) -> None:
    """So faults of one connection go together in any order."""
    sim = simulate()
    client = subscribed(dial, sim)
    sim.fault("one_byte")
    sim.fault("mute")
    client.ping(b"\x81")
    sim.publish(18, Ask="7")
    assert client.is_quiet()
    sim.heal()
    assert client.content()["Ask"] == "7"


@pytest.mark.parametrize("name", ["mute", "pong_only", "half_open", "stop_reading", "stall"])
def test_a_simulator_stops_with_its_faults_in_force(
    simulate: Simulate, dial: Dial, name: str
) -> None:
    """In the time that any stop takes, and it starts without them."""
    sim = simulate()
    client = dial(sim)
    sim.fault(name)
    sim.send_text("hello")
    start = time.monotonic()
    sim.stop()
    assert time.monotonic() - start < 5
    assert sim.faults == []
    with contextlib.suppress(ConnectionResetError):
        client.ended()
    sim.start()
    assert dial(sim).subscribe("private").json["success"]


def test_a_connection_that_is_held_can_be_dropped(simulate: Simulate, dial: Dial) -> None:
    """Nothing that holds it back keeps it alive."""
    sim = simulate()
    for name in ("half_open", "stall", "mute"):
        client = dial(sim)
        sim.fault(name)
        sim.send_text("hello")
        sim.drop()
        assert client.was_reset()
        sim.heal()


def test_what_a_mute_server_holds_back_is_bounded(simulate: Simulate, dial: Dial) -> None:
    """As for any client who reads too slowly."""
    sim = simulate(max_backlog=10)
    client = dial(sim)
    sim.fault("mute")
    while sim.send_text("more"):
        pass
    assert client.was_reset()
    sim.wait_until(lambda s: s.slow_clients == 1)


def test_a_client_that_leaves_a_mute_server_is_forgotten(simulate: Simulate, dial: Dial) -> None:
    """A struck connection ends when its client ends it."""
    sim = simulate()
    client = dial(sim)
    sim.fault("mute")
    client.sock.shutdown(socket.SHUT_WR)
    sim.wait_until(lambda s: not s.clients)
    assert client.ended() == b""


def test_ping_flood_and_drip_go_together(simulate: Simulate, dial: Dial) -> None:
    """A fault of frames passes through a fault of the wire."""
    sim = simulate()
    client = dial(sim)
    sim.fault("drip", interval=0.0001)
    sim.fault("ping_flood", count=3)
    assert [client.frame().opcode for _ in range(3)] == [PING] * 3


def test_each_connection_is_closed_cleanly_after_some_time(
    simulate: Simulate, connect: Connect
) -> None:
    """Those that are open already, and those to come."""
    sim = simulate()
    first = connect(sim)
    fault = sim.fault("close_every", seconds=0.05)
    for client in (first, connect(sim)):
        closed = client.closed()
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (1000, "session timeout")
    assert fault.struck == 2
    assert sim.faults == [fault]


def test_a_connection_lasts_when_its_end_was_healed_or_others_have_used_it_up(
    simulate: Simulate, connect: Connect
) -> None:
    """Who is spared keeps its session."""
    sim = simulate()
    with sim.fault("close_every", seconds=0.2, client=1, at="Subscribe"):
        spared = connect(sim)
        spared.subscribe("private")
    fault = sim.fault("close_every", seconds=0.3, times=1, at="Subscribe", code=4000, reason="")
    struck, later = connect(sim), connect(sim)
    struck.subscribe("private")
    closed = struck.closed()
    assert closed.rcvd is not None
    assert closed.rcvd.code == 4000
    assert fault.struck == 1
    assert sim.faults == []
    later.subscribe("private")
    order = sim.fill_order(7)
    assert spared.message().content == later.message().content == order


def test_a_close_that_may_not_be_sent_is_refused(simulate: Simulate) -> None:
    """A clean close has a code."""
    with pytest.raises(ValueError, match="code must be"):
        simulate().fault("close_every", code=1006)
