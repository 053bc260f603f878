"""An event survives the file as it is, whatever is in it, and without the keys."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etoro_sync import WsPrivateEvent
from etoro_sync.market.message_parser import decode_private_event
from etoro_sync.redaction import Redactor
from etoro_sync.store.rows import column, decode, encode, finite

KEY = "planted-api-key-4711"

# Surrogates, NULs and line breaks included.
TEXTS = st.text(st.characters(), max_size=8)
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["OrderID", "StatusID", "RequestGuid", "CloseReason", "IsBuy", "Odd"])
EVENTS = st.builds(
    lambda content, type_: decode_private_event(content, type_),
    st.dictionaries(NAMES | TEXTS, VALUES, max_size=6),
    TEXTS,
)


@given(EVENTS, TEXTS)
def test_an_event_comes_back_as_it_was(event: WsPrivateEvent, message_id: str) -> None:
    """All fields, the odd ones and those of the library too, through a real table."""
    event.message_id, event.received_at, event.generation = message_id, 1.5, 3
    row = encode(event, str)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE events (key, content, a, b, c, d, e)")
    connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    (found,) = connection.execute("SELECT e FROM events").fetchone()
    connection.close()
    assert decode(found) == event


def test_only_what_was_sent_counts_for_the_content() -> None:
    """The connection, the time and the message's id do not; each field of eToro's does."""
    one = WsPrivateEvent(order_id=7, status_id=3, message_id="a", generation=1, received_at=1.0)
    other = WsPrivateEvent(order_id=7, status_id=3, message_id="b", generation=2, received_at=2.0)
    assert encode(one, str).content == encode(other, str).content
    assert encode(one, str).key != encode(other, str).key
    for more in ({"status_id": 4}, {"extra": {"New": 1}}, {"type": "t"}, {"net_profit": 0.1}):
        changed = WsPrivateEvent(**{"order_id": 7, "status_id": 3, **more})
        assert encode(changed, str).content != encode(one, str).content


def test_promise_14_keys_are_not_stored() -> None:
    """Promise 14: neither plain nor escaped, also where a server repeats them in odd places."""
    redact = Redactor([KEY, "12345678"])
    escaped = "".join(f"\\u{ord(c):04x}" for c in KEY)
    for extra in ({"a": KEY}, {KEY: 1}, {"a": [escaped]}, {"a": 12345678}):
        row = encode(WsPrivateEvent(order_id=7, extra=extra), redact)
        assert KEY not in row.text
        assert escaped not in row.text
        assert "12345678" not in row.text
        assert "***" in row.text
        assert decode(row.text).order_id == 7
        assert row.order_id == 7


def test_what_json_cannot_hold_is_shown() -> None:
    """Of sources of the user's own: the event is stored in any case, with its order."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for odd in (deep, {1: 2, "a": 3}, {"a": object()}, {"a": 10**5000}):
        event = WsPrivateEvent(order_id=7, status_id=3, extra={"x": odd})
        row = encode(event, str)
        assert (row.order_id, row.status_id) == (7, 3)
        assert decode(row.text).order_id == 7
    # Freed level by level, because the interpreter's stack is not that deep everywhere.
    while deep:
        deep = deep.pop()


def test_ids_fit_into_the_file() -> None:
    """SQLite's integers have 64 bits and its text no lone surrogates; NaN would be nothing."""
    assert [column(v) for v in (None, 5, -(2**63), 2**63 - 1)] == [None, 5, -(2**63), 2**63 - 1]
    assert column(2**63) == str(2**63)
    assert column("a\ud800b") == "a\\ud800b"
    assert column(10**5000) == "<int>"
    assert [finite(v) for v in (1, 2.5, float("nan"), float("inf"), None, "x")] == [
        *(1.0, 2.5),
        *(0.0, 0.0, 0.0, 0.0),
    ]


def test_a_row_that_somebody_has_changed_keeps_no_other_from_being_read() -> None:
    """It becomes an event with the row's text; fields of later versions are left out."""
    for text in ("", "[]", "7", '{"order_id": 7', "null"):
        assert decode(text) == WsPrivateEvent(extra={"content": text})
    assert decode(json.dumps({"order_id": 7, "of_a_later_version": 1})).order_id == 7
