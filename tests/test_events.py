"""Names of events and topics, checked where they are written."""

from __future__ import annotations

import datetime
import enum
from itertools import count
from typing import Any

import pytest

from etoro_sync.errors import EToroValidationError
from etoro_sync.events import (
    EVENTS,
    INSTRUMENT_EVENTS,
    MARKET_EVENTS,
    SYMBOLS,
    check_event,
    check_filter,
    check_instrument_id,
    check_instrument_ids,
    check_timeout,
    check_topics,
)
from tests.support.foreign import Float, Int, bool_


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


def test_the_error_of_a_decorator_without_parentheses_says_where_the_name_goes() -> None:
    """``@client.on`` passes the handler in the place of the event."""
    with pytest.raises(EToroValidationError, match=r"as in @client\.on\('instrument:rate'\)"):
        check_event(lambda instrument_id, rate: None)


@pytest.mark.parametrize(
    ("topic", "advice"),
    [
        ("100000", "Write 100000."),
        (" instrument:100000", "Write 'instrument:100000'."),
        ("Instrument:18", "Write 'instrument:18'."),
        (100000.0, "Write 100000."),
        ("BTC", SYMBOLS),
        ("instrument:BTC", SYMBOLS),
        ("Private", "Did you mean 'private'?"),
        ("privat", "Did you mean 'private'?"),
        ("private:event", "'private:event' is an event, for on() and queue()."),
        ("instrument:rate", "'instrument:rate' is an event, for on() and queue()."),
        ("rates", SYMBOLS),  # which is a little like "private"
        ("orders", "Order events come with 'private'."),
        ("portfolio.positions", "Order events come with 'private'."),
        ("quotes:18", "for an instrument."),
        ("instrument:0", "for an instrument."),
    ],
)
def test_the_refusal_of_a_topic_says_what_to_write(topic: Any, advice: str) -> None:
    """For what people write first."""
    with pytest.raises(EToroValidationError) as caught:
        check_topics([topic])
    assert str(caught.value).endswith(advice)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("100000", "Write 100000."),
        ("instrument:18", "Write 18."),
        (100000.0, "Write 100000."),
        ("BTC", SYMBOLS),
        ("", "not ''."),
        ("0", "not '0'."),
        (1.5, "not 1.5."),
    ],
)
def test_the_refusal_of_an_instrument_says_what_to_write(value: Any, advice: str) -> None:
    """One alone, or in a list."""
    with pytest.raises(EToroValidationError) as caught:
        check_instrument_id(value)
    assert str(caught.value).endswith(advice)
    with pytest.raises(EToroValidationError) as caught:
        check_instrument_ids(value)
    assert str(caught.value).endswith(advice)


def test_numbers_of_other_libraries_become_pythons() -> None:
    """So that hashes, texts and JSON are those of an int."""
    assert check_topics(Int(18)) == check_topics([Int(18), 18]) == ["instrument:18"]
    for ids in (check_instrument_ids(Int(18)), check_instrument_ids([Int(18), 18])):
        assert repr(ids) == "(18,)"
    assert repr(check_instrument_id(Int(18))) == "18"
    assert repr(check_timeout(Float(1.5))) == "1.5"
    numpy = pytest.importorskip("numpy")
    assert check_topics(numpy.array([18, 19])) == ["instrument:18", "instrument:19"]
    assert repr(check_instrument_ids(numpy.array([18, 19]))) == "(18, 19)"


def test_a_sequence_is_what_can_be_iterated() -> None:
    """Also by ``__getitem__`` alone."""

    class Ids:
        def __getitem__(self, place: int) -> int:
            return [18, 19][place]

    assert check_instrument_ids(Ids()) == (18, 19)
    assert check_topics(Ids()) == ["instrument:18", "instrument:19"]


def test_an_event_of_an_enum_becomes_its_text() -> None:
    """Texts about a queue name the event, and not the member."""

    class Event(str, enum.Enum):
        RATE = "instrument:rate"

    assert repr(check_event(Event.RATE)) == "'instrument:rate'"


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
    """From zero on; one that no clock could count is as good as none."""
    seconds = check_timeout(timeout)
    assert seconds == timeout or seconds == 1e9


@pytest.mark.parametrize(
    "timeout", [-1, -0.5, float("nan"), True, bool_(), "1", [], -(10**5000)], ids=count()
)
def test_other_timeouts_are_refused(timeout: Any) -> None:
    """NaN among them, which compares with nothing."""
    with pytest.raises(EToroValidationError) as caught:
        check_timeout(timeout)
    assert caught.value.field == "timeout"


@pytest.mark.parametrize(
    ("timeout", "advice"),
    [
        (datetime.timedelta(seconds=5), "Pass its total_seconds()."),
        ("5", "Convert it with float()."),
        ("soon", "not 'soon'."),
    ],
)
def test_the_refusal_of_a_timeout_says_how_to_convert_it(timeout: Any, advice: str) -> None:
    """For what comes from files, and from datetime."""
    with pytest.raises(EToroValidationError) as caught:
        check_timeout(timeout)
    assert str(caught.value).endswith(advice)
