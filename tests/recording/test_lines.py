"""Lines of a recording: whatever was noted comes back as it was; what others wrote is checked."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync import (
    EToroError,
    WsEnvelope,
    WsGap,
    WsInstrumentDelta,
    WsInstrumentRate,
    WsMessage,
    WsPrivateEvent,
)
from etoro_sync.market.book_state import BookState, InstrumentState
from etoro_sync.market.instrument import UNKNOWN
from etoro_sync.recording.details import BOOK_KINDS, decode_details, encode
from etoro_sync.recording.keyframes import IncompleteKeyframe, read_keyframe
from etoro_sync.recording.lines import Entry, Line, parse_line

PRICE = {"ask": 2.0, "bid": 1.0}


def decoded(kind: str, details: Any, at: float = 5.5) -> Any:
    (line,) = encode(Entry(kind, at, 3, details), str)
    assert line.endswith("\n")
    parsed = parse_line(line.encode())
    assert (parsed.at, parsed.generation, parsed.kind) == (at, 3, kind)
    return decode_details(parsed)


times = st.floats(0, 1e11, exclude_max=True)


@given(st.lists(st.text(st.characters())), times)
def test_each_text_comes_back_as_it_was(texts: list[str], at: float) -> None:
    """To the last bit of its time; half of a surrogate pair, too, which a user may send."""
    lines = [parse_line(line.encode()) for line in encode(Entry("texts", at, 3, (at, texts)), str)]
    assert lines == [Line(at, 3, "text", text) for text in texts]
    assert all(math.copysign(1, line.at) == math.copysign(1, at) for line in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ("open",),
        ("close", 1006, "gone"),
        ("reconnecting", 3, 0.25),
        ("stale", 18, 2.5),
        ("reconnected", WsGap(1.5, 2.5, 3, ("instrument:18",))),
        ("private:event", WsPrivateEvent(7, extra={"Foo": [1]}, generation=2, received_at=1.5)),
        ("instrument:rate", 18, WsInstrumentRate(2.0, 1.0, closes=(1.0, None), changed=("ask",))),
        ("instrument:delta", 18, WsInstrumentDelta(ask=2.0, type="Snapshot", received_at=1.5)),
        ("message", WsEnvelope([WsMessage("a", "b", "c", "d")])),
        ("unknown", WsMessage("a", "b", "c", "d")),
        ("unknown", "what a user emits"),
    ],
    ids=lambda arguments: f"{arguments[0]}-{len(arguments)}",
)
def test_each_event_comes_back_as_it_was(arguments: tuple[Any, ...]) -> None:
    """With objects of the same classes, whatever their fields are."""
    event, *rest = arguments
    assert decoded("event", (event, tuple(rest))) == (event, tuple(rest))


def test_an_error_comes_back_by_name_and_words() -> None:
    """Its class may be of anywhere."""
    event, (error,) = decoded("event", ("error", (KeyError("a"),)))
    assert event == "error"
    assert isinstance(error, EToroError)
    assert str(error) == "KeyError: 'a'"


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def endless() -> list[Any]:
    inner: list[Any] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize(
    "odd",
    [
        math.nan,
        math.inf,
        10**5000,
        {(1, 2): 3, None: Odd()},
        Odd(),
        endless(),
        Decimal("1.5"),
        b"bytes",
        {1, 2},
        "\ud800",
        object(),
    ],
    ids=lambda odd: type(odd).__name__,
)
def test_any_object_that_a_user_emits_can_be_written_and_read(odd: Any) -> None:
    """As a text where JSON has nothing better; a recording must not end with it."""
    event, (code, _) = decoded("event", ("close", (1, odd)))
    assert (event, code) == ("close", 1)


@pytest.mark.parametrize("kind", sorted(BOOK_KINDS))
def test_topics_come_back_as_they_were(kind: str) -> None:
    """Of all changes of the book."""
    assert decoded(kind, ("instrument:18", "private")) == ("instrument:18", "private")


def test_a_rate_comes_back_as_it_was() -> None:
    """Of a source that merges rates itself."""
    state = {**UNKNOWN, **PRICE, "changed": ("ask",), "closes": (1.0, None, 2.0), "date": "x"}
    assert decoded("rate", (18, state)) == (18, state)


@given(times)
def test_a_time_of_any_kind_is_written_as_a_number(at: float) -> None:
    """A user's source may give an int, a number of numpy, or nonsense."""
    for odd in (int(at), Decimal(at)):
        (line,) = encode(Entry("texts", at, 1, (odd, ["a"])), str)
        assert parse_line(line.encode()).at == float(odd)
    for wrong in (-1.0, math.nan, math.inf, 1e300):
        (line,) = encode(Entry("texts", at, 1, (wrong, ["a"])), str)
        assert parse_line(line.encode()).at == 0.0


# Keyframes ---------------------------------------------------------------------------------------

STATE = BookState(
    4,
    [
        InstrumentState("instrument:18", UNKNOWN, UNKNOWN, True, True, False, False),
        InstrumentState(
            "instrument:19", {**UNKNOWN, "ask": 2.0}, UNKNOWN, False, False, False, True
        ),
        InstrumentState("instrument:20", {**UNKNOWN, **PRICE}, {**UNKNOWN, **PRICE}, *[True] * 4),
    ],
    [(20, {**UNKNOWN, **PRICE}), (99, {**UNKNOWN, **PRICE, "generation": 3})],
    frozenset([18]),
    frozenset(["instrument:5"]),
)


