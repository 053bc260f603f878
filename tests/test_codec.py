"""The compiled decoders against dataclasses-json, the strict decoders, and the JSON backends."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from typing import Any

import orjson
import pytest
from dataclasses_json import DataClassJsonMixin, config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etoro_sync import codec, models
from etoro_sync.codec import (
    compile_fields,
    decode_as_text,
    decode_bool,
    decode_code,
    decode_int,
    decode_int_list,
    decode_number,
    decode_text,
    loads_standard,
    wire_fields,
)
from etoro_sync.market.message_parser import BAD_VALUE, decode_private_event
from etoro_sync.models.control import decode_envelope, decode_message
from tests.support.amounts import amount

EXAMPLES = int(os.environ.get("ETORO_SYNC_TEST_EXAMPLES", amount(40, 100)))
MODELS = [
    model
    for model in vars(models).values()
    if isinstance(model, type) and dataclasses.is_dataclass(model)
]
#: What eToro never sends.
OURS = [
    models.WsAuthenticateOperation,
    models.WsGap,
    models.WsSubscribeOperation,
    models.WsUnsubscribeOperation,
]
RECEIVED = [model for model in MODELS if model not in OURS]
#: What a message may lack, and a whole object needs.
REQUIRED: dict[type, dict[str, Any]] = {
    models.WsInstrumentRate: {"Ask": 1.0, "Bid": 2.0},
    models.WsMessage: {"topic": "private", "content": "{}"},
}


class Plain(DataClassJsonMixin):
    """Base of models that only these tests have."""


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        [2**53, -(2**53), 10**30, 10**400, 1.5, 5.0, float("nan"), float("inf"), 1e300]
    ),
    st.sampled_from(
        ["", "1", "1.5", "-7", "nan", "Infinity", "1e999", "1_0", "true", "False", "x", "٣", " 5 "]
    ),
    st.text(max_size=5),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
)
REGULAR = st.one_of(
    st.sampled_from(["4809.34", "139453668908", "2026-04-20T17:24:55.3632795Z", "True", "false"]),
    st.integers(0, 10**12),
    st.floats(0, 1e6),
    st.booleans(),
)


def _inputs(cls: type) -> st.SearchStrategy[Any]:
    """Dictionaries with wire names of *cls*, Python names, foreign names; and other values."""
    names = [field.name for field in dataclasses.fields(cls)]
    wires = list(wire_fields(cls))
    messages = st.fixed_dictionaries(
        dict.fromkeys(("topic", "content", "id"), VALUES), optional={"type": VALUES}
    )
    values = VALUES if cls is not models.WsEnvelope else st.one_of(VALUES, st.lists(messages))
    right = st.dictionaries(st.sampled_from(wires), REGULAR)
    odd = st.dictionaries(st.sampled_from([*wires, *names, "Foreign"]), values)
    full = st.fixed_dictionaries({name: st.one_of(REGULAR, values) for name in wires})
    return st.one_of(right, odd, full, VALUES)


def _outcome(function: Any, data: Any) -> tuple[Any, ...]:
    """What a call returned or raised, and what it warned of, in comparable form."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = function(data)
        except Exception as exc:
            told: tuple[Any, ...] = ("raised", type(exc), str(exc))
        else:
            # repr distinguishes 1 from 1.0 and from True, and is the same for two NaNs.
            told = ("returned", type(result), repr(result))
    return (*told, [(w.category, str(w.message)) for w in caught])


@pytest.mark.long_form
@pytest.mark.parametrize(
    ("cls", "decode"),
    [(models.WsMessage, decode_message), (models.WsEnvelope, decode_envelope)],
    ids=["WsMessage", "WsEnvelope"],
)
def test_a_decoder_of_a_whole_object_equals_from_dict(cls: type[Plain], decode: Any) -> None:
    """Values, types, exceptions with their text, and warnings are those of dataclasses-json."""

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_inputs(cls))
    def check(data: Any) -> None:
        assert _outcome(decode, data) == _outcome(cls.from_dict, data)

    check()


