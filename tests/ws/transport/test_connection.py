"""One open connection: messages, pings, close codes, deadlines, and what is left when it breaks."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.frames import FrameParser
from etoro_sync.ws.transport.socket_stream import SocketStream
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.support.clocks import FakeClock
from tests.support.frames import close_payload, unmask
from tests.support.raw_server import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Peer,
    frame,
)
from tests.support.threads import Watchdog, run_in_thread
from tests.support.timing import MS
from tests.ws.transport.tools import (
    A_WHILE,
    AT_ONCE,
    MUCH,
    SOON,
    connected,
    count,
    fill,
    lasts,
    make_connection,
    read_on,
    receive_exactly,
    stream_with_peer,
    tcp_pair,
)

Script = Callable[[Peer], object]


@contextlib.contextmanager
def pair(
    waker: Waker, early: bytes = b"", **options: Any
) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and the socket at its other end, without a handshake."""
    clock = options.get("clock", time.monotonic)
    with stream_with_peer(waker, clock=clock) as (stream, far):
        yield make_connection(stream, early, **options), far


def receive_frame(far: socket.socket) -> tuple[int, bytes]:
    """Read one frame of the client, which has to be masked."""
    first, second = receive_exactly(far, 2)
    assert second & 0x80, "a client must mask its frames"
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", receive_exactly(far, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", receive_exactly(far, 8))
    key = receive_exactly(far, 4)
    return first & 0x0F, unmask(receive_exactly(far, size), key)


def reset(far: socket.socket) -> None:
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()


def failure(connection: Connection) -> ConnectionFailed:
    """Read on until the connection fails, and return how."""
    with pytest.raises(ConnectionFailed) as caught:
        read_on(connection)
    return caught.value


def after_handshake(script: Script) -> Script:
    def whole(peer: Peer) -> None:
        peer.handshake()
        script(peer)

    return whole


# Messages


def test_messages_come_in_order(raw_server: StartServer, waker: Waker) -> None:
    """Texts arrive as they were sent; binary messages, which eToro does not mean, are left out."""

    def script(peer: Peer) -> None:
        peer.send_text("one")
        peer.send_frame(BINARY, b"\0")
        peer.send_text("zwei €")
        peer.send_frame(TEXT, b"th", fin=False)
        peer.send_frame(CONTINUATION, b"re", fin=False)
        peer.send_ping()
        peer.send_frame(CONTINUATION, b"e")
        peer.wait_closed()

    server = raw_server(after_handshake(script))
    with connected(server.url, waker) as connection:
        assert read_on(connection, count(3)) == ["one", "zwei €", "three"]


def test_messages_in_single_bytes_are_messages(raw_server: StartServer, waker: Waker) -> None:
    """However the network cuts the stream, the messages are the same."""
    texts = ["", "short", "x" * 200, "y" * 70_000]
    stream = b"".join(frame(TEXT, text.encode()) for text in texts[:3])
    long = frame(TEXT, texts[3].encode())

    def script(peer: Peer) -> None:
        peer.drip(stream)
        peer.drip(long, size=999)
        peer.wait_closed()

    server = raw_server(after_handshake(script))
    with connected(server.url, waker) as connection:
        assert read_on(connection, count(4)) == texts
        assert connection.bytes_received == len(stream) + len(long)


def test_early_bytes_come_first(waker: Waker) -> None:
    """What came with the handshake's answer precedes what comes after it."""
    whole = frame(TEXT, b"one") + frame(TEXT, b"two") + frame(TEXT, b"three")
    with pair(waker, whole[:7]) as (connection, far):
        far.sendall(whole[7:])
        connection._stream.drained = True  # by the handshake's last read
        assert connection.receive() == ["one"]
        assert not connection.drained
        assert read_on(connection, count(2)) == ["two", "three"]


def test_messages_behind_the_handshake_arrive(raw_server: StartServer, waker: Waker) -> None:
    """Messages in the same segment as the handshake's answer are read."""

    def script(peer: Peer) -> None:
        peer.handshake(trailing=frame(TEXT, b"welcome") + frame(TEXT, b"back")[:3])
        peer.send(frame(TEXT, b"back")[3:])
        peer.wait_closed()

    server = raw_server(script)
    with connected(server.url, waker) as connection:
        assert read_on(connection, count(2)) == ["welcome", "back"]


