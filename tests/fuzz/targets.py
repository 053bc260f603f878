"""What a hostile server can send, or a file can hold, as functions of bytes, and what must hold.

Each target takes any bytes and fails when a rule is broken: an exception that is not documented,
a result that depends on how the bytes were cut, a queue that does not add up, a key in an error.
``make fuzz`` searches for such bytes; the tests replay the seeds and what was found before.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from websockets.protocol import CLIENT, OPEN
from websockets.protocol import Protocol as Reference

from etoro_sync import EVENTS, EToroError, recover
from etoro_sync.codec import loads, loads_standard
from etoro_sync.market.merging import make_rate
from etoro_sync.market.message_parser import parse_envelope, parse_messages
from etoro_sync.recording.segments import entries_of, find_segments
from etoro_sync.recording.zstd import load_zstd
from etoro_sync.redaction import Redactor
from etoro_sync.replay import _SilentBook
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.protocol.control import ControlChannel
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker
from etoro_sync.ws.transport.dialer import Dialer, Target
from etoro_sync.ws.transport.frames import CLOSE, TEXT, FrameParser, read_close
from etoro_sync.ws.transport.handshake import open_websocket
from etoro_sync.ws.transport.proxy import make_tunnel
from tests.market.tools import Bench
from tests.support.clients import API_KEY

__all__ = [
    *("TARGETS", "close", "feed", "frames", "handshake", "lines", "proxy", "replies", "segment"),
]

_LIMIT = 4096
_redact = Redactor([API_KEY])


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


# Frames -------------------------------------------------------------------------------------------


def frames(data: bytes) -> None:
    """The first byte says how the rest is cut; another library's reader is the other opinion."""
    size, data = 1 + (data[0] if data else 0), data[1:]
    whole, cut = FrameParser(_LIMIT), FrameParser(_LIMIT)
    texts = whole.feed(data)
    in_pieces: list[str] = []
    for piece in pieces(data, size):
        in_pieces += cut.feed(piece)
        held = len(cut._pending) + len(cut._message or b"")
        assert held <= 2 * _LIMIT + 14, f"{held} bytes are held"
    assert in_pieces == texts
    assert cut.controls == whole.controls
    assert cut.violation == whole.violation
    if whole.violation is None:
        assert (cut.unfinished is None) == (whole.unfinished is None)
    _compare(data, texts, whole)


def _compare(data: bytes, texts: list[str], ours: FrameParser) -> None:
    """Agree with the reference on messages, control frames, and whether rules were broken."""
    reference = Reference(CLIENT, state=OPEN, max_size=_LIMIT)
    reference.receive_data(data)
    message = b""
    kind = TEXT
    expected: list[str] = []
    controls: list[tuple[int, bytes]] = []
    broken: object = reference.parser_exc
    for event in reference.events_received():
        opcode, payload = int(event.opcode), bytes(event.data)  # type: ignore[union-attr]
        if opcode >= CLOSE:
            controls.append((opcode, payload))
            continue
        kind = opcode or kind
        message += payload
        if event.fin:  # type: ignore[union-attr]
            try:
                if kind == TEXT:
                    expected.append(message.decode())
                elif message.strip(b"\0"):
                    expected.append(message.decode(errors="replace"))
            except UnicodeDecodeError as exc:
                broken = exc
                break
            message = b""
    ours_controls = list(ours.controls)
    refused_close = False
    if ours_controls and ours_controls[-1][0] == CLOSE:
        # What is wrong with a close frame is told by read_close(), not by the parser.
        payload = ours_controls.pop()[1]
        refused_close = bool(read_close(payload)[0] == 1002 or not _is_text(payload[2:]))
        controls = [control for control in controls if control[0] != CLOSE]
        if ours._message is not None:
            # RFC 6455, 5.4: control frames come in the middle of a message. The reference forbids
            # it to the close frame.
            broken = refused_close or None
    assert texts == expected
    if isinstance(broken, UnicodeDecodeError):
        # The reference went on behind the bad text.
        assert ours_controls == controls[: len(ours_controls)]
    else:
        assert ours_controls == controls
    refused: object = ours.violation or refused_close or None
    # One may wait for more of a frame whose beginning is enough for the other.
    if broken is None and refused is not None:
        broken = _complete(reference)
    elif refused is None and broken is not None:
        refused = _complete_ours(ours)
    assert (refused is None) == (broken is None), f"{refused}, {broken}"


