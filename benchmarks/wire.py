"""As much of RFC 6455 as two ends that trust each other need."""

import base64
import hashlib
import os
import socket
from collections.abc import Iterator

__all__ = ["CLOSE", "accept", "connect", "frame", "masked_frame", "read_frames"]

TEXT, CLOSE = 0x1, 0x8
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def _header(opcode: int, size: int, mask_bit: int) -> bytes:
    first = 0x80 | opcode
    if size < 126:
        return bytes([first, mask_bit | size])
    if size < 65536:
        return bytes([first, mask_bit | 126]) + size.to_bytes(2, "big")
    return bytes([first, mask_bit | 127]) + size.to_bytes(8, "big")


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return a frame of a server."""
    return _header(opcode, len(payload), 0) + payload


def masked_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return a frame of a client; a mask of zeros is legal."""
    return _header(opcode, len(payload), 0x80) + bytes(4) + payload


def accept(sock: socket.socket) -> None:
    """Answer the opening handshake of a client."""
    request = _read_head(sock)
    lines = request.decode("latin-1").split("\r\n")[1:]
    headers = {
        name.lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines)
    }
    key = headers["sec-websocket-key"].encode()
    answer = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())
    sock.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + answer + b"\r\n\r\n"
    )


def connect(port: int) -> socket.socket:
    """Return a connection to the server on this machine after the opening handshake."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=30)
    key = base64.b64encode(os.urandom(16))
    sock.sendall(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n"
    )
    _read_head(sock)
    return sock


def _read_head(sock: socket.socket) -> bytes:
    """Read up to the end of an HTTP head, byte by byte so as to take nothing that follows it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise ConnectionError("the peer left during the handshake")
        head += byte
    return head


def read_frames(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    """Yield opcode and payload of what a client sends, until it leaves."""
    data = b""
    while True:
        size, start, stop = _measure(data)
        while len(data) < stop:
            more = sock.recv(65536)
            if not more:
                return
            data += more
            size, start, stop = _measure(data)
        payload, mask = data[start:stop], data[start - 4 : start]
        if mask != bytes(4):
            whole = (mask * (size // 4 + 1))[:size]
            number = int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")
            payload = number.to_bytes(size, "big")
        yield data[0] & 0x0F, payload
        data = data[stop:]


def _measure(data: bytes) -> tuple[int, int, int]:
    """Return size, start and end of the payload of a masked frame, as far as is known."""
    if len(data) < 2:
        return 0, 2, 2
    size, extra = data[1] & 0x7F, 0
    if size > 125:
        extra = 2 if size == 126 else 8
        if len(data) < 2 + extra:
            return 0, 2 + extra, 2 + extra
        size = int.from_bytes(data[2 : 2 + extra], "big")
    start = 2 + extra + 4
    return size, start, start + size