def test_nothing_of_a_connection_is_left_to_the_next(raw_server: StartServer, waker: Waker) -> None:
    """A frame that was cut off does not swallow the next connection's first message."""

    def cut(peer: Peer) -> None:
        peer.send(frame(TEXT, b"cut", declared_length=1000))

    def whole(peer: Peer) -> None:
        peer.send_text("first")
        peer.wait_closed()

    server = raw_server([after_handshake(cut), after_handshake(whole)])
    with connected(server.url, waker) as connection:
        assert failure(connection).code == 1006
    with connected(server.url, waker) as connection:
        assert read_on(connection, count(1)) == ["first"]


def test_sent_messages_are_masked_each_with_its_own_key(waker: Waker) -> None:
    """Two equal messages differ on the stream, and are equal again without their masks."""
    with pair(waker) as (connection, far):
        connection.send_text("hello €")
        connection.send_text("hello €")
        size = len("hello €".encode()) + 6
        first, second = receive_exactly(far, size), receive_exactly(far, size)
        assert first[:2] == second[:2] == bytes([0x81, 0x80 | size - 6])
        assert first[2:6] != second[2:6]
        for raw in (first, second):
            assert unmask(raw[6:], raw[2:6]).decode() == "hello €"


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 300_000])
def test_messages_of_any_size_are_sent(waker: Waker, size: int) -> None:
    """Every form of the length is right."""
    with pair(waker) as (connection, far):
        reading = run_in_thread(lambda: receive_frame(far))
        connection.send_text("x" * size)
        while not reading.done():
            connection.wait(time.monotonic() + 10 * MS)
        assert reading.result() == (TEXT, b"x" * size)


# Limits


def test_a_frame_of_eight_gigabytes_is_refused_at_its_header(waker: Waker) -> None:
    """The size in the header is enough; not a byte of the payload is waited for."""
    with pair(waker) as (connection, far):
        far.sendall(frame(TEXT, b"ok") + frame(TEXT, declared_length=8 << 30))
        assert read_on(connection, count(1)) == ["ok"]
        failed = failure(connection)
        assert failed.code == 1009
        assert str(8 << 30) in str(failed.error)
        assert receive_frame(far)[1][:2] == close_payload(1009)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame(TEXT, b"x" * 1025), 1009),
        (frame(TEXT, b"x" * 1000, fin=False) + frame(CONTINUATION, b"x" * 25), 1009),
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x", rsv=4), 1002),
        (frame(TEXT, b"x", mask=True), 1002),
        (frame(0x3, b"x"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(CONTINUATION, b"x"), 1002),
    ],
)
def test_a_violation_ends_the_connection_after_the_messages_before_it(
    waker: Waker, raw: bytes, code: int
) -> None:
    """The messages before it are delivered; the close frame and the error name the violation."""
    with pair(waker, max_message_bytes=1024) as (connection, far):
        far.sendall(frame(TEXT, b"good") + raw + frame(TEXT, b"too late"))
        assert read_on(connection, count(1)) == ["good"]
        failed = failure(connection)
        assert failed.code == code
        assert "broke the WebSocket protocol" in str(failed.error)
        opcode, payload = receive_frame(far)
        assert opcode == CLOSE
        assert payload[:2] == close_payload(code)


# Pings


def test_a_ping_is_answered_with_its_payload(waker: Waker) -> None:
    """The pong leaves at once and carries what the ping carried."""
    with pair(waker) as (connection, far):
        far.sendall(frame(PING, b"payload") + frame(TEXT, b"x"))
        assert read_on(connection, count(1)) == ["x"]
        assert receive_frame(far) == (PONG, b"payload")


