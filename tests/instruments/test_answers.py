"""What a REST answer says, whatever it is; by values alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync import EToroInstrumentError, Instrument
from etoro_sync.instruments.answers import choose, page_of, read_details, unknown
from etoro_sync.instruments.stored import Stored

_KEYS = st.sampled_from(
    [
        *("items", "totalItems", "instrumentDisplayDatas", "instrumentId", "instrumentID"),
        *("internalSymbolFull", "symbolFull", "displayname", "instrumentDisplayName"),
        *("version", "address", "symbols", "ids"),
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(_KEYS | st.text(), inner),
    max_leaves=20,
)


def plain(text: str) -> str:
    return text


@given(_VALUES)
def test_any_json_is_read_or_refused(body: Any) -> None:
    """Nothing that a server can send raises, and what is read is fit to be shown."""
    page = page_of(body)
    assert page is None or all(isinstance(each, Instrument) for each in page.instruments)
    found = [*(page.instruments if page else ()), *(read_details(body) or ())]
    for each in found:
        assert 0 < each < 10**18
        assert (each.symbol + each.name).isprintable()
        assert each.symbol or each.name
        json.dumps(each.describe()).encode()


@given(_VALUES)
def test_any_file_is_read_or_refused(content: Any) -> None:
    """As of another program, or half of one."""
    for text in (json.dumps(content), json.dumps({**_FRAME, "symbols": content, "ids": content})):
        try:
            read = Stored.of(text, "here", 0.0)
        except ValueError:
            continue
        assert all(0 < entry.instrument < 10**18 for entry in read.symbols.values())


_FRAME = {"version": 1, "address": "here"}


def test_one_instrument_that_comes_twice_is_one() -> None:
    """As where pages overlap."""
    one = Instrument(1, "ABC", "One")
    assert choose("ABC", [one, Instrument(1, "ABC", "One")], plain) == 1
    assert choose("ABC", [], plain) is None
    assert choose("", [one], plain) is None


@pytest.mark.parametrize("symbol", ["ABC\u200b", "\u2066ABC", "ABC\x00", "A\u00adBC"])
def test_a_symbol_with_letters_that_nobody_sees_is_another_one(symbol: str) -> None:
    """What is exact is not what looks so."""
    (found,) = read_details({"instrumentDisplayDatas": [{"instrumentID": 1, "symbolFull": symbol}]})  # type: ignore[misc]
    assert choose("ABC", [found], plain) is None


def test_what_has_no_letter_to_be_seen_has_no_name() -> None:
    """An instrument without name and symbol is left out."""
    item = {"instrumentID": 1, "symbolFull": "\u200b", "instrumentDisplayName": " \n"}
    assert read_details({"instrumentDisplayDatas": [item]}) == []


def test_many_candidates_are_counted() -> None:
    """The first five are named."""
    near = [Instrument(number, f"S{number}") for number in range(1, 9)]
    error = unknown("S", near, plain)
    assert isinstance(error, EToroInstrumentError)
    assert "S1 (1), S2 (2), S3 (3), S4 (4), S5 (5) and 3 more." in str(error)
    assert error.candidates == tuple(near)


@pytest.mark.parametrize(
    ("name", "shown"),
    [(" A  B ", "A  B"), ("A\u202eB", "A B"), ("A\ud800B", "A B"), ("A" * 500, "A" * 120)],
)
def test_names_are_fit_for_a_terminal(name: str, shown: str) -> None:
    """Without what turns the direction of text, or breaks it."""
    body = {"instrumentDisplayDatas": [{"instrumentID": 1, "instrumentDisplayName": name}]}
    (found,) = read_details(body) or ()
    assert found.name == shown
