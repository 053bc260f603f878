"""What is written to Redis is read back exactly, and anything else is refused with its key."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync import EToroError, EToroRedisError, EToroValidationError, WsGap
from etoro_sync.models import WsInstrumentRate, WsPrivateEvent
from etoro_sync.redis.layout.event_rows import (
    CONNECTED,
    PUBLISHED,
    TAKEOVER,
    decode_event,
    encode_event,
)
from etoro_sync.redis.layout.order_rows import decode_order, digest_of, encode_order
from etoro_sync.redis.layout.rows import (
    COLUMNS,
    decode_rates,
    decode_state,
    encode_rate,
    encode_rates,
    encode_state,
)

RATE = WsInstrumentRate(ask=2.0, bid=1.0, instrument_id=7)
WHERE = "etoro-sync:{main}:rates"
numbers = st.floats(allow_nan=False, allow_infinity=False)
flags = st.none() | st.booleans()
fields = [f.name for f in dataclasses.fields(WsInstrumentRate)]
rates = st.builds(
    WsInstrumentRate,
    ask=numbers,
    bid=numbers,
    last_execution=numbers,
    date=st.text(max_size=30).filter(lambda text: text.isascii()),
    price_rate_id=st.integers(-(2**63), 2**63 - 1),
    bid_discounted=st.none() | numbers,
    ask_discounted=st.none() | numbers,
    conversion_rate_ask=st.none() | numbers,
    conversion_rate_bid=st.none() | numbers,
    is_instrument_active=flags,
    is_market_open=flags,
    is_exchange_open=flags,
    allow_buy=flags,
    allow_sell=flags,
    availability_reason=st.none() | st.integers(0, 10),
    changed=st.lists(st.sampled_from(fields), unique=True).map(tuple),
    generation=st.integers(0, 10**6),
    received_at=numbers,
    instrument_id=st.integers(1, 10**18 - 1),
    closes=st.just(()) | st.tuples(*[st.none() | numbers] * 3),
)


def _finite(rate: WsInstrumentRate) -> bool:
    # The check of finite numbers adds them up, so that sums beyond all floats are refused, too.
    values = [v for v in vars(rate).values() if type(v) is float]
    return math.isfinite(sum(map(abs, values)))


def test_a_row_has_each_field_of_a_rate() -> None:
    """A field that is added to the model must get a column, and a new version of the layout."""
    assert sorted(COLUMNS) == sorted(fields)


@given(st.lists(rates.filter(_finite), max_size=5))
def test_rates_are_read_as_they_were_written(some: list[WsInstrumentRate]) -> None:
    """Each value, its type, and the order of the changed fields."""
    text = encode_rates([encode_rate(rate) for rate in some])
    assert list(map(repr, decode_rates(text, WHERE))) == list(map(repr, some))


@given(rates.filter(_finite), st.integers(1, 10**6), st.integers(1, 10**12))
def test_states_are_read_as_they_were_written(
    rate: WsInstrumentRate, epoch: int, number: int
) -> None:
    """Epoch and number of the rate come with it."""
    assert decode_state(encode_state(epoch, number, encode_rate(rate)), WHERE) == (
        epoch,
        number,
        rate,
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", object()])
@pytest.mark.parametrize("field", ["ask", "bid", "received_at", "ask_discounted"])
def test_a_rate_that_json_cannot_hold_is_refused(field: str, value: Any) -> None:
    """A NaN would be read as unknown, or stop the reader."""
    rate = dataclasses.replace(
        WsInstrumentRate(ask=2.0, bid=1.0, instrument_id=7), **{field: value}
    )
    with pytest.raises(EToroValidationError, match="instrument 7"):
        encode_rate(rate)


def test_a_rate_with_an_id_beyond_64_bits_is_refused() -> None:
    """A fast parser would read it as a float."""
    with pytest.raises(EToroValidationError, match="64 bits"):
        encode_rate(dataclasses.replace(RATE, price_rate_id=2**63))


GOOD = json.loads(encode_rate(RATE))
BAD: list[tuple[str, Any]] = [
    ("instrument_id", 0),
    ("instrument_id", 10**18),
    ("instrument_id", True),
    ("instrument_id", "7"),
    ("ask", None),
    ("ask", "2.0"),
    ("bid", True),
    ("bid", [1.0]),
    ("date", None),
    ("date", 5),
    ("price_rate_id", 1.5),
    ("ask_discounted", "1"),
    ("is_market_open", 1),
    ("is_market_open", "true"),
    ("availability_reason", 1.0),
    ("changed", "?"),
    ("changed", ["ask"]),
    ("generation", None),
    ("received_at", "now"),
    ("closes", None),
    ("closes", ["1"]),
    ("closes", {"0": 1}),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_row_with_a_bad_value_names_key_and_column(name: str, value: Any) -> None:
    """Whether a row of the same types was read before or not."""
    row = list(GOOD)
    row[COLUMNS.index(name)] = value
    for text in (json.dumps([row]), json.dumps([GOOD, row]).encode()):
        with pytest.raises(EToroValidationError, match=name) as caught:
            decode_rates(text, WHERE)
        assert WHERE in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        b"\xff",
        "{}",
        "null",
        "[[]]",
        "[7]",
        json.dumps([GOOD[:-1]]),
        json.dumps([[*GOOD, 1]]),
        "[" * 100_000,
        json.dumps([GOOD]).replace("2.0", "1e999"),
        json.dumps([GOOD]).replace("2.0", "NaN"),
    ],
)
def test_a_text_that_is_no_list_of_rows_is_refused(text: str | bytes) -> None:
    """With the key; whatever the text is."""
    with pytest.raises(EToroValidationError, match="main"):
        decode_rates(text, WHERE)


@pytest.mark.parametrize(
    "state", [{}, [1, 1], [1, 0, GOOD], ["1", 1, GOOD], [1, 1.0, GOOD], [1, 1, [GOOD]], [1, 1, 1]]
)
def test_a_state_of_another_shape_is_refused(state: Any) -> None:
    """Epoch and number are positive integers."""
    with pytest.raises(EToroValidationError, match="main"):
        decode_state(json.dumps(state), WHERE)


def test_whole_prices_of_another_writer_become_floats() -> None:
    """JSON of other languages writes 2 for 2.0."""
    (rate,) = decode_rates(json.dumps([GOOD]).replace("2.0", "2"), WHERE)
    assert type(rate.ask) is float


# Orders ------------------------------------------------------------------------------------------

ORDER = WsPrivateEvent(
    order_id=7,
    status_id=3,
    executed_units=2.5,
    close_reason="x",
    pending_close_position_ids=[1, 2],
    is_buy=True,
    extra={"New": {"a": [1, None]}},
    type="T",
    generation=2,
    received_at=1.5,
    message_id="m",
)


def test_an_order_is_read_as_it_was_written() -> None:
    """Each field, also those that the library does not know."""
    assert decode_order(encode_order(ORDER), WHERE) == ORDER
    assert decode_order(encode_order(WsPrivateEvent()), WHERE) == WsPrivateEvent()


def test_two_publishers_agree_on_the_digest_of_one_order() -> None:
    """Message id, connection and time of receipt differ between them."""
    other = dataclasses.replace(ORDER, message_id="n", generation=9, received_at=3.0)
    changed = dataclasses.replace(ORDER, executed_units=3.0)
    digest = digest_of(encode_order(ORDER))
    assert digest == digest_of(encode_order(other))
    assert digest != digest_of(encode_order(changed))


def test_an_order_that_json_cannot_hold_is_written_as_text() -> None:
    """An order event must not be lost for its form."""
    odd = dataclasses.replace(ORDER, extra={"x": object()}, amount=math.nan)
    read = decode_order(encode_order(odd), WHERE)
    assert (read.order_id, read.message_id) == (7, "m")
    assert "object" in read.extra["content"]


def test_keys_in_an_order_are_masked() -> None:
    """A server may repeat what it was sent."""
    odd = dataclasses.replace(ORDER, error_message="key SECRET", extra={"SECRET": ["SECRET"]})
    text = encode_order(odd, lambda text: text.replace("SECRET", "***"))
    assert "SECRET" not in text
    assert decode_order(text, WHERE).extra == {"***": ["***"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("order_id", "7"),
        ("order_id", 1.5),
        ("requested_units", None),
        ("executed_units", "1"),
        ("is_buy", 1),
        ("pending_close_position_ids", ["1"]),
        ("extra", []),
        ("received_at", True),
        ("message_id", None),
        ("close_reason", 1.5),
    ],
)
def test_an_order_with_a_bad_value_names_key_and_field(name: str, value: Any) -> None:
    """The types are those of the model."""
    with pytest.raises(EToroValidationError, match=f"main.*{name}"):
        decode_order(json.dumps({name: value}), WHERE)


def test_an_order_of_a_later_version_is_read() -> None:
    """Fields that this version does not know are left out; anything but an object is refused."""
    assert decode_order('{"order_id": 7, "later": 1}', WHERE).order_id == 7
    with pytest.raises(EToroValidationError, match="main"):
        decode_order("[]", WHERE)


# Events ------------------------------------------------------------------------------------------

EXAMPLES: dict[str, tuple[Any, ...]] = {
    "open": (),
    "authenticated": (),
    TAKEOVER: (),
    CONNECTED: (True,),
    "close": (1006, "lost"),
    "reconnecting": (2, 0.5),
    "reconnected": (WsGap(1.5, 2.5, 3, ("private", "instrument:7")),),
    "stale": (7, 60.5),
    "error": (EToroRedisError("full", "OOM"),),
}


@pytest.mark.parametrize("name", [*PUBLISHED, TAKEOVER, CONNECTED])
def test_events_are_read_as_they_were_written(name: str) -> None:
    """Arguments, as handlers get them."""
    args = EXAMPLES[name]
    read = decode_event(name, encode_event(name, args), WHERE)
    assert [*map(repr, read)] == [*map(repr, args)]
    if name == "error":
        assert read[0].error_code == "OOM"


def test_an_error_of_another_kind_comes_as_an_etoro_error() -> None:
    """No class is looked up that a writer could choose."""
    for error in (KeyError("x"), EToroError("x")):
        (read,) = decode_event("error", encode_event("error", (error,)), WHERE)
        assert type(read) is EToroError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("odd", "[]"),
        ("open", "[1]"),
        ("open", "{}"),
        ("close", '["1006", "x"]'),
        ("close", "[1006]"),
        ("reconnecting", "[1, null]"),
        ("reconnected", "[[1, 2]]"),
        ("reconnected", "[[1, 2, 3, [7]]]"),
        ("stale", "[0, 1.0]"),
        ("stale", '[7, "1"]'),
        ("error", '["x"]'),
        ("error", '[{"error": ["x"], "message": "m", "code": null}]'),
        ("error", "[{}]"),
        ("error", "x"),
    ],
)
def test_an_event_with_bad_arguments_is_refused(name: str, text: str) -> None:
    """With the key."""
    with pytest.raises(EToroValidationError, match="main"):
        decode_event(name, text, WHERE)


def test_keys_in_an_error_are_masked() -> None:
    """Whatever the text of the error is."""
    text = encode_event("error", (EToroError("SECRET"),), lambda t: t.replace("SECRET", "***"))
    assert "SECRET" not in text