def test_a_pong_is_noted(waker: Waker) -> None:
    """The time of the last pong is one that people can read."""
    with pair(waker) as (connection, far):
        assert connection.last_pong_at == 0.0
        before = time.time()
        far.sendall(frame(PONG) + frame(TEXT, b"x"))
        read_on(connection, count(1))
        assert before <= connection.last_pong_at <= time.time()


def test_a_ping_is_sent_on_request(waker: Waker) -> None:
    """With its payload, also where the keepalive sends none."""
    with pair(waker) as (connection, far):
        connection.send_ping(b"payload")
        assert receive_frame(far) == (PING, b"payload")


def test_a_parser_of_ones_own_sees_the_irregular_frames(
    raw_server: StartServer, waker: Waker
) -> None:
    """Keepalives, pongs and fragments, which the connection keeps to itself."""

    class Watched(FrameParser):
        def irregular(self, first: int, payload: bytes, texts: list[str]) -> None:
            seen.append((first, payload))
            super().irregular(first, payload, texts)

    def script(peer: Peer) -> None:
        peer.handshake()
        peer.send_frame(BINARY, b"\0")
        peer.send_pong(b"x")
        peer.send_frame(TEXT, b"a", fin=False)
        peer.send_frame(CONTINUATION, b"b")
        peer.send_text("whole")
        peer.wait_closed()

    seen: list[tuple[int, bytes]] = []
    server = raw_server(script)
    with connected(server.url, waker, parser=Watched(1024)) as connection:
        assert read_on(connection, count(2)) == ["ab", "whole"]
    assert seen == [(0x82, b"\0"), (0x8A, b"x"), (0x01, b"a"), (0x80, b"b")]


def test_a_flood_of_pings_costs_few_answers_and_no_message(waker: Waker) -> None:
    """Of the pings in one read the newest is answered, and the messages among them arrive."""
    flood = b"".join(frame(PING, struct.pack("!I", number)) for number in range(10_000))
    with pair(waker) as (connection, far):
        sending = run_in_thread(lambda: far.sendall(flood + frame(TEXT, b"end")))
        assert read_on(connection, count(1)) == ["end"]
        sending.result()
        connection.send_text("over")
        answers = [receive_frame(far)]
        while answers[-1][0] == PONG:
            answers.append(receive_frame(far))
        pongs = [struct.unpack("!I", payload)[0] for _, payload in answers[:-1]]
    assert pongs == sorted(set(pongs))
    assert pongs[-1] == 9_999
    assert len(pongs) < 5_000


def test_a_peer_that_pings_and_reads_nothing_takes_no_memory(waker: Waker) -> None:
    """While nothing can be sent, answers do not pile up; later the newest ping is answered."""
    with pair(waker) as (connection, far):
        connection.send_text("x" * MUCH)
        before = len(connection._stream.unsent)
        assert before > 0
        for number in range(2_000):
            far.sendall(frame(PING, bytes(100) + struct.pack("!I", number)))
            connection.receive()
        far.sendall(frame(TEXT, b"end"))
        read_on(connection, count(1))
        assert len(connection._stream.unsent) <= before
        reading = run_in_thread(lambda: [receive_frame(far), receive_frame(far)])
        while not reading.done():
            connection.wait(time.monotonic() + 10 * MS)
        (first, _), pong = reading.result()
    assert first == TEXT
    assert pong == (PONG, bytes(100) + struct.pack("!I", 1_999))


# Close codes


@pytest.mark.parametrize(
    ("payload", "code", "reason", "echo"),
    [
        (close_payload(1000, "bye"), 1000, "bye", 1000),
        (close_payload(1001), 1001, "", 1001),
        (close_payload(4001, "Unauthorized"), 4001, "Unauthorized", 4001),
        (b"", 1005, "", 1000),
        (close_payload(1006), 1002, "the server sent an invalid close frame (03ee)", 1002),
        (b"x", 1002, "the server sent an invalid close frame (78)", 1002),
    ],
)
def test_a_close_frame_is_kept_and_echoed(
    waker: Waker, payload: bytes, code: int, reason: str, echo: int
) -> None:
    """The messages before it are delivered, its code is known, and the answer carries it back."""
    with pair(waker) as (connection, far):
        far.sendall(frame(TEXT, b"last") + frame(PING, b"p") + frame(CLOSE, payload))
        assert read_on(connection) == ["last"]
        assert connection.peer_close == (code, reason)
        assert connection.close_status() == (code, reason)
        # Not a pong: nothing may follow the answer to a close frame, nor help before it.
        assert receive_frame(far) in [(PONG, b"p"), (CLOSE, close_payload(echo))]


