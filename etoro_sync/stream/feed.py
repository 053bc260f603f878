"""What the author of a source writes to: texts, merged rates and events, from one thread."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .. import clocks
from ..delivery.publisher import Publisher
from ..errors import EToroValidationError
from ..events import check_event, check_instrument_ids
from ..market.feed_handler import FeedHandler
from ..market.rate_book import RateBook
from ..models import WsInstrumentRate, WsPrivateEvent
from ..stats import Counters

__all__ = ["Feed"]

#: Texts that are handled before a look at whether whoever reads has caught up.
_SLICE = 256


class Feed:
    """Takes what a source has, and hands it to callbacks and queues.

    Made by :class:`~etoro_sync.MarketStream`, and given to the function that plays the source. All
    methods run on that function's thread. Each waits until those who read have room, and raises an
    exception of its own once the stream is to end, which leaves the function: so a source need not
    ask whether it is to stop; what it has opened by ``with`` is closed.

    :param handler: parses and merges texts.
    :param book: where merged rates are shown.
    :param out: hands over what is made here.
    :param counters: what is counted.
    :param pace: waits until there is room; raises Interrupted once the stream is to end.
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

    def new_connection(self) -> None:
        """Begin a new generation: what comes from now on is not merged with what came before.

        The first one has begun already. See ``WsInstrumentRate.generation``.
        """
        self._pace(None)
        self._book.begin_generation(self._book.by_topic)

    def texts(self, texts: Sequence[str]) -> None:
        """Take text frames as eToro sends them; deltas are merged into rates.

        Frames that are no data, such as acknowledgements, are left out. A bad one is logged,
        counted, and emitted as ``"error"``.

        :param texts: in the order in which they came.
        :raises EToroValidationError: for a single text.
        """
        if isinstance(texts, str):
            raise EToroValidationError(
                "texts must be a list of texts, not one text. Write [text].", "texts"
            )
        for start in range(0, len(texts), _SLICE):
            self._pace(None)
            self._handler.begin_read()
            self._handler.on_texts(list(texts[start : start + _SLICE]), _ignore)
            self._out.flush()

    def rates(self, rates: Iterable[tuple[int, WsInstrumentRate]]) -> None:
        """Take rates that are merged already.

        :param rates: pairs of instrument id and rate; each is published as it is.
        :raises EToroValidationError: for what is no instrument id.
        """
        for instrument_id, rate in rates:
            (key,) = check_instrument_ids(instrument_id)
            self._pace(None)
            state = dict(vars(rate))
            self._book.show(key, state, clocks.uptime())
            self._counters.messages += 1
            self._counters.rates += 1
            self._out.publish(key, state)
            self._out.flush()

    def emit(self, event: str, *arguments: Any) -> None:
        """Emit an event that must not be lost, such as ``"reconnected"`` with its gap.

        :param event: one of :data:`etoro_sync.EVENTS`.
        :param arguments: what its handlers get.
        :raises EToroValidationError: for an unknown event, with the nearest known one.
        """
        event = check_event(event)
        self._pace(None)
        if event == "private:event" and arguments and isinstance(arguments[0], WsPrivateEvent):
            self._handler.publish_order(arguments[0])
        else:
            self._out.emit(event, *arguments)

    def wait(self, seconds: float) -> None:
        """Wait, as between two frames that came apart; the end of the stream ends it at once.

        :param seconds: 0 or more.
        """
        self._pace(seconds)


def _ignore(reply: dict[str, Any]) -> None:
    """Leave out a control message: nobody has asked for anything."""
