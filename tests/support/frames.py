"""WebSocket frames as bytes, including the wrong ones.

A library refuses to send reserved bits, a length that is not the payload's, or a masked frame from
a server. A client has to survive them, so this module builds whatever it is asked for.
"""

from __future__ import annotations

import struct

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "TEXT",
    "close_payload",
    "frame",
    "unmask",
]

CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

#: Any key will do: it has to be applied, not to be unpredictable.
_MASK_KEY = b"\x37\xfa\x21\x3d"


def frame(
    opcode: int,
    payload: bytes = b"",
    fin: bool = True,
    rsv: int = 0,
    mask: bool = False,
    declared_length: int | None = None,
) -> bytes:
    """Build one frame.

    :param rsv: the three reserved bits as a number from 0 to 7; 4 is the bit of compression
    :param declared_length: the length in the header, when it is to differ from the payload's
    """
    length = len(payload) if declared_length is None else declared_length
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    mask_bit = 0x80 if mask else 0
    if length < 126:
        header = struct.pack("!BB", first, mask_bit | length)
    elif length < 1 << 16:
        header = struct.pack("!BBH", first, mask_bit | 126, length)
    else:
        header = struct.pack("!BBQ", first, mask_bit | 127, length)
    return header + _MASK_KEY + unmask(payload, _MASK_KEY) if mask else header + payload


def unmask(payload: bytes, key: bytes) -> bytes:
    """Apply a mask, which also takes it off again."""
    # One operation on big integers; byte by byte, a test that sends megabytes would take seconds.
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return mixed.to_bytes(len(payload), "big")


def close_payload(code: int | None, reason: str = "") -> bytes:
    """Return the payload of a close frame; without a code it is empty, as the protocol allows."""
    return b"" if code is None else struct.pack("!H", code) + reason.encode()
