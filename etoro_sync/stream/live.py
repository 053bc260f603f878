"""A source that a function plays and that never waits for its readers, such as another connection.

It is read as a connection is: callbacks and queues that are behind skip superseded rates and have
their limits, orders overtake, and the source goes on without listeners. Only the function knows
when it is connected, and says so to its feed.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable

from .. import clocks
from ..delivery.dispatcher import Dispatcher
from ..delivery.event_queue import default_size, make_buffer, name_of_events
from ..delivery.publisher import Publisher
from ..delivery.queues import ItemQueue
from ..delivery.registry import Registry
from ..errors import EToroClosedError, EToroTimeoutError
from ..market.feed_handler import FeedHandler
from ..market.message_parser import instrument_id_of
from ..state import ClientState
from ..stats import Counters
from .feed import Feed
from .live_feed import LiveFeed
from .live_pace import LivePace
from .pace import Pace
from .playing import PlayedSource

__all__ = ["LiveFeed", "LiveSource"]

#: How many rates may wait for callbacks, or in a queue, by default: more than eToro has
#: instruments, since all of them may come at once.
_ROOM = 20_000
_CONFLATE_AFTER = 1.0
#: Seconds that ``connect()`` waits by default.
_CONNECT_TIMEOUT = 21.0
_OVER = (ClientState.CLOSING, ClientState.CLOSED, ClientState.FAILED)
_numbers = itertools.count(1)


class LiveSource(PlayedSource):
    """Calls a function on a thread of its own, and waits for no reader.

    :param play: called with a :class:`LiveFeed`. ``connect()`` waits until it has called
        :meth:`LiveFeed.live` or :meth:`LiveFeed.lost`, and raises what it raises before.
    :param registry: the listeners.
    :param counters: the stream's.
    :param name: of the threads, behind ``etoro-sync``.
    :param ids: of the only instruments that are played; None: nobody knows.
    """

    conflate_after = _CONFLATE_AFTER
    pace: LivePace

    def __init__(
        self,
        play: Callable[[LiveFeed], None],
        registry: Registry,
        counters: Counters,
        name: str,
        ids: Iterable[int] | None = None,
    ) -> None:
        self._name = name
        self._asked: deque[int] = deque()
        self._topics = None if ids is None else {f"instrument:{key}" for key in ids}
        super().__init__(play, registry, counters)

    def make_pace(self) -> Pace:
        """Return what never lets the source wait."""
        return LivePace(self._registry)

    def make_dispatcher(self) -> Dispatcher:
        """Return what runs the callbacks, as a connection's."""
        return Dispatcher(
            f"etoro-sync-{self._name}-callbacks-{next(_numbers)}",
            self._registry,
            self.counters,
            _ROOM,
            self.conflate_after,
        )

    def make_feed(
        self, number: int, handler: FeedHandler, out: Publisher, wait: Callable[..., None]
    ) -> Feed:
        """Return what the function of session *number* writes to. Generations go on counting."""

        def advance(state: ClientState) -> None:
            lifecycle.advance(number, state)

        lifecycle = self.lifecycle  # not self: the thread must not keep the source
        if self.counters.last_message_at is not None:  # what came since the last session is missing
            self.order_states.note_loss(self.counters.last_message_at)
        return LiveFeed(
            handler, self.book, out, self.counters, wait, self.pace, advance, self._asked
        )

    def hold(self, use: object, topics: list[str], timeout: float | None) -> None:
        """Let a loop begin with the present rates, as a subscription with snapshots does."""
        ids = (instrument_id_of(topic) for topic in topics)
        self._asked.extend(each for each in ids if each is not None)

    def brings(self, topic: str) -> bool:
        """Whether events of *topic* may come."""
        return self._topics is None or topic == "private" or topic in self._topics

    def make_items(
        self,
        event: str | tuple[str, ...],
        maxsize: int | None,
        overflow: str | None,
        conflate_after: float | None,
        on_close: Callable[[ItemQueue], None],
    ) -> ItemQueue:
        """Return the items of a queue, which are conflated or dropped as those of a connection."""
        if maxsize is None:
            maxsize = max(default_size(event), _ROOM)
        buffer = make_buffer(event, maxsize, overflow, conflate_after)
        return ItemQueue(name_of_events(event), buffer, on_close, self.lifecycle)

    def connect(self, timeout: float | None) -> None:
        """Start to play, and wait until the function is connected. Any thread.

        :param timeout: seconds to wait at most; None: as long as the function's own limits allow.
        :raises EToroTimeoutError: when they have passed; the stream has failed then.
        :raises EToroError: what the function has raised.
        """
        self.lifecycle.own_threads.check("connect()", "Call it in another thread.")
        seconds = _CONNECT_TIMEOUT if timeout is None else timeout
        deadline = clocks.monotonic() + seconds
        begun: list[int] = []
        try:
            run = self._begin(begun, deadline)
            # Entered before the start, because the function may fail at once.
            with self.lifecycle.awaiting(run.number):
                run.start()
                done = self.lifecycle.outcome(run.number, ClientState.CONNECTING, deadline=deadline)
            if not done:
                raise EToroTimeoutError(
                    f"connect() did not finish in {seconds:g} s. Check the address and the network."
                )
            if self.lifecycle.session != run.number or self.lifecycle.state in _OVER:
                raise EToroClosedError(
                    "disconnect() was called while connect() was waiting. Call connect() again to "
                    "use the stream."
                )
        except BaseException as exc:
            if begun:
                self._fail_to_begin(begun[0], exc)
            raise
