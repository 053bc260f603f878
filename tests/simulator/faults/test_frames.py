import struct
import threading

import pytest
from websockets.exceptions import ConnectionClosed

from etoro_sync.simulator.faults import frames
from tests.simulator.conftest import Connect, Dial, Simulate
from tests.support.frames import CLOSE, PING, PONG, TEXT, close_payload


def test_a_huge_frame_is_announced_and_never_ends(simulate: Simulate, dial: Dial) -> None:
    """Its header is sent behind what waits already."""
    sim = simulate()
    client = dial(sim)
    sim.send_text("before")
    sim.fault("huge_frame", length=1 << 40)
    assert client.frame().payload == b"before"
    assert client.header() == (0x81, 127, 1 << 40)
    assert client.take(13) == b'{"messages":['
    assert client.is_quiet()
    assert sim.faults == []


def test_text_that_is_not_utf8_is_sent(simulate: Simulate, dial: Dial) -> None:
    """All else about it is right, and the connection goes on."""
    sim = simulate()
    client = dial(sim)
    sim.fault("bad_utf8")
    frame = client.frame()
    assert (frame.opcode, frame.fin, frame.rsv, frame.masked) == (TEXT, True, 0, False)
    with pytest.raises(UnicodeDecodeError):
        frame.payload.decode()
    assert client.subscribe("private").json["success"]


def test_a_frame_is_masked_though_it_comes_from_a_server(simulate: Simulate, dial: Dial) -> None:
    """Unmasked it is an envelope."""
    sim = simulate()
    client = dial(sim)
    sim.fault("masked")
    frame = client.frame()
    assert frame.masked
    assert frame.json == {"messages": []}
    assert not client.subscribe("private").masked


@pytest.mark.parametrize("bits", [1, 4, 7])
def test_reserved_bits_are_set(simulate: Simulate, dial: Dial, bits: int) -> None:
    """Of one frame."""
    sim = simulate()
    client = dial(sim)
    sim.fault("reserved_bits", bits=bits)
    frame = client.frame()
    assert (frame.rsv, frame.json) == (bits, {"messages": []})
    assert client.subscribe("private").rsv == 0


@pytest.mark.parametrize(("name", "opcode"), [("pongs", PONG), ("ping_flood", PING)])
def test_control_frames_come_in_numbers(
    simulate: Simulate, dial: Dial, name: str, opcode: int
) -> None:
    """As many as told, and nothing else."""
    sim = simulate()
    client = dial(sim)
    sim.fault(name, count=100)
    assert [client.frame().opcode for _ in range(100)] == [opcode] * 100
    assert client.is_quiet()


def test_a_reset_takes_everybody_with_it(simulate: Simulate, dial: Dial) -> None:
    """They count as gone at once; the next ones are served."""
    sim = simulate()
    clients = [dial(sim), dial(sim)]
    fault = sim.fault("reset")
    assert sim.clients == []
    assert fault.struck == 2
    assert all(client.was_reset() for client in clients)
    assert sim.faults == []
    dial(sim)


@pytest.mark.parametrize("moment", ["open", "Authenticate", "Subscribe"])
def test_a_reset_can_wait_for_its_moment(simulate: Simulate, dial: Dial, moment: str) -> None:
    """It strikes once, unless told otherwise."""
    sim = simulate()
    fault = sim.fault("reset", at=moment)
    client = dial(sim, login=moment == "Subscribe")
    if moment == "Authenticate":
        client.response()
        assert sim.faults == [fault]
    if moment != "open":
        client.ask(moment, apiKey="a", userKey="u", topics=["private"])
    assert client.was_reset()
    assert [request["operation"] for request in sim.requests][-1:] == [moment][moment == "open" :]
    assert sim.faults == []
    assert dial(sim).subscribe("private").json["success"]


def test_a_request_that_ends_its_connection_leads_to_nothing_else(
    simulate: Simulate, dial: Dial
) -> None:
    """What was laid down for the next request is left for it."""
    sim = simulate()
    sim.fault("reset", at="Subscribe")
    sim.fault("reject", operation="Subscribe", code="Later", times=1)
    client = dial(sim)
    client.ask("Subscribe", topics=["private"])
    assert client.was_reset()
    assert dial(sim).subscribe("private").json["errorCode"] == "Later"


