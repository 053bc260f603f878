"""The feed, to which a function that plays a source writes texts, rates and events."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import clocks
from ..delivery.publisher import Publisher
from ..errors import EToroValidationError
from ..events import check_event, check_instrument_ids
from ..market.feed_handler import FeedHandler
from ..market.rate_book import RateBook
from ..models import WsGap, WsInstrumentRate, WsPrivateEvent
from ..numbers import real
from ..stats import Counters
from ..text import show

__all__ = ["Feed"]

#: How many texts are handled between two waits for the readers.
_SLICE = 256
#: Likewise of a journal, whose reads mostly have one text.
_UNPACED = 64


class Feed:
    """The argument of a function that plays a source: what it writes goes to callbacks and queues.

    :class:`~etoro_sync.MarketStream` makes it and calls the function with it. Every method has to
    be called on that function's thread, and waits until the readers of the stream have room. When
    the stream is to end, the method raises an exception that must not be caught; it leaves the
    function, and ``with`` blocks close what they have opened. So the function need not check
    whether it is to stop.

    :param handler: parses and merges texts.
    :param book: holds the rates that ``MarketStream.rates`` shows.
    :param out: gets the events.
    :param counters: the stream's.
    :param pace: called with seconds or None; waits that long, and until the readers have room.
        Raises Interrupted once the stream is to end.
    """

    def __init__(
        self,
        handler: FeedHandler,
        book: RateBook,
        out: Publisher,
        counters: Counters,
        pace: Callable[[float | None], None],
    ) -> None:
        self._handler = handler
        self._book = book
        self._out = out
        self._counters = counters
        self._pace = pace
        # Order events that texts have brought, and that were noted behind them as events, too.
        self._orders_of_texts = 0
        # Texts of a journal since it was last checked whether the readers have room.
        self._unpaced = _UNPACED

    def new_connection(self) -> None:
        """Begin a new generation, as after a reconnect: later texts are not merged with earlier.

        The first generation begins by itself. See ``WsInstrumentRate.generation``.
        """
        self._pace(None)
        self._out.new_connection()
        self._book.begin_generation(self._book.by_topic)

    def texts(self, texts: Sequence[str], received_at: float | None = None) -> None:
        """Write text frames as eToro sends them. Deltas are merged into rates.

        Frames without data, such as acknowledgements, are ignored. A bad frame is logged, counted,
        and emitted as ``"error"``.

        :param texts: a list of frames, in the order in which they came.
        :param received_at: seconds since the epoch; becomes that of the rates. None is now.
        :raises EToroValidationError: for a single text instead of a list, and for another time.
        """
        if isinstance(texts, str):
            raise EToroValidationError(
                "texts must be a list of texts, not one text. Write [text].", "texts"
            )
        if received_at is not None and real(received_at) is None:
            raise EToroValidationError(
                "received_at must be seconds since the epoch, or None, not "
                f"{show(received_at, 60)}.",
                "received_at",
            )
        for start in range(0, len(texts), _SLICE):
            self._pace(None)
            self._set_time(received_at)
            self._read(list(texts[start : start + _SLICE]), received_at)

    def _set_time(self, at: float | None) -> None:
        """Let a recording note what comes at the time of the source, if it has one."""
        if self._book.journal is not None:
            self._book.journal.at = at

    def _read(self, texts: list[str], received_at: float | None) -> None:
        self._handler.begin_read(None, received_at)
        self._handler.on_texts(texts, _ignore)
        self._out.flush()

    def rates(self, rates: Iterable[tuple[int, WsInstrumentRate]]) -> None:
        """Write rates that are merged already. Each is published as it is.

        :param rates: pairs of instrument id and rate.
        :raises EToroValidationError: for a bad instrument id.
        """
        for instrument_id, rate in rates:
            (key,) = check_instrument_ids(instrument_id)
            self._pace(None)
            self._show(key, {**vars(rate), "instrument_id": key})
            self._out.flush()

    def _show(self, key: int, state: dict[str, Any]) -> None:
        self._book.show(key, state, clocks.uptime())
        self._counters.messages += 1
        self._counters.rates += 1
        self._out.publish(key, state)

    def emit(self, event: str, *arguments: Any) -> None:
        """Emit any other event, such as ``"reconnected"`` with a gap.

        :param event: one of :data:`etoro_sync.EVENTS`.
        :param arguments: the arguments of its handlers.
        :raises EToroValidationError: for an unknown event, with the nearest known one.
        """
        event = check_event(event)
        self._pace(None)
        if event == "private:event" and arguments and isinstance(arguments[0], WsPrivateEvent):
            self._handler.publish_order(arguments[0])
        elif event == "reconnected" and arguments and isinstance(arguments[0], WsGap):
            self._handler.end_gap(arguments[0], clocks.uptime())
        else:
            self._out.emit(event, *arguments)

    def wait(self, seconds: float) -> None:
        """Pause, for instance as long as the time between two recorded frames.

        The end of the stream ends the pause at once.

        :param seconds: 0 or more.
        """
        self._pace(seconds)

    def put(self, kind: str, details: Any, at: float | None = None) -> None:
        """Write what a :class:`~etoro_sync.delivery.journal.Journal` has noted, of any kind.

        Errors are not emitted again, but those of bad messages arise anew from the texts.

        :param kind: one of the journal's, or ``"state"`` with a
            :class:`~etoro_sync.market.book_state.BookState`.
        :param details: as they were noted.
        :param at: when, in seconds since the epoch; None: now.
        """
        self._set_time(at)
        if kind == "texts":
            received_at, texts = details
            self._unpaced += len(texts)
            if self._unpaced >= _UNPACED:
                self._unpaced = 0
                self._pace(None)
            before = self._counters.private_events
            self._read(texts, received_at)
            self._orders_of_texts += self._counters.private_events - before
            return
        if kind == "event":
            self._put_event(*details)
            return
        self._pace(None)
        if kind in ("state", "restored"):
            self._orders_of_texts = 0
            self._out.barrier()
            self._book.restore(details, clocks.uptime())
        elif kind == "rate":
            self._show(*details)
        else:
            self._change_book(kind, details)
        self._out.flush()

    def _put_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "error":
            return
        if event == "private:event" and self._orders_of_texts:
            self._orders_of_texts -= 1  # its text has come before, and was emitted
            return
        self._counters.connections += event == "open"
        self._counters.reconnects += event == "reconnected"
        self.emit(event, *arguments)

    def _change_book(self, kind: str, topics: tuple[str, ...]) -> None:
        book, released = self._book, []
        if kind == "generation":
            self._out.barrier()
            self._out.new_connection()
            book.begin_generation(topics)
        elif kind == "lost":
            book.connection_lost(topics)
        elif kind == "expect":
            book.expect_snapshots(topics)
        elif kind == "expect-none":
            released = book.expect_none(topics)
        elif kind == "subscribed":
            book.subscribed(topics, clocks.uptime())
        elif kind == "forget":
            book.forget(topics)
        elif kind == "clear":
            book.clear()
        for key, state in released:
            self._out.publish(key, state)


def _ignore(reply: dict[str, Any]) -> None:
    """Ignore a control message, because this stream has sent no request."""