def test_only_the_first_close_frame_counts(waker: Waker) -> None:
    """What follows the close frame is ignored, and only one is sent back."""
    closes = frame(CLOSE, close_payload(4001)) + frame(CLOSE, close_payload(1000))
    with pair(waker) as (connection, far):
        far.sendall(closes + frame(PING, b"p"))
        read_on(connection)
        connection.send_text("too late")
        connection.dispose()
        assert connection.peer_close == (4001, "")
        assert receive_frame(far) == (CLOSE, close_payload(4001))
        assert far.recv(100) == b""


def test_no_close_frame_is_1006(waker: Waker) -> None:
    """An end of the stream without a close frame is code 1006, after the messages before it."""
    with pair(waker) as (connection, far):
        far.sendall(frame(TEXT, b"last"))
        far.close()
        assert read_on(connection, count(1)) == ["last"]
        failed = failure(connection)
        assert failed.code == 1006
        assert "without a close frame" in str(failed.error)
        assert connection.close_status() == (1006, "")


def test_a_reset_is_1006(waker: Waker) -> None:
    """A reset is code 1006, after the messages before it, with its cause."""
    with pair(waker) as (connection, far):
        far.sendall(frame(TEXT, b"last"))
        reset(far)
        assert read_on(connection, count(1)) == ["last"]
        failed = failure(connection)
        assert failed.code == 1006
        assert isinstance(failed.__cause__, ConnectionResetError)


@pytest.mark.parametrize("sends", [0, 1, 3])
def test_4001_and_a_reset_is_4001(waker: Waker, sends: int) -> None:
    """The close code survives a reset right behind it, though answering it fails."""
    with pair(waker) as (connection, far):
        far.sendall(frame(TEXT, b"last") + frame(CLOSE, close_payload(4001, "Unauthorized")))
        reset(far)
        for _ in range(sends):
            # The failure of these must not hide what is still to be read.
            connection.send_text("unaware")
            connection.wait(time.monotonic())
        assert read_on(connection) == ["last"]
        assert connection.close_status() == (4001, "Unauthorized")


def test_4001_with_unread_requests_is_4001(raw_server: StartServer, waker: Waker) -> None:
    """The close frame of a server that stops reading when it refuses the keys is still read."""
    ready = threading.Event()

    def script(peer: Peer) -> None:
        peer.wait(ready, SOON)
        peer.send_text("last")
        peer.send_close(4001, "Unauthorized")
        peer.close()

    server = raw_server(after_handshake(script))
    with connected(server.url, waker) as connection:
        for _ in range(10):
            connection.send_text("request")
        ready.set()
        assert read_on(connection) == ["last"]
        assert connection.close_status()[0] == 4001


def test_a_close_reason_is_redacted_and_shortened(waker: Waker) -> None:
    """Keys that the server repeats are masked, and a long reason is shortened."""
    with pair(waker, redact=lambda text: text.replace("secret", "***")) as (connection, far):
        far.sendall(frame(CLOSE, close_payload(4001, "your secret is " + "x" * 108)))
        read_on(connection)
        _, reason = connection.close_status()
        assert reason.startswith("your *** is x")
        assert len(reason) <= 150


def test_close_is_sent_once_and_nothing_after_it(waker: Waker) -> None:
    """Our own close frame ends what we send: no second one, no request, no pong."""
    with pair(waker) as (connection, far):
        connection.close(1000, "bye")
        connection.close(1001)
        connection.send_text("too late")
        far.sendall(
            frame(PING, b"p") + frame(TEXT, b"still here") + frame(CLOSE, close_payload(1000))
        )
        assert read_on(connection) == ["still here"]
        connection.dispose()
        assert receive_frame(far) == (CLOSE, close_payload(1000, "bye"))
        assert far.recv(100) == b""


