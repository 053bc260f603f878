"""A source whose events a function of the user plays."""

import itertools
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import clocks
from ..collecting import when_collected
from ..delivery.dispatcher import Dispatcher
from ..delivery.event_queue import default_size, make_buffer, name_of_events
from ..delivery.publisher import Publisher
from ..delivery.queues import ItemQueue
from ..delivery.registry import Registry
from ..errors import EToroError, EToroWebSocketError
from ..lifecycle import DISCONNECTED, Lifecycle
from ..market.book_state import EMPTY
from ..market.feed_handler import FeedHandler
from ..market.order_states import OrderStates
from ..market.rate_book import RateBook
from ..state import ClientState
from ..stats import Counters
from ..text import no_thread
from .feed import Feed
from .pace import Pace, PacedQueue
from .run import CLOSE_TIMEOUT, Run

__all__ = ["PlayedSource"]

_INTERRUPTED = "connect() was interrupted. Call it again."
_numbers = itertools.count(1)


class PlayedSource:
    """Calls a function on a thread of its own, once for each ``connect()``.

    :param play: called with a :class:`Feed`, to which it writes events until it returns.
    :param registry: the listeners.
    :param counters: the stream's.
    """

    conflate_after: float | None = None

    def __init__(self, play: Callable[[Any], None], registry: Registry, counters: Counters) -> None:
        self._play = play
        self._registry = registry
        self.counters = counters
        self.lifecycle = Lifecycle()
        self.book = RateBook()
        self.order_states = OrderStates()
        self.redact: Callable[[str], str] = str
        self.pace = self.make_pace()
        self.dispatcher = self.make_dispatcher()
        self.present: Run | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None

    # -- what a source that does not wait for its readers makes in another way -----------------

    def make_pace(self) -> Pace:
        """Return what decides when the source waits."""
        return Pace(self._registry)

    def make_dispatcher(self) -> Dispatcher:
        """Return what runs the callbacks, in all sessions."""
        return Dispatcher(
            f"etoro-sync-played-callbacks-{next(_numbers)}",
            self._registry,
            self.counters,
            0,
            in_order=True,
            on_progress=self.pace.changed,
        )

    def make_feed(
        self, number: int, handler: FeedHandler, out: Publisher, wait: Callable[..., None]
    ) -> Feed:
        """Return what the function of session *number* writes to.

        Each run begins with generation 1, so that all runs bring the same events.
        """
        self.book.restore(EMPTY, clocks.uptime())
        self.order_states.clear()
        self.book.begin_generation(())
        return Feed(handler, self.book, out, self.counters, wait)

    @property
    def is_connected(self) -> bool:
        """Whether events can come now."""
        return self.lifecycle.state is ClientState.LIVE

    def listeners_changed(self) -> None:
        """Wake the source if it waits for a listener. Any thread."""
        self.pace.changed()

    def end_is_awaited(self) -> None:
        """Go on without listeners, because ``run_forever()`` waits for the end. Any thread."""
        self.pace.awaited = True
        self.pace.changed()

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Do nothing: a source that is played has no subscriptions, and readers filter."""

    def release(self, use: object) -> None:
        """Do nothing, as :meth:`hold`."""

    def brings(self, topic: str) -> bool:
        """Whether events of *topic* may come; nobody knows what is played."""
        return True

    def make_items(
        self,
        event: str | tuple[str, ...],
        maxsize: int | None,
        overflow: str | None,
        conflate_after: float | None,
        on_close: Callable[[ItemQueue], None],
    ) -> ItemQueue:
        """Return the items of a queue, which makes the source wait when it is full.

        With ``drop_oldest`` or ``drop_newest`` it drops items instead.
        """
        buffer = make_buffer(event, maxsize, overflow, conflate_after)
        if overflow in ("drop_oldest", "drop_newest"):
            return ItemQueue(name_of_events(event), buffer, on_close, self.lifecycle)
        most = default_size(event) if maxsize is None else int(maxsize)
        return PacedQueue(
            name_of_events(event),
            make_buffer(event, 0, overflow),
            most,
            self.pace,
            self.dispatcher,
            on_close,
            self.lifecycle,
        )

    # -- beginning and end ---------------------------------------------------------------------

    def connect(self, timeout: float | None) -> None:
        """Start to play. Any thread.

        :param timeout: seconds to wait at most for the end of an earlier run.
        :raises EToroWebSocketError: when it plays already, or no thread can be started.
        """
        self.lifecycle.own_threads.check("connect()", "Call it in another thread.")
        deadline = None if timeout is None else clocks.monotonic() + timeout
        begun: list[int] = []
        try:
            run = self._begin(begun, deadline)
            self.lifecycle.advance(run.number, ClientState.LIVE)
            run.start()
        except BaseException as exc:
            if begun:
                self._fail_to_begin(begun[0], exc)
            raise

    def _begin(self, begun: list[int], deadline: float | None) -> Run:
        """Begin a session, whose number is appended to *begun* first, and make its run."""
        number = self.lifecycle.begin(begun, deadline)
        if number is None:
            raise EToroWebSocketError(
                f"This stream is {self.lifecycle.state.value} already. Call disconnect() first."
            )
        self.pace.reset()
        run = Run(number, self, self._play, self._registry)
        self.present = run
        if self._finalizer is not None:
            self._finalizer.detach()
        self._finalizer = when_collected(self, run.abandon)
        return run

    def _fail_to_begin(self, number: int, exc: BaseException) -> None:
        error = exc if isinstance(exc, EToroError) else EToroWebSocketError(_INTERRUPTED)
        if isinstance(exc, RuntimeError):
            error = EToroWebSocketError(f"Cannot start the stream's threads: {no_thread(exc)}")
        self.lifecycle.failed(number, error, partial(self._registry.end_queues, str(error), error))
        if self.present is not None and self.present.number == number:
            self.present.stop()
        if isinstance(exc, RuntimeError):
            raise error from exc

    def disconnect(self, timeout: float | None) -> None:
        """Stop playing, and wait for the source's thread and the callbacks. Any thread.

        :param timeout: seconds to wait at most; None is one second.
        """
        number = self.lifecycle.session
        try:
            self._end(number, CLOSE_TIMEOUT if timeout is None else timeout)
        except BaseException:
            # Ctrl-C: done again without waiting, so that nothing stays half ended.
            self._end(number, 0.0)
            raise

    def _end(self, number: int, timeout: float) -> None:
        if self.lifecycle.closing(number) != number:
            return
        run = self.present
        try:
            self.lifecycle.settle(number, partial(self._registry.end_queues, DISCONNECTED))
            if run is not None and run.number == number:
                run.close(timeout)
        finally:
            self.lifecycle.closed(number, self.book.clear)
