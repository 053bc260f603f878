"""Lasting faults of open connections: the server sends or reads nothing, too little, too slowly."""

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
    """A fault that attaches an interceptor to open connections, including later ones."""

    concerns: ClassVar[str] = "wire"
    phases: ClassVar[Phases] = ONCE_OPEN
    lingers: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._interceptors = interceptors.Attachments()

    def reached(self, moment: str, context: FaultContext, peer: "Peer") -> None:
        """Strike new connections as soon as they are open, unless it waits for a moment."""
        if self.at is None and moment == "open":
            self.consider(context, peer)
        else:
            super().reached(moment, context, peer)

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Attach an interceptor."""
        self._interceptors.attach(peer.transport, self.make_interceptor())

    def end(self, context: FaultContext) -> None:
        """Detach the interceptors; the data that they held back is then sent."""
        self._interceptors.detach_all()

    def make_interceptor(self) -> Interceptor:
        """Create an interceptor for one connection."""
        raise NotImplementedError


@named("mute")
@dataclass(kw_only=True, eq=False)
class Mute(InterceptorFault):
    """Read, but send nothing: no data, no pong, no answer to a close frame.

    Messages wait until it is healed; with more than ``max_backlog``, the connection is reset.
    """

    def make_interceptor(self) -> Interceptor:
        """Hold everything back."""
        return interceptors.Mute()


@named("pong_only")
@dataclass(kw_only=True, eq=False)
class PongOnly(InterceptorFault):
    """Answer pings and a close frame, but send no data.

    This is how a proxy behaves when the server behind it hangs. Messages wait until it is healed;
    with more than ``max_backlog``, the connection is reset.
    """

    def make_interceptor(self) -> Interceptor:
        """Hold messages back."""
        return interceptors.HoldMessages()


@named("half_open")
@dataclass(kw_only=True, eq=False)
class HalfOpen(InterceptorFault):
    """Stop reading and writing, like a peer whose network is gone, until it is healed."""

    def make_interceptor(self) -> Interceptor:
        """Hold both directions back."""
        return interceptors.HoldBoth()


@named("stop_reading")
@dataclass(kw_only=True, eq=False)
class StopReading(InterceptorFault):
    """Send as usual, but read nothing, so that the client's messages fill the buffers."""

    def make_interceptor(self) -> Interceptor:
        """Hold reading back."""
        return interceptors.HoldReads()


@named("drip")
@dataclass(kw_only=True, eq=False)
class Drip(InterceptorFault):
    """Send everything in small pieces with pauses between them.

    :param interval: seconds between two pieces.
    :param size: bytes in a piece.
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
    """Stop in the middle of the next frame. When it is healed, the rest is sent."""

    def make_interceptor(self) -> Interceptor:
        """Stop in the middle of a frame."""
        return interceptors.StallFrame()


@named("endless_fragments")
@dataclass(kw_only=True, eq=False)
class EndlessFragments(InterceptorFault):
    """Send a message in fragments that never ends.

    When it is healed, the message ends as an envelope without messages, and the messages that were
    held back are sent.

    :param size: bytes in a fragment.
    :param interval: seconds between two fragments.
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
        """Begin the message, after the messages that are queued already."""
        interceptor = Interceptor()
        self._interceptors.attach(peer.transport, interceptor)
        peer.enqueue(self._fragment_sender(interceptor))

    def _fragment_sender(self, interceptor: Interceptor) -> "Callable[[Link], None]":
        """Return an action that sends fragments until the interceptor is detached."""
        blanks = b" " * self.size  # JSON allows white space before a value

        def send_fragments(link: "Link") -> None:
            link.write(continuation(blanks, first=True))
            while link.transport.hold(interceptor, self.interval):
                link.write(continuation(blanks))
            link.write(continuation(b'{"messages":[]}', last=True))

        return send_fragments


@named("close_every")
@dataclass(kw_only=True, eq=False)
class CloseEvery(PeerFault):
    """Close every connection cleanly after some time, like a server that limits sessions.

    For connections that are open already, the time begins now.

    :param seconds: how long a connection lasts; with ``at``, counted from that moment.
    :param code: close code.
    :param reason: close reason, at most 123 bytes.
    :param times: how many connections it closes; None closes all.
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
            raise ValueError(
                f"code must be 1000 to 1003, 1007 to 1014 or 3000 to 4999, not {self.code}"
            )
        self._close = Close(code=self.code, reason=self.reason)
        self._healed = False

    def reached(self, moment: str, context: FaultContext, peer: "Peer") -> None:
        """Start a new connection's time when it is open, unless it waits for a moment."""
        if self.at is None and moment == "open":
            self.consider(context, peer)
        else:
            super().reached(moment, context, peer)

    def consider(self, context: FaultContext, peer: "Peer") -> None:
        """Start a client's time, if the fault is for this client."""
        if self.client in (None, peer.id):
            context.call_later(self.seconds, lambda: self._end(context, peer))

    def _end(self, context: FaultContext, peer: "Peer") -> None:
        """Close a connection whose time is over, if it and the fault have not ended before."""
        if not (self._healed or self.spent) and peer in context.peers:
            self.struck += 1
            self._close.strike(context, peer)

    def end(self, context: FaultContext) -> None:
        """Close no more connections."""
        self._healed = True
