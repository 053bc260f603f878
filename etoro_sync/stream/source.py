"""The interface between a stream and its source: a connection, or a function that plays events."""

from collections.abc import Callable
from typing import Protocol

from ..delivery.dispatcher import Dispatcher
from ..delivery.queues import ItemQueue
from ..lifecycle import Lifecycle
from ..market.order_states import OrderStates
from ..market.rate_book import RateBook

__all__ = ["Source"]


class Source(Protocol):
    """The source of a stream's events. Methods may be called from any thread."""

    lifecycle: Lifecycle
    book: RateBook
    order_states: OrderStates
    dispatcher: Dispatcher
    #: Removes the keys from text; a source without keys returns it as it is.
    redact: Callable[[str], str]

    @property
    def conflate_after(self) -> float | None:
        """Seconds after which a ``stream()`` skips a superseded rate; None: only when full."""

    @property
    def is_connected(self) -> bool:
        """Whether events can come now."""

    def connect(self, timeout: float | None) -> None:
        """Start a session, and wait until events can come.

        :param timeout: seconds; None is the source's own limit.
        """

    def disconnect(self, timeout: float | None) -> None:
        """End the session, and wait until its threads have ended.

        :param timeout: seconds; None is the source's own limit.
        """

    def end_is_awaited(self) -> None:
        """Note that ``run_forever()`` waits: a source that pauses without listeners goes on."""

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Subscribe to *topics* until :meth:`release`, if the source has subscriptions.

        :param use: any object that stands for this use; several uses may share topics.
        :param timeout: seconds for the acknowledgement; None is the source's own limit.
        """

    def release(self, use: object) -> None:
        """End a use, and unsubscribe from those of its topics that no other use needs."""

    def brings(self, topic: str) -> bool:
        """Whether *topic* is subscribed to, or the source has no subscriptions."""

    def make_items(
        self,
        event: str | tuple[str, ...],
        maxsize: int | None,
        overflow: str | None,
        conflate_after: float | None,
        on_close: Callable[[ItemQueue], None],
    ) -> ItemQueue:
        """Return the items for a queue of *event*; the arguments are those of ``queue()``.

        :param on_close: removes the queue from the stream.
        """

    def listeners_changed(self) -> None:
        """Note that a callback or a queue was added."""
