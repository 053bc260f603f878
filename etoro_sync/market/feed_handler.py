"""Turns the texts of frames into events: parses, merges, and hands them to a publisher.

This is the hot path. It runs on the reader thread and takes no lock: the :class:`Publisher`
collects the events of a read and hands them over once. Objects without a listener are not built.

There are two ways through. :meth:`FeedHandler.on_text`, the plain way, takes any text, step by
step, and reports what is wrong with it. :meth:`FeedHandler.on_texts` is a fast way for what nearly
every text is: one message of a usual shape, for an instrument whose state is complete. It leaves
all other texts to the plain way.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from .. import clocks, codec
from ..delivery.journal import Journal
from ..delivery.publisher import Publisher
from ..delivery.registry import Registry
from ..errors import EToroValidationError
from ..models import WsGap, WsPrivateEvent
from ..models.control import decode_envelope, decode_message
from ..stats import Counters
from ..synchronization import Interrupted
from ..text import show
from .bad_messages import BadMessages
from .instrument import Instrument
from .merging import make_rate, merge_usual
from .message_parser import (
    BAD_VALUE,
    MARKET_TYPES,
    SNAPSHOT_TYPE,
    cut_at_replies,
    decode_delta,
    decode_private_event,
    parse_content,
    type_by_content,
)
from .order_states import OrderStates
from .rate_book import RateBook
from .shapes import ShapeTable
from .tapping import tap_message

__all__ = ["FeedHandler"]

#: The types that the fast way takes.
_FAST_TYPES = MARKET_TYPES - {SNAPSHOT_TYPE}


class FeedHandler:
    """Turns messages into events. Every method runs on the reader thread.

    :param book: holds the merged states.
    :param registry: the listeners.
    :param out: gets the events.
    :param counters: the client's.
    :param redact: removes the keys from text that goes into logs and errors.
    :param loads: parses JSON.
    :param clock: seconds, for the ages that users see.
    :param wall_clock: seconds since the epoch, for ``received_at``.
    :param order_states: where the last states of orders are kept.
    """

    def __init__(
        self,
        book: RateBook,
        registry: Registry,
        out: Publisher,
        counters: Counters,
        redact: Callable[[str], str],
        loads: Callable[[str], Any] = codec.loads,
        clock: Callable[[], float] = clocks.uptime,
        wall_clock: Callable[[], float] = clocks.wall_clock,
        order_states: OrderStates | None = None,
    ) -> None:
        self._book = book
        self.out = out
        self._counters = counters
        self.order_states = order_states or OrderStates()
        self._loads = loads
        self._clock = clock
        self._wall_clock = wall_clock
        self._bad = BadMessages(out, counters, redact, self._check_over, clock)
        self._now = clock()
        self._received_at = wall_clock()
        #: Whether a data message, and not just replies, has come since :meth:`begin_read`.
        self.brought_messages = False
        #: Set by another thread when the session has ended: no more of its events are published.
        self.over = False
        self._known = book.by_topic
        self._shapes = ShapeTable()
        self._rates = registry.listeners("instrument:rate")
        self._deltas = registry.listeners("instrument:delta")
        self._envelopes = registry.listeners("message")
        self._registry = registry

    # -- the stream ----------------------------------------------------------------------------

    def begin_read(self, now: float | None = None, received_at: float | None = None) -> None:
        """Begin a new read: the next messages were received now.

        :param now: the time, by the clock; None asks the clock.
        :param received_at: seconds since the epoch, of a recording; None asks the wall clock.
        """
        self._now = self._clock() if now is None else now
        self._received_at = self._wall_clock() if received_at is None else received_at
        self.brought_messages = False
        if self._bad.in_read:
            self._bad.begin_read()

    def on_texts(
        self,
        texts: list[str],
        on_reply: Callable[[dict[str, Any]], None],
        journal: Journal | None = None,
    ) -> None:
        """Handle the text frames of one read.

        :param on_reply: called with each control message, in its place; must not raise.
        :param journal: that of the book, if it has noted *texts* already.
        :raises Interrupted: when the session has ended.
        """
        if self._book.journal is not journal:
            self._note_and_handle(texts, on_reply)
            return
        if self._envelopes.active or self._deltas.active:
            for text in texts:
                self._handle_plainly(text, on_reply)
        else:
            self._handle_fast(texts, on_reply)
        if self._book.journal is not journal:
            # A recording has begun meanwhile, and lacks the texts before its first note.
            self._book.note_state()

    def _handle_fast(self, texts: list[str], on_reply: Callable[[dict[str, Any]], None]) -> None:
        """Handle texts by the fast way, where it can be taken."""
        loads, known, shapes, merge = self._loads, self._known, self._shapes, merge_usual
        now, received_at, batch = self._now, self._received_at, self.out.batch
        # A listener that is added meanwhile gets events from the next read on.
        listeners = self._rates
        handlers, queues = listeners.handlers, listeners.queues
        filtered = bool(listeners.handlers_by_id or listeners.queues_by_id)
        tapped = self.out.tapped if self._registry.taps else None
        heartbeats = rates = 0
        quiet_end = "" if tapped is None else self._registry.quiet_end
        for text in texts:
            try:
                # Nothing changes before merge(), so the plain way can start again from the text.
                (message,) = loads(text)["messages"]
                instrument = known[message["topic"]]
                inner = message["content"]
                content = loads(inner)
                shape = shapes[tuple(content)]
                if shape is None or type(content) is not dict or "_" in inner:
                    raise TypeError
                if not instrument.settled or message["type"] not in _FAST_TYPES:
                    raise LookupError
                state = merge(instrument, shape, content, received_at) if shape.numbers else None
            except Exception:
                self._handle_plainly(text, on_reply)
                continue
            instrument.last_message_at = now
            if state is None:
                heartbeats += 1
                if tapped is not None:
                    date = content["Date"]
                    if type(date) is not str:
                        continue
                    instrument.beat = instrument.state, date
                    if date >= quiet_end:
                        tapped.append((instrument.id, (date, received_at, False)))
                continue
            rates += 1
            if tapped is not None:
                tapped.append((instrument.id, state))
            if filtered:
                self.out.deliver(instrument.id, state)
            elif handlers or queues:
                pair = (instrument.id, make_rate(state))
                if handlers:
                    batch.append(pair)
                if queues:
                    self.out.feed_queues(queues, pair)
        self._count(heartbeats, rates)

    def _note_and_handle(
        self, texts: list[str], on_reply: Callable[[dict[str, Any]], None]
    ) -> None:
        """Let the journal note the texts up to each reply before what that reply changes."""
        journal = self._book.journal
        for run in cut_at_replies(texts):
            if journal is not None:
                journal.note("texts", (self._received_at, run))
            try:
                self.on_texts(run, on_reply, journal)
            finally:
                if journal is not None:
                    journal.end_read()

    def _count(self, heartbeats: int, rates: int) -> None:
        if heartbeats or rates:
            self.brought_messages = True
            counters = self._counters
            counters.heartbeats += heartbeats
            counters.rates += rates
            counters.messages += heartbeats + rates
            counters.last_message_at = self._now

    def _handle_plainly(self, text: str, on_reply: Callable[[dict[str, Any]], None]) -> None:
        reply = self.on_text(text)
        if reply is not None:
            on_reply(reply)
        self._check_over()

    def _check_over(self) -> None:
        """Abort this read if the session has ended; called after logging.

        Log handlers are user code and may block for longer than disconnect() waits. The next
        session uses the same book, which must not get prices of this one.

        :raises Interrupted: if the session has ended.
        """
        if self.over:
            raise Interrupted

    def on_text(self, text: str) -> dict[str, Any] | None:
        """Handle one text frame; return it, parsed, if it is a control message."""
        try:
            frame = self._loads(text)
        except ValueError:
            return self._on_odd_text(text)
        return self._on_frame(frame, text)

    def _on_frame(self, frame: Any, text: str) -> dict[str, Any] | None:
        messages = frame.get("messages") if type(frame) is dict else None
        if not messages and type(frame) is dict and ("operation" in frame or "success" in frame):
            return frame
        if type(messages) is not list:
            self._bad.report("envelope", text)
            return None
        if self._envelopes.active:
            self._emit_envelope(frame, text)
        for message in messages:
            try:
                self._on_message(message)
            except EToroValidationError as exc:
                self._bad.report(exc.field or "message", text, exc)
            except BAD_VALUE as exc:
                self._bad.report("message", text, exc)
        return None

    def _on_odd_text(self, text: str) -> dict[str, Any] | None:
        """Handle a text that is not plain JSON: a keepalive, JSON with padding, or garbage."""
        if not text.strip(codec.PADDING):
            return None
        try:
            frame = codec.loads_padded(text)
        except ValueError as exc:
            self._bad.report("JSON", text, exc)
            return None
        return self._on_frame(frame, text)

    def _on_message(self, message: Any) -> None:
        """Handle one message of an envelope; the caller reports what this raises."""
        topic, type_ = message["topic"], message.get("type")
        is_private, counters = topic == "private", self._counters
        content = message.get("content") if is_private else message["content"]
        self.brought_messages = True
        counters.messages += 1
        counters.last_message_at = self._now
        if is_private:
            self._on_private(content, type_, message.get("id"))
            return
        instrument = self._book.instrument(topic, self._now)
        typeless = type_ is None or type_ == ""
        if instrument is not None and (typeless or type_ in MARKET_TYPES):
            fields = self._parsed(content)
            found = type_by_content(fields) if typeless else type_
            if found is not None:
                if typeless:
                    self._bad.report_odd("without a type")
                self._shapes.learn(tuple(fields))
                self._on_market(instrument, fields, found)
                return
        unknown = decode_message(message)  # may raise, and then counts as a bad message only
        counters.unknown += 1
        self.out.put("unknown", None, (unknown,))

    def _parsed(self, content: Any) -> dict[str, Any]:
        """Return the parsed content of a market message.

        :raises EToroValidationError: when it is not an object; ``ValueError`` when it is not JSON.
        """
        if type(content) is dict:
            self._bad.report_odd("whose content is an object instead of a text")
            return content
        fields = self._loads(content)
        if type(fields) is not dict:
            raise EToroValidationError("the content is not an object", "content")
        return fields

    def _on_market(self, instrument: Instrument, content: dict[str, Any], type_: str) -> None:
        report = partial(self._bad.report_field, instrument.id)
        before = instrument.state
        state = self._book.merge(instrument, content, type_, self._now, self._received_at, report)
        if self._deltas.active:
            self._put_delta(instrument.id, content, type_)
        if self._registry.taps:
            is_rate = state is not None
            tapped, received_at = self.out.tapped, self._received_at
            tap_message(tapped, instrument, before, content, type_, is_rate, received_at)
        if state is None:
            self._counters.heartbeats += 1
            return
        self._counters.rates += 1
        if self._rates.active or self._registry.taps:
            self.out.publish(instrument.id, state)

    def _put_delta(self, key: int, content: dict[str, Any], type_: str) -> None:
        """Publish a delta, if there is a listener for those of this instrument."""
        if not any(self._deltas.of(key)):
            return
        try:
            delta = decode_delta(content, type_)
        except EToroValidationError as exc:
            # Caught here, so that the rate is published even if a field of the delta alone is bad.
            self._bad.report(exc.field or "message", str(exc))
            return
        stamped = replace(delta, generation=self._book.generation, received_at=self._received_at)
        self.out.put("instrument:delta", key, (key, stamped))

    def _on_private(self, content: Any, type_: Any, message_id: Any) -> None:
        """Emit an order event, whatever form it has, because none must be lost."""
        self._counters.private_events += 1
        if type(content) is dict:
            self._bad.report_odd("whose content is an object instead of a text")
        try:
            fields = content if type(content) is dict else parse_content(content)
        except EToroValidationError as exc:
            self._bad.report("content", show(content, 1000), exc)
            fields = {"content": content}
        if type(type_) is not str:
            type_ = "" if type_ is None else show(type_)
        event = decode_private_event(fields, type_)
        event.generation = self._book.generation
        event.received_at = self._received_at
        event.message_id = message_id if type(message_id) is str else ""
        self.publish_order(event)

    def publish_order(self, event: WsPrivateEvent) -> None:
        """Hand an order event over, once it is remembered: whoever gets it finds it there."""
        self.order_states.note(event)
        self.out.emit("private:event", event)

    def end_gap(self, gap: WsGap, now: float) -> None:
        """Report a gap, once it is remembered.

        :param now: by ``clocks.uptime``.
        """
        self.order_states.note_gap(gap, now)
        self.out.emit("reconnected", gap)

    def _emit_envelope(self, frame: dict[str, Any], text: str) -> None:
        try:
            envelope = decode_envelope(frame)
        except BAD_VALUE as exc:
            self._bad.report("envelope", text, exc)
        else:
            self.out.put("message", None, (envelope,))
