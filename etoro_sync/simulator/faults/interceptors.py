"""The interceptors with which faults act on a connection's bytes, below the WebSocket library."""

from collections.abc import Callable
from weakref import WeakKeyDictionary

from ..transport import Interceptor, Transport

_PONG = 0xA
_FIRST_CONTROL = 0x8


def opcode(frame: bytes) -> int:
    """Return the opcode of a frame."""
    return frame[0] & 0x0F


class HoldReads(Interceptor):
    """Reads nothing until the fault is healed."""

    def before_read(self, transport: Transport) -> None:
        """Wait until the fault is healed."""
        transport.hold(self)


class HoldSends(Interceptor):
    """Reads, but sends nothing until the fault is healed."""

    def send(self, transport: Transport, data: bytes, onward: Callable[[bytes], None]) -> None:
        """Wait until the fault is healed."""
        transport.hold(self)
        onward(data)


class HoldMessages(Interceptor):
    """Holds messages back, but answers pings."""

    def before_message(self, transport: Transport) -> None:
        """Wait until the fault is healed."""
        transport.hold(self)


class Mute(HoldMessages):
    """Holds messages back, and drops pongs and the answer to a close frame."""

    silent = True

    def send(self, transport: Transport, data: bytes, onward: Callable[[bytes], None]) -> None:
        """Drop control frames; finish a message that was begun."""
        if opcode(data) < _FIRST_CONTROL:
            onward(data)


class HoldBoth(Mute, HoldReads):
    """Holds messages back and reads nothing."""


class SlowSends(Interceptor):
    """Sends in small pieces.

    :param interval: seconds between two pieces; 0 makes no pauses.
    :param size: bytes in a piece.
    :param handshake: slow down only the answer to the opening handshake.
    """

    splits = True

    def __init__(self, interval: float, size: int, *, handshake: bool = False) -> None:
        self._interval = interval
        self._size = size
        self._handshake = handshake

    def send(self, transport: Transport, data: bytes, onward: Callable[[bytes], None]) -> None:
        """Pass data on piece by piece; the rest at once when the fault is healed."""
        start = 0
        slow = not (self._handshake and transport.upgraded)
        while slow and start < len(data):
            onward(data[start : start + self._size])
            start += self._size
            if self._interval and start < len(data):
                slow = transport.hold(self, self._interval)
        if start < len(data):
            onward(data[start:])


class StallFrame(Interceptor):
    """Stops in the middle of the next frame."""

    splits = True

    def send(self, transport: Transport, data: bytes, onward: Callable[[bytes], None]) -> None:
        """Pass the first half on, and the second when the fault is healed."""
        half = (len(data) + 1) // 2
        onward(data[:half])
        transport.hold(self)
        onward(data[half:])


class DropSends(Interceptor):
    """Sends no more frames, but still lets the peer see the end of the stream."""

    def send(self, transport: Transport, data: bytes, onward: Callable[[bytes], None]) -> None:
        """Drop the data."""


class Attachments:
    """The interceptors that a fault has attached. Guarded by the simulator's lock."""

    def __init__(self) -> None:
        self._interceptors: WeakKeyDictionary[Transport, Interceptor] = WeakKeyDictionary()

    def attach(self, transport: Transport, interceptor: Interceptor) -> None:
        """Attach an interceptor; it replaces an earlier one of the same transport."""
        self.detach(transport)
        transport.attach(interceptor)
        self._interceptors[transport] = interceptor

    def detach(self, transport: Transport) -> None:
        """Detach the interceptor of one transport, if there is one."""
        interceptor = self._interceptors.pop(transport, None)
        if interceptor is not None:
            transport.detach(interceptor)

    def detach_all(self) -> None:
        """Detach all interceptors."""
        for transport in list(self._interceptors):
            self.detach(transport)
