"""What all faults have in common, and the list of all there are."""

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
#: Moments of a connection that a fault can wait for: just opened, or a request has come and is
#: not yet answered.
MOMENTS = ("open", *OPERATIONS)
Phases = Mapping[str, Mapping[str, object]]
#: In which phases what happens to an open connection makes sense, and when to strike for it.
ONCE_OPEN: Phases = {
    "authenticate": {"at": "Authenticate"},
    "subscribe": {"at": "Subscribe"},
    "live": {},
    "closing": {},
}
#: The same for what doesn't matter to a client that is closing.
BEFORE_CLOSING: Phases = {phase: given for phase, given in ONCE_OPEN.items() if phase != "closing"}

_FaultClass = TypeVar("_FaultClass", bound="type[Fault]")
#: All faults by name, in the order of a connection's life.
FAULTS: "dict[str, type[Fault]]" = {}


def named(name: str) -> "Any":
    """
    Register a class of faults.

    :param name: What users call it.
    """

    def register(cls: _FaultClass) -> _FaultClass:
        cls.name = name
        FAULTS[name] = cls
        return cls

    return register


@dataclass(kw_only=True, eq=False)
class Fault:
    """
    Something that goes wrong while the simulator runs. Made by
    :meth:`~etoro_sync.simulator.EToroSimulator.fault`; as a context manager, it ends with its
    block. Everything in a fault is guarded by the simulator's lock.
    """

    name: ClassVar[str]
    #: What it concerns: ``"listening"``, ``"tls"``, ``"handshake"``, ``"requests"``, ``"wire"``,
    #: ``"ending"``, ``"frames"``, ``"messages"`` or ``"feed"``.
    concerns: ClassVar[str]
    #: The phases of a connection in which it makes sense, with the arguments to use in each.
    phases: ClassVar[Phases]
    #: Whether it is in force until it is healed, rather than over as soon as it has struck.
    lasting: ClassVar[bool] = True
    #: Whether what it did to a connection goes on when it has struck often enough, until healed.
    lingers: ClassVar[bool] = False
    #: Whether a connection that it has struck is of no use any more, even when it is healed.
    fatal: ClassVar[bool] = False
    #: Whether it needs a simulator with ``tls=True``.
    needs_tls: ClassVar[bool] = False

    struck: int = field(default=0, init=False)
    #: What ends it; set when it is made for a simulator.
    on_heal: "Callable[[Fault], object] | None" = field(default=None, init=False, repr=False)

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it was to."""
        return False

    def begin(self, context: "FaultContext") -> None:
        """Take effect on what is there already. Requires the simulator's lock."""

    def end(self, context: "FaultContext") -> None:
        """Undo what is to be undone. Requires the simulator's lock."""

    def heal(self) -> None:
        """
        End this fault; once it has ended, nothing more happens. What it has done already stays: an
        answer that ``late_answer`` has put off still comes in its time.
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
    """
    A fault that can be limited to a number of connections, requests or messages.

    :param times: How many it strikes; None strikes all until it is healed.
    """

    times: int | None = None

    def __post_init__(self) -> None:
        if self.times is not None:
            arguments.integer("times", self.times, 1)

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it was to."""
        return self.times is not None and self.struck >= self.times


@dataclass(kw_only=True, eq=False)
class PeerFault(Limited):
    """
    A fault of open connections.

    :param at: None strikes now. ``"open"`` strikes connections that come to be open from now on,
        ``"Authenticate"``, ``"Subscribe"`` and ``"Unsubscribe"`` those that send such a request,
        before it is answered.
    :param client: Strike only the client with this ``id``.
    :param times: How many connections it strikes; None strikes all.
    :param skip: With ``at``: how many such moments to let pass first.
    """

    at: str | None = None
    client: int | None = None
    skip: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at is not None:
            arguments.choice("at", self.at, MOMENTS)
        elif self.skip:
            raise ValueError("skip needs at")
        self._left_to_skip = arguments.integer("skip", self.skip, 0)
        if self.client is not None:
            arguments.integer("client", self.client, 1)

    def begin(self, context: "FaultContext") -> None:
        """Strike whom it concerns already."""
        if self.at is None:
            for peer in context.peers:
                self.consider(context, peer)

    def reached(self, moment: str, context: "FaultContext", peer: "Peer") -> None:
        """Strike a client that has come to the moment this waits for. Requires the lock."""
        if moment == self.at and self.client in (None, peer.id):
            self._left_to_skip -= 1
            if self._left_to_skip < 0:
                self.consider(context, peer)

    def consider(self, context: "FaultContext", peer: "Peer") -> None:
        """Strike a client, if it is one of those meant."""
        if not self.spent and self.client in (None, peer.id):
            self.struck += 1
            self.strike(context, peer)

    def strike(self, context: "FaultContext", peer: "Peer") -> None:
        """Do it to a client. Requires the lock; must not block."""
        raise NotImplementedError


@dataclass(kw_only=True, eq=False)
class OneShotFault(PeerFault):
    """A fault of open connections that is over as soon as it has struck; see ``times``."""

    lasting: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at is not None and self.times is None:
            self.times = 1
        self._over = False

    def begin(self, context: "FaultContext") -> None:
        """Strike whom it concerns; if that is now, it is over then."""
        super().begin(context)
        self._over = self.at is None

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it was to: once, unless told otherwise."""
        return self._over or super().spent


def make(name: str, given: Mapping[str, object], *, tls: bool) -> Fault:
    """
    Make a fault from what a user wrote.

    :param name: Its name.
    :param given: Its arguments.
    :param tls: Whether the simulator speaks TLS.
    :raises ValueError: For a name or an argument that doesn't exist, with the nearest that does,
        and for a value that is out of range.
    :raises TypeError: For a value of the wrong type.
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
    """Give the arguments of a fault, each with whether it has to be given."""
    # A field without a default has the same marker in both places.
    return {f.name: f.default is f.default_factory for f in fields(cls) if f.init}


def _hint(wrong: object, known: Mapping[str, object]) -> str:
    """Name what was probably meant, or all that could have been."""
    near = get_close_matches(str(wrong).lower(), known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known)}" if known else "it has none"
