"""A queue of several events, in the order in which they happened.

Each event has a limit of its own in it, so that a flood of rates never costs an order: rates are
conflated, other market events give way for lack of room, and all else is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import EToroError
from ..events import EVENTS, INSTRUMENT_EVENTS, MARKET_EVENTS
from .lanes import RATE_EVENT, Lanes, Run
from .queues import ItemQueue

__all__ = ["MixedBuffer", "Ports"]

#: Events that must not be lost, and that wait in a queue of several.
_LOSSLESS_SIZE = 100_000


class MixedBuffer:
    """Entries ``(event, item)`` that leave as ``(event, *arguments)``, in their order. Pure.

    :param maxsize: most rates, and most other market events, that wait; 0 is unbounded.
    :param conflate_after: seconds after which a superseded rate is skipped; None: when full.
    :param name: what overflowed, for the error's text.
    """

    def __init__(self, maxsize: int, conflate_after: float | None, name: str) -> None:
        lossless = max(maxsize, _LOSSLESS_SIZE) if maxsize else 0
        self._lanes = Lanes(maxsize, lossless, conflate_after, in_order=True, name=name)
        self.conflate_after = conflate_after

    def extend(self, entries: Sequence[tuple[str, Any]], now: float) -> int:
        """Take *entries*, in order; return how many were dropped or conflated for lack of room."""
        gone = 0
        rates: list[tuple[Any, ...]] = []
        for event, item in entries:
            if event == RATE_EVENT:
                rates.append(item)
                continue
            if rates:
                gone += self._lanes.extend(rates, (), now)
                rates = []
            # Else a newer rate could take the place of one that came before this event.
            self.barrier()
            arguments = (item,) if _is_single(event) else item
            if event in MARKET_EVENTS:
                gone += self._lanes.extend((), ((0, event, arguments),), now)
            else:
                gone += self._lanes.append(event, arguments, now)
        return gone + (self._lanes.extend(rates, (), now) if rates else 0)

    def pop(self, now: float) -> tuple[Any, ...]:
        """Return the oldest event with its arguments; IndexError when empty.

        :raises EToroQueueOverflowError: once, at the place where events are missing.
        """
        hand: list[Run] = []
        self._lanes.take(1, now, hand)
        ((event, calls),) = hand or [_nothing()]
        return (event, *calls[0])

    def pop_some(self, most: int, now: float) -> list[tuple[Any, ...]]:
        """Return the oldest event as :meth:`pop` does, and rates that follow a rate.

        :param most: the most events to return.
        """
        hand: list[Run] = []
        self._lanes.take(most, now, hand)
        ((event, calls),) = hand or [_nothing()]
        return [(event, *arguments) for arguments in calls]

    def settle(self) -> None:
        """Forget when those rates came that are gone."""
        self._lanes.rates.settle()

    def barrier(self) -> None:
        """Let no rate from before this call be replaced by one after it."""
        self._lanes.rates.barrier()

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return or to raise."""
        return self._lanes.ready

    @property
    def oldest(self) -> float | None:
        """When the oldest event came, in the time of the calls; None when empty."""
        return self._lanes.oldest

    @property
    def received(self) -> int:
        """How many events were put in."""
        return sum(lane.received for lane in self._lanes.all)

    @property
    def delivered(self) -> int:
        """How many events were taken out."""
        return sum(lane.delivered for lane in self._lanes.all)

    @property
    def dropped(self) -> int:
        """How many events were lost for lack of room."""
        return sum(lane.dropped for lane in self._lanes.all)

    @property
    def conflated(self) -> int:
        """How many rates were skipped or replaced for newer ones of their instrument."""
        return self._lanes.rates.conflated


def _is_single(event: str) -> bool:
    """Whether what a queue of *event* has as its items is the only argument."""
    return EVENTS[event] != "()" and "," not in EVENTS[event]


def _nothing() -> Run:
    raise IndexError("an empty buffer")


class _Batch:
    """Appends the items of one event to the list that all events of a queue share."""

    __slots__ = ("_event", "_shared")

    def __init__(self, event: str, shared: list[tuple[str, Any]]) -> None:
        self._event = event
        self._shared = shared

    def append(self, item: Any) -> None:
        self._shared.append((self._event, item))


class _Port(ItemQueue):
    """Stands in the registry for one event of a queue, and hands its items on.

    :param event: one of the queue's.
    :param owner: the queue.
    """

    def __init__(self, event: str, owner: ItemQueue) -> None:
        # Not the initialisation of a queue: this one keeps nothing, and nobody reads it.
        self.event = event
        self.collector = self._owner = owner

    def batch_in(self, items: list[Any]) -> list[Any]:
        return _Batch(self.event, items)  # type: ignore[return-value]  # as far as it is used

    def feed(self, items: Sequence[Any]) -> None:
        self._owner.feed([(self.event, item) for item in items])

    def barrier(self) -> None:
        self._owner.barrier()

    def end(self, reason: str, error: EToroError | None = None) -> None:
        self._owner.end(reason, error)

    @property
    def has_room(self) -> bool:
        return self._owner.has_room

    def __repr__(self) -> str:
        return f"<port of {self._owner!r} for {self.event!r}>"


class Ports:
    """What takes a queue of several events off its stream, once it is connected to it.

    :param events: of the queue.
    :param remove: takes the queue of one event off.
    """

    def __init__(self, events: tuple[str, ...], remove: Callable[[ItemQueue], None]) -> None:
        self._events = events
        self._remove = remove
        self._ports: tuple[_Port, ...] = ()

    def __call__(self, queue: ItemQueue) -> None:
        """Let *queue* collect nothing more."""
        for port in self._ports:
            self._remove(port)

    def connect(
        self,
        queue: ItemQueue,
        add: Callable[[ItemQueue, tuple[int, ...] | None], None],
        ids: tuple[int, ...] | None,
    ) -> None:
        """Let *queue* collect its events from now on.

        :param add: puts the queue of one event onto the stream, with its filter.
        :param ids: only of these instruments, where an event has one.
        """
        self._ports = tuple(_Port(event, queue) for event in self._events)
        for port in self._ports:
            add(port, ids if port.event in INSTRUMENT_EVENTS else None)
