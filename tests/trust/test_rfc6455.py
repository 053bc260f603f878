"""RFC 6455, section 5 and 8.1, as tables, over a real connection.

``make autobahn`` runs a whole suite of such cases; these are the ones that need no Python 2.
"""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.transport.connection import Connection
from etoro_sync.ws.transport.waker import Waker
from tests.support.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from tests.support.peer import Peer
from tests.ws.transport.tools import SOON, count, make_connection, read_on, stream_with_peer

VALID = [
    "κόσμε".encode(),
    *(chr(code).encode() for code in (0x0, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFD)),
    *(chr(code).encode() for code in (0xFFFE, 0xFFFF, 0x10000, 0x3FFFF, 0x10FFFE, 0x10FFFF)),
]
INVALID = [
    b"\x80",  # a continuation without a beginning
    b"\xbf\x80",
    b"\xc3",  # cut off after one, two and three bytes
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xc3(",  # a beginning without a continuation
    b"\xe2\x28\xa1",
    b"\xe2\x82\x28",
    b"\xf0\x28\x8c\xbc",
    b"\xf0\x90\x28\xbc",
    b"\xf0\x28\x8c\x28",
    b"\xc0\xaf",  # longer than need be
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\x80",  # halves of surrogate pairs, and a pair of them
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xf4\x90\x80\x80",  # beyond U+10FFFF
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",  # five and six bytes
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
]


def fragmented(payload: bytes, size: int) -> bytes:
    """A message in frames of so many bytes each; 0: in one."""
    pieces = [payload[n : n + size] for n in range(0, len(payload), size)] if size else [payload]
    return b"".join(
        frame(TEXT if n == 0 else CONTINUATION, piece, fin=n == len(pieces) - 1)
        for n, piece in enumerate(pieces)
    )


def failure_of(connection: Connection) -> int:
    """Read until the connection fails; return the close code of the failure."""
    with pytest.raises(ConnectionFailed) as caught:
        read_on(connection)
    return caught.value.code


def sent_by(far: socket.socket) -> Peer:
    return Peer(far, 0, threading.Event())


@pytest.mark.parametrize("size", [0, 1, 2])
@pytest.mark.parametrize("text", VALID, ids=bytes.hex)
def test_valid_text_arrives_however_it_is_fragmented(waker: Waker, text: bytes, size: int) -> None:
    """Cut within its characters too."""
    with stream_with_peer(waker) as (stream, far):
        far.sendall(fragmented(text, size))
        assert read_on(make_connection(stream), count(1)) == [text.decode()]


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("text", INVALID, ids=bytes.hex)
def test_invalid_text_fails_the_connection_with_1007(waker: Waker, text: bytes, size: int) -> None:
    """Messages before it arrive; the server is told why."""
    with stream_with_peer(waker) as (stream, far):
        far.sendall(frame(TEXT, b"before") + fragmented(b"x" + text + b"y", size))
        connection = make_connection(stream)
        assert read_on(connection, count(1)) == ["before"]
        assert failure_of(connection) == 1007
        opcode, payload = sent_by(far).read_frame(SOON)
        assert (opcode, payload[:2]) == (CLOSE, struct.pack("!H", 1007))


@pytest.mark.parametrize("size", [0, 1, 124, 125, 126, 127, 128, 65535, 65536, 65537, 1 << 20])
def test_messages_around_the_borders_of_the_length_arrive(waker: Waker, size: int) -> None:
    """7, 16 and 64 bits of length, up to the limit."""
    text = "x" * size
    with stream_with_peer(waker) as (stream, far):
        connection = make_connection(stream)
        sender = threading.Thread(target=far.sendall, args=(frame(TEXT, text.encode()),))
        sender.start()
        assert read_on(connection, count(1)) == [text]
        sender.join()


@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_a_ping_is_answered_with_its_payload(waker: Waker, size: int) -> None:
    """Also one in the middle of a message, and pongs that nobody asked for are no answers."""
    payload = bytes(range(size))
    with stream_with_peer(waker) as (stream, far):
        far.sendall(
            frame(PONG, b"?")
            + frame(TEXT, b"a", fin=False)
            + frame(PING, payload)
            + frame(CONTINUATION, b"b")
        )
        assert read_on(make_connection(stream), count(1)) == ["ab"]
        assert sent_by(far).read_frame(SOON) == (PONG, payload)


CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
FORBIDDEN = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", CODES)
def test_a_close_code_is_echoed(waker: Waker, code: int) -> None:
    """With the server's own code, once, however many close frames it sends."""
    with stream_with_peer(waker) as (stream, far):
        far.sendall(frame(CLOSE, close_payload(code, "why")) * 2 + frame(PING))
        connection = make_connection(stream)
        read_on(connection)
        assert connection.close_status() == (code, "why")
        stream.close()
        assert sent_by(far).read_frames(SOON) == [(CLOSE, struct.pack("!H", code))]


@pytest.mark.parametrize("code", FORBIDDEN)
def test_a_forbidden_close_code_is_answered_with_1002(waker: Waker, code: int) -> None:
    """RFC 6455, 7.4: nobody may send it."""
    with stream_with_peer(waker) as (stream, far):
        far.sendall(frame(CLOSE, close_payload(code)))
        read_on(make_connection(stream))
        stream.close()
        assert sent_by(far).read_frames(SOON) == [(CLOSE, struct.pack("!H", 1002))]
