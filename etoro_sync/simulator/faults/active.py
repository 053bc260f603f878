"""The active faults, and the questions that the other parts of the simulator ask about them."""

import ssl
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from ..tls import Certificates
from ..transport import Transport
from .base import Fault, Limited, PeerFault
from .context import FaultContext
from .feed import FeedFault, Freeze
from .listening import AcceptFault, CertificateFault, Refuse
from .requests import RequestFault

if TYPE_CHECKING:
    from ..peer import Peer

_Kind = TypeVar("_Kind", bound=Fault)
_Countable = TypeVar("_Countable", bound=Limited)


class ActiveFaults:
    """The active faults, oldest first. Guarded by the context's lock.

    :param context: the part of the simulator that faults act on.
    :param certificates: for TLS; None without.
    """

    def __init__(self, context: FaultContext, certificates: Certificates | None) -> None:
        self._context = context
        self._certificates = certificates
        self._active: list[Fault] = []

    def begin(self, fault: Fault) -> None:
        """Start a fault. Its ``on_heal`` must call :meth:`heal`."""
        with self._context.changed:
            if isinstance(fault, CertificateFault) and self._certificates is not None:
                # Made now, since it is slow and may fail; a connection then only looks it up.
                self._certificates.flawed_context(fault.flaw)
            self._active.append(fault)
            fault.begin(self._context)
            self._end_spent()
            self._context.faults_changed()

    def heal(self, *faults: Fault) -> int:
        """End faults; return how many of them were active."""
        with self._context.changed:
            ending = [fault for fault in self._active if fault in faults]
            self._active = [fault for fault in self._active if fault not in faults]
            for fault in ending:
                fault.end(self._context)
            self._context.faults_changed()
            return len(ending)

    @property
    def tls(self) -> bool:
        """Whether the simulator uses TLS."""
        return self._certificates is not None

    @property
    def active(self) -> list[Fault]:
        """A copy of the active faults."""
        with self._context.changed:
            self._end_spent()  # one that strikes after a delay may have reached its limit since
            return list(self._active)

    def _end_spent(self) -> None:
        """End the faults that have reached their limit and have no lasting effect to undo."""
        over = [f for f in self._active if f.spent and not f.lingers]
        if over:
            self._active = [f for f in self._active if f not in over]
            for fault in over:
                fault.end(self._context)

    def strike(
        self, kind: type[_Countable], concerned: Callable[[_Countable], bool] | None = None
    ) -> _Countable | None:
        """Find the oldest fault of a kind that is concerned; count it as struck and return it."""
        with self._context.changed:
            for fault in self._of(kind):
                if not fault.spent and (concerned is None or concerned(fault)):
                    fault.struck += 1
                    self._end_spent()
                    return fault
        return None

    # For the endpoint, without the lock

    @property
    def refusing(self) -> bool:
        """Whether connections are to be refused."""
        return any(isinstance(fault, Refuse) for fault in self.active)

    def ssl_context(self, usual: ssl.SSLContext | None) -> ssl.SSLContext | None:
        """Return the server's SSL context for the next connection; *usual* without a fault."""
        fault = self.strike(CertificateFault)
        if fault is None or self._certificates is None:
            return usual
        return self._certificates.flawed_context(fault.flaw)

    def admit(self, transport: Transport) -> bool:
        """Return whether to serve a connection that has just been accepted."""
        with self._context.changed:  # so that the fault cannot be healed before it has struck
            fault = self.strike(AcceptFault)
            return fault is None or fault.admit(transport)

    # For the hub, with the lock held

    def reached(self, moment: str, peer: "Peer") -> None:
        """Strike a client with the faults that wait for this moment of its connection."""
        for fault in self._of(PeerFault):
            if peer not in self._context.peers:  # an older fault has ended its connection
                break
            fault.reached(moment, self._context, peer)
        self._end_spent()

    def request_fault(self, operation: object) -> RequestFault | None:
        """Return the fault for a request, if there is one."""
        # All are asked, since the request counts towards the skip of each of them.
        matching = [fault for fault in self._of(RequestFault) if fault.matches(operation)]
        return self.strike(RequestFault, matching.__contains__)

    def transform(self, topic: str, text: str, *, snapshot: bool = False) -> list[str]:
        """Return the messages to send instead of a message of the feed."""
        if not self._active:  # the usual case, thousands of times per second
            return [text]
        texts = [text]
        for fault in self._of(FeedFault):
            if fault.applies_to(topic, snapshot=snapshot):
                texts = [passed for text in texts for passed in fault.transform(topic, text)]
        self._end_spent()
        return texts

    def frozen(self, instrument_id: int) -> bool:
        """Return whether a fault stops the rates of an instrument."""
        return any(fault.instrument_id == instrument_id for fault in self._of(Freeze))

    def _of(self, kind: type[_Kind]) -> Iterable[_Kind]:
        """Return a copy of the active faults of a kind."""
        return [fault for fault in self._active if isinstance(fault, kind)]
