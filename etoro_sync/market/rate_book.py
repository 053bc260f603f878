"""Which instruments are known on this connection, which of them users see, and which have to wait.

A state belongs to one generation, that is, one connection: nothing of an older connection is ever
mixed with news of a newer one. After a subscription with a snapshot, an instrument's rates are held
back until the snapshot is in. Pure: no sockets, no threads, no clock. What users see is read by
other threads through a ``RateView``, without a lock.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from .instrument import UNKNOWN, Instrument
from .merging import Report, merge
from .message_parser import SNAPSHOT_TYPE, instrument_id_of

__all__ = ["RateBook"]

#: More instruments than eToro has; a server that invents topics must not fill the memory.
_MOST_INSTRUMENTS = 50_000
_NEVER = float("inf")


class RateBook:
    """The instruments of a client; used by the reader thread alone, but for ``RateView``.

    :param snapshot_timeout: seconds after which an instrument whose snapshot never came is
        published from its deltas alone, rather than kept silent for ever.
    """

    def __init__(self, snapshot_timeout: float = 10.0) -> None:
        self._snapshot_timeout = snapshot_timeout
        #: Topic -> instrument; the same dictionary for ever, so that the feed may look in it.
        self.by_topic: dict[str, Instrument] = {}
        self._awaited: set[int] = set()
        #: When :meth:`give_up_waiting` has something to look for.
        self.next_overdue = _NEVER
        self._unsubscribed: set[str] = set()
        #: Instrument id -> the instrument whose :attr:`Instrument.visible` users see; after a loss
        #: that of the lost connection, until there is news.
        self.latest: dict[int, Instrument] = {}
        self.generation = 0

    @property
    def instruments(self) -> Iterable[tuple[str, Instrument]]:
        """Topic and instrument of all that sent something, or were subscribed to, until now."""
        return [pair for pair in self.by_topic.items() if pair[1].shown]

    def begin_generation(self, topics: Iterable[str]) -> int:
        """Start anew for a new connection and return its number.

        :param topics: what is wanted; of these :attr:`latest` keeps the old rates for now.
        """
        self.generation += 1
        self.connection_lost(topics)
        return self.generation

    def connection_lost(self, topics: Iterable[str]) -> None:
        """Note that nothing more comes of this connection; :attr:`latest` keeps its last rates.

        What a server sends before it has accepted the next one must not be mixed with them.

        :param topics: what is wanted; nothing keeps the rates of others up to date.
        """
        self._show_only(topics)
        self._forget_connection()

    def _show_only(self, topics: Iterable[str]) -> None:
        """Take all but *topics* out of :attr:`latest`."""
        wanted = {instrument_id_of(topic) for topic in topics}
        self.latest = {key: one for key, one in self.latest.items() if key in wanted}

    def _forget_connection(self) -> None:
        self.by_topic.clear()
        self._awaited = set()
        self.next_overdue = _NEVER
        self._unsubscribed = set()

    def expect_snapshots(self, topics: Iterable[str]) -> None:
        """Hold back the rates of *topics* until their snapshots, which were asked for, are in."""
        for topic in topics:
            self._start_again(topic)
            instrument_id = instrument_id_of(topic)
            known = self.by_topic.get(topic)
            if instrument_id is not None and (known is None or known.state is UNKNOWN):
                self._awaited.add(instrument_id)
                if known is not None:
                    known.awaits_snapshot = True

    def expect_none(self, topics: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
        """Hold *topics* back no longer: no snapshot of them will come.

        :returns: instrument id and state of what is to be published now.
        """
        self._awaited.difference_update(map(instrument_id_of, topics))
        held = [self.by_topic[topic] for topic in topics if topic in self.by_topic]
        return [(one.id, one.state) for one in held if one.awaits_snapshot and self._let_go(one)]

    def give_up_waiting(self, now: float) -> list[tuple[int, dict[str, Any]]]:
        """Hold back no longer what has waited too long for its snapshot.

        :returns: instrument id and state of what is to be published now.
        """
        held = [one for one in self.by_topic.values() if one.awaits_snapshot]
        overdue = [one for one in held if now >= one.awaited_since + self._snapshot_timeout]
        released = [(one.id, one.state) for one in overdue if self._let_go(one)]
        left = [one.awaited_since for one in held if one.awaits_snapshot]
        self.next_overdue = min(left, default=_NEVER) + self._snapshot_timeout
        return released

    def subscribed(self, topics: Iterable[str], now: float) -> None:
        """Note the acknowledgement of *topics*: from now on silence and missing snapshots count."""
        for topic in topics:
            self._start_again(topic)
            instrument = self.instrument(topic, now, wanted=True)
            if instrument is not None:
                instrument.awaited_since = now
                if instrument.awaits_snapshot:
                    self.next_overdue = min(self.next_overdue, now + self._snapshot_timeout)

    def _start_again(self, topic: str) -> None:
        """Subscribe anew: between then and now changes were missed, so nothing is known."""
        if topic in self._unsubscribed:
            self._unsubscribed.remove(topic)
            self.by_topic.pop(topic, None)

    def forget(self, topics: Iterable[str]) -> None:
        """Forget unsubscribed *topics*: a price that is not kept up to date must not be shown."""
        for topic in topics:
            instrument_id = instrument_id_of(topic)
            self.by_topic.pop(topic, None)
            if instrument_id is not None:
                self._awaited.discard(instrument_id)
                self.latest.pop(instrument_id, None)
                self._unsubscribed.add(topic)

    def clear(self) -> None:
        """Forget everything but the generation."""
        self._forget_connection()
        self.latest = {}

    def instrument(self, topic: str, now: float, wanted: bool = False) -> Instrument | None:
        """Return the instrument of *topic*; None when the topic is of another kind.

        :param now: the time, from which its silence counts if it is new.
        :param wanted: it was subscribed to, so that there is a place for it, whatever else came.
        """
        known = self.by_topic.get(topic)
        if known is not None:
            return known
        instrument_id = instrument_id_of(topic)
        if instrument_id is None:
            return None
        awaited = instrument_id in self._awaited
        if len(self.by_topic) >= _MOST_INSTRUMENTS and not (wanted or awaited):
            return None
        new = Instrument(instrument_id, now, awaited)
        new.shown = topic not in self._unsubscribed
        self.by_topic[topic] = new
        return new

    def merge(
        self,
        instrument: Instrument,
        content: dict[str, Any],
        type_: str,
        now: float,
        received_at: float,
        report: Report,
    ) -> dict[str, Any] | None:
        """Merge one message; return the state to publish as a rate, if it makes one.

        :param type_: the message's type on the wire.
        :param now: the time of reception.

        The others are those of :func:`~etoro_sync.market.merging.merge`.
        """
        instrument.heard_at = now
        # A price that was held back is news now, whatever this message brings.
        late = type_ == SNAPSHOT_TYPE and instrument.awaits_snapshot and self._let_go(instrument)
        priced = merge(instrument, content, self.generation, received_at, report)
        if priced is None:
            return instrument.state if late else None
        complete = self._show(instrument)
        return instrument.state if complete and (priced or late) else None

    def show(self, instrument_id: int, state: dict[str, Any], now: float) -> None:
        """Let users see a state that was merged elsewhere."""
        instrument = self.instrument(f"instrument:{instrument_id}", now, wanted=True)
        if instrument is not None:
            instrument.heard_at = now
            instrument.state = instrument.visible = state
            self.latest[instrument_id] = instrument

    def _show(self, instrument: Instrument) -> bool:
        """Let users see the present state; return whether it is complete and to be published."""
        state = instrument.state
        instrument.settled = False
        if instrument.awaits_snapshot:
            return False
        if state["ask"] is not None and state["bid"] is not None:
            if instrument.shown:
                instrument.visible = state
                instrument.settled = True
                self.latest[instrument.id] = instrument
            return True
        # Show no price of this generation whose other side has become unknown.
        shown = self.latest.get(instrument.id)
        if shown is not None and shown.visible["generation"] == self.generation:
            del self.latest[instrument.id]
        return False

    def _let_go(self, instrument: Instrument) -> bool:
        """Hold an instrument back no longer; return whether a complete price was until now."""
        instrument.awaits_snapshot = False
        self._awaited.discard(instrument.id)
        return self._show(instrument)
