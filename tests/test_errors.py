"""One ``except EToroError`` is enough, and errors survive copying and pickling."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from etoro_sync import WsPrivateEvent, errors
from etoro_sync.errors import (
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroInstrumentError,
    EToroKeyError,
    EToroOrderError,
    EToroQueueOverflowError,
    EToroRedisError,
    EToroRestError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroTypeError,
    EToroValidationError,
    EToroWebSocketError,
    fresh,
)

EXAMPLES = [
    EToroError("m"),
    EToroAuthError(),
    EToroAuthError("m", "InvalidKey"),
    EToroValidationError("m", "field"),
    EToroWebSocketError("m", "TooManyRequests"),
    EToroSubscriptionError("m", "SubscribeFailed", ["a", "b"]),
    EToroTimeoutError("m", "code"),
    EToroClosedError("m"),
    EToroQueueOverflowError("m", 7),
    EToroKeyError("m"),
    EToroInstrumentError("m", [1, 2]),
    EToroRedisError("m", "OOM"),
    EToroRestError("m", "HTTP 503", 2.0),
    EToroTypeError("m"),
    EToroOrderError("m", WsPrivateEvent(order_id=7, status_id=4, error_code=720)),
]


def test_every_error_is_an_etoro_error() -> None:
    """The tree has one root."""
    assert {type(error) for error in EXAMPLES} == {getattr(errors, n) for n in errors.__all__}
    assert all(isinstance(error, EToroError) for error in EXAMPLES)


def test_errors_are_also_the_builtin_that_they_mean() -> None:
    """``except TimeoutError`` and ``except ValueError`` work as everywhere else."""
    assert issubclass(EToroKeyError, KeyError)
    assert issubclass(EToroInstrumentError, LookupError)
    assert issubclass(EToroTypeError, TypeError)
    assert issubclass(EToroTimeoutError, TimeoutError)
    assert issubclass(EToroValidationError, ValueError)
    for kind in (EToroSubscriptionError, EToroTimeoutError, EToroClosedError):
        assert issubclass(kind, EToroWebSocketError)
    assert not issubclass(EToroAuthError, EToroWebSocketError)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e)), fresh]
)
def test_a_duplicate_has_the_same_text_and_attributes(error: EToroError, duplicate: object) -> None:
    """An error crosses threads and processes without losing its data."""
    assert callable(duplicate)
    other = duplicate(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)
    assert other is not error


def test_fresh_has_the_cause_of_the_original_and_does_not_repeat_its_words() -> None:
    """Each thread raises an error of its own; its traceback says everything once."""
    first = EToroWebSocketError("m", "code")
    assert fresh(first).__cause__ is None
    first.__cause__ = OSError("why")
    assert fresh(first).__cause__ is first.__cause__
    assert fresh(first) is not fresh(first)
    text = "".join(traceback.format_exception(fresh(first)))
    assert text.count("EToroWebSocketError: m") == 1
    assert text.count("why") == 1


@pytest.mark.parametrize("kind", [type(e) for e in EXAMPLES], ids=lambda kind: kind.__name__)
def test_every_error_takes_its_cause_by_name(kind: type[EToroError]) -> None:
    """As etoropy's base class does, which takes it by position, too."""
    more = (WsPrivateEvent(),) if kind is EToroOrderError else ()
    why = OSError("why")
    error = kind("m", *more, cause=why)
    assert error.__cause__ is why
    assert str(error) == "m"
    assert error.args == ("m",)
    assert vars(error) == vars(kind("m", *more))
    assert EToroError("m", why).__cause__ is why
    with pytest.raises(TypeError, match="exception cause must be None or derive"):
        kind("m", *more, cause="why")  # type: ignore[arg-type]


def test_without_a_cause_the_error_that_is_handled_is_shown() -> None:
    """What was being done when it came is half of a report."""
    try:
        raise OSError("why")
    except OSError:
        error = EToroError("m")
    assert not error.__suppress_context__


def test_the_message_of_a_missing_key_has_no_quotes_around_it() -> None:
    """A plain KeyError shows the repr of its text."""
    assert str(EToroKeyError("There is none.")) == "There is none."
    assert "EToroKeyError: There is none." in "".join(
        traceback.format_exception_only(EToroKeyError("There is none."))
    )


def test_the_topics_of_a_refusal_are_a_tuple() -> None:
    """Data of an error is not changed by those who read it."""
    assert EToroSubscriptionError("m").topics == ()
    assert EXAMPLES[5].topics == ("a", "b")  # type: ignore[attr-defined]
