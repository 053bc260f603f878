"""What the function of a live source writes to."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .. import clocks
from ..delivery.publisher import Publisher
from ..delivery.tap import SNAPSHOT
from ..market.bad_messages import BadMessages
from ..market.feed_handler import FeedHandler
from ..market.rate_book import RateBook
from ..models import WsGap, WsPrivateEvent
from ..state import ClientState
from ..stats import Counters
from .feed import Feed
from .live_pace import LivePace

__all__ = ["LiveFeed"]


class LiveFeed(Feed):
    """What the function of a :class:`~etoro_sync.stream.live.LiveSource` writes to.

    Its methods never wait for readers; they raise an exception, which must not be caught, once the
    stream is to end.

    :param handler: parses and merges texts.
    :param book: holds the rates that ``MarketStream.rates`` shows.
    :param out: gets the events.
    :param counters: the stream's.
    :param pace: called with seconds or None; see :class:`Feed`.
    :param interruption: ends what the function waits for outside of the feed.
    :param advance: sets the state of the stream.
    :param asked: the instruments whose present rates somebody waits for.
    """

    def __init__(
        self,
        handler: FeedHandler,
        book: RateBook,
        out: Publisher,
        counters: Counters,
        pace: Callable[[float | None], None],
        interruption: LivePace,
        advance: Callable[[ClientState], None],
        asked: "deque[int]",
    ) -> None:
        super().__init__(handler, book, out, counters, pace)
        self._interruption = interruption
        self._advance = advance
        self._asked = asked
        self._bad = BadMessages(out, counters, str, lambda: None, clocks.monotonic)
        self._orders = handler.order_states
        self._was_live = False

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
        now = clocks.uptime()
        if self._counters.connected_at is None:
            self._counters.connected_at = now
        if not self._was_live:
            # What was missed since an earlier session, for which no "reconnected" is emitted.
            self._was_live = True
            self._orders.note_return(self.generation, now, clocks.wall_clock())
        self._advance(ClientState.LIVE)

    def lost(self) -> None:
        """Note that no events can come: prices are old until :meth:`live`."""
        if self._was_live:
            self._orders.note_loss(self._counters.last_message_at or clocks.uptime())
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

    def answer(self) -> None:
        """Publish the present rates that somebody waits for; to be called once a second."""
        while self._asked:
            known = self._book.latest.get(self._asked.popleft())
            if known is not None:
                self.states([(known.id, known.visible)], snapshots=True)

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