@pytest.mark.long_form
@pytest.mark.parametrize("cls", RECEIVED, ids=lambda cls: cls.__name__)
def test_compiled_fields_equal_from_dict(cls: type[Plain]) -> None:
    """Values, types, exceptions with their text, and warnings are those of dataclasses-json."""
    decode = compile_fields(cls)
    wires = wire_fields(cls)
    required = REQUIRED.get(cls, {})

    def make(data: dict[str, Any]) -> Any:
        return cls(**decode(data))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_inputs(cls))
    def check(data: Any) -> None:
        if type(data) is not dict:
            with pytest.raises(AttributeError):
                decode(data)
            return
        sent = {wire: data[wire] for wire in wires if data.get(wire) is not None}
        # from_dict would take an infinity where the type is float.
        floats = [v for wire, v in sent.items() if wires[wire].cast is float and type(v) is float]
        if not all(map(math.isfinite, floats)):
            # An int beyond the range of a float may stand beside it, and be met first.
            with pytest.raises((TypeError, ValueError, OverflowError)):
                decode(data)
            return
        # Of several bad values the error may be about any.
        for wire, value in sent.items():
            one = {**required, wire: value}
            assert _outcome(make, one) == _outcome(cls.from_dict, one)
        whole = {**required, **sent}
        told, reference = _outcome(make, whole), _outcome(cls.from_dict, whole)
        assert told[0] == reference[0]
        if told[0] == "returned":
            assert told == reference
            assert decode(data) == decode(sent)
        else:
            with pytest.raises(BAD_VALUE):
                decode(data)

    check()


def test_all_models_are_compared() -> None:
    """A new model takes part in the comparison without being named here."""
    names = {cls.__name__ for cls in RECEIVED}
    assert {"WsEnvelope", "WsInstrumentRate", "WsPrivateEvent"} <= names
    assert len(names) == len(MODELS) - len(OURS) == 5


def test_defaults_are_made_anew_for_each_object() -> None:
    """Two events never share the dictionary of their unknown fields."""
    first, second = decode_private_event({}, ""), decode_private_event({}, "")
    assert first.extra is not second.extra
    assert decode_envelope({}).messages is not decode_envelope({}).messages


def test_a_wire_name_without_a_decoder_fails_when_it_is_compiled() -> None:
    """It is refused, and not guessed from the annotation."""

    @dataclasses.dataclass
    class Listed(Plain):
        items: list[int] = dataclasses.field(metadata=config(field_name="Items"))

    with pytest.raises(TypeError, match=r"Listed.items needs a decoder"):
        compile_fields(Listed)


def test_a_field_outside_the_constructor_fails_when_it_is_compiled() -> None:
    """from_dict skips such fields, and an object could not be made with them."""

    @dataclasses.dataclass
    class Hidden(Plain):
        a: int = dataclasses.field(
            default=0, init=False, metadata=config(field_name="A", decoder=decode_int)
        )

    with pytest.raises(TypeError, match=r"Hidden.a: fields outside __init__"):
        compile_fields(Hidden)


def test_one_wire_name_for_two_fields_fails_when_it_is_compiled() -> None:
    """Which of two fields a value belongs to must not be a matter of order."""

    @dataclasses.dataclass
    class Twice(Plain):
        a: int = dataclasses.field(metadata=config(field_name="X", decoder=decode_int))
        b: int = dataclasses.field(metadata=config(field_name="X", decoder=decode_int))

    with pytest.raises(TypeError, match="one wire name for two fields"):
        compile_fields(Twice)


def test_settings_of_the_whole_class_fail_when_it_is_compiled() -> None:
    """A letter case of the class would change every wire name behind the decoder's back."""

    @dataclasses.dataclass
    class Cased(Plain):
        dataclass_json_config = config(undefined="raise")["dataclasses_json"]
        a: int = 0

    with pytest.raises(TypeError, match="settings of the whole class"):
        compile_fields(Cased)


