"""One ``except EToroError`` is enough, and errors survive copying and pickling."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from etoro_sync import errors
from etoro_sync.errors import (
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroQueueOverflowError,
    EToroSubscriptionError,
    EToroTimeoutError,
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
]


def test_every_error_is_an_etoro_error() -> None:
    """The tree has one root."""
    assert {type(error) for error in EXAMPLES} == {getattr(errors, n) for n in errors.__all__}
    assert all(isinstance(error, EToroError) for error in EXAMPLES)


def test_errors_are_also_the_builtin_that_they_mean() -> None:
    """``except TimeoutError`` and ``except ValueError`` work as everywhere else."""
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


def test_the_topics_of_a_refusal_are_a_tuple() -> None:
    """Data of an error is not changed by those who read it."""
    assert EToroSubscriptionError("m").topics == ()
    assert EXAMPLES[5].topics == ("a", "b")  # type: ignore[attr-defined]
