import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect as ws_connect

from etoro_sync.simulator import EToroSimulator, endpoint
from tests.simulator.client import PATIENCE, Client, was_reset
from tests.simulator.conftest import Connect, Simulate


def test_the_feed_is_found_at_its_path_only(simulate: Simulate) -> None:
    """A wrong URL is noticed at once; a query is none of our business."""
    sim = simulate()
    with pytest.raises(InvalidStatus) as caught:
        Client(sim, sim.url + "/v2")
    assert caught.value.response.status_code == 404
    Client(sim, sim.url + "?x=1").abandon()
    assert sim.connections == 1


def test_nothing_is_compressed_even_if_the_client_offers_it(
    simulate: Simulate, connect: Connect
) -> None:
    """Sizes on the wire are those of the messages."""
    client = connect(simulate(), compression="deflate")
    assert client.ws.response is not None
    assert "Sec-WebSocket-Extensions" not in client.ws.response.headers


def test_a_subscription_is_acknowledged_before_its_snapshots(
    simulate: Simulate, connect: Connect
) -> None:
    """Then comes one snapshot per instrument, in the order asked for; private has none."""
    sim = simulate({18: 4800.0, 19: 1.5})
    client = connect(sim)
    topics = ["instrument:19", "private", "instrument:5", "nonsense", "instrument:18"]
    client.ws.send(
        json.dumps({"id": "a", "operation": "Subscribe", "data": {"topics": topics, "snapshot": 1}})
    )
    assert client.reply()["success"]
    assert client.subscribe(*topics, snapshot=True)["success"]
    messages = [client.message() for _ in range(2)]
    assert [m.topic for m in messages] == ["instrument:19", "instrument:18"]
    assert all(m.type == "Snapshot" and m.content == sim.last(int(m.topic[11:])) for m in messages)
    assert sim.publish(18, Bid="1") == 1
    assert client.message().content["Bid"] == "1"
    assert sim.subscribed == set(topics)


def test_subscribing_again_sends_the_snapshot_again(simulate: Simulate, connect: Connect) -> None:
    """Unless duplicates are to be refused."""
    sim = simulate()
    client = connect(sim)
    for _ in range(2):
        assert client.subscribe("instrument:18", snapshot=True)["success"]
        assert client.message().type == "Snapshot"
    strict = connect(simulate(duplicate_error=True))
    assert strict.subscribe("private")["success"]
    assert strict.subscribe("private")["errorCode"] == "TopicAlreadySubscribed"


def test_the_usual_number_of_topics_fits_and_one_more_does_not(
    simulate: Simulate, connect: Connect
) -> None:
    """The connection survives the refusal and keeps what it has."""
    sim = simulate()
    client = connect(sim)
    topics = [f"instrument:{n}" for n in range(5000)]
    for start in range(0, 4000, 1000):
        assert client.subscribe(*topics[start : start + 1000])["success"]
    reply = client.subscribe(*topics[4000:])
    assert reply["errorMessage"] == "Too many subscriptions for session"
    assert client.subscribe(*topics[4000:4999])["success"]
    assert len(sim.subscribed) == 4999
    assert sim.publish(4998, Ask="1") == 1
    assert client.message().topic == "instrument:4998"


def test_a_request_without_authentication_is_refused(simulate: Simulate, connect: Connect) -> None:
    """The connection stays open, and authentication is still possible."""
    client = connect(simulate(), login=False)
    reply = client.subscribe("instrument:18")
    assert (reply["success"], reply["errorCode"]) == (False, "Unauthorized")
    assert client.authenticate()["success"]


def test_wrong_keys_are_refused_and_right_ones_accepted(
    simulate: Simulate, connect: Connect
) -> None:
    """Each with the code that tells which one is wrong."""
    client = connect(simulate(api_key="a", user_key="u"), login=False)
    assert client.authenticate("x", "u")["errorCode"] == "InvalidKey"
    assert client.authenticate("a", "x")["errorCode"] == "Unauthorized"
    assert client.authenticate("a", "u")["success"]
    assert client.authenticate("a", "u")["errorCode"] == "SessionAlreadyAuthenticated"


