"""Parses a server's RFC 6455 frames, however the reads have cut them, and returns messages.

Pure: no socket, no clock. websocket-client's own frame reader makes several system calls and
about ten Python calls per frame, does not limit a frame's size, checks UTF-8 byte by byte in
Python, and joins fragments in quadratic time. This one handles all complete frames of a read in
one loop. The usual frame (final, text, unmasked) takes a fast path; all others are handled by
:meth:`FrameParser.irregular`.
"""

import struct
from dataclasses import dataclass

__all__ = ["CLOSE", "PING", "PONG", "FrameParser", "Violation", "read_close"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL_TEXT = 0x80 | TEXT
#: Nearly every frame is a final, unmasked text with a length of two bytes.
_USUAL = struct.Struct("!HH")
_USUAL_HEADER = _FINAL_TEXT << 8 | 126
_KNOWN_CODES = frozenset([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014])


@dataclass(frozen=True)
class Violation:
    """How the server has violated the protocol.

    :param code: the close code that RFC 6455 assigns to it.
    :param reason: what was wrong.
    """

    code: int
    reason: str


class _Broken(Exception):
    """A violation; ends the parsing loop and never leaves this module."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.violation = Violation(code, reason)


class FrameParser:
    """Parses the frames of one connection and joins fragmented messages.

    At a violation :attr:`violation` is set; the messages before it are returned, and all that
    follows is ignored. What follows a close frame is ignored, too.

    :param max_message_bytes: a longer message is a violation, found at its frame header.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self._limit = max_message_bytes
        # Both grow by appending, which takes linear time however small the pieces are.
        self._pending = bytearray()  # an incomplete frame
        self._need = 0  # the size of that frame, as far as it is known
        self._message: bytearray | None = None  # the fragments of an incomplete message
        self._message_opcode = TEXT
        self._begun = 0
        #: Opcode and payload of each control frame; the caller empties the list.
        self.controls: list[tuple[int, bytes]] = []
        self._closed = False
        #: None: the server has followed the protocol so far.
        self.violation: Violation | None = None

    def feed(self, data: bytes) -> list[str]:
        """Parse the next bytes and return the text messages that they complete.

        Control frames are appended to :attr:`controls`. Binary messages of NULs, which eToro sends
        as keepalives, are dropped. Other binary messages are returned as text, because one may be
        an order event; if it is not JSON, the feed handler reports it.
        """
        if self.violation is not None or self._closed:
            return []
        if self._pending:
            if len(self._pending) + len(data) < self._need:
                self._pending += data
                return []
            data = b"".join((self._pending, data))
        texts: list[str] = []
        used = 0
        try:
            if self._message is None:
                used = self._cut_usual(data, 0, texts)
                if used == len(data) and texts:
                    # Nearly every read: complete frames of the usual kind, and nothing else.
                    self._pending = bytearray()
                    self._begun += 1
                    return texts
            used, self._need = self._cut(data, used, texts)
        except UnicodeDecodeError as exc:
            self.violation = Violation(1007, f"text is not UTF-8: {exc.reason}")
        except _Broken as exc:
            self.violation = exc.violation
        else:
            self._pending = bytearray(data[used:])
            if texts or (used and self._message is None):
                self._begun += 1
        return texts

    @property
    def unfinished(self) -> int | None:
        """A number that identifies the incomplete message until it is complete; None: none is."""
        return self._begun if self._pending or self._message is not None else None

    def _cut(self, data: bytes, position: int, texts: list[str]) -> tuple[int, int]:
        """Handle all complete frames from *position* on.

        :returns: where the first incomplete frame begins, and its size as far as it is known.
        """
        end, limit = len(data), self._limit
        while True:
            if end - position < 2:
                return position, 2
            first, size = data[position], data[position + 1]
            start = position + 2
            if size > 125:
                if size > 127:
                    raise _Broken(1002, "the server masked a frame")
                start += 2 if size == 126 else 8
                if start > end:
                    return position, start - position
                size = int.from_bytes(data[position + 2 : start], "big")
            if size > limit:
                raise _Broken(1009, f"a frame of {size} bytes is over the limit of {limit}")
            regular = first == _FINAL_TEXT and self._message is None
            if not regular:
                self._check_header(first, size)
            stop = start + size
            if stop > end:
                return position, stop - position
            if regular:
                texts.append(data[start:stop].decode())
            else:
                self.irregular(first, data[start:stop], texts)
                if self._closed:
                    return end, 2
            position = stop
            if self._message is None:
                position = self._cut_usual(data, position, texts)

    def _cut_usual(self, data: bytes, position: int, texts: list[str]) -> int:
        """Handle complete frames of the usual kind from *position* on; return where they end."""
        last, limit, usual = len(data) - _USUAL.size, self._limit, _USUAL.unpack_from
        while position <= last:
            header, size = usual(data, position)
            stop = position + 4 + size
            if header != _USUAL_HEADER or size > limit or stop > len(data):
                break
            texts.append(data[position + 4 : stop].decode())
            position = stop
        return position

    def _check_header(self, first: int, size: int) -> None:
        """Raise if a frame header is a violation, before its payload is waited for.

        :param first: the first byte of the header.
        :param size: of the payload, in bytes.
        """
        final, opcode = first & 0x80, first & 0x0F
        if first & 0x70:
            raise _Broken(1002, "reserved bits are set, but no extension was agreed on")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise _Broken(1002, f"unknown opcode {opcode}")
            if not final or size > 125:
                raise _Broken(1002, "a control frame is fragmented or too long")
        elif opcode == CONTINUATION:
            if self._message is None:
                raise _Broken(1002, "a continuation frame continues nothing")
            if len(self._message) + size > self._limit:
                raise _Broken(1009, f"a fragmented message is over the limit of {self._limit}")
        elif opcode > BINARY:
            raise _Broken(1002, f"unknown opcode {opcode}")
        elif self._message is not None:
            raise _Broken(1002, "a new message began inside a fragmented one")

    def irregular(self, first: int, payload: bytes, texts: list[str]) -> None:
        """Handle a control frame, a binary message or a fragment; its header was checked.

        A subclass may look at these frames here.
        """
        opcode = first & 0x0F
        if opcode >= CLOSE:
            self.controls.append((opcode, payload))
            self._closed = opcode == CLOSE
            return
        if self._message is None:
            self._message, self._message_opcode = bytearray(), opcode
        self._message += payload
        if first & 0x80:
            message, self._message = self._message, None
            if self._message_opcode == TEXT:
                texts.append(message.decode())
            elif message.strip(b"\0"):
                texts.append(message.decode(errors="replace"))


def read_close(payload: bytes) -> tuple[int, str]:
    """Return code and reason of a close frame's payload; 1005 if it is empty.

    For a payload that RFC 6455 forbids the code is 1002, and the reason says what was wrong. If
    only the reason is invalid UTF-8, the code is kept, because it is more useful.
    """
    if not payload:
        return 1005, ""
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _KNOWN_CODES or 3000 <= code < 5000):
        return 1002, f"the server sent an invalid close frame ({payload[:2].hex()})"
    return code, payload[2:].decode(errors="replace")
