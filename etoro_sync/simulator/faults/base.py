"""The base classes of faults, and the registry of all faults."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from .. import arguments
from ..session import OPERATIONS

if TYPE_CHECKING:
    from ..peer import Peer
    from .context import FaultContext

#: The phases of a connection, in order.
PHASES = ("connect", "tls", "handshake", "authenticate", "subscribe", "live", "closing")
#: Moments of a connection that a fault can wait for: it has just been opened, or a request has been
#: received and not yet answered.
MOMENTS = ("open", *OPERATIONS)
Phases = Mapping[str, Mapping[str, object]]
#: The phases for faults of open connections, with the arguments that make them strike in each.
ONCE_OPEN: Phases = {
    "authenticate": {"at": "Authenticate"},
    "subscribe": {"at": "Subscribe"},
    "live": {},
    "closing": {},
}
#: The same without the phase "closing", for faults that a closing client would not notice.
BEFORE_CLOSING: Phases = {phase: given for phase, given in ONCE_OPEN.items() if phase != "closing"}

_FaultClass = TypeVar("_FaultClass", bound="type[Fault]")
#: All faults by name, in the order of a connection's phases.
FAULTS: "dict[str, type[Fault]]" = {}


def named(name: str) -> "Any":
    """Return a class decorator that registers a fault.

    :param name: the fault's name.
    """

    def register(cls: _FaultClass) -> _FaultClass:
        cls.name = name
        FAULTS[name] = cls
        return cls

    return register


@dataclass(kw_only=True, eq=False)
class Fault:
    """A deliberate failure of the simulator.

    Created by :meth:`~etoro_sync.simulator.EToroSimulator.fault`. As a context manager, it is
    healed at the end of its block. The simulator's lock guards all of it.
    """

    name: ClassVar[str]
    #: What it concerns: ``"listening"``, ``"tls"``, ``"handshake"``, ``"requests"``, ``"wire"``,
    #: ``"ending"``, ``"frames"``, ``"messages"`` or ``"feed"``.
    concerns: ClassVar[str]
    #: The phases of a connection in which it can be used, with the arguments for each.
    phases: ClassVar[Phases]
    #: Whether it stays active until it is healed, rather than ends as soon as it has struck.
    lasting: ClassVar[bool] = True
    #: Whether connections that it has struck stay affected until it is healed, even when it has
    #: reached its limit.
    lingers: ClassVar[bool] = False
    #: Whether a connection that it has struck stays unusable, even when it is healed.
    fatal: ClassVar[bool] = False
    #: Whether it needs a simulator with ``tls=True``.
    needs_tls: ClassVar[bool] = False

    struck: int = field(default=0, init=False)
    #: Called by :meth:`heal`; set by the simulator.
    on_heal: "Callable[[Fault], object] | None" = field(default=None, init=False, repr=False)

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as its limit allows."""
        return False

    def begin(self, context: "FaultContext") -> None:
        """Strike the connections that are open already. Requires the simulator's lock."""

    def end(self, context: "FaultContext") -> None:
        """Undo its lasting effects. Requires the simulator's lock."""

    def heal(self) -> None:
        """End this fault; afterwards it strikes no more.

        What it has done is not undone: an answer that ``late_answer`` has delayed is still sent
        later.
        """
        if self.on_heal is not None:
            self.on_heal(self)

    def __enter__(self: "_Self") -> "_Self":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.heal()


_Self = TypeVar("_Self", bound=Fault)


@dataclass(kw_only=True, eq=False)
class Limited(Fault):
    """A fault that can be limited to a number of connections, requests or messages.

    :param times: how many it strikes; None strikes all until it is healed.
    """

    times: int | None = None

    def __post_init__(self) -> None:
        if self.times is not None:
            arguments.integer("times", self.times, 1)

    @property
    def spent(self) -> bool:
        """Whether it has struck *times* times."""
        return self.times is not None and self.struck >= self.times


@dataclass(kw_only=True, eq=False)
class PeerFault(Limited):
    """A fault of open connections.

    :param at: when to strike. None strikes all open connections now; ``"open"`` strikes new
        connections as they are opened; ``"Authenticate"``, ``"Subscribe"`` and ``"Unsubscribe"``
        strike those that send such a request, before it is answered.
    :param client: strike only the client with this ``id``.
    :param times: how many connections it strikes; None strikes all.
    :param skip: with ``at``: how many such moments to skip first.
    """

    at: str | None = None
    client: int | None = None
    skip: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at is not None:
            arguments.choice("at", self.at, MOMENTS)
        elif self.skip:
            raise ValueError("skip can only be used together with at")
        self._left_to_skip = arguments.integer("skip", self.skip, 0)
        if self.client is not None:
            arguments.integer("client", self.client, 1)

    def begin(self, context: "FaultContext") -> None:
        """Strike the open connections, unless it waits for a moment."""
        if self.at is None:
            for peer in context.peers:
                self.consider(context, peer)

    def reached(self, moment: str, context: "FaultContext", peer: "Peer") -> None:
        """Strike a client if this fault waits for *moment*. Requires the lock."""
        if moment == self.at and self.client in (None, peer.id):
            self._left_to_skip -= 1
            if self._left_to_skip < 0:
                self.consider(context, peer)

    def consider(self, context: "FaultContext", peer: "Peer") -> None:
        """Strike a client, unless it is not the right one or the limit is reached."""
        if not self.spent and self.client in (None, peer.id):
            self.struck += 1
            self.strike(context, peer)

    def strike(self, context: "FaultContext", peer: "Peer") -> None:
        """Take effect on one client. Requires the lock; must not block."""
        raise NotImplementedError


@dataclass(kw_only=True, eq=False)
class OneShotFault(PeerFault):
    """A fault of open connections that ends as soon as it has struck; see ``times``."""

    lasting: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at is not None and self.times is None:
            self.times = 1
        self._over = False

    def begin(self, context: "FaultContext") -> None:
        """Strike the open connections and end, unless it waits for a moment."""
        super().begin(context)
        self._over = self.at is None

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as *times* allows, by default once."""
        return self._over or super().spent


def make(name: str, given: Mapping[str, object], *, tls: bool) -> Fault:
    """Create a fault from the name and the arguments that a user gave.

    :param name: its name.
    :param given: its arguments.
    :param tls: whether the simulator uses TLS.
    :raises ValueError: for an unknown name or argument, with the most similar one, and for a value
        that is out of range.
    :raises TypeError: for a value of the wrong type.
    """
    cls = FAULTS.get(name) if isinstance(name, str) else None
    if cls is None:
        raise ValueError(f"there is no fault {name!r}; {_hint(name, FAULTS)}")
    allowed = parameters(cls)
    for key in given:
        if key not in allowed:
            raise ValueError(f"the fault {name!r} has no argument {key!r}; {_hint(key, allowed)}")
    missing = [key for key, needed in allowed.items() if needed and key not in given]
    if missing:
        raise ValueError(f"the fault {name!r} needs the argument {missing[0]!r}")
    if cls.needs_tls and not tls:
        raise ValueError(f"the fault {name!r} needs a simulator with tls=True")
    return cls(**given)


def parameters(cls: type[Fault]) -> dict[str, bool]:
    """Return the arguments of a fault, each with whether it is required."""
    # A field without a default has the same marker, MISSING, in both attributes.
    return {f.name: f.default is f.default_factory for f in fields(cls) if f.init}


def _hint(wrong: object, known: Mapping[str, object]) -> str:
    """Suggest the most similar name, or list all of them."""
    near = get_close_matches(str(wrong).lower(), known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known)}" if known else "it takes none"
