"""RFC 6455 frames of a server, cut out of whatever the reads returned."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websocket import ABNF, frame_buffer

from etoro_sync.ws.transport.frames import FrameParser, Violation, read_close
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame

LIMIT = 1 << 20


def parse(data: bytes, limit: int = LIMIT) -> tuple[list[str], FrameParser]:
    parser = FrameParser(limit)
    return parser.feed(data), parser


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_text_message_of_any_length_is_returned(size: int) -> None:
    """With 7, 16 and 64 bits of length."""
    texts, parser = parse(frame(TEXT, b"x" * size))
    assert texts == ["x" * size]
    assert parser.violation is None


def test_all_frames_of_one_read_are_returned_in_order() -> None:
    """A read may bring many, and a part of one more."""
    stream = frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c")
    texts, parser = parse(stream[:-1])
    assert texts == ["a", "b"]
    assert parser.feed(stream[-1:]) == ["c"]


def test_control_frames_are_collected_in_order() -> None:
    """With their payloads, for the connection to answer."""
    _, parser = parse(frame(PING, b"1") + frame(PONG, b"2") + frame(CLOSE, close_payload(1000)))
    assert parser.controls == [(PING, b"1"), (PONG, b"2"), (CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("nuls", [b"\0", b"", b"\0" * 300])
def test_binary_messages_of_nuls_are_keepalives(nuls: bytes) -> None:
    """They mean nothing, in one frame or in several."""
    stream = frame(BINARY, nuls) + frame(BINARY, nuls, fin=False) + frame(CONTINUATION, nuls)
    texts, parser = parse(stream + frame(TEXT, b"a"))
    assert texts == ["a"]
    assert parser.violation is None


def test_any_other_binary_message_is_returned_as_text() -> None:
    """It may be an order event; and bytes that are no UTF-8 end nothing, for nobody promised it."""
    stream = frame(BINARY, b'{"a"', fin=False) + frame(PING) + frame(CONTINUATION, b":1}")
    texts, parser = parse(stream + frame(TEXT, b"b") + frame(BINARY, b"\0\xff"))
    assert texts == ['{"a":1}', "b", "\0\ufffd"]
    assert parser.violation is None


def test_fragments_of_a_binary_message_are_held_to_the_limit() -> None:
    """Nothing that is collected is without a bound."""
    _, parser = parse(frame(BINARY, b"x" * 60, fin=False) + frame(CONTINUATION, b"x" * 60), 100)
    assert parser.violation is not None
    assert parser.violation.code == 1009


def numbers(pieces: list[bytes]) -> list[int | None]:
    """The number of the unfinished message after each read."""
    parser = FrameParser(LIMIT)
    seen = []
    for piece in pieces:
        parser.feed(piece)
        seen.append(parser.unfinished)
    return seen


def test_an_unfinished_message_has_one_number_until_it_is_complete() -> None:
    """From its first byte, through its fragments, and whatever control frames come in between."""
    data = frame(TEXT, b"aa", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"bb")
    *unfinished, last = numbers([data[n : n + 1] for n in range(len(data))])
    assert len(set(unfinished)) == 1
    assert unfinished[0] is not None
    assert last is None


@pytest.mark.parametrize(
    "first",
    [frame(TEXT, b"aaaa"), frame(BINARY, b"\0\0\0\0"), frame(PING, b"aaaa")],
    ids=["text", "keepalive", "ping"],
)
@pytest.mark.parametrize("second", [frame(TEXT, b"bbbb"), frame(BINARY, b"\0")])
def test_the_next_unfinished_message_has_another_number(first: bytes, second: bytes) -> None:
    """A busy stream leaves a part of a message with nearly every read, each time of another one."""
    one, two = numbers([first[:3], first[3:] + second[:2]])
    assert None not in (one, two)
    assert one != two


def test_a_fragmented_message_behind_another_one_has_a_number_of_its_own() -> None:
    """Also where the first of its frames is complete."""
    first, second = frame(TEXT, b"aaaa"), frame(TEXT, b"b", fin=False)
    one, two, three = numbers([first[:3], first[3:] + second, frame(CONTINUATION, b"c", fin=False)])
    assert one != two == three


def test_fragments_are_joined_around_control_frames() -> None:
    """A ping may come in the middle of a message."""
    stream = frame(TEXT, b"a", fin=False) + frame(PING) + frame(CONTINUATION, b"b", fin=False)
    stream += frame(PONG) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b"c")
    texts, parser = parse(stream + frame(TEXT, b"d"))
    assert texts == ["abc", "d"]
    assert [opcode for opcode, _ in parser.controls] == [PING, PONG]


def test_a_character_may_be_cut_by_a_fragment() -> None:
    """UTF-8 is checked on the message, not on the frame."""
    euro = "€".encode()
    assert parse(frame(TEXT, euro[:1], fin=False) + frame(CONTINUATION, euro[1:]))[0] == ["€"]


def test_what_follows_a_close_frame_is_ignored() -> None:
    """RFC 6455, 5.5.1: even garbage does not replace the close code by a violation."""
    texts, parser = parse(frame(TEXT, b"a") + frame(CLOSE) + frame(TEXT, b"b") + b"\xff" * 9)
    assert texts == ["a"]
    assert parser.feed(frame(TEXT, b"c") + frame(PING)) == []
    assert parser.controls == [(CLOSE, b"")]
    assert parser.violation is None


LONG = struct.pack("!BBQ", 0x81, 127, LIMIT + 1)
VIOLATIONS = [
    ("masked", frame(TEXT, b"a", mask=True), 1002),
    ("masked, long", frame(TEXT, b"a" * 200, mask=True), 1002),
    ("masked control", frame(PING, mask=True), 1002),
    *((f"rsv {rsv}", frame(TEXT, b"a", rsv=rsv), 1002) for rsv in range(1, 8)),
    ("rsv on control", frame(PING, rsv=4), 1002),
    *((f"opcode {op}", frame(op, b""), 1002) for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
    ("long ping", frame(PING, b"x" * 126), 1002),
    ("fragmented ping", frame(PING, fin=False), 1002),
    ("fragmented close", frame(CLOSE, fin=False), 1002),
    ("continues nothing", frame(CONTINUATION, b"a"), 1002),
    ("text in a message", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    ("binary in a message", frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"), 1002),
    ("long in a message", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b" * 200), 1002),
    ("rsv, long", frame(TEXT, b"a" * 200, rsv=4), 1002),
    ("not UTF-8", frame(TEXT, b"\xff"), 1007),
    ("not UTF-8, long", frame(TEXT, b"a" * 200 + b"\xff"), 1007),
    ("surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
    ("cut character", frame(TEXT, "€".encode()[:2]), 1007),
    ("cut, joined", frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"a"), 1007),
    ("over the limit", LONG, 1009),
    ("2**63", struct.pack("!BBQ", 0x81, 127, 1 << 63), 1009),
    ("binary over the limit", struct.pack("!BBQ", 0x82, 127, LIMIT + 1), 1009),
]


@pytest.mark.parametrize(
    ("stream", "code"), [v[1:] for v in VIOLATIONS], ids=[v[0] for v in VIOLATIONS]
)
@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_a_violation_has_its_code_and_keeps_what_came_before(
    stream: bytes, code: int, step: int
) -> None:
    """The messages before it are delivered, those behind it are not, however it was cut."""
    data = frame(TEXT, b"before") + stream + frame(TEXT, b"after")
    parser = FrameParser(LIMIT)
    texts = [t for n in range(0, len(data), step) for t in parser.feed(data[n : n + step])]
    assert texts == ["before"]
    assert parser.violation is not None
    assert parser.violation.code == code
    assert parser.violation.reason


def test_a_message_of_exactly_the_limit_is_taken() -> None:
    """The limit is what is allowed."""
    assert parse(frame(TEXT, b"x" * 1024), 1024)[0] == ["x" * 1024]
    assert parse(frame(TEXT, b"x" * 1025), 1024)[1].violation == Violation(
        1009, "a frame of 1025 bytes is over the limit of 1024"
    )


def test_a_long_frame_is_refused_at_its_header() -> None:
    """Not a byte of a terabyte is waited for."""
    _, parser = parse(struct.pack("!BBQ", 0x81, 127, 1 << 40))
    assert parser.violation is not None


def test_a_bad_header_is_refused_before_its_payload() -> None:
    """What cannot be right is not waited for."""
    assert parse(frame(PING, fin=False, declared_length=100))[1].violation is not None
    assert parse(frame(TEXT, rsv=1, declared_length=100))[1].violation is not None


def test_fragments_together_are_held_to_the_limit() -> None:
    """At the header of the fragment that is too much."""
    parser = FrameParser(1024)
    for _ in range(4):
        assert parser.feed(frame(TEXT if not _ else CONTINUATION, b"x" * 256, fin=False)) == []
    assert parser.violation is None
    parser.feed(frame(CONTINUATION, declared_length=1))
    assert parser.violation == Violation(1009, "a fragmented message is over the limit of 1024")


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        (b"", (1005, "")),
        (close_payload(1000, "bye"), (1000, "bye")),
        (close_payload(4001, "€"), (4001, "€")),
        (close_payload(3000), (3000, "")),
        (close_payload(4999), (4999, "")),
        (close_payload(1014), (1014, "")),
        (close_payload(4001) + b"\xff", (4001, "\ufffd")),
    ],
)
def test_a_close_frame_is_read(payload: bytes, result: tuple[int, str]) -> None:
    """Code and reason; a reason that is no text does not cost the code."""
    assert read_close(payload) == result


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_a_forbidden_close_code_is_a_violation(code: int) -> None:
    """RFC 6455, 7.4."""
    assert read_close(close_payload(code, "x"))[0] == 1002


def test_a_close_payload_of_one_byte_is_a_violation() -> None:
    """Half a code."""
    assert read_close(b"\x03") == (1002, "the server sent an invalid close frame (03)")


# Any cut of the stream ---------------------------------------------------------------------------

PAYLOADS = st.one_of(st.text(max_size=40), st.integers(100, 300).map(lambda n: "é" * n))


@st.composite
def streams(draw: Any) -> tuple[bytes, list[str], list[tuple[int, bytes]]]:
    """A valid stream, the texts in it and the control frames in it."""
    data, texts, controls = b"", [], []

    def control() -> bytes:
        if not draw(st.booleans()):
            return b""
        opcode, payload = draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=125))
        controls.append((opcode, payload))
        return frame(opcode, payload)

    for _ in range(draw(st.integers(0, 4))):
        text = draw(PAYLOADS)
        raw, opcode, start = text.encode(), TEXT, 0
        for cut in sorted(draw(st.lists(st.integers(0, len(raw)), max_size=3))):
            data += control() + frame(opcode, raw[start:cut], fin=False)
            opcode, start = CONTINUATION, cut
        data += control() + frame(opcode, raw[start:])
        texts.append(text)
    return data, texts, controls


@given(streams(), st.data())
def test_any_cut_of_the_stream_gives_the_same_messages(stream: Any, data: Any) -> None:
    """Byte by byte, or in one piece."""
    raw, texts, controls = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=10)))
    parser = FrameParser(LIMIT)
    got = []
    for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        got += parser.feed(raw[start:stop])
    assert (got, parser.controls, parser.violation) == (texts, controls, None)
    parser = FrameParser(LIMIT)
    assert [t for n in range(len(raw)) for t in parser.feed(raw[n : n + 1])] == texts


@settings(deadline=None)
@given(streams())
def test_websocket_client_reads_the_same_frames(stream: Any) -> None:
    """Its own frame reader, frame by frame, as the other opinion."""
    raw, texts, controls = stream
    source = io.BytesIO(raw)
    reader = frame_buffer(source.read, True)
    theirs: list[str] = []
    their_controls: list[tuple[int, bytes]] = []
    message = b""
    while source.tell() < len(raw):
        got = reader.recv_frame()
        if got.opcode in (ABNF.OPCODE_PING, ABNF.OPCODE_PONG):
            their_controls.append((got.opcode, bytes(got.data)))
            continue
        message += got.data
        if got.fin:
            theirs.append(message.decode())
            message = b""
    ours, parser = parse(raw)
    assert (ours, parser.controls) == (theirs, their_controls) == (texts, controls)


@given(st.binary(max_size=60))
def test_any_bytes_are_messages_or_a_violation(data: bytes) -> None:
    """Nothing is ever raised."""
    parser = FrameParser(1024)
    for n in range(len(data)):
        parser.feed(data[n : n + 1])
    whole = FrameParser(1024)
    whole.feed(data)
    assert (parser.violation is None) == (whole.violation is None)


class _CountedBytes(bytes):
    """Bytes that count how much of them is copied by slicing."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(key, slice):
            _CountedBytes.copied += len(part)
        return part


def test_many_frames_in_one_read_are_copied_once() -> None:
    """The work grows with the bytes, not with their square."""
    data = _CountedBytes(frame(TEXT, b"x" * 100) * 2000 + frame(TEXT, b"x" * 100)[:50])
    _CountedBytes.copied = 0
    texts, _ = parse(data)
    assert len(texts) == 2000
    assert _CountedBytes.copied <= len(data)


def test_a_dripping_frame_is_joined_twice_at_most() -> None:
    """A megabyte in small pieces: one join for its header, one for its end."""
    data = frame(TEXT, b"x" * 100_000)
    parser = FrameParser(LIMIT)
    cuts = 0
    cut = parser._cut

    def counting(raw: Any, position: int, texts: list[str]) -> Any:
        nonlocal cuts
        cuts += 1
        return cut(raw, position, texts)

    parser._cut = counting  # type: ignore[method-assign]
    texts = [t for n in range(0, len(data), 10) for t in parser.feed(data[n : n + 10])]
    assert len(texts) == 1
    assert cuts == 2