def test_a_text_over_the_limit_kills_the_connection_without_a_word(
    simulate: Simulate, connect: Connect
) -> None:
    """One of exactly the limit is fine; bytes are counted, not characters."""
    sim = simulate(max_frame_bytes=1000)
    client, other = connect(sim), connect(sim)
    client.subscribe("instrument:18")
    for filler, survives in [("x" * 1000, True), ("\u00e9" * 500, True), ("\u00e9" * 501, False)]:
        client.ws.send(filler)
        if survives:
            assert client.reply()["errorCode"] == "UnhandledException"
    assert was_reset(client.closed())
    assert sim.subscribed == frozenset()
    assert other.subscribe("private")["success"]


def test_a_binary_message_is_refused_without_id_and_operation(
    simulate: Simulate, connect: Connect
) -> None:
    """Whatever its size."""
    client = connect(simulate(max_frame_bytes=1000))
    client.ws.send(b"x" * 5000)
    assert client.reply() == {"success": False, "errorCode": "BinaryMessagesNotSupported"}


def test_a_ping_is_answered(simulate: Simulate, connect: Connect) -> None:
    """The edge in front of the real server does it as well."""
    assert connect(simulate()).ws.ping().wait(PATIENCE)


def test_a_client_that_never_reads_is_cut_off_and_delays_nobody(
    simulate: Simulate, connect: Connect
) -> None:
    """The other client gets every message, in order."""
    sim = simulate(max_backlog=20)
    slow, healthy = connect(sim, max_queue=1), connect(sim)
    sent = 0
    while sim.send_text(f"{sent}:" + "x" * 200_000) == 2:
        text = healthy.receive()
        assert isinstance(text, str)
        assert text.startswith(f"{sent}:")
        sent += 1
    sim.wait_until(lambda s: s.slow_clients == 1)
    assert len(sim.clients) == 1
    last = healthy.receive()
    assert isinstance(last, str)
    assert last.startswith(f"{sent}:")
    assert slow.closed().rcvd is None