def _complete(reference: Reference) -> object:
    """Feed the rest of the last frame; return why the reference refuses it, or None."""
    while reference.parser_exc is None and not reference.events_received():
        reference.receive_data(b"\0")
    return reference.parser_exc


def _complete_ours(parser: FrameParser) -> object:
    parser.controls.clear()
    while parser.violation is None and not (parser.feed(b"\0") or parser.controls):
        assert parser._pending, "the frame is complete, and was not refused"
    return parser.violation


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def close(data: bytes) -> None:
    """The payload of a close frame."""
    code, reason = read_close(data)
    assert code in (1005, *range(1000, 1004), *range(1007, 1015)) or 3000 <= code < 5000
    assert reason.isascii() or reason.encode()


# Messages -----------------------------------------------------------------------------------------


def feed(data: bytes) -> None:
    """Lines of text, each a message, given to both JSON parsers; listeners to all events."""
    texts = data.decode(errors="replace").split("\n")
    for json_loads in (loads, loads_standard):
        bench = Bench(json_loads, _redact).listen(*EVENTS)
        for text in texts:
            reply = bench.take(text)
            assert reply is None or isinstance(reply, dict)
        _check_accounts(bench)
        for error in bench.got("error"):
            assert isinstance(error, EToroError)
            assert API_KEY not in f"{error} {error!r} {vars(error)}"
    for text in texts:
        try:
            parse_messages(parse_envelope(text))
        except EToroError:
            pass


def _check_accounts(bench: Bench) -> None:
    counters = bench.counters
    for queue in bench.queues.values():
        gone = queue.delivered + queue.dropped + queue.conflated
        assert queue.received == gone + queue.qsize(), queue
    assert bench.queues["instrument:rate"].received == counters.rates
    assert bench.queues["private:event"].received == counters.private_events
    assert bench.queues["unknown"].received == counters.unknown
    assert bench.queues["error"].received <= counters.bad_messages
    assert bool(bench.queues["error"].received) is bool(counters.bad_messages)
    sorts = counters.rates + counters.heartbeats + counters.private_events + counters.unknown
    assert sorts <= counters.messages <= sorts + counters.bad_messages
    for _, rate in bench.got("instrument:rate"):
        assert isinstance(rate.ask, float)
        assert isinstance(rate.bid, float)


def replies(data: bytes) -> None:
    """Lines of text, each a reply; ``ID`` in one is the id of the request in flight."""
    protocol, ends = _busy_protocol()
    in_flight = "r0"
    now = 0.0
    for line in data.decode(errors="replace").split("\n"):
        try:
            reply = loads(line.replace("ID", in_flight))
        except ValueError:
            continue
        if not isinstance(reply, dict):
            continue
        try:
            outcome = protocol.on_reply(reply)
            error = outcome.error
        except ConnectionFailed as failure:
            error = failure.error
        assert error is None or API_KEY not in f"{error} {vars(error)}"
        now += 1.0
        request = protocol.next_request(now)
        if request is not None:
            in_flight = str(loads(request[0])["id"])
    protocol.fail_all(EToroError("over"))
    assert ends == [1, 1, 1], "each call ends once"