@pytest.mark.parametrize(
    ("name", "given"), [("forget", {"topic": "instrument:18"}), ("repeat_snapshot", {})]
)
@pytest.mark.parametrize("moment", ["open", "Authenticate"])
def test_a_fault_that_ends_a_connection_is_the_last_that_its_moment_brings(
    simulate: Simulate, dial: Dial, moment: str, name: str, given: dict[str, str]
) -> None:
    """The client sees the end that was asked for, and a younger fault waits for another client."""
    sim = simulate()
    sim.fault("close", at=moment, code=4001, reason="bye")
    younger = sim.fault(name, at=moment, **given)
    client = dial(sim, login=False)
    client.response()
    client.ask("Authenticate", apiKey="a", userKey="u")
    assert client.frame().payload == close_payload(4001, "bye")
    assert younger.struck == 0
    dial(sim)
    assert younger.struck == 1


def test_a_moment_can_strike_more_than_once(simulate: Simulate, dial: Dial) -> None:
    """As often as told."""
    sim = simulate()
    sim.fault("reset", at="open", times=2)
    assert dial(sim, login=False).was_reset()
    assert dial(sim, login=False).was_reset()
    dial(sim)


@pytest.mark.parametrize("code", [1000, 1001, 1012, 3000, 4999])
def test_a_proper_code_is_sent_behind_what_waits(simulate: Simulate, dial: Dial, code: int) -> None:
    """And the connection ends when the client has answered."""
    sim = simulate()
    client = dial(sim)
    sim.send_text("before")
    sim.fault("close", code=code, reason="enough")
    assert sim.clients == []
    assert client.frame().payload == b"before"
    frame = client.frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_payload(code, "enough"))
    client.send(CLOSE, frame.payload)
    assert client.ended() == b""


@pytest.mark.parametrize("code", [None, 0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])
def test_a_code_that_must_not_be_sent_is_sent(
    simulate: Simulate, dial: Dial, code: int | None
) -> None:
    """Once: there is no second close frame behind it."""
    sim = simulate()
    client = dial(sim)
    sim.fault("close", code=code)
    assert sim.clients == []
    frame = client.frame()
    assert (frame.opcode, frame.payload) == (CLOSE, close_payload(code))
    client.send(CLOSE, close_payload(1000))
    assert client.ended() == b""
    dial(sim)


def test_a_code_that_is_not_answered_is_followed_by_a_reset(
    simulate: Simulate, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that ignores it is not waited for."""
    monkeypatch.setattr(frames, "_CLOSE_REPLY_TIMEOUT", 0.05)
    sim = simulate()
    client = dial(sim)
    sim.fault("close", code=1006)
    assert client.was_reset()


def test_a_close_frame_can_be_followed_by_a_reset(simulate: Simulate, dial: Dial) -> None:
    """Without waiting for the answer."""
    sim = simulate()
    client = dial(sim)
    sim.fault("close_reset", code=4001, reason="out")
    frame = client.frame()
    assert frame.payload == close_payload(4001, "out")
    assert client.was_reset()


def test_a_library_sees_the_code_as_well(simulate: Simulate, connect: Connect) -> None:
    """Close frames made by hand are close frames."""
    sim = simulate()
    client = connect(sim)
    sim.fault("close_reset", code=4001, reason="out")
    closed: ConnectionClosed = client.closed()
    assert closed.rcvd is not None
    assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "out")


def test_bytes_never_come_in_the_middle_of_a_frame(simulate: Simulate, dial: Dial) -> None:
    """Two threads send, and keep their frames apart, however slowly these go out."""
    sim = simulate()
    client = dial(sim)
    sim.fault("drip", interval=0.0001, size=10)
    payloads = [struct.pack("!I", number) for number in range(100)]
    pinging = threading.Thread(target=lambda: [client.ping(payload) for payload in payloads])
    pinging.start()
    for _ in range(30):
        sim.fault("pongs", count=1)
        sim.send_text("x" * 100)
    pinging.join()
    texts, pongs, answers = 0, 0, []
    while (texts, pongs, len(answers)) != (30, 30, 100):
        frame = client.frame()
        if frame.opcode == TEXT:
            assert frame.payload == b"x" * 100
            texts += 1
        elif frame.payload == b"unsolicited":
            pongs += 1
        else:
            answers.append(frame.payload)
    assert answers == payloads
