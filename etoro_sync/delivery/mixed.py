"""A queue of several events, in the order in which they happened.

Each event has a limit of its own in it, so that a flood of rates, or of errors, never costs an
order: rates are conflated, other market events give way for lack of room, and all else is kept.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import EToroError
from ..events import EVENTS, INSTRUMENT_EVENTS, MARKET_EVENTS
from .buffers import BoundedBuffer, Buffer
from .conflation import ConflatingBuffer
from .lanes import RATE_EVENT
from .queues import ItemQueue

__all__ = ["MixedBuffer", "Ports"]

#: Events of one kind that must not be lost, and that wait in a queue of several.
_LOSSLESS_SIZE = 100_000
_ADVICE = "Read faster, or give it a larger maxsize."


class MixedBuffer:
    """Entries ``(event, item)`` that leave as ``(event, *arguments)``, in their order. Pure.

    An entry that is no rate also has the place of the rate that it comes before, and a number that
    gives the order of all such entries.

    :param events: that may come.
    :param maxsize: most entries of each market event that wait; 0 is unbounded.
    :param conflate_after: seconds after which a superseded rate is skipped; None: when full.
    """

    def __init__(
        self, events: Sequence[str], maxsize: int, conflate_after: float | None = None
    ) -> None:
        self._rates = ConflatingBuffer(maxsize, conflate_after)
        lossless = max(maxsize, _LOSSLESS_SIZE) if maxsize else 0
        self._others: dict[str, BoundedBuffer] = {}
        for event in events:
            if event in MARKET_EVENTS:
                self._others[event] = BoundedBuffer(maxsize, "drop_oldest")
            else:
                name = f"{event!r} in the queue of {', '.join(events)}"
                self._others[event] = BoundedBuffer(lossless, "raise", name, _ADVICE)
        self._others.pop(RATE_EVENT, None)
        self._all: tuple[Buffer, ...] = (self._rates, *self._others.values())
        self._number = 0
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
                gone += self._rates.extend(rates, now)
                rates = []
            # Else a newer rate could take the place of one that came before this event.
            self.barrier()
            self._number += 1
            arguments = (item,) if _is_single(event) else item
            entry = (self._rates.end, self._number, (event, *arguments))
            gone += self._others[event].extend((entry,), now)
        return gone + (self._rates.extend(rates, now) if rates else 0)

    def pop(self, now: float) -> tuple[Any, ...]:
        """Return the oldest event with its arguments; IndexError when empty.

        :raises EToroQueueOverflowError: once, at the place where events are missing.
        """
        return self.pop_some(1, now)[0]

    def pop_some(self, most: int, now: float) -> list[tuple[Any, ...]]:
        """Return the oldest event as :meth:`pop` does, and rates that follow a rate.

        :param most: the most events to return.
        """
        # Where entries are missing, that is said before anything else.
        waiting = [(lane.head or (0, 0), lane) for lane in self._others.values() if lane.ready]
        if not waiting:
            return [(RATE_EVENT, *rate) for rate in self._rates.pop_some(most, now)]
        head, lane = min(waiting, key=lambda each: each[0][1])
        rates = self._rates.take(most, now, before=head[0])
        if rates:
            return [(RATE_EVENT, *rate) for rate in rates]
        return [lane.pop()[2]]

    def settle(self) -> None:
        """Forget when those rates came that are gone."""
        self._rates.settle()

    def barrier(self) -> None:
        """Let no rate from before this call be replaced by one after it."""
        self._rates.barrier()

    def __len__(self) -> int:
        return sum(map(len, self._all))

    @property
    def ready(self) -> bool:
        """Whether :meth:`pop` has something to return or to raise."""
        return any(buffer.ready for buffer in self._all)

    @property
    def oldest(self) -> float | None:
        """When the oldest event came, in the time of the calls; None when empty."""
        came = [buffer.oldest for buffer in self._all]
        return min((moment for moment in came if moment is not None), default=None)

    @property
    def received(self) -> int:
        """How many events were put in."""
        return sum(buffer.received for buffer in self._all)

    @property
    def delivered(self) -> int:
        """How many events were taken out."""
        return sum(buffer.delivered for buffer in self._all)

    @property
    def dropped(self) -> int:
        """How many events were lost for lack of room."""
        return sum(buffer.dropped for buffer in self._all)

    @property
    def conflated(self) -> int:
        """How many rates were skipped or replaced for newer ones of their instrument."""
        return self._rates.conflated


def _is_single(event: str) -> bool:
    """Whether what a queue of *event* has as its items is the only argument."""
    return EVENTS[event] != "()" and "," not in EVENTS[event]


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