def test_compile_fields_returns_only_what_a_message_carries() -> None:
    """Absent, null, foreign and Python-named fields leave no trace in a delta."""
    decode = compile_fields(models.WsInstrumentRate)
    content = {"Ask": "1.5", "Bid": None, "ask": 9, "generation": 9, "changed": "x", "Foreign": {}}
    assert decode(content) == {"ask": 1.5}
    assert decode({}) == {}


@pytest.mark.parametrize("value", ["nan", "1_0", "1e999", "-Infinity"])
def test_compile_fields_raises_for_a_bad_value(value: str) -> None:
    """A wrong value is the caller's to handle, not to be skipped."""
    with pytest.raises(ValueError, match=f"'{value}' is not a finite number"):
        compile_fields(models.WsInstrumentRate)({"Ask": value, "Bid": "1"})


@pytest.mark.parametrize("ids", ["1" * 400, "1"])
def test_numbers_may_be_large_together(ids: str) -> None:
    """Each is good, though their sum is no float; what is null is left out all the same."""
    content = {"Ask": "1e308", "LastExecution": "1e308", "Bid": None, "PriceRateID": ids}
    decoded = compile_fields(models.WsInstrumentRate)(content)
    assert decoded == {"ask": 1e308, "last_execution": 1e308, "price_rate_id": int(ids)}


def test_wire_fields_are_those_of_the_metadata() -> None:
    """Fields that are ours alone are not among them."""
    names = {wire: field.name for wire, field in wire_fields(models.WsMessage).items()}
    assert names == {name: name for name in ("topic", "content", "id", "type")}
    assert "extra" not in wire_fields(models.WsPrivateEvent)


# Strict decoders ---------------------------------------------------------------------------------

DEEP = _deep(100_000)
ACCEPTED = [
    (decode_number, "4809.34", 4809.34),
    (decode_number, 5, 5.0),
    (decode_number, 1.5, 1.5),
    (decode_number, "-0.5", -0.5),
    (decode_int, "139453668908", 139453668908),
    (decode_int, 7, 7),
    (decode_int, 7.0, 7),
    (decode_int, 10**30, 10**30),
    (decode_int, "-3", -3),
    (decode_bool, True, True),
    (decode_bool, False, False),
    (decode_bool, "True", True),
    (decode_bool, "false", False),
    (decode_bool, "FALSE", False),
    (decode_text, "", ""),
    (decode_text, "x", "x"),
    (decode_code, 0, 0),
    (decode_code, "12", 12),
    (decode_code, "-12", -12),
    (decode_code, "StopLoss", "StopLoss"),
    (decode_code, "²", "²"),
    (decode_code, "--5", "--5"),
    (decode_code, "", ""),
    (decode_int_list, [], []),
    (decode_int_list, [2980225895, "7"], [2980225895, 7]),
    (decode_as_text, '{"Daily":1}', '{"Daily":1}'),
    (decode_as_text, {"Daily": 1.5}, '{"Daily": 1.5}'),
]
REFUSED = [
    *((decode_number, value) for value in (True, None, "", "x", "nan", "1e999", "1_0", [], {})),
    *((decode_number, value) for value in (float("inf"), float("nan"), 10**400, DEEP)),
    *((decode_int, value) for value in (True, None, "", "1.5", 1.5, "1_0", "9" * 5000, [], DEEP)),
    *(
        (decode_int, value)
        for value in (float("nan"), float("inf"), 2.0**53, 1.8446744073709552e19)
    ),
    *((decode_bool, value) for value in (0, 1, "", "yes", "1", None, [], DEEP)),
    *((decode_text, value) for value in (5, None, True, [], DEEP)),
    *((decode_code, value) for value in (1.5, True, None, [], DEEP)),
    *((decode_int_list, value) for value in ("12", 12, None, {}, [1.5], [DEEP])),
    (decode_as_text, DEEP),
]


