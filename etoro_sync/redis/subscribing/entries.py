"""What stands in a feed's streams, handed on in the order in which it was written."""

from collections import deque
from typing import Any, NamedTuple

from ... import clocks
from ...errors import EToroValidationError
from ...events import INSTRUMENT_EVENTS
from ...models import WsGap, WsInstrumentRate
from ...stream.live import LiveFeed
from ..layout.event_rows import CONNECTED, TAKEOVER, decode_event
from ..layout.keys import Keys
from ..layout.order_rows import decode_order
from ..layout.rows import decode_rates
from .freshness import Freshness
from .generations import Generations
from .moment import (
    BAD_CONTENT,
    START,
    Moment,
    Place,
    States,
    fields_of,
    place_of,
    spell,
    text_of,
    whole_of,
)

__all__ = ["COUNT", "Broken", "Entries"]

#: How many entries of each stream are read at once.
COUNT = 64
#: How many orders are remembered, and for how many seconds, so that none comes twice.
_MOST_DIGESTS, _LONGEST = 10_000, 86_400.0
#: How many rates of a state are handed on at once, and the seconds between, for those who read.
_SLICE, _PAUSE = 1_000, 0.001
_ANOTHER = "another publisher writes it."
_REMOVED = "entries were removed before they were read."


class Broken(Exception):
    """What was read is not all that was written: the state has to be read anew."""


class _Other(NamedTuple):
    """An order event, or an event of the publisher's connection.

    :param after: the number of the last rate before it.
    :param stream: its name.
    :param place: its place in that.
    :param fields: as they stand there.
    """

    after: int
    stream: str
    place: Place
    fields: dict[bytes, bytes]