def test_a_client_that_takes_nothing_for_long_is_cut_off(
    simulate: Simulate, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when little waits for it."""
    monkeypatch.setattr(endpoint, "_SEND_TIMEOUT", 0.1)
    sim = simulate()
    connect(sim, max_queue=1)
    for _ in range(100):
        sim.send_text("x" * 500_000)
    sim.wait_until(lambda s: s.slow_clients == 1)
    assert sim.clients == []


def test_disconnecting_a_client_with_a_full_outbox_resets_it(
    simulate: Simulate, connect: Connect
) -> None:
    """There is no room for a close frame."""
    sim = simulate(max_backlog=1)
    client = connect(sim, max_queue=1)
    hub = sim._hub
    with hub.changed:
        (link,) = hub.peers
    while link._outbox.put("x" * 1_000_000):  # type: ignore[attr-defined]
        pass
    assert sim.disconnect() == 1
    assert client.closed().rcvd is None


def test_a_client_that_breaks_the_protocol_only_ends_itself(
    simulate: Simulate, connect: Connect
) -> None:
    """Garbage instead of a handshake, and invalid text after it."""
    sim = simulate()
    with socket.create_connection(("127.0.0.1", sim.port), PATIENCE) as sock:
        sock.sendall(b"GARBAGE\r\n\r\n")
        while sock.recv(1000):
            pass
    client = connect(sim)
    client.ws.send(b"\xff", text=True)
    closed = client.closed()
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1007
    assert connect(sim).subscribe("private")["success"]


def test_tls_is_spoken_with_a_certificate_that_only_its_own_authority_vouches_for(
    simulate: Simulate, connect: Connect
) -> None:
    """A client that does not trust it does not get in, nor one that speaks no TLS."""
    sim = simulate(tls=True)
    assert sim.url == f"wss://localhost:{sim.port}/ws"
    assert sim.ca_pem is not None
    assert sim.ca_pem.startswith("-----BEGIN CERTIFICATE-----")
    with (
        socket.create_connection(("127.0.0.1", sim.port), PATIENCE) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")
    with pytest.raises(WebSocketException):
        ws_connect(f"ws://localhost:{sim.port}/ws", proxy=None).__enter__()
    client = connect(sim)
    assert client.subscribe("instrument:18", snapshot=True)["success"]
    assert client.message().type == "Snapshot"
    sim.drop()
    assert client.closed().rcvd is None
    assert connect(sim, url=f"wss://127.0.0.1:{sim.port}/ws").subscribe("private")["success"]


def test_dropping_also_hits_connections_that_are_not_open_yet(simulate: Simulate) -> None:
    """A reset reaches a client in the middle of its handshake."""
    sim = simulate()
    with socket.create_connection(("127.0.0.1", sim.port), PATIENCE) as sock:
        sock.sendall(b"GET /ws HTTP/1.1\r\n")
        Client(sim).abandon()  # by then the first connection has been accepted
        sim.drop()
        with pytest.raises(ConnectionResetError):
            sock.recv(1000)


@pytest.fixture
def lack_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Let the next start of a thread fail whose name has a certain word in it."""
    start = threading.Thread.start

    def lack(word: str) -> list[str]:
        missed: list[str] = []

        def fail_once(self: threading.Thread) -> None:
            if word in self.name and not missed:
                missed.append(self.name)
                raise RuntimeError("can't start new thread")
            start(self)

        monkeypatch.setattr(threading.Thread, "start", fail_once)
        return missed

    return lack


@pytest.mark.parametrize("word", ["simulator-connection", "recv_events", "simulator-send"])
def test_a_connection_for_which_there_is_no_thread_ends_and_the_next_is_served(
    word: str, simulate: Simulate, connect: Connect, lack_threads: Callable[[str], list[str]]
) -> None:
    """A process may run out of threads for a moment; the accepting goes on."""
    sim = simulate()
    missed = lack_threads(word)
    with (
        contextlib.suppress(ConnectionResetError),
        socket.create_connection(("127.0.0.1", sim.port), PATIENCE) as sock,
    ):
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        sock.sendall(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        while sock.recv(4096):
            pass
    assert missed
    assert connect(sim).subscribe("instrument:18", snapshot=True)["success"]
    sim.wait_until(lambda s: len(s.clients) == 1, PATIENCE)


@pytest.mark.parametrize("word", ["simulator-accept", "simulator-feed"])
def test_a_simulator_that_finds_no_thread_to_start_with_leaves_nothing_behind(
    word: str, lack_threads: Callable[[str], list[str]]
) -> None:
    """Its port is free again, and a second attempt succeeds."""
    sim = EToroSimulator(rate=0)
    lack_threads(word)
    with pytest.raises(RuntimeError, match=r"can't start new thread. Raise the limit") as caught:
        sim.start()
    assert isinstance(caught.value, OSError)  # of the system, as a port that is taken
    assert not [t for t in threading.enumerate() if t.name.startswith("etoro-simulator")]
    with sim:
        assert sim.url


def test_the_threads_of_a_simulator_have_names_of_their_own(
    simulate: Simulate, connect: Connect
) -> None:
    """A program that looks for a client's threads, etoro-sync-..., does not find these."""
    before = set(threading.enumerate())
    sim = simulate()
    connect(sim).subscribe("instrument:18")
    served_by = [t.name for t in threading.enumerate() if t not in before]
    names = sorted(name for name in served_by if "recv_events" not in name)
    assert names == [
        f"etoro-simulator-{what}" for what in ("accept", "connection", "feed", "receive", "send-1")
    ]