@pytest.mark.parametrize(("decoder", "value", "result"), ACCEPTED)
def test_strict_decoders_accept(decoder: Any, value: Any, result: Any) -> None:
    """Numbers, flags and codes are taken as eToro writes them: as JSON, and as strings."""
    decoded = decoder(value)
    assert decoded == result
    assert type(decoded) is type(result)


@pytest.mark.parametrize(
    ("decoder", "value"), REFUSED, ids=[f"{d.__name__}-{i}" for i, (d, _) in enumerate(REFUSED)]
)
def test_strict_decoders_refuse(decoder: Any, value: Any) -> None:
    """Anything else is refused with an ordinary error, however deep or long it is."""
    with pytest.raises((TypeError, ValueError, OverflowError)) as caught:
        decoder(value)
    assert len(str(caught.value)) < 200


# JSON --------------------------------------------------------------------------------------------

BACKENDS = [loads_standard, orjson.loads]


def test_orjson_is_used_where_it_is_installed() -> None:
    """The test environment has it, so the default is the fast one."""
    assert codec.JSON_BACKEND == "orjson"
    assert codec.loads is orjson.loads


def test_without_orjson_the_standard_library_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The import decides, and nothing else."""
    import importlib.util
    import sys

    monkeypatch.setitem(sys.modules, "orjson", None)
    spec = importlib.util.spec_from_file_location("etoro_sync._codec_again", codec.__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, again)
    spec.loader.exec_module(again)
    assert again.JSON_BACKEND == "json"
    assert again.loads is again.loads_standard


@pytest.mark.parametrize("loads", BACKENDS)
@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        '{"a":NaN}',
        "",
        "{",
        "{}x",
        "\ufeff{}",
        "'a'",
        "[1,]",
        "[" * 100000,
        "[" * 100000 + "]" * 100000,
        "9" * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_both_backends_refuse_with_a_value_error(loads: Any, text: str) -> None:
    """What is not JSON, or too much of it, is one kind of error with either backend."""
    with pytest.raises(ValueError):
        loads(text)


@pytest.mark.parametrize("loads", BACKENDS)
def test_both_backends_let_the_later_of_two_equal_keys_win(loads: Any) -> None:
    """JSON leaves it open; the backends agree."""
    assert loads('{"a":1,"a":2}') == {"a": 2}


@pytest.mark.parametrize("loads", BACKENDS)
def test_keys_that_differ_only_in_case_are_two(loads: Any) -> None:
    """eToro sends StatusID and StatusId in one event."""
    assert loads('{"StatusID":11,"StatusId":12}') == {"StatusID": 11, "StatusId": 12}


def test_integers_beyond_64_bits_are_exact_only_in_the_standard_library() -> None:
    """orjson makes a float of them, which decode_int refuses rather than round."""
    assert loads_standard("18446744073709551617") == 18446744073709551617
    assert orjson.loads("18446744073709551617") == 1.8446744073709552e19
    assert orjson.loads("18446744073709551615") == 18446744073709551615


def test_numbers_too_large_for_a_float_differ() -> None:
    """The standard library reads infinity, which decode_number refuses; orjson refuses at once."""
    assert loads_standard("1e999") == float("inf")
    with pytest.raises(ValueError, match="infinity"):
        orjson.loads("1e999")


def test_half_of_a_surrogate_pair_differs() -> None:
    """The standard library keeps it; orjson refuses the text."""
    assert loads_standard('"\\ud83d"') == "\ud83d"
    with pytest.raises(ValueError, match="surrogate"):
        orjson.loads('"\\ud83d"')


@pytest.mark.long_form
@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_both_backends_read_what_either_writes(value: Any) -> None:
    """For JSON that orjson can write, the results are equal, types included."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError):
        return
    assert repr(loads_standard(text)) == repr(orjson.loads(text))
