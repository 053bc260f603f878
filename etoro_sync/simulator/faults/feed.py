"""Faults of the feed: every message is valid, but some are missing, repeated or out of order."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from .. import arguments, wire
from .base import Fault, Limited, OneShotFault, Phases, named
from .context import FaultContext

if TYPE_CHECKING:
    from ..peer import Peer

_SUBSCRIBED: Phases = {"live": {}}


@dataclass(kw_only=True, eq=False)
class FeedFault(Limited):
    """A fault of the messages to subscribers.

    :param topic: only messages of this topic; None is all.
    :param times: how many messages; None is all.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = _SUBSCRIBED
    #: Whether it concerns rates and order events, and whether it concerns snapshots.
    of_updates: ClassVar[bool] = True
    of_snapshots: ClassVar[bool] = False
    topic: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.topic is not None:
            arguments.topic("topic", self.topic)

    def applies_to(self, topic: str, *, snapshot: bool) -> bool:
        """Return whether messages of a topic are passed to :meth:`transform`."""
        of_this_kind = self.of_snapshots if snapshot else self.of_updates
        return of_this_kind and self.topic in (None, topic) and not self.spent

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Return the messages to send instead of a message."""
        raise NotImplementedError


@named("duplicate")
@dataclass(kw_only=True, eq=False)
class Duplicate(FeedFault):
    """Send each message of the feed twice, with the same id; snapshots are sent once."""

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Return the message twice."""
        self.struck += 1
        return text, text


@named("reorder")
@dataclass(kw_only=True, eq=False)
class Reorder(FeedFault):
    """Swap the messages of each topic in pairs: the second of each pair is sent first.

    :param times: how many pairs; None is all.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._held: dict[str, str] = {}

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Hold the first message of a pair until the second comes."""
        if topic not in self._held:
            self._held[topic] = text
            return ()
        self.struck += 1
        return text, self._held.pop(topic)

    def end(self, context: FaultContext) -> None:
        """Send the messages that still wait for the second of their pair."""
        for topic, text in self._held.items():
            context.send_to_subscribers(topic, text)
        self._held.clear()


@named("no_snapshot")
@dataclass(kw_only=True, eq=False)
class NoSnapshot(FeedFault):
    """Accept subscriptions, but never send their snapshots, not even when it is healed.

    :param times: how many snapshots; None is all.
    """

    phases: ClassVar[Phases] = {"subscribe": {}}
    of_updates: ClassVar[bool] = False
    of_snapshots: ClassVar[bool] = True

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Drop the snapshot."""
        self.struck += 1
        return ()


@named("repeat_snapshot")
@dataclass(kw_only=True, eq=False)
class RepeatSnapshot(OneShotFault):
    """Send snapshots again, without a request.

    :param instrument_id: the instrument; None is every one that the client has subscribed to.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = _SUBSCRIBED
    instrument_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.instrument_id is not None:
            arguments.integer("instrument_id", self.instrument_id, 0)

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Send the snapshots."""
        context.send_snapshots(peer, self.instrument_id)


@named("forget")
@dataclass(kw_only=True, eq=False)
class Forget(OneShotFault):
    """Remove the subscriptions to a topic without a message. Clients can subscribe to it again.

    :param topic: for instance ``"instrument:18"`` or ``"private"``.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = {"live": {"topic": "instrument:18"}}
    topic: str

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.topic("topic", self.topic)

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Remove the subscription."""
        context.unsubscribe(peer, self.topic)


@named("freeze")
@dataclass(kw_only=True, eq=False)
class Freeze(Fault):
    """Send no rates of one instrument, although its market is open.

    Published rates are lost as well. Its snapshots show its last state.

    :param instrument_id: the instrument.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = {"live": {"instrument_id": 18}}
    instrument_id: int

    def __post_init__(self) -> None:
        arguments.integer("instrument_id", self.instrument_id, 0)

    @property
    def topic(self) -> str:
        """The instrument's topic."""
        return wire.topic_of(self.instrument_id)
