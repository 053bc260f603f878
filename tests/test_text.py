"""Foreign text in messages to people: short, on one line, without secrets."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync.redaction import MASK, Redactor, bytes_of, readings
from etoro_sync.text import count, duration, named, no_thread, repeated, shorten, show
from tests.support.timing import MS

KEY = 'eyJhbGci/AAA+xyz=="\\é'


def test_show_is_the_repr_of_small_values() -> None:
    """A bad argument is shown as it was written."""
    assert show("a") == "'a'"
    assert show([1]) == "[1]"


def test_show_cuts_long_values() -> None:
    """A megabyte in a wrong place does not become a megabyte of message."""
    assert show("x" * 10**6) == "'" + "x" * 39 + "..."
    assert show(list(range(100)), 10) == "[0, 1, 2, ..."


def _nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "text"), [(10**5000, "<int>"), (_nested(), "<list>")], ids=["int", "list"]
)
def test_show_survives_values_that_have_no_repr(value: Any, text: str) -> None:
    """A huge integer and a deep list raise from repr, and must not raise from an error message."""
    assert show(value) == text


def test_shorten_shows_how_much_was_cut() -> None:
    """The reader of a log sees that it is not all."""
    assert shorten("x" * 121) == "x" * 120 + "... (121 characters)"
    assert shorten("x" * 120) == "x" * 120
    assert shorten({"a": 1}) == "{'a': 1}"


def test_shorten_keeps_to_one_line() -> None:
    """A line break would let a server forge log records; half a surrogate pair stops a handler."""
    assert shorten("a\nb\x1b[31m\ud83dé") == "a\\nb\\x1b[31m\\ud83dé"


@pytest.mark.parametrize(
    "spelling",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(KEY, ensure_ascii=False)[1:-1],
        KEY.replace("/", "\\/"),
        "".join(f"\\u{ord(char):04X}" for char in KEY),
        "".join(f"\\u{ord(char):04x}" for char in KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower().replace("eyjhbgci", "eyJhbGci").replace("aaa", "AAA"),
    ],
)
def test_a_secret_is_masked_in_every_spelling(spelling: str) -> None:
    """JSON and URLs escape characters, .NET more of them than Python."""
    assert Redactor([KEY])(f"<{spelling}> and {spelling}") == f"<{MASK}> and {MASK}"


def test_a_secret_that_was_cut_off_is_masked() -> None:
    """Eight characters of a key are a part of a key."""
    assert (
        Redactor(["abcdefghijkl"])("key abcdefghij... abcdefgh abcdefg")
        == f"key {MASK}... {MASK} abcdefg"
    )


@pytest.mark.parametrize("order", [1, -1])
def test_secrets_with_a_common_beginning_are_masked_whole(order: int) -> None:
    """Masking one of them must not leave the other's end behind."""
    secrets = ["prefix-1234", "prefix-1234-more", "prefix-1299zzzz"][::order]
    text = "prefix-1234-more prefix-1234 prefix-1299zzzz"
    assert Redactor(secrets)(text) == f"{MASK} {MASK} {MASK}"


@pytest.mark.heavy
def test_secrets_that_come_later_are_masked_too() -> None:
    """Keys that functions return; and of many, the last thousand, so that memory is bounded."""
    redact = Redactor(["a-fixed-secret"])
    for number in range(1500):
        redact.add(f"{number:04}-key\n")
        redact.add(f"{number:04}-key")
    for ignored in (None, b"0001-key", "abc", ""):
        redact.add(ignored)
    text = "a-fixed-secret 0000-key 0499-key 0500-key 1499-key abc"
    assert redact(text) == "*** 0000-key 0499-key *** *** abc"


@pytest.mark.parametrize("word", ["p%E9ss/word", "p%e9ss%2Fword", "p\udce9ss/word"])
def test_a_password_that_is_no_utf8_is_masked_however_it_is_read(word: str) -> None:
    """As it stands in the URL, as bytes, and as those make it who must decode them."""
    raw = b"p\xe9ss/word"
    assert bytes_of(word) == raw
    redact = Redactor(readings(word))
    for shown in (
        word,
        raw.decode("latin-1"),
        raw.decode("utf-8", "surrogateescape"),
        raw.decode("utf-8", "replace"),
        "p%E9ss%2Fword",
        "p%e9ss/word",
    ):
        assert redact(f"<{shown}>") == f"<{MASK}>"


@pytest.mark.parametrize(
    ("secret", "text"),
    [
        ("ababababXYZ-secret-4711", "key=abababababXYZ-secret-4711"),
        ("aaaaaaaaaaaaXYZ-4711", "key=aaaaaaaaaaaaaaaaaaaXYZ-4711"),
        ("abcabcabcabc/4711", "key=abcabcabcabcabc%2F4711"),
    ],
)
def test_a_secret_that_begins_like_itself_leaves_no_tail(secret: str, text: str) -> None:
    """What stands before it may look like its beginning, and overlap it."""
    assert Redactor([secret])(text) == f"key={MASK}"


@pytest.mark.heavy
def test_the_search_for_a_secret_that_repeats_itself_has_a_bound() -> None:
    """A step for each of its characters at each place, also where a server knows it."""
    redact = Redactor(["a" * 40 + "b"])
    began = time.thread_time()
    assert redact("a" * 65_536) == MASK
    assert time.thread_time() - began < 5000 * MS


def test_very_short_secrets_are_left_alone() -> None:
    """An empty key would turn every message into asterisks."""
    assert Redactor(["", "abc"])("abc") == "abc"


@given(st.text(min_size=4), st.text(), st.text())
def test_a_secret_is_never_left_in_text(secret: str, before: str, after: str) -> None:
    """Wherever it stands, it is gone afterwards, and text without it stays as it is."""
    redact = Redactor([secret])
    once = redact(before + secret + after)
    assert MASK in once
    if secret not in (before + MASK + after) and secret[:8] not in MASK:
        assert secret not in once.replace(MASK, "\0") or secret in (before + "\0" + after)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("can't start new thread", "ulimit -u"),
        ("thread is not supported for isolated subinterpreters", "main interpreter"),
        ("daemon threads are disabled in this interpreter", "main interpreter"),
        ("can't create new thread at interpreter shutdown", "The program is ending"),
    ],
)
def test_where_no_thread_can_be_started_something_can_be_done(words: str, advice: str) -> None:
    """It depends on why."""
    text = no_thread(RuntimeError(words))
    assert text.startswith(f"{words}. ")
    assert advice in text


def test_numbers_have_their_nouns_and_units() -> None:
    """One topic, two topics; nothing of what is none; no 0.0 s."""
    assert [count(n, "topic") for n in (0, 1, 2)] == ["0 topics", "1 topic", "2 topics"]
    assert [duration(s) for s in (0.012, 0.0, 0.1, 12.34)] == [
        "12 ms",
        "less than 1 ms",
        "0.1 s",
        "12.3 s",
    ]
    assert named(["private"]) == "private"
    assert named(["private", "instrument:18"]) == "2 topics (first private)"
    assert repeated(0) == ""
    assert repeated(3) == " (3 more since the last report)"
