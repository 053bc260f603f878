import socket
import ssl
import time

import pytest
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect as ws_connect

from etoro_sync.simulator import EToroSimulator
from tests.simulator.client import PATIENCE
from tests.simulator.conftest import Connect, Dial, Simulate
from tests.simulator.raw import ACCEPT_KEY


def test_refused_is_refused_and_what_is_open_stays_open(simulate: Simulate, dial: Dial) -> None:
    """Healed, it listens on the same port."""
    sim = simulate()
    client, port = dial(sim), sim.port
    with sim.fault("refuse"):
        with pytest.raises(ConnectionRefusedError):
            dial(sim)
        assert client.subscribe("instrument:18").json["success"]
    assert sim.port == port
    assert dial(sim).subscribe("private").json["success"]


def test_a_simulator_can_refuse_from_its_start(simulate: Simulate, dial: Dial) -> None:
    """And a stop heals it."""
    sim = simulate()
    sim.stop()
    sim.fault("refuse")
    sim.start()
    with pytest.raises(ConnectionRefusedError):
        dial(sim)
    sim.stop()
    assert sim.faults == []
    sim.start()
    dial(sim)


def test_accepted_connections_are_dropped_before_a_word(simulate: Simulate, dial: Dial) -> None:
    """As many as told; the next one is served."""
    sim = simulate()
    fault = sim.fault("accept_drop", times=2)
    for _ in range(2):
        with pytest.raises(ConnectionResetError):  # some systems say so on connecting already
            dial(sim, knock=False).sock.recv(1)
    assert fault.struck == 2
    assert sim.faults == []
    dial(sim)


def test_a_handshake_that_is_not_answered_is_answered_when_healed(
    simulate: Simulate, dial: Dial
) -> None:
    """Also when the fault has struck often enough meanwhile."""
    sim = simulate()
    fault = sim.fault("no_handshake", times=1)
    client = dial(sim, login=False)
    assert client.is_quiet()
    dial(sim)
    fault.heal()
    assert "101" in client.response()[0]
    assert client.authenticate().json["success"]


def test_tls_is_left_unanswered_from_its_first_byte_on(
    simulate: Simulate, connect: Connect
) -> None:
    """The client waits in its TLS handshake."""
    sim = simulate(tls=True)
    with (
        sim.fault("no_handshake", during="tls"),
        socket.create_connection(("127.0.0.1", sim.port), PATIENCE) as sock,
    ):
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sim.client_ssl_context().wrap_socket(sock, server_hostname="localhost")
    connect(sim)


def test_only_what_is_said_within_tls_is_left_unanswered(
    simulate: Simulate, connect: Connect
) -> None:
    """TLS itself is spoken."""
    sim = simulate(tls=True)
    with (
        sim.fault("no_handshake", during="handshake"),
        socket.create_connection(("127.0.0.1", sim.port), PATIENCE) as sock,
        sim.client_ssl_context().wrap_socket(sock, server_hostname="localhost") as secure,
    ):
        secure.settimeout(0.1)
        secure.sendall(b"GET /ws HTTP/1.1\r\n\r\n")
        with pytest.raises(TimeoutError):
            secure.recv(1)
    connect(sim)


def test_a_dripping_handshake_takes_its_time_and_nothing_else_does(
    simulate: Simulate, dial: Dial
) -> None:
    """Every byte has a pause behind it."""
    sim = simulate()
    sim.fault("drip_handshake", interval=0.002)
    client = dial(sim, knock=False)
    start = time.monotonic()
    client.knock()
    status, headers = client.response()
    size = len(status) + sum(len(name) + len(value) + 4 for name, value in headers.items())
    assert time.monotonic() - start >= 0.002 * size
    assert headers["Sec-WebSocket-Accept"] == ACCEPT_KEY
    fault = sim.fault("drip_handshake", interval=1000)
    waiting = dial(sim, login=False)
    assert waiting.take(1) == b"H"
    fault.heal()
    assert "101" in "H" + waiting.response()[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong_certificate", "issuer|self-signed"),
        ("expired_certificate", "expired"),
        ("wrong_host", "mismatch"),
    ],
)
def test_a_bad_certificate_is_bad_in_the_way_it_says(
    simulate: Simulate, connect: Connect, name: str, words: str
) -> None:
    """After as many as told, the right one is shown again."""
    sim = simulate(tls=True)
    sim.fault(name, times=2)
    for _ in range(2):
        with (
            socket.create_connection(("127.0.0.1", sim.port), PATIENCE) as sock,
            pytest.raises(ssl.SSLCertVerificationError, match=words),
        ):
            sim.client_ssl_context().wrap_socket(sock, server_hostname="localhost")
    connect(sim)


@pytest.mark.parametrize("status", [401, 403, 429, 503, 404, 599])
def test_the_handshake_is_answered_with_a_status(
    simulate: Simulate, dial: Dial, status: int
) -> None:
    """Also with one that nobody knows; the connection ends behind it."""
    sim = simulate()
    sim.fault("http_status", status=status, retry_after=7, times=1)
    client = dial(sim, login=False)
    line, headers = client.response()
    assert line.startswith(f"HTTP/1.1 {status} ")
    assert headers["Retry-After"] == "7"
    assert headers["Content-Length"] == str(len(client.ended()))
    dial(sim)


def test_a_redirect_says_where_to(simulate: Simulate, dial: Dial) -> None:
    """With the status that was asked for."""
    sim = simulate()
    sim.fault("redirect", location="ws://other.example/ws")
    line, headers = dial(sim, login=False).response()
    assert line.startswith("HTTP/1.1 302 ")
    assert headers["Location"] == "ws://other.example/ws"
    sim.heal()
    sim.fault("redirect", location="/ws", status=308)
    assert dial(sim, login=False).response()[0].startswith("HTTP/1.1 308 ")


def test_a_bad_accept_key_is_all_that_is_wrong(simulate: Simulate, dial: Dial) -> None:
    """A client that checks it refuses the connection."""
    sim = simulate()
    sim.fault("bad_accept_key")
    line, headers = dial(sim, login=False).response()
    assert line.startswith("HTTP/1.1 101 ")
    assert headers["Upgrade"] == "websocket"
    assert headers["Sec-WebSocket-Accept"] != ACCEPT_KEY
    with pytest.raises(InvalidHandshake):
        ws_connect(sim.url, proxy=None).__enter__()
    sim.heal()
    _, headers = dial(sim, login=False).response()
    assert headers["Sec-WebSocket-Accept"] == ACCEPT_KEY


def test_certificates_need_a_simulator_with_tls(simulate: Simulate) -> None:
    """That is said at once."""
    with pytest.raises(ValueError, match=r"'wrong_host' needs a simulator with tls=True"):
        simulate().fault("wrong_host")
    assert EToroSimulator().faults == []
