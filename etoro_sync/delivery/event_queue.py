"""What ``client.queue()`` returns: a user's hold on items that the reader thread collects."""

import weakref
from collections.abc import Iterator
from typing import Any, NoReturn

from ..errors import EToroTypeError, EToroValidationError
from ..events import MARKET_EVENTS, check_timeout
from ..numbers import whole
from .buffers import BoundedBuffer, Buffer
from .conflation import ConflatingBuffer
from .mixed import MixedBuffer
from .queues import ItemQueue

__all__ = ["OVERFLOW_POLICIES", "EventQueue", "default_size", "make_buffer", "name_of_events"]

OVERFLOW_POLICIES = ("conflate", "drop_oldest", "drop_newest", "raise")


def default_size(event: str | tuple[str, ...]) -> int:
    """Return how many items of *event*, or of each of several, a queue holds unless it is told."""
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
    """Return the buffer for a queue of *event*, or of several, with the defaults of the event.

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
            "conflate_after is for queues of 'instrument:rate' with overflow='conflate': of all "
            "others each item counts.",
            "conflate_after",
        )
    if overflow != "conflate":
        return BoundedBuffer(most, overflow, f"the queue of {event!r}")
    if event != "instrument:rate":
        raise EToroValidationError(
            "overflow='conflate' is for 'instrument:rate' only: of all other events each one "
            "counts. Use 'drop_oldest', 'drop_newest' or 'raise'.",
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
    return MixedBuffer(most, after, f"the queue of {', '.join(events)}")


class EventQueue:
    """Events, from the moment the queue was made. Made by ``client.queue()``.

    Items are what a callback would get: the single argument, or the tuple of the arguments. Those
    of a queue of several events are ``(event, *arguments)``.
    Several threads may read; each item goes to one of them. Iteration ends when the client is
    closed, and raises what ended it when it failed; items that wait are delivered first.

    A queue keeps its client alive and connected, so a function may make a client and return only
    a queue of it. The client, and its threads, hold the items alone and not this object: else a
    client that nobody uses any more would keep itself alive by its own queues. So a queue that
    nobody refers to any more collects nothing more, and is as good as closed.

    :param items: what is collected.
    :param client: what is to live as long as this queue.
    """

    def __init__(self, items: ItemQueue, client: object) -> None:
        self._items = items
        self._client = client
        self._finalizer = weakref.finalize(self, items.abandon)
        # At the end of the program there is nothing to be taken off.
        self._finalizer.atexit = False

    @property
    def event(self) -> str:
        """What is queued; several events are joined by ``", "``."""
        return self._items.event

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item.

        :param block: whether to wait for one.
        :param timeout: seconds to wait at most; None is without limit.
        :raises queue.Empty: when none came in time.
        :raises EToroClosedError: when the queue or the client was closed and nothing waits.
        :raises EToroError: what ended the client, when it failed and nothing waits.
        :raises EToroQueueOverflowError: where items are missing, with ``overflow="raise"``.
        :raises EToroValidationError: for a negative timeout; it is a ValueError, too.
        :raises EToroWebSocketError: on the client's own thread that reads, where it would wait.
        """
        return self._items.get(block, timeout)

    def get_nowait(self) -> Any:
        """Return the next item without waiting; raises as :meth:`get`."""
        return self._items.get(block=False)

    def __iter__(self) -> Iterator[Any]:
        """Yield items until the user closes the client or the queue.

        :raises EToroError: what ended the client, when it failed.
        """
        # Not the items' own iterator, which would not keep this object, and with it the client.
        yield from self._items

    def qsize(self) -> int:
        """How many items wait."""
        return self._items.qsize()

    def empty(self) -> bool:
        """Whether :meth:`get_nowait` has neither an item nor an overflow to tell of."""
        return self._items.empty()

    def close(self) -> None:
        """Stop collecting and wake all readers; what waits can still be read. Idempotent."""
        self._items.close()
        # Python drops a Ctrl-C that comes in a finalizer: none where there is no need for one.
        self._finalizer.detach()

    def __enter__(self) -> "EventQueue":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def received(self) -> int:
        """How many items were put in: delivered + dropped + conflated + waiting."""
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
        """How many rates were skipped or replaced for newer ones of their instrument."""
        return self._items.conflated

    @property
    def lag(self) -> float:
        """Seconds since the oldest item came that waits; 0.0 when none waits."""
        return self._items.lag

    def __reduce__(self) -> NoReturn:
        raise EToroTypeError(
            "An EventQueue cannot be copied or pickled: a thread of this process feeds it. Read it "
            "here, and pass on its items; for a second reader make another one."
        )

    def __repr__(self) -> str:
        return f"<EventQueue {self.event!r}: {self.qsize()} waiting, {self.dropped} dropped>"
