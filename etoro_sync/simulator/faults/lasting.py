"""Faults of open connections that last: nothing, too little, or too slowly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .. import arguments
from ..transport import Interceptor
from . import interceptors
from .base import BEFORE_CLOSING, ONCE_OPEN, PeerFault, Phases, named
from .context import FaultContext
from .frames import CLOSE_CODES, Close, continuation

if TYPE_CHECKING:
    from ..link import Link
    from ..peer import Peer


@dataclass(kw_only=True, eq=False)
class InterceptorFault(PeerFault):
    """A fault that puts an interceptor in the way of open connections, those to come included."""

    concerns: ClassVar[str] = "wire"
    phases: ClassVar[Phases] = ONCE_OPEN
    lingers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._interceptors = interceptors.Attachments()

    def reached(self, moment: str, context: FaultContext, peer: "Peer") -> None:
        """Without a moment to wait for, connections are struck as soon as they are open."""
        if self.at is None and moment == "open":
            self.consider(context, peer)
        else:
            super().reached(moment, context, peer)

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Put the interceptor in the way."""
        self._interceptors.attach(peer.transport, self.make_interceptor())

    def end(self, context: FaultContext) -> None:
        """Take the interceptors out of the way; what was held back goes out."""
        self._interceptors.detach_all()

    def make_interceptor(self) -> Interceptor:
        """Make an interceptor."""
        raise NotImplementedError


@named("mute")
@dataclass(kw_only=True, eq=False)
class Mute(InterceptorFault):
    """
    Read, but send nothing: no data, no pong, no answer to a close frame.

    Messages wait until it is healed; with more than ``max_backlog``, the connection is reset.
    """

    def make_interceptor(self) -> Interceptor:
        """Hold everything back."""
        return interceptors.Mute()


@named("pong_only")
@dataclass(kw_only=True, eq=False)
class PongOnly(InterceptorFault):
    """
    Answer pings (and a close frame), but send no data: the edge lives, the server behind it hangs.

    Messages wait until it is healed; with more than ``max_backlog``, the connection is reset.
    """

    def make_interceptor(self) -> Interceptor:
        """Hold messages back."""
        return interceptors.HoldMessages()


@named("half_open")
@dataclass(kw_only=True, eq=False)
class HalfOpen(InterceptorFault):
    """Stop reading and writing, as a peer whose network is gone. When it is healed, both go on."""

    def make_interceptor(self) -> Interceptor:
        """Hold both directions back."""
        return interceptors.HoldBoth()


@named("stop_reading")
@dataclass(kw_only=True, eq=False)
class StopReading(InterceptorFault):
    """Send as usual, but read nothing: what the client sends gets stuck in full buffers."""

    def make_interceptor(self) -> Interceptor:
        """Hold reading back."""
        return interceptors.HoldReads()


@named("drip")
@dataclass(kw_only=True, eq=False)
class Drip(InterceptorFault):
    """
    Send everything in small pieces with pauses between them.

    :param interval: Seconds between two pieces.
    :param size: Bytes of a piece.
    """

    interval: float = 0.02
    size: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.number("interval", self.interval)
        arguments.integer("size", self.size, 1)

    def make_interceptor(self) -> Interceptor:
        """Send slowly."""
        return interceptors.SlowSends(self.interval, self.size)


@named("one_byte")
@dataclass(kw_only=True, eq=False)
class OneByte(InterceptorFault):
    """Send every byte in a packet of its own, without pauses."""

    def make_interceptor(self) -> Interceptor:
        """Send byte by byte."""
        return interceptors.SlowSends(0, 1)


@named("stall")
@dataclass(kw_only=True, eq=False)
class Stall(InterceptorFault):
    """Stop in the middle of the next frame. When it is healed, the rest follows."""

    def make_interceptor(self) -> Interceptor:
        """Stop half-way."""
        return interceptors.StallFrame()


@named("endless_fragments")
@dataclass(kw_only=True, eq=False)
class EndlessFragments(InterceptorFault):
    """
    Send a message in fragments that never ends. When it is healed, the message ends as an envelope
    without messages, and everything else follows.

    :param size: Bytes of a fragment.
    :param interval: Seconds between two fragments.
    """

    concerns: ClassVar[str] = "frames"
    phases: ClassVar[Phases] = BEFORE_CLOSING
    size: int = 1000
    interval: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.integer("size", self.size, 1, 1_000_000)
        arguments.number("interval", self.interval)

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Begin the message behind what waits already."""
        interceptor = Interceptor()
        self._interceptors.attach(peer.transport, interceptor)
        peer.enqueue(self._fragment_sender(interceptor))

    def _fragment_sender(self, interceptor: Interceptor) -> "Callable[[Link], None]":
        """Make what the sending thread does for as long as the interceptor is attached."""
        blanks = b" " * self.size  # which JSON allows before anything

        def send_fragments(link: "Link") -> None:
            link.write(continuation(blanks, first=True))
            while link.transport.hold(interceptor, self.interval):
                link.write(continuation(blanks))
            link.write(continuation(b'{"messages":[]}', last=True))

        return send_fragments


@named("close_every")
@dataclass(kw_only=True, eq=False)
class CloseEvery(PeerFault):
    """
    End every connection with a clean close when it has lasted for some time, as if sessions had a
    greatest age. For those that are open already, the time begins now.

    :param seconds: How long a connection lasts; with ``at``, from that moment on.
    :param code: Close code.
    :param reason: Close reason, at most 123 bytes.
    :param times: How many connections it ends.
    """

    concerns: ClassVar[str] = "ending"
    phases: ClassVar[Phases] = {"live": {"seconds": 0.2}}
    fatal: ClassVar[bool] = True
    seconds: float = 265.0
    code: int = 1000
    reason: str = "session timeout"

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.number("seconds", self.seconds)
        if arguments.integer("code", self.code) not in CLOSE_CODES:
            raise ValueError(f"code must be one that may be sent, such as 1000, not {self.code}")
        self._close = Close(code=self.code, reason=self.reason)
        self._healed = False

    def reached(self, moment: str, context: FaultContext, peer: "Peer") -> None:
        """Without a moment to wait for, a connection's time begins when it is open."""
        if self.at is None and moment == "open":
            self.consider(context, peer)
        else:
            super().reached(moment, context, peer)

    def consider(self, context: FaultContext, peer: "Peer") -> None:
        """Let a client's time begin, if it is one of those meant."""
        if self.client in (None, peer.id):
            context.call_later(self.seconds, lambda: self._end(context, peer))

    def _end(self, context: FaultContext, peer: "Peer") -> None:
        """End a connection whose time is over, unless it has ended or the fault has."""
        if not (self._healed or self.spent) and peer in context.peers:
            self.struck += 1
            self._close.strike(context, peer)

    def end(self, context: FaultContext) -> None:
        """Let the connections last."""
        self._healed = True
