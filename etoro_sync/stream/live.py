"""A source that a function plays and that never waits for its readers, such as another connection.

It is read as a connection is: callbacks and queues that are behind skip superseded rates and have
their limits, orders overtake, and the source goes on without listeners. Only the function knows
when it is connected, and says so to its feed.
"""

import itertools
from collections.abc import Callable, Iterable
from typing import Any

from .. import clocks
from ..delivery.dispatcher import Dispatcher
from ..delivery.event_queue import default_size, make_buffer, name_of_events
from ..delivery.publisher import Publisher
from ..delivery.queues import ItemQueue
from ..delivery.registry import Registry
from ..delivery.tap import SNAPSHOT
from ..errors import EToroClosedError, EToroTimeoutError
from ..market.bad_messages import BadMessages
from ..market.feed_handler import FeedHandler
from ..market.rate_book import RateBook
from ..models import WsGap, WsPrivateEvent
from ..state import ClientState
from ..stats import Counters
from ..synchronization import Interrupted
from .feed import Feed
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


class LiveFeed(Feed):
    """What the function of a :class:`LiveSource` writes to.

    Its methods never wait for readers; they raise an exception, which must not be caught, once the
    stream is to end.

    :param handler: parses and merges texts.
    :param book: holds the rates that ``MarketStream.rates`` shows.
    :param out: gets the events.
    :param counters: the stream's.
    :param pace: called with seconds or None; see :class:`Feed`.
    :param interruption: ends what the function waits for outside of the feed.
    :param advance: sets the state of the stream.
    """

    def __init__(
        self,
        handler: FeedHandler,
        book: RateBook,
        out: Publisher,
        counters: Counters,
        pace: Callable[[float | None], None],
        interruption: "LivePace",
        advance: Callable[[ClientState], None],
    ) -> None:
        super().__init__(handler, book, out, counters, pace)
        self._interruption = interruption
        self._advance = advance
        self._bad = BadMessages(out, counters, str, lambda: None, clocks.monotonic)

    @property
    def generation(self) -> int:
        """The number of the present connection."""
        return self._book.generation

    def on_stop(self, function: Callable[[], None]) -> None:
        """Call *function* on another thread when the stream is to end.

        :param function: ends what this thread may wait for; also in a finalizer, so it takes no
            lock.
        """
        self._interruption.on_stop = function
        self._pace(None)  # the end may have come before

    def live(self) -> None:
        """Note that events can come: ``connect()`` returns."""
        if self._counters.connected_at is None:
            self._counters.connected_at = clocks.uptime()
        self._advance(ClientState.LIVE)

    def lost(self) -> None:
        """Note that no events can come: prices are old until :meth:`live`."""
        self._counters.connected_at = None
        self._advance(ClientState.RECONNECTING)

    def new_connection(
        self, topics: Iterable[str] | None = None, number: int | None = None
    ) -> None:
        """Begin a new generation.

        :param topics: of the instruments whose old rates are shown until new ones come; None: all.
        :param number: of the generation; None: the next.
        """
        self._pace(None)
        self._out.barrier()
        self._out.new_connection()
        if topics is None:
            topics = [f"instrument:{key}" for key in list(self._book.latest)]
        self._book.begin_generation(topics)
        if number is not None and number != self._book.generation:
            self._book.generation = number
            self._book.note_state()  # a recording counts by itself

    def generations_besides(self, topics: Iterable[str]) -> set[int]:
        """Return the generations of all rates that are shown, but for those of *topics*."""
        left_out = set(topics)
        shown = list(self._book.latest.values())
        return {
            one.visible["generation"] for one in shown if f"instrument:{one.id}" not in left_out
        }

    def states(self, states: Iterable[tuple[int, dict[str, Any]]], snapshots: bool = False) -> None:
        """Write merged states, which nobody changes any more, by instrument id.

        :param snapshots: they say what is known, and not that a price has just come.
        """
        self._pace(None)
        self._counters.last_message_at = clocks.uptime()
        for key, state in states:
            if snapshots:
                self._out.tapped.append((key, SNAPSHOT))
            self._show(key, state)
        self._out.flush()

    def order(self, event: WsPrivateEvent) -> None:
        """Write an order event."""
        self._pace(None)
        self._counters.messages += 1
        self._counters.private_events += 1
        self._counters.last_message_at = clocks.uptime()
        self._handler.publish_order(event)

    def gap(self, gap: WsGap) -> None:
        """Emit ``"reconnected"``, and count it."""
        self._counters.reconnects += 1
        self.emit("reconnected", gap)

    def attempt(self) -> None:
        """Count an attempt to connect."""
        self._counters.connect_attempts += 1

    def opened(self) -> None:
        """Emit ``"open"``, and count it."""
        self._counters.connections += 1
        self.emit("open")

    def forget(self, instrument_id: int) -> None:
        """Show no rate of this instrument: the last one is outdated, and the new one unknown."""
        self._book.forget([f"instrument:{instrument_id}"])

    def bad(self, kind: str, what: str, cause: Exception) -> None:
        """Count and emit something that cannot be understood, and is left out.

        :param kind: one is logged once a minute.
        :param what: where it was found, for an error.
        """
        self._bad.report(kind, what, cause)
        self._out.flush()

    def next_read(self) -> None:
        """Note that what comes now was read later: of each read a hundred errors are emitted."""
        self._bad.begin_read()


class LivePace(Pace):
    """Lets a source go on whatever its readers do, until the stream is to end.

    :param registry: the listeners.
    """

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        #: Ends what the source's thread waits for elsewhere.
        self.on_stop: Callable[[], None] = _nothing

    def reset(self) -> None:
        """Forget the last session."""
        super().reset()
        self.on_stop = _nothing

    def interrupt(self) -> None:
        """Make the source check whether it is to stop. Any thread, also in a finalizer."""
        super().interrupt()
        self.on_stop()

    def wait_for_room(self, dispatcher: Dispatcher, stopping: Callable[[], bool]) -> None:
        """Return at once.

        :raises Interrupted: when the stream is to end.
        """
        if stopping():
            raise Interrupted

    def wait_until_idle(self, dispatcher: Dispatcher, stopping: Callable[[], bool]) -> None:
        """Return at once: a stream that has failed must not look alive while a callback hangs."""


def _nothing() -> None:
    """Nothing is waited for."""


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
        return LiveFeed(handler, self.book, out, self.counters, wait, self.pace, advance)

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
