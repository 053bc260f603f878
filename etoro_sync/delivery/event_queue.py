"""The queue that ``client.queue()`` returns, and the defaults of its arguments."""

import queue
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, overload

from ..collecting import when_collected
from ..errors import EToroClosedError, EToroTypeError, EToroValidationError
from ..events import MARKET_EVENTS, check_timeout
from ..numbers import whole
from .buffers import BoundedBuffer, Buffer
from .conflation import ConflatingBuffer
from .mixed import MixedBuffer
from .queues import ItemQueue

__all__ = ["OVERFLOW_POLICIES", "EventQueue", "default_size", "make_buffer", "name_of_events"]

if TYPE_CHECKING:
    import typing_extensions

    # With a default, for annotations that name the class alone.
    Item = typing_extensions.TypeVar("Item", covariant=True, default=Any)
else:
    Item = TypeVar("Item", covariant=True)

OVERFLOW_POLICIES = ("conflate", "drop_oldest", "drop_newest", "raise")


def default_size(event: str | tuple[str, ...]) -> int:
    """Return the default ``maxsize`` of a queue of *event*, or of each of several."""
    return 10_000 if isinstance(event, tuple) or event in MARKET_EVENTS else 100_000


def name_of_events(event: str | tuple[str, ...]) -> str:
    """Return what a queue of *event*, or of several, is called."""
    return event if isinstance(event, str) else ", ".join(event)


def make_buffer(
    event: str | tuple[str, ...],
    maxsize: int | None,
    overflow: str | None,
    conflate_after: float | None = None,
) -> Buffer:
    """Return the buffer for a queue of *event*, or of several; None stands for the event's default.

    :raises EToroValidationError: naming ``maxsize``, ``overflow`` or ``conflate_after``.
    """
    if maxsize is None:
        maxsize = default_size(event)
    most = whole(maxsize)
    if most is None or most < 0:
        raise EToroValidationError(
            f"maxsize must be a whole number, 0 (unbounded) or more, not {maxsize!r:.40}.",
            "maxsize",
        )
    if isinstance(event, tuple):
        return _make_mixed(event, most, overflow, conflate_after)
    if overflow is None:
        overflow = "conflate" if event == "instrument:rate" else "raise"
    if overflow not in OVERFLOW_POLICIES:
        raise EToroValidationError(
            f"overflow must be one of {', '.join(OVERFLOW_POLICIES)}, not {overflow!r:.40}.",
            "overflow",
        )
    after = check_timeout(conflate_after, "conflate_after")
    if after is not None and overflow != "conflate":
        raise EToroValidationError(
            "conflate_after is for queues of 'instrument:rate' with overflow='conflate': no other "
            "queue skips items for their age.",
            "conflate_after",
        )
    if overflow != "conflate":
        return BoundedBuffer(most, overflow, f"the queue of {event!r}")
    if event != "instrument:rate":
        raise EToroValidationError(
            "overflow='conflate' is for 'instrument:rate' only: no other event replaces an older "
            "one. Use 'drop_oldest', 'drop_newest' or 'raise'.",
            "overflow",
        )
    return ConflatingBuffer(most, after)


def _make_mixed(
    events: tuple[str, ...], most: int, overflow: str | None, conflate_after: float | None
) -> MixedBuffer:
    if overflow is not None:
        raise EToroValidationError(
            "overflow is for a queue of one event: in one of several each event has the policy "
            "that it has alone. Leave it out.",
            "overflow",
        )
    after = check_timeout(conflate_after, "conflate_after")
    return MixedBuffer(events, most, after)


