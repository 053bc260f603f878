"""Secrets are masked in each spelling, and the quick look for them misses none."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etoro_sync.redaction import MASK, Redactor, _find, _patterns
from tests.support.amounts import amount

pytestmark = pytest.mark.heavy

KEY = "planted/key+4711=ab"


def in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def by_number(text: str) -> str:
    return "".join(f"\\u{ord(char):04X}" for char in text)


def with_slashes(text: str) -> str:
    return in_json(text).replace("/", "\\/")


def for_url(text: str) -> str:
    return quote(text, safe="")


Way = Callable[[str], str]
SPELLINGS: list[Way] = [str, in_json, by_number, with_slashes, for_url]


WAYS = [
    *((one,) for one in SPELLINGS),
    *((one, in_json) for one in SPELLINGS),
    *((one, in_json, in_json) for one in SPELLINGS),
    *((for_url, for_url), (for_url, in_json, for_url)),
]


@pytest.mark.parametrize("ways", WAYS, ids=lambda ways: " ".join(way.__name__ for way in ways))
def test_a_secret_is_masked_however_often_it_is_escaped(ways: tuple[Way, ...]) -> None:
    """A server may repeat it in JSON in JSON, as it sends prices."""
    text = KEY
    for way in ways:
        text = way(text)
    assert Redactor([KEY])(f'a "{text}" z') == f'a "{MASK}" z'


pieces = st.one_of(
    st.sampled_from(["\\", '"', '\\"', "%", "u", "/", "\\\\", KEY[:8], KEY, KEY[3:], "5", "{"]),
    st.sampled_from([spell(KEY[: n + 4]) for spell in SPELLINGS for n in range(12)]),
    st.text(max_size=3),
)
secrets = st.one_of(st.just(KEY), st.text('ab\\"%/é\U0001f600 u0', min_size=4, max_size=12))


@pytest.mark.long_form
@settings(max_examples=amount(40, 400))
@given(st.lists(pieces, max_size=12).map("".join), secrets)
@example('ab\\"cd', 'ab"cd')
@example("x\\\\", "x\\\\y")
def test_the_quick_look_finds_what_the_plain_way_finds(text: str, secret: str) -> None:
    """It is for the texts of a recording, of which there are thousands a second."""
    head, tail, _ = _patterns(secret)
    assert (Redactor([secret])(text) != text) == bool(
        [span for span in _find(head, tail, text) if text[slice(*span)] != MASK]
    )


@given(st.lists(pieces, max_size=6).map("".join), st.lists(pieces, max_size=6).map("".join))
def test_a_secret_is_found_wherever_it_stands(before: str, after: str) -> None:
    """Whatever is around it."""
    assert KEY not in Redactor([KEY])(before + KEY + after)
    assert KEY not in Redactor([KEY])(f'{{"a":{json.dumps(before + KEY + after)}}}')