def test_a_long_reason_is_cut_between_characters(waker: Waker) -> None:
    """A close frame holds 123 bytes of valid UTF-8, not half a character."""
    with pair(waker) as (connection, far):
        connection.close(1002, "x" + "€" * 100)
        assert receive_frame(far) == (CLOSE, close_payload(1002, "x" + "€" * 40))


def test_close_with_a_full_queue_is_no_error(waker: Waker) -> None:
    """A peer that reads nothing gets no close frame, and no error is raised for that."""
    with pair(waker) as (connection, _):
        # The rest of the limit, to the byte: 14 is what a long frame's header takes.
        connection.send_text("x" * (4 * 1024 * 1024 - 14))
        with contextlib.suppress(ConnectionFailed):
            while True:
                connection.send_text("x" * 10)
        connection.close()


# Loss


def test_a_failure_to_send_ends_the_connection_when_nothing_is_left_to_read(
    waker: Waker,
) -> None:
    """A connection that cannot send ends as soon as everything is read; a wait returns at once."""

    class Mute(socket.socket):
        def send(self, *_: object) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    near, far = tcp_pair()
    mute = Mute(near.family, near.type, near.proto, near.detach())
    stream = SocketStream(mute, waker)
    connection = make_connection(stream)
    with far:
        far.sendall(frame(TEXT, b"before"))
        connection.send_text("x")
        connection.flush()
        assert read_on(connection, count(1)) == ["before"]
        with Watchdog(AT_ONCE):
            connection.wait(time.monotonic() + SOON)
            failed = failure(connection)
        assert failed.code == 1006
        assert "Broken pipe" in str(failed.error)
        connection.dispose()


def test_a_failure_to_flush_is_no_end_of_reading(waker: Waker) -> None:
    """A queue that can no longer be sent does not hide what is still to be read."""
    with pair(waker) as (connection, far):
        connection.send_text("x" * MUCH)
        far.sendall(frame(TEXT, b"last"))
        reset(far)
        deadline = time.monotonic() + SOON
        while connection._stream.unsent:
            assert time.monotonic() < deadline
            connection.flush()
        assert read_on(connection, count(1)) == ["last"]
        assert failure(connection).code == 1006


def test_dispose_frees_the_descriptor(waker: Waker) -> None:
    """The peer sees the end of the stream."""
    with pair(waker) as (connection, far):
        connection.dispose()
        connection.dispose()
        assert far.recv(100) == b""


# Keepalive


def test_a_ping_leaves_after_the_interval(waker: Waker) -> None:
    """Silence of one interval is answered with one ping, whose payload is empty."""
    clock = FakeClock()
    options = {"heartbeat_interval": 30.0, "heartbeat_timeout": 10.0, "clock": clock}
    with pair(waker, **options) as (connection, far):
        connection.check(clock.advance(29.9))
        connection.check(clock.advance(0.1))
        connection.check(clock.advance(9.9))
        connection.send_text("x")
        assert receive_frame(far) == (PING, b"")
        assert receive_frame(far) == (TEXT, b"x")


def test_a_peer_without_an_answer_is_dead(waker: Waker) -> None:
    """Not a byte for an interval and a timeout is the end, and the error says how long it was."""
    clock = FakeClock()
    options = {"heartbeat_interval": 30.0, "heartbeat_timeout": 10.0, "clock": clock}
    with pair(waker, **options) as (connection, _):
        connection.check(clock.advance(30))
        with pytest.raises(ConnectionFailed, match=r"no byte for 40\.0 s") as caught:
            connection.check(clock.advance(10))
        assert caught.value.code == 1006
        assert not caught.value.fatal


def test_a_ping_that_left_late_has_the_whole_time_for_its_answer(waker: Waker) -> None:
    """The process was paused between reading the clock and sending the ping."""
    clock = FakeClock()
    options = {"heartbeat_interval": 30.0, "heartbeat_timeout": 10.0, "clock": clock}
    with pair(waker, **options) as (connection, _):
        looked_at = clock.advance(30)
        clock.advance(100)
        connection.check(looked_at)
        connection.check(clock.advance(9.9))
        with pytest.raises(ConnectionFailed, match="no answer to a ping"):
            connection.check(clock.advance(0.1))


