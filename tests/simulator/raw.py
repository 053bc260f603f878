"""A client without a WebSocket library, which sees every byte that the simulator sends."""

from __future__ import annotations

import itertools
import json
import select
import socket
import struct
from dataclasses import dataclass
from typing import Any

from etoro_sync.simulator import EToroSimulator
from tests.support.frames import PING, TEXT, frame

PATIENCE = 10
_REQUEST = (
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
#: What belongs to the key above, by RFC 6455.
ACCEPT_KEY = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@dataclass(frozen=True)
class Frame:
    fin: bool
    rsv: int
    opcode: int
    masked: bool
    payload: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class RawClient:
    """Speaks the protocol byte by byte."""

    def __init__(self, sim: EToroSimulator, *, knock: bool = True, login: bool = True) -> None:
        self.sock = socket.create_connection(("127.0.0.1", sim.port), PATIENCE)
        self._buffer = b""
        self._sim = sim
        self._before = sim.connections
        self._ids = itertools.count(1)
        if knock:
            self.knock()
            if login:
                status, _ = self.response()
                assert "101" in status
                assert self.authenticate().json["success"]

    # The handshake

    def knock(self) -> None:
        """Send the request of the opening handshake."""
        self.sock.sendall(_REQUEST.encode())

    def response(self) -> tuple[str, dict[str, str]]:
        """Give the status line and the headers of the answer."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        if " 101 " in status:  # the client has it a little before the simulator counts it in
            self._sim.wait_until(lambda s: s.connections > self._before, timeout=PATIENCE)
        return status, dict(line.split(": ", 1) for line in lines)

    # Bytes and frames

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self._buffer += data

    def take(self, count: int) -> bytes:
        """Give the next bytes."""
        while len(self._buffer) < count:
            self._more()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def header(self) -> tuple[int, int, int]:
        """Give the first two bytes of the next frame and its length."""
        first, second = self.take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(8))
        return first, second, length

    def frame(self) -> Frame:
        """Give the next frame."""
        first, second, length = self.header()
        masked = bool(second & 0x80)
        key = self.take(4) if masked else b""
        payload = self.take(length)
        if masked:
            payload = bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))
        return Frame(bool(first & 0x80), first >> 4 & 7, first & 0xF, masked, payload)

    def is_quiet(self, seconds: float = 0.05) -> bool:
        """Say whether nothing comes for a while, neither data nor an end."""
        return not self._buffer and not select.select([self.sock], [], [], seconds)[0]

    def ended(self) -> bytes:
        """Give what still comes before the end of the stream."""
        while True:
            try:
                self._more()
            except EOFError:
                return self._buffer

    def was_reset(self) -> bool:
        """Say whether the connection ends with a reset, whatever comes before it."""
        try:
            self.ended()
        except ConnectionResetError:
            return True
        return False

    def send(self, opcode: int, payload: bytes = b"") -> None:
        """Send a frame."""
        self.sock.sendall(frame(opcode, payload, mask=True))

    def ping(self, payload: bytes = b"") -> None:
        self.send(PING, payload)

    # Requests

    def ask(self, operation: str, **data: Any) -> str:
        """Send a request and give its id."""
        request_id = str(next(self._ids))
        request = {"id": request_id, "operation": operation, "data": data}
        self.send(TEXT, json.dumps(request).encode())
        return request_id

    def authenticate(self) -> Frame:
        self.ask("Authenticate", apiKey="api", userKey="user")
        return self.frame()

    def subscribe(self, *topics: str, snapshot: bool = False) -> Frame:
        """Subscribe and give the answer."""
        self.ask("Subscribe", topics=topics, snapshot=snapshot)
        return self.frame()

    def content(self) -> dict[str, Any]:
        """Give the content of the next message."""
        (message,) = self.frame().json["messages"]
        content: dict[str, Any] = json.loads(message["content"])
        return content