def _busy_protocol() -> tuple[ControlChannel, list[int]]:
    """A protocol that authenticates, with three calls that wait for their turn."""
    tracker = WsSubscriptionTracker()
    numbers = iter(range(1_000_000))
    protocol = ControlChannel(tracker, 10.0, 10.0, _redact, lambda: f"r{next(numbers)}")
    protocol.authenticate(API_KEY, API_KEY, 0.0)
    ends = [0, 0, 0]

    def end(index: int) -> Callable[[Any], None]:
        def count(error: Any) -> None:
            ends[index] += 1

        return count

    topics = ["instrument:18", "private", "instrument:19"]
    wish = tracker.add(topics, True)
    for index, name in enumerate(("Subscribe", "Subscribe", "Unsubscribe")):
        if name == "Unsubscribe":
            tracker.remove(topics[:1])
        snapshot = dict.fromkeys(topics, index == 1)
        protocol.submit(Operation(name, topics, snapshot, end(index), wish))
    return protocol, ends


# HTTP ---------------------------------------------------------------------------------------------


class _Stream:
    """Answers what was asked with given bytes, then ends. The first byte says how they are cut.

    ``ACCEPT`` in them stands for the key that belongs to the request.
    """

    def __init__(self, data: bytes) -> None:
        self._answer = data[1:]
        self._size = 1 + (data[0] if data else 0)
        self._pieces: list[bytes] | None = None
        self.unsent = bytearray()
        self.request = b""

    def write(self, data: bytes) -> None:
        self.request += data

    def read(self) -> bytes:
        if self._pieces is None:
            key = self.request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r")[0]
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            answer = self._answer.replace(b"ACCEPT", base64.b64encode(digest))
            self._pieces = pieces(answer, self._size)
        return self._pieces.pop(0) if self._pieces else b""

    def close(self) -> None:
        pass


def _dialer() -> Dialer:
    return Dialer(None, float("inf"))  # type: ignore[arg-type]  # it never waits


def handshake(data: bytes) -> None:
    """The answer to the opening handshake."""
    stream: Any = _Stream(data)
    error = _error_of(lambda: open_websocket("ws://127.0.0.1/ws", stream, _dialer(), _redact))
    assert error or (b" 101" in data and b"ACCEPT" in data)


def _error_of(function: Callable[[], object]) -> EToroError | None:
    """Return the documented error that a function raises, or None; it shows no key."""
    error: EToroError | None = None
    try:
        function()
    except ConnectionFailed as failure:
        error = failure.error
    except EToroError as exc:
        error = exc
    assert error is None or API_KEY not in f"{error} {error.__cause__}"
    return error


def proxy(data: bytes) -> None:
    """A proxy's answer to CONNECT."""
    target = Target("ws.etoro.com", 443, True)
    tunnel = make_tunnel(urlsplit(f"http://user:{API_KEY}@127.0.0.1:1"), target)
    stream: Any = _Stream(data)
    error = _error_of(lambda: tunnel.establish(stream, _dialer()))
    assert error or data[1:].startswith(b"HTTP/")


# Recordings ---------------------------------------------------------------------------------------


def segment(data: bytes) -> None:
    """The bytes of a file of a recording."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "20260101T000000.000Z-000001.jsonl.zst"
        path.write_bytes(data)
        _play(path)
        with contextlib.suppress(EToroError):
            recover(path)
            # What was repaired is whole, but perhaps no recording.
            _play(path)


def lines(data: bytes) -> None:
    """The lines of a file of a recording, before they are compressed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines.jsonl.zst"
        path.write_bytes(load_zstd().compress(data))
        _play(path)


def _play(path: Path) -> None:
    """Merge what a replay would; whatever comes of it is whole."""
    book, error = _SilentBook(), ""
    try:
        for entry in entries_of(find_segments(path)):
            assert 0 <= entry.at < 1e11
            book.put(entry)
    except EToroError as exc:
        error = str(exc)
    assert len(error) < 1000
    for _, state in book.state.latest:
        rate = make_rate(state)
        assert isinstance(rate.ask, float)
        assert isinstance(rate.bid, float)
        assert isinstance(rate.spread + rate.mid, float)
        assert isinstance(str(rate), str)
        assert rate.timestamp is None or rate.timestamp.tzinfo


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (frames, close, feed, replies, handshake, proxy, segment, lines)
}
