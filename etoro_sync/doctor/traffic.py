"""Counts what one connection receives, by kind, and keeps what the steps ask for.

Everything here runs on the thread that reads the connection.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from .. import clocks
from ..market.message_parser import instrument_id_of, type_by_content
from ..models.fields import parse_date
from ..ws.transport.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, FrameParser
from . import facts
from .deviations import Deviations, Inspector, is_one_of, place_of

__all__ = ["Traffic", "WatchedFrames"]

_KEPT = 10_000
#: The code that a client reports for a close frame which RFC 6455 forbids.
_INVALID = 1002
_FLAGS = {"true": True, "false": False}


class WatchedFrames(FrameParser):
    """A parser that also reports the frames that its users do not see.

    :param max_message_bytes: as for the parser.
    :param on_frame: called with the first byte and the payload of each frame that is no final text.
    """

    def __init__(self, max_message_bytes: int, on_frame: Callable[[int, bytes], None]) -> None:
        super().__init__(max_message_bytes)
        self._on_frame = on_frame

    def irregular(self, first: int, payload: bytes, texts: list[str]) -> None:
        """Report the frame, and handle it as usual."""
        self._on_frame(first, payload)
        super().irregular(first, payload, texts)


class Traffic:
    """What one connection has received, or several of the same kind, one after another.

    :param deviations: notes what nobody has reported.
    :param clock: monotonic seconds.
    """

    def __init__(
        self, deviations: Deviations, clock: Callable[[], float] = clocks.monotonic
    ) -> None:
        self._deviations = deviations
        self._inspector = Inspector(deviations)
        self._clock = clock
        #: Messages and frames by kind.
        self.counts: Counter[str] = Counter()
        #: Instruments of which a snapshot or a price has come.
        self.snapshots: set[int] = set()
        self.priced: set[int] = set()
        #: Whether the market of an instrument is open, as far as a message has said so.
        self.open: dict[int, bool] = {}
        #: Reception minus the date of each rate, in seconds; the least tells about the clocks.
        self.least_delay: float | None = None
        #: Seconds between two NUL keepalives, and between pings and their answers.
        self.nul_intervals: deque[float] = deque(maxlen=_KEPT)
        self.round_trips: deque[float] = deque(maxlen=_KEPT)
        #: How many pings were answered.
        self.answered = 0
        self._longest_silence = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin a connection: nothing is measured from one to the next."""
        self._last = self._clock()
        self._close_code = b""
        self._nul_at: float | None = None
        self._pings: dict[bytes, float] = {}

    # -- frames --------------------------------------------------------------------------------

    def ping_sent(self, payload: bytes) -> None:
        """Note that a ping was sent, so that its answer is recognised."""
        self.counts["pings sent"] += 1
        self._pings[payload] = self._clock()
        if len(self._pings) > _KEPT:
            del self._pings[next(iter(self._pings))]

    def on_frame(self, first: int, payload: bytes) -> None:
        """Note a frame that is no final text."""
        self._heard()
        opcode, final = first & 0x0F, bool(first & 0x80)
        if opcode == PING:
            self.counts["pings of the server"] += 1
            self._deviations.add("frame", "a ping of the server")
        elif opcode == PONG:
            self._pong(payload)
        elif opcode == CLOSE:
            self.counts["close frames"] += 1
            self._close_code = payload[:2]
        elif not final or opcode == CONTINUATION:
            self.counts["fragments"] += 1
            self._deviations.add("frame", "a fragmented message")
        elif opcode == BINARY and not payload.strip(b"\0"):
            self._nul()
            if len(payload) != 1:
                self._deviations.add("frame", "NULs in another number than 1", str(len(payload)))
        elif opcode == BINARY:
            self.counts["other binary frames"] += 1
            self._deviations.add("frame", "a binary frame that is no keepalive")

    def _nul(self) -> None:
        self.counts["NUL keepalives"] += 1
        now = self._clock()
        if self._nul_at is not None:
            self.nul_intervals.append(now - self._nul_at)
        self._nul_at = now

    def _pong(self, payload: bytes) -> None:
        self.counts["pongs"] += 1
        sent = self._pings.pop(payload, None)
        if sent is None:
            self._deviations.add("frame", "a pong that answers no ping")
        else:
            self.answered += 1
            self.round_trips.append(self._clock() - sent)

    def _heard(self) -> None:
        self._longest_silence = self.silence()
        self._last = self._clock()

    def silence(self) -> float:
        """Return the most seconds without a frame, the present ones of an open connection too."""
        return max(self._longest_silence, self._clock() - self._last)

    def ended(self, code: int, violation: str = "") -> None:
        """Note how the connection has ended: its close code (1006: none was sent)."""
        self._heard()
        if violation:
            self._deviations.add("frame", violation)
        elif code == _INVALID and self._close_code != _INVALID.to_bytes(2, "big"):
            self._deviations.add("frame", "an invalid close frame", self._close_code.hex())
        elif code not in facts.CLOSE_CODES | {1006}:
            self._deviations.add("close code", str(code))

    # -- texts ---------------------------------------------------------------------------------

    def on_text(self, text: str) -> dict[str, Any] | None:
        """Count a text, and return it if it is an answer; None: it is data, or cannot be read."""
        self._heard()
        self.counts["texts"] += 1
        frame = self._inspector.parse(text)
        if frame is None:
            self.counts["unreadable texts"] += 1
            return None
        if "messages" not in frame:
            self._inspector.reply(frame)
            self.counts["answers"] += 1
            return frame
        for message in self._inspector.envelope(frame, text):
            self._message(message)
        return None

    def _message(self, message: dict[str, Any]) -> None:
        topic = message.get("topic")
        if place_of(topic) == "private":
            self.counts["order events"] += 1
            return
        instrument_id = instrument_id_of(topic) if isinstance(topic, str) else None
        content = self._inspector.quietly(message.get("content"))
        type_ = message.get("type") or type_by_content(content)
        known = is_one_of(type_, facts.MARKET_FIELDS.keys())
        if instrument_id is None or content is None or not known:
            self.counts["unknown messages"] += 1
            return
        is_open = _FLAGS.get(str(content.get("IsMarketOpen")).lower())
        if is_open is not None:
            self.open[instrument_id] = is_open
        if type_ == "Snapshot":
            self.counts["snapshots"] += 1
            self.snapshots.add(instrument_id)
        elif type_ == "Trading.Instrument.Active":
            self.counts["openings and closings"] += 1
        else:
            self._rate(instrument_id, content)

    def _rate(self, instrument_id: int, content: dict[str, Any]) -> None:
        if content.keys() <= {"Date", "PriceRateID"}:
            self.counts["heartbeats"] += 1
        else:
            self.counts["rates"] += 1
            if content.keys() & {"Ask", "Bid", "LastExecution"}:
                self.priced.add(instrument_id)
        date = parse_date(str(content.get("Date", "")))
        if date is not None:
            delay = clocks.wall_clock() - date.timestamp()
            self.least_delay = delay if self.least_delay is None else min(self.least_delay, delay)