class EventQueue(Generic[Item]):
    """A queue of events, from when it was made. ``client.queue()`` makes one.

    Items are the arguments of a callback: one argument as it is, several as a tuple. Those of a
    queue of several events are ``(event, *arguments)``. Several threads may read; each item goes to
    one of them. Iteration delivers the items that wait, and then ends if the client was closed, or
    raises the error that ended it. For annotations, the class takes the type of its items, as in
    ``EventQueue[WsPrivateEvent]``.

    A queue keeps its client alive and connected, so that a function may make a client and return
    only a queue of it. A queue that is not referenced any more is closed: the client does not refer
    to it, because otherwise an unused client would keep itself alive by its own queues.

    :param items: filled by the reader thread.
    :param client: kept alive by this queue.
    """

    def __init__(self, items: ItemQueue, client: object) -> None:
        self._items = items
        self._client = client
        self._finalizer = when_collected(self, items.abandon)

    @property
    def event(self) -> str:
        """What is queued; several events are joined by ``", "``."""
        return self._items.event

    def get(self, block: bool = True, timeout: float | None = None) -> Item:
        """Return the next item.

        :param block: whether to wait for one.
        :param timeout: seconds to wait at most; None is no limit.
        :raises queue.Empty: when no item came in time.
        :raises EToroClosedError: when no item waits, and the queue or the client was closed.
        :raises EToroError: when no item waits, and the client has failed: the error that ended it.
        :raises EToroQueueOverflowError: where items are missing, with ``overflow="raise"``.
        :raises EToroValidationError: for a negative timeout; it is a ValueError, too.
        :raises EToroWebSocketError: when it would wait on the client's own reader thread, as in a
            logging handler.
        """
        item: Item = self._items.get(block, timeout)
        return item

    def get_nowait(self) -> Item:
        """Return the next item without waiting; raises what :meth:`get` raises."""
        item: Item = self._items.get(block=False)
        return item

    def __iter__(self) -> Iterator[Item]:
        """Yield items until the client or the queue is closed.

        :raises EToroError: the error that ended the client, if it failed.
        """
        # A generator of this object, which keeps it alive, and with it the client.
        yield from self._items

    @overload
    def iterate(self, timeout: None = None) -> Iterator[Item]: ...

    @overload
    def iterate(self, timeout: float) -> Iterator[Item | None]: ...

    def iterate(self, timeout: float | None = None) -> Iterator[Item | None]:
        """Yield items as the queue itself does, and None whenever none came in time.

        For a loop that has other work, too.

        :param timeout: seconds that each step waits at most; None is no limit.
        :raises EToroValidationError: for a negative timeout.
        :raises EToroError: from the loop: what ended the client, when it failed.
        """
        seconds = check_timeout(timeout)

        def items() -> Iterator[Item | None]:
            while True:
                try:
                    item = self._items.get(timeout=seconds)
                except queue.Empty:
                    item = None
                except EToroClosedError:
                    if self._items.has_failed:
                        raise
                    return
                yield item

        return items()

    def qsize(self) -> int:
        """How many items wait."""
        return self._items.qsize()

    def empty(self) -> bool:
        """Whether :meth:`get_nowait` has neither an item to return nor an overflow to raise."""
        return self._items.empty()

    def close(self) -> None:
        """Stop collecting and wake all readers; items that wait can still be read. Idempotent."""
        self._items.close()
        # Detached, because a Ctrl-C that comes while a finalizer runs is lost.
        self._finalizer.detach()

    def __enter__(self) -> "EventQueue[Item]":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def received(self) -> int:
        """How many items came in: delivered + dropped + conflated + waiting."""
        return self._items.received

    @property
    def delivered(self) -> int:
        """How many items were read."""
        return self._items.delivered

    @property
    def dropped(self) -> int:
        """How many items were lost because the queue was full."""
        return self._items.dropped

    @property
    def conflated(self) -> int:
        """How many rates were not delivered because a newer one of the same instrument waited."""
        return self._items.conflated

    @property
    def lag(self) -> float:
        """The age of the oldest item that waits, in seconds; 0.0 when none waits."""
        return self._items.lag

    def __reduce__(self) -> NoReturn:
        raise EToroTypeError(
            "An EventQueue cannot be copied or pickled: a thread of this process feeds it. Read it "
            "here, and pass on its items; for a second reader make another one."
        )

    def __repr__(self) -> str:
        return f"<EventQueue {self.event!r}: {self.qsize()} waiting, {self.dropped} dropped>"
