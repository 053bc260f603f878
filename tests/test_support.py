"""The scripted server and its companions: a test that relies on them must be able to trust them."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import websocket
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidHandshake
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from tests.conftest import StartServer
from tests.support.certificates import Certificates
from tests.support.clocks import FakeClock
from tests.support.frames import close_payload, unmask
from tests.support.raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Disconnected,
    Peer,
    RawServer,
    Refuser,
    frame,
)
from tests.support.threads import (
    Watchdog,
    assert_no_new_descriptors,
    assert_no_new_threads,
    join_stragglers,
    run_in_thread,
)
from tests.support.timing import MS

TIMEOUT = 5000 * MS


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    with assert_no_new_descriptors(), assert_no_new_threads():
        yield


def client(server: RawServer, **options: Any) -> ClientConnection:
    connection: ClientConnection = connect(
        server.url, proxy=None, ping_interval=None, close_timeout=1000 * MS, **options
    )
    return connection


@contextlib.contextmanager
def tls_client(server: RawServer, context: ssl.SSLContext) -> Iterator[websocket.WebSocket]:
    """A client that uses its connection in one thread.

    websockets uses it in two, which up to CPython 3.12 loses healthy connections (cpython #77271).
    """
    connection = websocket.create_connection(
        server.url, TIMEOUT, sslopt={"context": context}, http_no_proxy=["*"]
    )
    try:
        yield connection
    finally:
        connection.close(timeout=TIMEOUT)


def raw_client(server: RawServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), TIMEOUT)


def shake_hands(sock: socket.socket) -> bytes:
    """Send a minimal request, and return what arrives up to the end of the answer's head."""
    # The key of the standard's own example.
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    sock.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(65536)
    return answer


def ask(connection: ClientConnection, operation: str, request_id: str = "1") -> dict[str, Any]:
    connection.send(json.dumps({"id": request_id, "operation": operation, "data": {}}))
    answer: dict[str, Any] = json.loads(connection.recv(TIMEOUT))
    return answer


# Frames


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (frame(TEXT, b"Hello"), b"\x81\x05Hello"),
        (frame(TEXT, b"Hello", mask=True)[:2], b"\x81\x85"),
        (frame(TEXT, b"Hel", fin=False), b"\x01\x03Hel"),
        (frame(CONTINUATION, b"lo"), b"\x80\x02lo"),
        (frame(PING, rsv=4), b"\xc9\x00"),
        (frame(BINARY, bytes(126))[:4], b"\x82\x7e\x00\x7e"),
        (frame(BINARY, bytes(65536))[:10], b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
        (frame(TEXT, b"cut", declared_length=1 << 33), b"\x81\x7f\0\0\0\2\0\0\0\0cut"),
        (frame(CLOSE, close_payload(1000, "bye")), b"\x88\x05\x03\xe8bye"),
        (frame(CLOSE, close_payload(None)), b"\x88\x00"),
    ],
)
def test_frame_bytes(built: bytes, expected: bytes) -> None:
    assert built == expected


@given(st.binary(), st.binary(min_size=4, max_size=4))
def test_unmask_is_its_own_inverse(payload: bytes, key: bytes) -> None:
    masked = unmask(payload, key)
    assert masked == bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    assert unmask(masked, key) == payload


# A conversation


def test_a_whole_session(raw_server: StartServer) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        assert peer.authenticate()["id"] == "1"
        assert peer.acknowledge()["operation"] == "Subscribe"
        peer.send_message("instrument:1", "Snapshot", {"Ask": "1.5"})
        peer.serve()

    server = raw_server(script)
    with client(server) as connection:
        answer = ask(connection, "Authenticate")
        assert answer == {"id": "1", "success": True, "operation": "Authenticate"}
        assert ask(connection, "Subscribe") == {**answer, "operation": "Subscribe"}
        (message,) = json.loads(connection.recv(TIMEOUT))["messages"]
        assert json.loads(message["content"]) == {"Ask": "1.5"}
        assert connection.ping().wait(TIMEOUT)
        assert ask(connection, "Unsubscribe", "7")["id"] == "7"
    (peer,) = server.peers
    assert "GET /ws HTTP/1.1" in peer.request
    assert [request["operation"] for request in peer.requests] == [
        "Authenticate",
        "Subscribe",
        "Unsubscribe",
    ]
    assert peer.received_close == (1000, "")
    assert connection.close_code == 1000