def keyframe(restored: bool = False) -> list[Line]:
    kind = "restored" if restored else "state"
    return [parse_line(line.encode()) for line in encode(Entry(kind, 5.5, 4, STATE), str)]


@pytest.mark.parametrize("restored", [False, True])
def test_a_keyframe_comes_back_as_it_was(restored: bool) -> None:
    """Also instruments of which a side or the snapshot is missing, and rates of before."""
    head, *rest = keyframe(restored)
    lines = iter([*rest, Line(6.0, 4, "text", "behind")])
    assert read_keyframe(head, lines) == (STATE, restored)
    assert next(lines).text == "behind"


def test_a_keyframe_that_is_cut_says_so() -> None:
    """And gives back the line behind it."""
    head, *rest = keyframe()
    for length in range(len(rest)):
        with pytest.raises(IncompleteKeyframe) as caught:
            read_keyframe(head, iter(rest[:length]))
        assert caught.value.line is None
    other = Line(6.0, 4, "text", "other")
    with pytest.raises(IncompleteKeyframe) as caught:
        read_keyframe(head, iter([rest[0], other]))
    assert caught.value.line is other


HOSTILE = [
    *(True, None, -1, 1e30, 10**40, "x", "1e400", [], {}, [{}], [[1]], {"a": 1}, "\0", 200_001),
    "[" * 10_000,
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:10])
def test_hostile_values_are_refused_or_harmless(value: Any) -> None:
    """In every field of every line: a documented error, or a state of proper kinds."""
    lines = keyframe()
    for number, line in enumerate(lines):
        fields = json.loads(line.text)
        for name in fields:
            _read_hostile(lines, number, {**fields, name: value})
        for part in ("state", "visible"):
            for name in UNKNOWN:
                _read_hostile(lines, number, {**fields, part: {name: value}})


def _read_hostile(lines: list[Line], number: int, fields: dict[str, Any]) -> None:
    changed = [*lines]
    changed[number] = lines[number]._replace(text=json.dumps(fields))
    try:
        state, _ = read_keyframe(changed[0], iter(changed[1:]))
    except (EToroError, IncompleteKeyframe):
        return
    for one in state.instruments:
        assert type(one.state["changed"]) is type(one.state["closes"]) is tuple
        assert type(one.state["generation"]) is int
        if one.settled:
            assert type(one.state["ask"]) is type(one.state["bid"]) is float
    for key, visible in state.latest:
        assert type(key) is int
        WsInstrumentRate(**visible)
        assert visible["ask"] + visible["bid"] > 0
        assert type(visible["date"]) is str


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[1,2]",
        b'"x"',
        b"\xff",
        b"{" * 10_000,
        b'{"at":1,"generation":1,"kind":"text","text":"a"}',
        b'{"at":true,"generation":1,"kind":"text","text":"a"}',
        b'{"at":NaN,"generation":1,"kind":"text","text":"a"}',
        b'{"at":1e400,"generation":1,"kind":"text","text":"a"}',
        b'{"at":1e30,"generation":1,"kind":"text","text":"a"}',
        b'{"at":-1.0,"generation":1,"kind":"text","text":"a"}',
        b'{"at":1.0,"generation":1.0,"kind":"text","text":"a"}',
        b'{"at":1.0,"generation":true,"kind":"text","text":"a"}',
        b'{"at":1.0,"generation":1,"kind":5,"text":"a"}',
        b'{"at":1.0,"generation":1,"kind":"text","text":null}',
        b'{"at":1.0,"generation":1,"kind":"text"}',
    ],
)
def test_what_is_no_line_is_refused(raw: bytes) -> None:
    """By a short error."""
    with pytest.raises(EToroError, match="is no line of a recording") as caught:
        parse_line(raw)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("event", "[" * 10_000),
        ("event", "[]"),
        ("event", '{"event":"opened","arguments":[]}'),
        ("event", '{"event":["open"],"arguments":[]}'),
        ("event", '{"event":"open","arguments":5}'),
        ("event", '{"event":"reconnected","arguments":[{"from":"x","until":1,"generation":1}]}'),
        ("event", '{"event":"reconnected","arguments":[{"from":1}]}'),
        ("event", '{"event":"private:event","arguments":[{"OrderID":7,"generation":"x"}]}'),
        ("event", '{"event":"error","arguments":[{}]}'),
        ("generation", '{"topics":[5]}'),
        ("generation", '{"topics":5}'),
        ("generation", '{"topics":null}'),
        ("rate", '{"instrument_id":1e30,"state":{}}'),
        ("rate", '{"instrument_id":5,"state":{"ask":true}}'),
        ("rate", '{"instrument_id":5,"state":[]}'),
        ("rate", f'{{"instrument_id":5,"state":{{"{"x" * 10_000}":1}}}}'),
    ],
)
def test_details_that_are_not_valid_are_refused(kind: str, text: str) -> None:
    """By a short error that names the kind of line."""
    with pytest.raises(EToroError, match=f"kind '{kind}'") as caught:
        decode_details(Line(1.0, 1, kind, text))
    assert len(str(caught.value)) < 400