@pytest.mark.parametrize("sign", [b"\x81", frame(PONG, b"other"), frame(PING), frame(BINARY)])
def test_any_byte_is_a_sign_of_life(waker: Waker, sign: bytes) -> None:
    """Half a frame, or a pong that answers something else, keeps the connection."""
    clock = FakeClock()
    options = {"heartbeat_interval": 30.0, "heartbeat_timeout": 10.0, "clock": clock}
    with pair(waker, **options) as (connection, far):
        connection.check(clock.advance(30))
        clock.advance(9.9)
        far.sendall(sign)
        while connection.bytes_received < len(sign):
            connection.receive()
        connection.check(clock.advance(29.9))
        connection.check(clock.advance(0.1))
        with pytest.raises(ConnectionFailed):
            connection.check(clock.advance(10))


@pytest.mark.parametrize(("interval", "timeout", "pinged"), [(0.0, 10.0, False), (30.0, 0.0, True)])
def test_keepalive_can_be_switched_off(
    waker: Waker, interval: float, timeout: float, pinged: bool
) -> None:
    """Without an interval nobody pings; without a timeout silence is never the end."""
    clock = FakeClock()
    options = {"heartbeat_interval": interval, "heartbeat_timeout": timeout, "clock": clock}
    with pair(waker, **options) as (connection, far):
        for _ in range(10):
            connection.check(clock.advance(1e6))
        connection.send_text("x")
        assert receive_frame(far)[0] == (PING if pinged else TEXT)


def test_a_half_open_peer_is_found_out(raw_server: StartServer, waker: Waker) -> None:
    """A server that is silent in mid-frame is dead after interval and timeout."""

    def script(peer: Peer) -> None:
        peer.send(frame(TEXT, b"cut", declared_length=1000))
        peer.hold()

    server = raw_server(after_handshake(script))
    options = {"heartbeat_interval": A_WHILE, "heartbeat_timeout": A_WHILE}
    with connected(server.url, waker, **options) as connection, Watchdog(AT_ONCE):
        assert "no answer to a ping" in str(failure(connection).error)


def test_a_peer_that_answers_pings_lives_on(raw_server: StartServer, waker: Waker) -> None:
    """A quiet connection whose pings are answered outlives many timeouts."""

    def script(peer: Peer) -> None:
        for _ in range(5):
            opcode, payload = peer.read_frame()
            assert opcode == PING
            peer.send_pong(payload)
        peer.send_close(1000)

    server = raw_server(after_handshake(script))
    options = {"heartbeat_interval": A_WHILE / 2, "heartbeat_timeout": SOON}
    with connected(server.url, waker, **options) as connection:
        read_on(connection)
        assert connection.close_status() == (1000, "")


# A peer that reads nothing


def test_a_peer_that_reads_nothing_is_dead(waker: Waker) -> None:
    """When not a byte can be sent for a timeout, the connection is given up."""
    clock = FakeClock()
    with pair(waker, heartbeat_timeout=5.0, clock=clock) as (connection, _):
        connection.send_text("x" * MUCH)
        connection.check(clock.advance(4.9))
        with pytest.raises(ConnectionFailed, match="reads nothing any more"):
            connection.check(clock.advance(0.1))


def test_a_peer_that_reads_slowly_is_not_dead(waker: Waker) -> None:
    """Progress is what counts, not that the queue is never empty."""
    clock = FakeClock()
    with pair(waker, heartbeat_timeout=5.0, clock=clock) as (connection, far):
        connection.send_text("x" * MUCH)
        for _ in range(4):
            clock.advance(4)
            before = len(connection._stream.unsent)
            while len(connection._stream.unsent) == before:
                receive_exactly(far, 16384)
                connection.flush()
            connection.check(clock())
        assert connection._stream.unsent