def test_requests_can_be_refused(raw_server: StartServer) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey", "no such key")

    with client(raw_server(script)) as connection:
        assert ask(connection, "Authenticate") == {
            "id": "1",
            "success": False,
            "operation": "Authenticate",
            "errorCode": "InvalidKey",
            "errorMessage": "no such key",
        }


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 300_000])
def test_frames_of_all_sizes_arrive_both_ways(raw_server: StartServer, size: int) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        opcode, payload = peer.read_frame()
        peer.send_frame(opcode, payload)

    with client(raw_server(script)) as connection:
        sent = bytes(range(256)) * (size // 256) + bytes(size % 256)
        connection.send(sent)
        assert connection.recv(TIMEOUT) == sent


def test_bytes_can_arrive_with_the_handshake(raw_server: StartServer) -> None:
    def script(peer: Peer) -> None:
        peer.handshake([("X-Extra", "yes")], trailing=frame(TEXT, b"early"))

    with client(raw_server(script)) as connection:
        assert connection.response is not None
        assert connection.response.headers["X-Extra"] == "yes"
        assert connection.recv(TIMEOUT) == "early"


@pytest.mark.parametrize("accept", [False, "bm90IHRoZSByaWdodCBvbmU="])
def test_a_wrong_accept_key_is_a_failed_handshake(
    raw_server: StartServer, accept: bool | str
) -> None:
    server = raw_server(lambda peer: peer.handshake(accept=accept))
    with pytest.raises(InvalidHandshake):
        client(server)


def test_any_answer_can_be_given(raw_server: StartServer) -> None:
    server = raw_server(lambda peer: peer.respond(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
    with pytest.raises(InvalidHandshake, match="403"):
        client(server)


def test_the_accept_key_is_the_one_of_the_standard(raw_server: StartServer) -> None:
    with raw_client(raw_server(lambda peer: peer.handshake())) as sock:
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in shake_hands(sock)


def test_the_i_th_script_runs_the_i_th_connection(raw_server: StartServer) -> None:
    def saying(text: str) -> object:
        return lambda peer: (peer.handshake(), peer.send_text(text))

    server = raw_server([saying("first"), saying("later")])
    for expected in ("first", "later", "later"):
        with client(server) as connection:
            assert connection.recv(TIMEOUT) == expected
    assert server.connections == 3
    server.wait_connections(3)
    with pytest.raises(TimeoutError, match="3 of 4"):
        server.wait_connections(4, timeout=10 * MS)


# Pieces


def test_a_gate_lets_one_piece_pass_at_a_time(raw_server: StartServer) -> None:
    gate = threading.Event()

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.drip(frame(TEXT, b"abc"), gate=gate)

    with raw_client(raw_server(script)) as sock:
        shake_hands(sock)
        for byte in frame(TEXT, b"abc"):
            sock.settimeout(20 * MS)
            with pytest.raises(TimeoutError):
                sock.recv(100)
            gate.set()
            sock.settimeout(TIMEOUT)
            assert sock.recv(100) == bytes([byte])


def test_drip_can_call_and_pause_between_pieces(raw_server: StartServer) -> None:
    calls: list[int] = []

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.drip(frame(TEXT, b"x" * 98), size=40, gate=lambda: calls.append(1), pause=1 * MS)

    with client(raw_server(script)) as connection:
        assert connection.recv(TIMEOUT) == "x" * 98
    assert len(calls) == 3


def test_a_small_receive_buffer_makes_a_send_stall(raw_server: StartServer) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        peer.hold()

    with raw_client(raw_server(script, recv_buffer=4096)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        shake_hands(sock)
        sock.settimeout(100 * MS)
        with pytest.raises(TimeoutError):
            sock.sendall(bytes(1 << 20))


# Ends


def test_a_script_ends_with_an_end_of_stream_that_loses_nothing(raw_server: StartServer) -> None:
    """Closing with unread data would be a reset, which may overtake what was sent."""

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.send(b"x" * 500_000)

    with raw_client(raw_server(script)) as sock:
        received = len(shake_hands(sock).partition(b"\r\n\r\n")[2])
        sock.sendall(b"never read")
        while data := sock.recv(65536):
            received += len(data)
    assert received == 500_000


def test_reset_is_an_error_at_the_other_end(raw_server: StartServer) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        peer.reset()
        assert peer.closed

    with raw_client(raw_server(script)) as sock:
        shake_hands(sock)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_closing_with_unread_data_resets(raw_server: StartServer) -> None:
    sent = threading.Event()

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.wait(sent)
        peer.close()

    with raw_client(raw_server(script)) as sock:
        shake_hands(sock)
        sock.sendall(b"never read")
        sent.set()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_close_codes_pass_both_ways(raw_server: StartServer) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        peer.send_close(4001, "go away")
        assert peer.read_frame() == (CLOSE, close_payload(4001, "go away"))
        peer.shutdown_write()
        assert peer.read_frames() == []

    server = raw_server(script)
    with client(server) as connection, pytest.raises(ConnectionClosedError):
        connection.recv(TIMEOUT)
    assert (connection.close_code, connection.close_reason) == (4001, "go away")
    assert server.peers[0].received_close == (4001, "go away")


def test_wait_closed_sees_the_clients_end_of_stream(raw_server: StartServer) -> None:
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.handshake()
        with pytest.raises(TimeoutError):
            peer.wait_closed(timeout=20 * MS)
        peer.send_text("still open")
        peer.wait_closed()
        closed.set()

    with raw_client(raw_server(script)) as sock:
        shake_hands(sock)
        assert sock.recv(100) == frame(TEXT, b"still open")
        assert not closed.is_set()
    assert closed.wait(TIMEOUT)


def test_reading_goes_on_after_the_end_of_writing(raw_server: StartServer) -> None:
    heard: list[tuple[int, bytes]] = []

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.shutdown_write()
        heard.append(peer.read_frame())

    with raw_client(raw_server(script)) as sock:
        shake_hands(sock)
        assert sock.recv(1) == b""
        sock.sendall(frame(PONG, b"half-open", mask=True))
    assert wait_until(lambda: heard == [(PONG, b"half-open")])


def wait_until(condition: object) -> bool:
    deadline = time.monotonic() + TIMEOUT
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(1 * MS)
    return True


# Failures


@pytest.mark.parametrize("failure", [AssertionError("wrong"), pytest.fail.Exception("wrong")])
def test_a_failing_script_fails_the_test(failure: BaseException) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        raise failure

    def converse() -> None:
        with (
            RawServer(script) as server,
            client(server) as connection,
            pytest.raises(ConnectionClosed),
        ):
            connection.recv(TIMEOUT)

    with pytest.raises(type(failure), match="wrong"):
        converse()


def test_a_test_that_fails_itself_keeps_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    ready = threading.Event()

    def script(peer: Peer) -> None:
        ready.set()
        raise AssertionError("of the script")

    def converse() -> None:
        with RawServer(script) as server, raw_client(server):
            assert ready.wait(TIMEOUT)
            raise LookupError("of the test")

    with pytest.raises(LookupError, match="of the test"):
        converse()
    assert "of the script" in capsys.readouterr().err


def test_a_client_that_leaves_or_says_nothing(raw_server: StartServer) -> None:
    """A client that leaves ends a script quietly; one that stays silent makes it fail."""
    failed = threading.Event()

    def leaves(peer: Peer) -> None:
        peer.handshake()
        peer.read_json()

    def says_nothing(peer: Peer) -> None:
        peer.handshake()
        try:
            peer.read_json(timeout=10 * MS)
        finally:
            failed.set()

    server = raw_server([leaves, says_nothing])
    with client(server):
        pass
    with client(server):
        assert failed.wait(TIMEOUT)
    server.stop()
    assert [type(error) for error in server.errors] == [TimeoutError]
    server.errors.clear()


@pytest.mark.parametrize(
    ("sent", "message"),
    [(frame(TEXT, b"{}"), "must mask"), (frame(BINARY, b"\0", mask=True), "sends text only")],
)
def test_a_client_that_breaks_the_rules_fails_the_test(sent: bytes, message: str) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        peer.read_json()

    def converse() -> None:
        with RawServer(script) as server, raw_client(server) as sock:
            shake_hands(sock)
            sock.sendall(sent)
            assert sock.recv(1) == b""

    with pytest.raises(AssertionError, match=message):
        converse()


# Stopping


@pytest.mark.parametrize(
    "wait",
    [
        Peer.read_frame,
        Peer.read_frames,
        Peer.read_json,
        Peer.wait_closed,
        Peer.serve,
        Peer.hold,
        lambda peer: peer.wait(threading.Event()),
        lambda peer: peer.pause(3600),
        lambda peer: peer.drip(b"xy", gate=threading.Event()),
        lambda peer: peer.send(bytes(1 << 26)),
        lambda peer: None,
    ],
)
def test_stopping_ends_every_wait(wait: object) -> None:
    reached = threading.Event()

    def script(peer: Peer) -> None:
        peer.handshake()
        reached.set()
        wait(peer)  # type: ignore[operator]

    with RawServer(script) as server, raw_client(server) as sock:
        shake_hands(sock)
        assert reached.wait(TIMEOUT)
        with Watchdog(1000 * MS):
            server.stop()
        assert server.errors == []


def test_a_script_that_cannot_be_ended_is_reported() -> None:
    stuck = threading.Event()
    server = RawServer(lambda peer: stuck.wait()).start()
    with raw_client(server):
        server.wait_connections(1)
        with Watchdog(1000 * MS):
            server.stop(timeout=50 * MS)
    stuck.set()
    with pytest.raises(RuntimeError, match="raw-server-0 does not end"):
        server.raise_errors()


def test_a_server_can_go_and_come_back(raw_server: StartServer) -> None:
    server = raw_server(lambda peer: (peer.handshake(), peer.serve()))
    with client(server) as before:
        server.stop_listening()
        server.stop_listening()
        with pytest.raises(ConnectionRefusedError):
            client(server)
        assert before.state is State.OPEN
        server.start_listening()
        with client(server) as after:
            assert ask(after, "Subscribe", "2")["id"] == "2"
    assert server.connections == 2


def test_a_refuser_refuses() -> None:
    with Refuser() as refuser, pytest.raises(ConnectionRefusedError):
        connect(refuser.url, proxy=None)


# TLS


def test_a_session_over_tls(raw_server: StartServer, certificates: Certificates) -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        peer.drip(frame(TEXT, b"in pieces"), size=4)
        peer.serve()

    server = raw_server(script, certificates.server)
    assert server.url.startswith("wss://localhost:")
    with tls_client(server, certificates.client) as connection:
        connection.send(json.dumps({"id": "1", "operation": "Authenticate"}))
        assert json.loads(connection.recv())["success"] is True
        assert connection.recv() == "in pieces"
    assert server.peers[0].received_close == (1000, "")


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("wrong_host", "Hostname mismatch"),
        ("expired", "certificate has expired"),
        ("untrusted", "unable to get"),
    ],
)
def test_certificates_that_a_client_refuses(
    raw_server: StartServer, certificates: Certificates, which: str, message: str
) -> None:
    server = raw_server(lambda peer: peer.handshake(), getattr(certificates, which))
    with pytest.raises(ssl.SSLCertVerificationError, match=message):
        client(server, ssl=certificates.client)
    server.stop()
    assert server.peers[0].tls_error is not None
    assert server.peers[0].request == ""


def test_only_the_private_authority_is_trusted_by_its_own_client(
    raw_server: StartServer, certificates: Certificates
) -> None:
    def script(peer: Peer) -> None:
        peer.handshake()
        peer.serve()

    server = raw_server([lambda peer: None, script], certificates.server)
    with pytest.raises(ssl.SSLCertVerificationError):
        client(server, ssl=ssl.create_default_context())
    trusting = ssl.create_default_context(cadata=certificates.authority_pem().decode())
    with tls_client(server, trusting) as connection:
        assert connection.status == 101


def test_stopping_ends_a_tls_handshake(certificates: Certificates) -> None:
    server = RawServer(lambda peer: None, certificates.server).start()
    with raw_client(server):
        server.wait_connections(1)
        with Watchdog(1000 * MS):
            server.stop()
    server.raise_errors()


# Clock and threads


def test_a_fake_clock_moves_only_on_request() -> None:
    clock = FakeClock()
    assert clock() == 1000.0
    assert clock.advance(0.5) == clock() == 1000.5
    with pytest.raises(AssertionError):
        clock.advance(-1)


def test_a_thread_left_behind_is_found() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="etoro-sync-left")
    with pytest.raises(AssertionError, match="etoro-sync-left"), assert_no_new_threads(10 * MS):
        thread.start()
    assert join_stragglers(prefix="etoro-sync", grace=0) == ["etoro-sync-left"]
    assert "etoro-sync-left" not in join_stragglers(prefix="other", grace=0)
    end.set()
    assert join_stragglers(prefix="etoro-sync") == []


def test_a_descriptor_left_open_is_found() -> None:
    with (
        pytest.raises(AssertionError, match="descriptors left open"),
        assert_no_new_descriptors(),
    ):
        left = socket.socket()
    left.close()


def test_a_late_block_fails_and_shows_all_stacks(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="the block took"), Watchdog(20 * MS):
        time.sleep(60 * MS)
    shown = capfd.readouterr().err
    assert "still running" in shown
    assert "test_a_late_block_fails" in shown
    with pytest.raises(LookupError), Watchdog(0):
        raise LookupError


def test_the_outcome_of_a_thread_comes_back() -> None:
    go = threading.Event()

    def fail() -> None:
        raise Disconnected("gone")

    assert run_in_thread(lambda: 42).result() == 42
    assert isinstance(run_in_thread(fail).exception(), Disconnected)
    with pytest.raises(Disconnected):
        run_in_thread(fail).result()
    waiting = run_in_thread(go.wait)
    with pytest.raises(TimeoutError):
        waiting.result(10 * MS)
    assert not waiting.done()
    go.set()
    assert waiting.result() is True
    assert waiting.done()