class Entries:
    """Checks that entries follow each other, and hands them on. Runs on the stream's thread.

    :param feed: gets what they say.
    :param keys: of the feed in Redis.
    :param wanted: the only instruments that are handed on; None: all.
    :param fresh: hears of the publisher's connection.
    :param generations: counts its connections.
    """

    def __init__(
        self,
        feed: LiveFeed,
        keys: Keys,
        wanted: frozenset[int] | None,
        fresh: Freshness,
        generations: Generations,
    ) -> None:
        self._feed = feed
        self._keys = keys
        self._wanted = wanted
        self._fresh = fresh
        self._generations = generations
        #: Stream -> the place of the last entry that was handed on; empty before the first state.
        self.at: dict[str, Place] = {}
        self._epoch = 0
        # The number of the next rate; None: nobody knows.
        self._next: int | None = None
        # Orders up to here may be of earlier epochs.
        self._old_orders = START
        # Digests of the last orders, since what Redis has lost is written again.
        self._digests: dict[bytes, float] = {}

    def begin(self, states: States) -> None:
        """Begin behind a state, which is a new generation."""
        moment = states.moment
        self._epoch = moment.epoch
        try:
            self._next = moment.next_number
        except BAD_CONTENT:
            self._next = None
        orders = self.at.get("orders")
        self.at = {name: stream.last for name, stream in moment.streams.items()}
        self._old_orders = self.at["orders"]
        if orders is not None:
            # Orders that came during an outage are still there, and none is left out.
            self.at["orders"] = min(orders, self._old_orders)
        theirs = {rate.generation for rate in states.rates}
        number = self._generations.begin(self._feed.generation, theirs)
        topics = [f"instrument:{rate.instrument_id}" for rate in states.rates]
        self._fresh.topics = (*topics, "private")
        self._feed.new_connection(topics, number)

    def publish_state(self, rates: list[WsInstrumentRate]) -> None:
        """Hand on the rates of a state."""
        for start in range(0, len(rates), _SLICE):
            self._publish(rates[start : start + _SLICE], snapshots=True)
            self._feed.wait(_PAUSE)

    def check(self, moment: Moment) -> None:
        """Check that what comes next is what follows.

        :raises Broken: when it is not.
        """
        if moment.epoch != self._epoch:
            raise Broken(_ANOTHER)
        for name, place in self.at.items():
            stream = moment.streams[name]
            if stream.last < place:
                raise Broken("Redis has lost what was written.")
            if place != START and place < stream.last and stream.first and place < stream.first:
                raise Broken(_REMOVED)

    def handle(self, entries: dict[str, list[Any]]) -> bool:
        """Hand on what was read; return whether that is all there was.

        :param entries: of each stream, by its name.
        :raises Broken: when something is missing before them.
        """
        others = [
            self._other(name, place, pairs)
            for name in ("orders", "events")
            for place, pairs in entries.get(name, ())
        ]
        others.sort(key=lambda other: other.after)
        waiting = deque(others)
        rates = entries.get("rates", [])
        for place, pairs in rates:
            self._handle_rates(place_of(place), fields_of(pairs), waiting)
        if len(rates) >= COUNT:
            return False  # those that are left stand behind rates that are still to be read
        for other in waiting:
            self._handle_other(other)
        return True

    # -- rates -----------------------------------------------------------------------------------

    def _handle_rates(
        self, place: Place, fields: dict[bytes, bytes], waiting: "deque[_Other]"
    ) -> None:
        try:
            epoch, number = whole_of(fields, b"e"), whole_of(fields, b"n")
            rates = decode_rates(fields[b"r"], self._keys.rates)
        except BAD_CONTENT as exc:
            self._feed.bad("rates", f"{self._keys.rates} {spell(place)}", exc)
            raise Broken("it has an entry that cannot be understood.") from None
        if epoch != self._epoch:
            raise Broken(_ANOTHER)
        if self._next not in (None, number):
            raise Broken(_REMOVED)
        self._next = number + len(rates)
        done = 0
        while waiting and waiting[0].after < self._next:
            before = max(waiting[0].after + 1 - number, done)
            self._publish(rates[done:before])
            done = before
            self._handle_other(waiting.popleft())
        self._publish(rates[done:])
        self.at["rates"] = place
        if self._fresh.connected is None:
            self._fresh.connected = True
            self._fresh.judge()

    def _publish(self, rates: list[WsInstrumentRate], snapshots: bool = False) -> None:
        """Hand rates over, with the number of the connection as this stream counts them."""
        states: list[tuple[int, dict[str, Any]]] = []
        wanted, theirs, number = self._wanted, None, 0
        for rate in rates:
            state = rate.__dict__
            if wanted is not None and state["instrument_id"] not in wanted:
                continue
            if state["generation"] != theirs:
                theirs = state["generation"]
                number = self._generations.of(theirs)
                if number > self._feed.generation:
                    self._feed.states(states, snapshots)
                    states = []
                    self._feed.new_connection(None, number)
                self._generations.add(number)
            state["generation"] = number
            states.append((state["instrument_id"], state))
        if states:
            self._feed.states(states, snapshots)

    # -- orders and events -----------------------------------------------------------------------

    def _other(self, stream: str, place: bytes, pairs: Any) -> _Other:
        fields = fields_of(pairs)
        try:
            after = whole_of(fields, b"n")
        except EToroValidationError:
            after = 0  # which is reported when it is handled
        return _Other(after, stream, place_of(place), fields)

    def _handle_other(self, other: _Other) -> None:
        key = getattr(self._keys, other.stream)
        try:
            whole_of(other.fields, b"n")
            epoch = whole_of(other.fields, b"e")
            if epoch != self._epoch and not (
                other.stream == "orders" and other.place <= self._old_orders
            ):
                raise Broken(_ANOTHER)
            if other.stream == "orders":
                order = decode_order(other.fields[b"c"], key)
                if self._is_new(other.fields[b"d"]):
                    is_old = other.place <= self._old_orders
                    theirs = order.generation
                    order.generation = (
                        self._feed.generation if is_old else self._generations.of(theirs)
                    )
                    self._feed.order(order)
            else:
                name = text_of(other.fields[b"k"])
                self._emit(name, decode_event(name, other.fields[b"a"], key))
        except BAD_CONTENT as exc:
            self._feed.bad(other.stream, f"{key} {spell(other.place)}", exc)
        self.at[other.stream] = max(self.at[other.stream], other.place)

    def _is_new(self, digest: bytes) -> bool:
        now = clocks.uptime()
        known = now - self._digests.pop(digest, float("-inf")) < _LONGEST
        self._digests[digest] = now
        if len(self._digests) > _MOST_DIGESTS:
            del self._digests[next(iter(self._digests))]
        return not known

    def _emit(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Emit an event of the publisher's connection."""
        wanted = self._wanted
        if name == TAKEOVER:
            return
        if name == CONNECTED:
            (self._fresh.connected,) = arguments
            self._fresh.judge()
            return
        if name in INSTRUMENT_EVENTS and wanted is not None and arguments[0] not in wanted:
            return
        if name == "reconnected":
            self._end_outage(arguments[0])
            return
        if name == "close":
            self._fresh.closed = True
        self._feed.emit(name, *arguments)

    def _end_outage(self, gap: WsGap) -> None:
        number = self._generations.of(gap.generation)
        others = self._feed.generations_besides(gap.topics)
        if number > self._feed.generation:
            self._feed.new_connection(None, number)
        self._generations.open = frozenset(others | {number})
        topics = gap.topics
        if self._wanted is not None:
            mine = {f"instrument:{key}" for key in self._wanted} | {"private"}
            topics = tuple(topic for topic in topics if topic in mine)
        self._fresh.end_outage(WsGap(gap.from_, gap.until, number, topics))
