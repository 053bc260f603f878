"""The faults in force, and what each part of the simulator asks about them."""

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
    """
    The faults in force, oldest first. Guarded by the context's lock, which every method takes.

    :param context: What faults act on.
    :param certificates: If the simulator speaks TLS.
    """

    def __init__(self, context: FaultContext, certificates: Certificates | None) -> None:
        self._context = context
        self._certificates = certificates
        self._active: list[Fault] = []

    def begin(self, fault: Fault) -> None:
        """Put a fault into force. Its ``on_heal`` should lead to :meth:`heal`."""
        with self._context.changed:
            if isinstance(fault, CertificateFault) and self._certificates is not None:
                self._certificates.flawed_context(fault.flaw)  # which may fail, and is slow
            self._active.append(fault)
            fault.begin(self._context)
            self._end_spent()
            self._context.faults_changed()

    def heal(self, *faults: Fault) -> int:
        """End faults and say how many of them were in force."""
        with self._context.changed:
            ending = [fault for fault in self._active if fault in faults]
            self._active = [fault for fault in self._active if fault not in faults]
            for fault in ending:
                fault.end(self._context)
            self._context.faults_changed()
            return len(ending)

    @property
    def tls(self) -> bool:
        """Whether the simulator speaks TLS."""
        return self._certificates is not None

    @property
    def active(self) -> list[Fault]:
        """The faults in force."""
        with self._context.changed:
            self._end_spent()  # one that waits for its time may have struck for the last one
            return list(self._active)

    def _end_spent(self) -> None:
        """End the faults that have struck often enough and leave nothing to be healed."""
        over = [f for f in self._active if f.spent and not f.lingers]
        if over:
            self._active = [f for f in self._active if f not in over]
            for fault in over:
                fault.end(self._context)

    def strike(
        self, kind: type[_Countable], concerned: Callable[[_Countable], bool] | None = None
    ) -> _Countable | None:
        """Count and give the oldest fault of a kind that is concerned, if there is one."""
        with self._context.changed:
            for fault in self._of(kind):
                if not fault.spent and (concerned is None or concerned(fault)):
                    fault.struck += 1
                    self._end_spent()
                    return fault
        return None

    # What the listening side asks

    @property
    def refusing(self) -> bool:
        """Whether connections are to be refused."""
        return any(isinstance(fault, Refuse) for fault in self.active)

    def ssl_context(self, usual: ssl.SSLContext | None) -> ssl.SSLContext | None:
        """Give the server's side of TLS for the next connection."""
        fault = self.strike(CertificateFault)
        if fault is None or self._certificates is None:
            return usual
        return self._certificates.flawed_context(fault.flaw)

    def admit(self, transport: Transport) -> bool:
        """Say whether to serve a connection that has just been accepted."""
        with self._context.changed:  # so that it can't be healed in between
            fault = self.strike(AcceptFault)
            return fault is None or fault.admit(transport)

    # What the hub asks, with the lock held

    def reached(self, moment: str, peer: "Peer") -> None:
        """Let a client come to one of the moments that faults wait for."""
        for fault in self._of(PeerFault):
            if peer not in self._context.peers:  # an older one was its end
                break
            fault.reached(moment, self._context, peer)
        self._end_spent()

    def request_fault(self, operation: object) -> RequestFault | None:
        """Give the fault for a request, if there is one."""
        # All are asked: a request that an older one takes counts for the others' skip as well.
        matching = [fault for fault in self._of(RequestFault) if fault.matches(operation)]
        return self.strike(RequestFault, matching.__contains__)

    def transform(self, topic: str, text: str, *, snapshot: bool = False) -> list[str]:
        """Give what is to be sent in place of a message of the feed."""
        if not self._active:  # as nearly always, thousands of times per second
            return [text]
        texts = [text]
        for fault in self._of(FeedFault):
            if fault.applies_to(topic, snapshot=snapshot):
                texts = [passed for text in texts for passed in fault.transform(topic, text)]
        self._end_spent()
        return texts

    def frozen(self, instrument_id: int) -> bool:
        """Say whether an instrument doesn't move."""
        return any(fault.instrument_id == instrument_id for fault in self._of(Freeze))

    def _of(self, kind: type[_Kind]) -> Iterable[_Kind]:
        """Give the faults of a kind, as they are now."""
        return [fault for fault in self._active if isinstance(fault, kind)]
