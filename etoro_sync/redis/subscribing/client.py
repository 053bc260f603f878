"""The stream of a feed in Redis, which many processes may read."""

from collections.abc import Iterable
from typing import Any

from ...delivery.registry import Registry
from ...events import EVENTS, check_instrument_ids
from ...state import ClientState
from ...stats import Counters
from ...stream import MarketStream
from ...stream.core import StreamCore, core_of, equip
from ...stream.live import LiveFeed, LiveSource
from ..connection import Address
from ..layout.keys import DEFAULT_FEED, Keys
from .generations import Generations
from .reading import Reading

__all__ = ["RedisClient"]


class _Core(StreamCore):
    """Knows which connections of the publisher are open.

    :param numbers: of these.
    """

    def __init__(
        self, registry: Registry, counters: Counters, source: Any, numbers: Generations
    ) -> None:
        super().__init__(registry, counters, source)
        self._numbers = numbers

    @property
    def generations(self) -> frozenset[int] | None:
        """The numbers of the open connections, where the publisher has several."""
        numbers = self._numbers.open
        if len(numbers) <= 1:
            return None
        return numbers if self.state is ClientState.LIVE else frozenset()


class RedisClient(MarketStream):
    """Prices and order events that a publisher has written to Redis.

    It reads as :class:`~etoro_sync.WsClient` does: callbacks and queues that are behind skip
    superseded rates, and order events overtake. :meth:`connect` brings each last rate, and then
    what comes. It returns when that is read, and raises when Redis cannot be reached or refuses the
    user. ``state`` is LIVE only while a publisher is there and has eToro; else it is RECONNECTING,
    and prices are old. Whatever was missed is a ``"reconnected"`` with a gap, behind which each
    last rate comes again.

    ::

        with RedisClient("redis://localhost") as stream:
            for instrument_id, rate in stream.stream([100000]):
                print(instrument_id, rate.bid)

    :param url: ``redis://``, ``rediss://`` or ``unix://``.
    :param feed: the name under which the publisher writes.
    :param instruments: read these only, by id; None: all.
    :raises EToroValidationError: naming the argument.
    """

    def __init__(
        self, url: str, feed: str = DEFAULT_FEED, instruments: Iterable[int] | None = None
    ) -> None:
        address, keys = Address(url), Keys(feed)
        wanted: frozenset[int] | None = None
        if instruments is not None:
            wanted = frozenset(check_instrument_ids(instruments, "instruments"))

        def play(live: LiveFeed) -> None:
            Reading(live, address, keys, wanted, generations).run()

        generations = Generations()
        registry, counters = Registry(EVENTS), Counters()
        source: Any = LiveSource(play, registry, counters, "redis", wanted)
        equip(self, _Core(registry, counters, source, generations))

    @property
    def is_connected(self) -> bool:
        """Whether a publisher is there and has eToro, so that prices are fresh."""
        return core_of(self).is_connected

    @property
    def generation(self) -> int:
        """The number of the present state, or of the last one; 0 before the first.

        It rises with each gap, and with each new connection of the publisher.
        """
        return core_of(self).book.generation
