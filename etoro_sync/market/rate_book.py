"""The states of all instruments, and which of them users see.

A state belongs to one generation, that is, one connection, and is never merged with messages of
another one. After a subscription with a snapshot, an instrument's rates are held back until the
snapshot has come. Pure: no sockets, no threads, no clock. Other threads read what users see through
a ``RateView``, without a lock.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ..delivery.journal import Journal
from .book_state import BookState, InstrumentState
from .instrument import UNKNOWN, Instrument
from .merging import Report, merge
from .message_parser import SNAPSHOT_TYPE, instrument_id_of

__all__ = ["RateBook"]

#: More instruments than eToro has. A bound, because a server may make up topics.
_MOST_INSTRUMENTS = 50_000
_NEVER = float("inf")


class RateBook:
    """The instruments of a client. Used by the reader thread only, except through ``RateView``.

    :param snapshot_timeout: seconds after the acknowledgement until an instrument whose snapshot
        has not come is published without it, from its deltas.
    """

    def __init__(self, snapshot_timeout: float = 10.0) -> None:
        self._snapshot_timeout = snapshot_timeout
        #: Topic -> instrument. Never replaced by another dictionary: the feed handler keeps it.
        self.by_topic: dict[str, Instrument] = {}
        # The ids of instruments whose snapshots are to come.
        self._awaited: set[int] = set()
        #: When :meth:`give_up_waiting` is to be called.
        self.next_overdue = _NEVER
        # Topics that were unsubscribed, and of which messages may still be on their way.
        self._unsubscribed: set[str] = set()
        #: Instrument id -> the instrument whose :attr:`Instrument.visible` users see. After a loss
        #: these are the instruments of the lost connection, until new rates come.
        self.latest: dict[int, Instrument] = {}
        #: The number of the present connection, or of the last one; 0 before the first.
        self.generation = 0
        #: Notes each change that no message brings, before it is made, so that a recording can be
        #: replayed exactly; None: nobody records.
        self.journal: Journal | None = None

    def _note(self, kind: str, topics: Iterable[str]) -> None:
        if self.journal is not None:
            self.journal.note(kind, tuple(topics))

    # -- the whole -------------------------------------------------------------------------------

    def save(self) -> BookState:
        """Return all that is known now, as references to states that never change."""
        return BookState(
            self.generation,
            [
                InstrumentState(
                    topic,
                    one.state,
                    one.visible,
                    one.awaits_snapshot,
                    one.shown,
                    one.settled,
                    one.closed,
                )
                # Copied in one step, because disconnect() may clear it on another thread.
                for topic, one in list(self.by_topic.items())
            ],
            [(key, one.visible) for key, one in list(self.latest.items())],
            frozenset(self._awaited),
            frozenset(self._unsubscribed),
        )

    def restore(self, saved: BookState, now: float) -> None:
        """Become what :meth:`save` has returned, perhaps in another process.

        :param now: the time; the silence of all instruments counts from here.
        """
        if self.journal is not None:
            self.journal.note("restored", saved)
        self._forget_connection()
        self.latest = {}
        self.generation = saved.generation
        self._awaited = set(saved.awaited)
        self._unsubscribed = set(saved.unsubscribed)
        for one in saved.instruments:
            instrument = self.instrument(one.topic, now, wanted=True)
            if instrument is not None:
                instrument.state, instrument.visible = one.state, one.visible
                instrument.awaits_snapshot, instrument.shown = one.awaits_snapshot, one.shown
                instrument.settled, instrument.closed = one.settled, one.closed
        for key, visible in saved.latest:
            known = self.by_topic.get(f"instrument:{key}")
            if known is None or known.visible != visible:
                known = Instrument(key, now, awaits_snapshot=False)
                known.visible = visible
            self.latest[key] = known

    def note_state(self) -> None:
        """Let the journal begin anew from here, because it came in the middle of a read."""
        if self.journal is not None:
            self.journal.note("restored", self.save())

    # -- connections and subscriptions -----------------------------------------------------------

    @property
    def instruments(self) -> Iterable[tuple[str, Instrument]]:
        """Topic and instrument of all that are subscribed to, or have sent a message."""
        return [pair for pair in self.by_topic.items() if pair[1].shown]

    def begin_generation(self, topics: Iterable[str]) -> int:
        """Start with empty states for a new connection, and return its number.

        :param topics: the wanted topics, of which :attr:`latest` keeps the old rates for now.
        """
        topics = tuple(topics)
        self._note("generation", topics)
        self.generation = self._next_generation()
        self._lose(topics)
        return self.generation

    def _next_generation(self) -> int:
        return self.generation + 1

    def connection_lost(self, topics: Iterable[str]) -> None:
        """Forget the states of the connection; :attr:`latest` keeps its last rates.

        Messages that come before the next connection is authenticated must not be merged with them.

        :param topics: the wanted topics. :attr:`latest` drops all others, since nothing will update
            them.
        """
        topics = tuple(topics)
        self._note("lost", topics)
        self._lose(topics)

    def _lose(self, topics: Iterable[str]) -> None:
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
        """Hold back the rates of *topics* until their snapshots come, which were requested."""
        topics = tuple(topics)
        self._note("expect", topics)
        for topic in topics:
            self._forget_unsubscribed(topic)
            instrument_id = instrument_id_of(topic)
            known = self.by_topic.get(topic)
            if instrument_id is not None and (known is None or known.state is UNKNOWN):
                self._awaited.add(instrument_id)
                if known is not None:
                    known.awaits_snapshot = True

    def expect_none(self, topics: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
        """Stop holding back *topics*, because no snapshot of them will come.

        :returns: instrument id and state of each rate to publish now.
        """
        self._note("expect-none", topics)
        self._awaited.difference_update(map(instrument_id_of, topics))
        held = [self.by_topic[topic] for topic in topics if topic in self.by_topic]
        return [(one.id, one.state) for one in held if one.awaits_snapshot and self._release(one)]

    def give_up_waiting(self, now: float) -> list[tuple[int, dict[str, Any]]]:
        """Stop holding back instruments that have waited too long for their snapshots.

        :returns: instrument id and state of each rate to publish now.
        """
        held = [one for one in self.by_topic.values() if one.awaits_snapshot]
        overdue = [one for one in held if now >= one.awaited_since + self._snapshot_timeout]
        if overdue:
            self._note("expect-none", (f"instrument:{one.id}" for one in overdue))
        released = [(one.id, one.state) for one in overdue if self._release(one)]
        left = [one.awaited_since for one in held if one.awaits_snapshot]
        self.next_overdue = min(left, default=_NEVER) + self._snapshot_timeout
        return released

    def subscribed(self, topics: Iterable[str], now: float) -> None:
        """Note that eToro has acknowledged *topics*, so their silence and snapshots count now."""
        topics = tuple(topics)
        self._note("subscribed", topics)
        for topic in topics:
            self._forget_unsubscribed(topic)
            instrument = self.instrument(topic, now, wanted=True)
            if instrument is not None:
                instrument.awaited_since = now
                if instrument.awaits_snapshot:
                    self.next_overdue = min(self.next_overdue, now + self._snapshot_timeout)

    def _forget_unsubscribed(self, topic: str) -> None:
        """Forget the state of a topic that was unsubscribed: it has missed changes meanwhile."""
        if topic in self._unsubscribed:
            self._unsubscribed.remove(topic)
            self.by_topic.pop(topic, None)

    def forget(self, topics: Iterable[str]) -> None:
        """Forget unsubscribed *topics*, because nothing keeps their prices up to date."""
        topics = tuple(topics)
        self._note("forget", topics)
        for topic in topics:
            instrument_id = instrument_id_of(topic)
            self.by_topic.pop(topic, None)
            if instrument_id is not None:
                self._awaited.discard(instrument_id)
                self.latest.pop(instrument_id, None)
                self._unsubscribed.add(topic)

    def clear(self) -> None:
        """Forget everything but the generation."""
        self._note("clear", ())
        self._forget_connection()
        self.latest = {}

    def instrument(self, topic: str, now: float, wanted: bool = False) -> Instrument | None:
        """Return the instrument of *topic*, which is added if it is new.

        :param now: the time; the silence of a new one counts from here.
        :param wanted: it was subscribed to, so it is added even when there are too many.
        :returns: None for a topic that is no instrument's, and when there are too many.
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
        """Merge one message; return the state to publish as a rate, or None.

        :param type_: the message's type on the wire.
        :param now: when it was received, by the clock for ages.

        The other arguments are those of :func:`~etoro_sync.market.merging.merge`.
        """
        instrument.last_message_at = now
        # With its snapshot, a price that was held back is published even if this message has none.
        late = type_ == SNAPSHOT_TYPE and instrument.awaits_snapshot and self._release(instrument)
        priced = merge(instrument, content, self.generation, received_at, report)
        if priced is None:
            return instrument.state if late else None
        complete = self._show(instrument)
        return instrument.state if complete and (priced or late) else None

    def show(self, instrument_id: int, state: dict[str, Any], now: float) -> None:
        """Let users see a state that the source has merged itself."""
        if self.journal is not None:
            self.journal.note("rate", (instrument_id, state))
        instrument = self.instrument(f"instrument:{instrument_id}", now, wanted=True)
        if instrument is not None:
            instrument.last_message_at = now
            instrument.state = instrument.visible = state
            self.latest[instrument_id] = instrument

    def _show(self, instrument: Instrument) -> bool:
        """Let users see the present state; return whether it is complete, to be published."""
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
        # A side has become unknown: the rate that is shown, if of this generation, is outdated.
        shown = self.latest.get(instrument.id)
        if shown is not None and shown.visible["generation"] == self.generation:
            del self.latest[instrument.id]
        return False

    def _release(self, instrument: Instrument) -> bool:
        """Stop holding back an instrument; return whether it has a complete price to publish."""
        instrument.awaits_snapshot = False
        self._awaited.discard(instrument.id)
        return self._show(instrument)
