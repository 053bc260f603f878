"""Names of events and topics, checked where they are written."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from etoro_sync.errors import EToroValidationError
from etoro_sync.ws.events import (
    EVENTS,
    INSTRUMENT_EVENTS,
    MARKET_EVENTS,
    check_event,
    check_filter,
    check_instrument_id,
    check_instrument_ids,
    check_timeout,
    check_topics,
)


def test_the_groups_are_of_known_events() -> None:
    """And every known event passes the check."""
    assert set(EVENTS) >= INSTRUMENT_EVENTS | MARKET_EVENTS
    assert [check_event(event) for event in EVENTS] == list(EVENTS)


@pytest.mark.parametrize(
    ("event", "near"),
    [("instrument:rates", "instrument:rate"), ("closed", "close"), ("private", "private:event")],
)
def test_an_unknown_event_is_refused_with_the_nearest_known_one(event: str, near: str) -> None:
    """A misspelt name would be a callback that is never called."""
    with pytest.raises(EToroValidationError, match=f"Did you mean '{near}'") as caught:
        check_event(event)
    assert caught.value.field == "event"


@pytest.mark.parametrize("event", [None, 5, [], "", "q" * 10**6, 10**5000], ids=count())
def test_an_event_of_any_type_is_refused(event: Any) -> None:
    """With a short text."""
    with pytest.raises(EToroValidationError, match="Unknown event") as caught:
        check_event(event)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("topics", "checked"),
    [
        ("private", ["private"]),
        ("instrument:18", ["instrument:18"]),
        ("instrument:0018", ["instrument:18"]),
        (18, ["instrument:18"]),
        ([18, "instrument:18", "private", 18], ["instrument:18", "private"]),
        ((n for n in (1, 2)), ["instrument:1", "instrument:2"]),
        ({"private": 1}, ["private"]),
        (10**18 - 1, ["instrument:999999999999999999"]),
    ],
)
def test_topics_are_brought_to_etoros_spelling(topics: Any, checked: list[str]) -> None:
    """One or several, strings or ids, each once."""
    assert check_topics(topics) == checked


@pytest.mark.parametrize(
    "topics",
    [
        *(None, [], "", "Private", "instrument", "instrument:", "instrument:0", "instrument:-1"),
        *("instrument:x", "instrument:1.5", "instrument:1e3", "instrument: 1", "instrument:١"),
        *("instrument:1:2", "quotes:1", "instrument:" + "1" * 19, b"private", 0, -1, 10**18),
        *(10**5000, True, False, 1.5, [True], [None], [1.5], [b"private"], [["private"]], object()),
    ],
    ids=count(),
)
def test_what_is_no_topic_is_refused(topics: Any) -> None:
    """eToro has no others, and what it would answer nobody knows."""
    with pytest.raises(EToroValidationError) as caught:
        check_topics(topics)
    assert caught.value.field == "topics"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, 10**18, 10**5000], ids=count())
def test_an_instrument_id_is_a_positive_int(value: Any) -> None:
    """Named after the argument."""
    with pytest.raises(EToroValidationError) as caught:
        check_instrument_id(value)
    assert caught.value.field == "instrument_id"
    with pytest.raises(EToroValidationError) as caught:
        check_instrument_ids([1, value], "ids")
    assert caught.value.field == "ids"


def test_instrument_ids_are_one_or_several() -> None:
    """Each once, in order."""
    assert check_instrument_id(18) == 18
    assert check_instrument_ids(18) == (18,)
    assert check_instrument_ids([2, 1, 2]) == (2, 1)


@pytest.mark.parametrize("values", [None, [], "18", b"18", True, 1.5])
def test_instrument_ids_of_other_types_are_refused(values: Any) -> None:
    """A string would be a list of digits."""
    with pytest.raises(EToroValidationError) as caught:
        check_instrument_ids(values)
    assert caught.value.field == "instrument_ids"


def test_only_events_of_instruments_can_be_filtered() -> None:
    """A filter of another event would never match."""
    assert check_filter("stale", [1], "ids") == (1,)
    assert check_filter("error", None, "ids") is None
    with pytest.raises(EToroValidationError, match="'error' does not belong to an instrument"):
        check_filter("error", [1], "ids")


@pytest.mark.parametrize("timeout", [None, 0, 0.5, 10**400])
def test_a_timeout_is_none_or_seconds(timeout: Any) -> None:
    """From zero on."""
    check_timeout(timeout)


@pytest.mark.parametrize(
    "timeout", [-1, -0.5, float("nan"), True, "1", [], -(10**5000)], ids=count()
)
def test_other_timeouts_are_refused(timeout: Any) -> None:
    """NaN among them, which compares with nothing."""
    with pytest.raises(EToroValidationError) as caught:
        check_timeout(timeout)
    assert caught.value.field == "timeout"
