"""WebSocket frames as bytes, valid or not, and the faults that send them."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from websockets.frames import Frame, Opcode

from .. import arguments
from .base import BEFORE_CLOSING, ONCE_OPEN, OneShotFault, Phases, named
from .context import FaultContext
from .interceptors import DropSends

if TYPE_CHECKING:
    from ..link import Link
    from ..peer import Peer

#: The codes that RFC 6455 lets an endpoint send.
CLOSE_CODES = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
_EMPTY = b'{"messages":[]}'
_CLOSE_REPLY_TIMEOUT = 1.0  # seconds that a client has to answer a close frame


def text_frame(payload: bytes, *, mask: bool = False) -> bytes:
    """Build the frame of a text message, from any bytes."""
    return Frame(Opcode.TEXT, payload).serialize(mask=mask)


def continuation(payload: bytes, *, first: bool = False, last: bool = False) -> bytes:
    """Build the frame of a fragment of a text message."""
    return Frame(Opcode.TEXT if first else Opcode.CONT, payload, fin=last).serialize(mask=False)


def close_frame(code: int | None, reason: str) -> bytes:
    """Build a close frame with any code, or without one."""
    payload = b"" if code is None else struct.pack("!H", code) + reason.encode()
    return Frame(Opcode.CLOSE, payload).serialize(mask=False)


@dataclass(kw_only=True, eq=False)
class FrameFault(OneShotFault):
    """A fault that sends raw bytes, after the messages that are queued already."""

    concerns: ClassVar[str] = "frames"
    phases: ClassVar[Phases] = BEFORE_CLOSING

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Queue the bytes."""
        peer.enqueue(self._write)

    def _write(self, link: "Link") -> None:
        """Send the bytes. Runs on the sending thread."""
        link.write(self.data())

    def data(self) -> bytes:
        """Return the bytes."""
        raise NotImplementedError


@named("huge_frame")
@dataclass(kw_only=True, eq=False)
class HugeFrame(FrameFault):
    """Announce a huge frame; all bytes that follow count as its content.

    :param length: the announced length in bytes.
    """

    fatal: ClassVar[bool] = True
    length: int = 1 << 33

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("length", self.length, 1 << 16, (1 << 63) - 1)

    def data(self) -> bytes:
        """Return the frame's header and the first bytes of its content."""
        return struct.pack("!BBQ", 0x81, 127, self.length) + b'{"messages":['


@named("bad_utf8")
@dataclass(kw_only=True, eq=False)
class BadUtf8(FrameFault):
    """Send a text message that is not UTF-8."""

    def data(self) -> bytes:
        """Return a valid message but for one byte that never occurs in UTF-8."""
        return text_frame(b'{"messages":[],"x":"\xff"}')


@named("masked")
@dataclass(kw_only=True, eq=False)
class Masked(FrameFault):
    """Send a message in a masked frame, which only clients may do."""

    def data(self) -> bytes:
        """Return an envelope without messages, masked."""
        return text_frame(_EMPTY, mask=True)


@named("reserved_bits")
@dataclass(kw_only=True, eq=False)
class ReservedBits(FrameFault):
    """Send a message with reserved bits set, although no extension was negotiated.

    :param bits: 1 to 7; 4 is the bit for compression.
    """

    bits: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("bits", self.bits, 1, 7)

    def data(self) -> bytes:
        """Return an envelope without messages, with the bits set."""
        first, *rest = text_frame(_EMPTY)
        return bytes([first | self.bits << 4, *rest])


@named("pongs")
@dataclass(kw_only=True, eq=False)
class Pongs(FrameFault):
    """Send unsolicited pongs.

    :param count: how many to send.
    """

    phases: ClassVar[Phases] = ONCE_OPEN
    count: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("count", self.count, 1, 1_000_000)

    def data(self) -> bytes:
        """Return the pongs."""
        return Frame(Opcode.PONG, b"unsolicited").serialize(mask=False) * self.count


@named("ping_flood")
@dataclass(kw_only=True, eq=False)
class PingFlood(FrameFault):
    """Send many pings at once.

    :param count: how many to send.
    """

    phases: ClassVar[Phases] = ONCE_OPEN
    count: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("count", self.count, 1, 1_000_000)

    def data(self) -> bytes:
        """Return the pings, each with a number."""
        return b"".join(
            Frame(Opcode.PING, str(number).encode()).serialize(mask=False)
            for number in range(self.count)
        )


@dataclass(kw_only=True, eq=False)
class Ending(OneShotFault):
    """A fault that ends connections."""

    concerns: ClassVar[str] = "ending"
    phases: ClassVar[Phases] = ONCE_OPEN
    fatal: ClassVar[bool] = True


@named("reset")
@dataclass(kw_only=True, eq=False)
class Reset(Ending):
    """Reset the TCP connections, without a close frame; unsent messages are lost."""

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Reset the connection."""
        peer.abort()
        context.drop_client(peer)


@dataclass(kw_only=True, eq=False)
class Closing(Ending):
    """A fault that sends a close frame, after the messages that are queued already."""

    code: int | None = 1000
    reason: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.code is not None:
            arguments.integer("code", self.code, 0, 65535)
        elif self.reason:
            raise ValueError("a reason can only be sent together with a code")
        if len(arguments.text("reason", self.reason).encode()) > 123:
            raise ValueError("reason must not be longer than 123 bytes")


@named("close")
@dataclass(kw_only=True, eq=False)
class Close(Closing):
    """Close connections with any code, even one that must never be sent.

    :param code: 0 to 65535; None sends a close frame without code and reason.
    :param reason: at most 123 bytes.
    """

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Queue the close frame."""
        if self.code is not None and self.code in CLOSE_CODES:
            peer.close(self.code, self.reason)
        else:
            peer.enqueue(self._close)
        context.drop_client(peer)

    def _close(self, link: "Link") -> None:
        """Send a close frame that the library would refuse. Runs on the sending thread."""
        interceptor = (
            DropSends()
        )  # the library knows nothing of the frame and would close once more
        link.write(close_frame(self.code, self.reason), interceptor)
        link.transport.hold(interceptor, _CLOSE_REPLY_TIMEOUT)
        link.abort()


@named("close_reset")
@dataclass(kw_only=True, eq=False)
class CloseReset(Closing):
    """Send a close frame, then reset the connection without waiting for the answer.

    :param code: 0 to 65535; None sends a close frame without code and reason.
    :param reason: at most 123 bytes.
    """

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Queue both."""
        peer.enqueue(self._close)
        context.drop_client(peer)

    def _close(self, link: "Link") -> None:
        """Send the close frame and reset. Runs on the sending thread."""
        link.write(close_frame(self.code, self.reason))
        link.abort()
