"""What Retry-After asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etoro_sync.ws.transport.retry_after import retry_after

NOON = 784_897_200.0  # Tue, 15 Nov 1994 11:00:00 GMT


def ask(value: str, status: int = 429, more: str = "") -> float | None:
    head = f"HTTP/1.1 {status} No\r\nX: y\r\n{more}Retry-After: {value}\r\n\r\n"
    return retry_after(status, head.encode("latin-1"), NOON)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Tue, 15 Nov 1994 11:02:00 GMT", 120.0),
        ("Tuesday, 15-Nov-94 11:02:00 GMT", 120.0),
        ("Tue Nov 15 11:02:00 1994", 120.0),
        ("Tue, 15 Nov 1994 10:00:00 GMT", 0.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 10, None),
        ("9" * 5000, None),
        ("\xb2", None),
        ("Tue, 15 Nov 99999 11:02:00 GMT", None),
    ],
)
def test_seconds_or_a_date(value: str, seconds: float | None) -> None:
    """In each of the forms that HTTP knows; what is neither asks for nothing."""
    assert ask(value) == seconds


def test_a_date_is_compared_with_the_servers_own_clock() -> None:
    """The one of this machine may be wrong by years."""
    date = "Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
    assert ask("Wed, 21 Oct 2015 07:28:30 GMT", more=date) == 30.0
    assert ask("30", more=date) == 30.0


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, 5.0), (503, 5.0), (302, None), (403, None), (None, None)]
)
def test_only_where_it_says_when_to_ask_again(status: int | None, seconds: float | None) -> None:
    """A 429 or a 503; elsewhere it means something else, or nothing."""
    assert retry_after(status, b"HTTP/1.1 x\r\nretry-after:5\r\n\r\n", NOON) == seconds


@given(st.text(max_size=40))
def test_no_text_breaks_it(value: str) -> None:
    """The header comes from the network, so it may hold anything."""
    seconds = retry_after(503, f"HTTP/1.1 503\nRetry-After: {value}".encode(), NOON)
    assert seconds is None or seconds >= 0
