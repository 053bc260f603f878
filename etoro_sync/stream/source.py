"""What a stream needs of the place that its events come from."""

from collections.abc import Callable
from typing import Protocol

from ..delivery.dispatcher import Dispatcher
from ..delivery.queues import ItemQueue
from ..lifecycle import Lifecycle
from ..market.order_states import OrderStates
from ..market.rate_book import RateBook

__all__ = ["Source"]


class Source(Protocol):
    """Where the events of a stream come from: how it begins and ends, and what it can be asked."""

    lifecycle: Lifecycle
    book: RateBook
    order_states: OrderStates
    dispatcher: Dispatcher

    @property
    def conflate_after(self) -> float | None:
        """Seconds after which a ``stream()`` skips a superseded rate; None: when full."""

    @property
    def is_connected(self) -> bool:
        """Whether events can come now."""

    def connect(self, timeout: float | None) -> None:
        """Begin, and wait until events can come."""

    def disconnect(self, timeout: float | None) -> None:
        """End, from any thread."""

    def end_is_awaited(self) -> None:
        """Note that run_forever() waits for the end, which needs no listener to go on."""

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Have *topics* sent for as long as *use* is not released, where that can be asked."""

    def release(self, use: object) -> None:
        """End one use of topics."""

    def make_items(
        self,
        event: str | tuple[str, ...],
        maxsize: int | None,
        overflow: str | None,
        conflate_after: float | None,
        on_close: Callable[[ItemQueue], None],
    ) -> ItemQueue:
        """Return what a queue of *event* collects into, with the arguments of ``queue()``."""

    def listeners_changed(self) -> None:
        """Note that there is one more callback or queue."""
