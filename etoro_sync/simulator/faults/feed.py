"""Faults of the feed: every message is good, but there are too many, too few, or in disorder."""

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
    """
    A fault of the messages that go out to subscribers.

    :param topic: Only those of this topic; None is all.
    :param times: How many messages; None is all.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = _SUBSCRIBED
    #: Whether rates and order events pass through it, and whether snapshots do.
    of_updates: ClassVar[bool] = True
    of_snapshots: ClassVar[bool] = False
    topic: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.topic is not None:
            arguments.topic("topic", self.topic)

    def applies_to(self, topic: str, *, snapshot: bool) -> bool:
        """Say whether messages of a topic are to be passed through this fault."""
        of_this_kind = self.of_snapshots if snapshot else self.of_updates
        return of_this_kind and self.topic in (None, topic) and not self.spent

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Give what is sent in place of a message."""
        raise NotImplementedError


@named("duplicate")
@dataclass(kw_only=True, eq=False)
class Duplicate(FeedFault):
    """Send each message of the feed twice, with the same id; snapshots come once."""

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Double it."""
        self.struck += 1
        return text, text


@named("reorder")
@dataclass(kw_only=True, eq=False)
class Reorder(FeedFault):
    """
    Send messages of the same topic in pairs, the second of each pair first.

    :param times: How many pairs; None is all.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._held: dict[str, str] = {}

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Keep the first of a pair until the second comes."""
        if topic not in self._held:
            self._held[topic] = text
            return ()
        self.struck += 1
        return text, self._held.pop(topic)

    def end(self, context: FaultContext) -> None:
        """Send what still waits for its second."""
        for topic, text in self._held.items():
            context.send_to_subscribers(topic, text)
        self._held.clear()


@named("no_snapshot")
@dataclass(kw_only=True, eq=False)
class NoSnapshot(FeedFault):
    """
    Grant subscriptions, but never send their snapshots. Healing brings none of them back.

    :param times: How many snapshots; None is all.
    """

    phases: ClassVar[Phases] = {"subscribe": {}}
    of_updates: ClassVar[bool] = False
    of_snapshots: ClassVar[bool] = True

    def transform(self, topic: str, text: str) -> tuple[str, ...]:
        """Send nothing."""
        self.struck += 1
        return ()


@named("repeat_snapshot")
@dataclass(kw_only=True, eq=False)
class RepeatSnapshot(OneShotFault):
    """
    Send snapshots again, though nobody has asked for them.

    :param instrument_id: Whose; None takes every instrument that the client has subscribed to.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = _SUBSCRIBED
    instrument_id: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.instrument_id is not None:
            arguments.integer("instrument_id", self.instrument_id, 0)

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Send them."""
        context.send_snapshots(peer, self.instrument_id)


@named("forget")
@dataclass(kw_only=True, eq=False)
class Forget(OneShotFault):
    """
    Lose the subscriptions to a topic without a word. Subscribing again brings it back.

    :param topic: ``"instrument:18"`` or ``"private"``, for instance.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = {"live": {"topic": "instrument:18"}}
    topic: str

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.topic("topic", self.topic)

    def strike(self, context: FaultContext, peer: "Peer") -> None:
        """Lose it."""
        context.unsubscribe(peer, self.topic)


@named("freeze")
@dataclass(kw_only=True, eq=False)
class Freeze(Fault):
    """
    Let one instrument stand still, though its market is open: no rates, neither the automatic ones
    nor those that are published, which are lost. Its snapshots show it as it was.

    :param instrument_id: Which.
    """

    concerns: ClassVar[str] = "feed"
    phases: ClassVar[Phases] = {"live": {"instrument_id": 18}}
    instrument_id: int

    def __post_init__(self) -> None:
        arguments.integer("instrument_id", self.instrument_id, 0)

    @property
    def topic(self) -> str:
        """Its topic."""
        return wire.topic_of(self.instrument_id)