def test_a_stall_ends_the_wait_in_time(raw_server: StartServer, waker: Waker) -> None:
    """Interruptions of the wait do not put the end of a stall off."""

    def script(peer: Peer) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                # Keeps the connection busy, without ever reading.
                peer.send_text("x")
                peer.pause(A_WHILE / 5)

    server = raw_server(after_handshake(script), recv_buffer=4096)
    with connected(server.url, waker, heartbeat_timeout=2 * A_WHILE) as connection:
        connection._stream._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.send_text("x" * MUCH)
        with Watchdog(AT_ONCE):
            assert "reads nothing" in str(failure(connection).error)


def test_a_stall_is_judged_when_it_is_over_its_time(waker: Waker) -> None:
    """The time that the stall has lasted already counts, however often the wait began anew."""
    clock = FakeClock()
    with pair(waker, heartbeat_timeout=2 * SOON, clock=clock) as (connection, _):
        fill(connection._stream)
        clock.advance(2 * SOON - A_WHILE)
        assert connection.is_sending
        assert connection.next_check(clock()) == pytest.approx(clock() + A_WHILE)


def test_a_queue_without_end_is_refused(waker: Waker) -> None:
    """What waits for a peer that does not read has a limit."""
    with pair(waker) as (connection, _):
        for _ in range(3):
            connection.send_text("x" * 1024 * 1024)
        with pytest.raises(ConnectionFailed, match="reads nothing any more"):
            connection.send_text("x" * 2 * 1024 * 1024)
        assert len(connection._stream.unsent) <= 4 * 1024 * 1024


def test_a_busy_stream_does_not_keep_requests_back(waker: Waker) -> None:
    """What could not be sent at once leaves also while there is always something to read."""
    with pair(waker) as (connection, far):
        connection.send_text("x" * MUCH)
        reading = run_in_thread(lambda: receive_frame(far))
        deadline = time.monotonic() + SOON
        while not reading.done():
            assert time.monotonic() < deadline
            far.sendall(frame(TEXT, b"busy"))
            connection.receive()
        assert reading.result() == (TEXT, b"x" * MUCH)


# Waiting


def test_the_next_check_is_when_keepalive_has_something_to_say(waker: Waker) -> None:
    """Never, when it is switched off and nothing waits to be sent."""
    clock = FakeClock()
    with pair(waker, heartbeat_interval=30.0, clock=clock) as (connection, _):
        assert connection.next_check(clock()) == clock() + 30.0
    with pair(waker, clock=clock) as (connection, _):
        assert connection.next_check(clock()) == float("inf")


def test_a_wait_ends_at_its_deadline_or_by_a_wake_up(waker: Waker) -> None:
    """Also one without a deadline."""
    with pair(waker, heartbeat_interval=SOON) as (connection, _), Watchdog(AT_ONCE):
        connection.wait(time.monotonic() + A_WHILE)
    with pair(waker) as (connection, _), Watchdog(AT_ONCE):
        waker.wake()
        connection.wait(None)


@pytest.mark.parametrize("queued", [0, MUCH])
def test_a_closing_connection_sleeps_until_its_own_deadline(waker: Waker, queued: int) -> None:
    """Deadlines that are not checked any more do not turn the wait into a busy loop."""
    options = {"heartbeat_interval": 1e-6, "heartbeat_timeout": 1e-6}
    with pair(waker, **options) as (connection, _):
        connection.send_text("x" * queued)
        connection.close()
        assert connection.receive() is None
        # The kernel may find some more room at first.
        assert any(
            lasts(lambda: connection.wait(time.monotonic() + A_WHILE), A_WHILE) for _ in range(20)
        )


def test_a_wait_sends_what_could_not_be_sent_before(waker: Waker) -> None:
    """The wait itself sends what is queued."""
    with pair(waker) as (connection, far):
        connection.send_text("x" * MUCH)
        reading = run_in_thread(lambda: receive_frame(far))
        deadline = time.monotonic() + SOON
        while connection._stream.unsent:
            assert time.monotonic() < deadline
            connection.wait(deadline)
        assert reading.result(SOON) == (TEXT, b"x" * MUCH)
