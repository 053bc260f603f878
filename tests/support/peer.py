"""The server's end of one WebSocket connection, as a script sees it.

Every method runs on the thread of the connection's script.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterable
from typing import Any

from etoro_sync.clocks import monotonic

from .frames import CLOSE, PING, PONG, TEXT, close_payload, frame, unmask
from .stream import Disconnected, Stream

__all__ = ["Peer"]

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

#: Seconds; longer than any test, and still a number that every system call takes.
_FOREVER = 1e6


class Peer(Stream):
    """One accepted connection.

    :ivar index: 0 for the server's first connection, 1 for the second
    :ivar request: the text of the HTTP request, once :meth:`handshake` has read it
    :ivar requests: every JSON request that was read, in order
    :ivar received_close: code and reason of the client's close frame, or None
    :ivar answer_pings: whether :meth:`read_json` and :meth:`serve` answer pings
    """

    def __init__(self, sock: socket.socket, index: int, stopping: threading.Event) -> None:
        super().__init__(sock, stopping)
        self.index = index
        self.request = ""
        self.requests: list[dict[str, Any]] = []
        self.received_close: tuple[int | None, str] | None = None
        self.answer_pings = True

    # Opening handshake

    def read_request(self) -> str:
        """Read the HTTP request up to its empty line, and answer nothing."""
        deadline = monotonic() + self.timeout
        seen = 0
        while self._buffer.find(b"\r\n\r\n", max(seen - 3, 0)) < 0:
            seen = len(self._buffer)  # a long request is not searched from its beginning each time
            self._fill(deadline)
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer[:] = rest
        self.request = head.decode("latin-1")
        return self.request

    def header(self, name: str) -> str | None:
        """Return a header of the request."""
        for line in self.request.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return None

    def accept_key(self) -> str:
        """Return the Sec-WebSocket-Accept that belongs to the request."""
        key = (self.header("Sec-WebSocket-Key") or "").encode()
        return base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()

    def handshake(
        self,
        extra_headers: Iterable[tuple[str, str]] = (),
        accept: bool | str = True,
        trailing: bytes = b"",
    ) -> str:
        """Read the request and answer 101.

        :param accept: True for the right Sec-WebSocket-Accept, False for none, or its text
        :param trailing: bytes that leave in the same write as the answer
        :returns: the request
        """
        self.read_request()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        if accept is not False:
            lines.append(f"Sec-WebSocket-Accept: {self.accept_key() if accept is True else accept}")
        lines += [f"{name}: {value}" for name, value in extra_headers]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + trailing)
        return self.request

    def respond(self, raw: bytes) -> str:
        """Read the request and answer with these bytes, whatever they are."""
        self.read_request()
        self.send(raw)
        return self.request

    # Reading

    def read_frame(self, timeout: float | None = None) -> tuple[int, bytes]:
        """Return opcode and payload of the client's next frame."""
        deadline = monotonic() + (self.timeout if timeout is None else timeout)
        first, second = self._take(2, deadline)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2, deadline))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8, deadline))
        assert second & 0x80, "a client must mask its frames"
        key = self._take(4, deadline)
        payload = unmask(self._take(length, deadline), key)
        opcode = first & 0x0F
        if opcode == CLOSE:
            code = struct.unpack("!H", payload[:2])[0] if payload else None
            self.received_close = (code, payload[2:].decode())
        return opcode, payload

    def read_frames(self, timeout: float | None = None) -> list[tuple[int, bytes]]:
        """Return every frame up to the end of stream; none may take longer than the timeout."""
        frames = []
        with contextlib.suppress(ConnectionError):
            while True:
                frames.append(self.read_frame(timeout))
        self._check_stopping()
        return frames

    def read_json(self, timeout: float | None = None) -> dict[str, Any]:
        """Return the client's next request, past pings (which are answered) and pongs."""
        while True:
            opcode, payload = self.read_frame(timeout)
            if opcode == TEXT:
                request: dict[str, Any] = json.loads(payload)
                self.requests.append(request)
                return request
            if opcode == PING and self.answer_pings:
                self.send_pong(payload)
            elif opcode == CLOSE:
                raise Disconnected(f"the client closed with {self.received_close}")
            elif opcode not in (PING, PONG):
                raise AssertionError(f"a client sends text only, but this is opcode {opcode:#x}")

    # Writing

    def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        fin: bool = True,
        rsv: int = 0,
        mask: bool = False,
        declared_length: int | None = None,
    ) -> None:
        """Send one frame; see :func:`tests.support.frames.frame`."""
        self.send(frame(opcode, payload, fin, rsv, mask, declared_length))

    def send_text(self, text: str) -> None:
        self.send_frame(TEXT, text.encode())

    def send_json(self, value: object) -> None:
        self.send_text(json.dumps(value))

    def send_message(self, topic: str, kind: str, content: object, message_id: str = "m") -> None:
        """Send an envelope with one message; like eToro's, its content is JSON in a string."""
        message = {"topic": topic, "content": json.dumps(content), "id": message_id, "type": kind}
        self.send_json({"messages": [message]})

    def send_ping(self, payload: bytes = b"") -> None:
        self.send_frame(PING, payload)

    def send_pong(self, payload: bytes = b"") -> None:
        self.send_frame(PONG, payload)

    def send_close(self, code: int | None = 1000, reason: str = "") -> None:
        self.send_frame(CLOSE, close_payload(code, reason))

    # The exchange of requests and acknowledgements

    def reply(self, request: dict[str, Any], error_code: str = "", error_message: str = "") -> None:
        """Acknowledge a request, or refuse it with a code."""
        answer = {"id": request["id"], "success": not error_code, "operation": request["operation"]}
        if error_code:
            answer |= {"errorCode": error_code, "errorMessage": error_message or error_code}
        self.send_json(answer)

    def authenticate(self, error_code: str = "", error_message: str = "") -> dict[str, Any]:
        """Read the Authenticate request and accept it, or refuse it with a code."""
        request = self.read_json()
        assert request["operation"] == "Authenticate", request["operation"]
        self.reply(request, error_code, error_message)
        return request

    def accept(self) -> None:
        """Answer the opening handshake, and accept the keys."""
        self.handshake()
        self.authenticate()

    def acknowledge(self, error_code: str = "", error_message: str = "") -> dict[str, Any]:
        """Read the next request and accept it, or refuse it with a code."""
        request = self.read_json()
        self.reply(request, error_code, error_message)
        return request

    def serve(self) -> None:
        """Acknowledge requests, answer pings and the close frame, until the client leaves."""
        previous, self.timeout = self.timeout, _FOREVER
        try:
            with contextlib.suppress(ConnectionError):
                while True:
                    self.acknowledge()
            if self.received_close is not None:
                with contextlib.suppress(ConnectionError):
                    self.send_close(self.received_close[0])
        finally:
            self.timeout = previous
        self._check_stopping()
