"""The kinds of eToro's error codes, and that its messages can be shown safely."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync.errors import EToroError
from etoro_sync.redaction import Redactor
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.protocol.replies import ErrorKind, classify, error_code, refusal_text


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidKey", ErrorKind.FATAL),
        ("Unauthorized", ErrorKind.FATAL),
        ("Forbidden", ErrorKind.FATAL),
        ("InsufficientPermissions", ErrorKind.FATAL),
        ("ApiKeyRequired", ErrorKind.FATAL),
        ("UserKeyRequired", ErrorKind.FATAL),
        ("DataRequired", ErrorKind.FATAL),
        ("TooManyRequests", ErrorKind.SLOW),
        ("UnhandledException", ErrorKind.RETRY),
        ("BinaryMessagesNotSupported", ErrorKind.REFUSED),
        ("SubscribeFailed", ErrorKind.REFUSED),
        ("Novelty", ErrorKind.REFUSED),
        (5, ErrorKind.REFUSED),
        ([], ErrorKind.REFUSED),
        (None, ErrorKind.REFUSED),
    ],
)
def test_every_code_has_a_kind(code: Any, kind: ErrorKind) -> None:
    """The set is open: what is unknown is a refusal, of any type."""
    assert classify({"errorCode": code}) is kind
    assert classify({"errorCode": code}, "Subscribe") is kind


@pytest.mark.parametrize(
    ("code", "request_name"),
    [("SessionAlreadyAuthenticated", "Authenticate"), ("TopicAlreadySubscribed", "Subscribe")],
)
def test_a_code_is_benign_only_as_the_answer_to_its_request(code: str, request_name: str) -> None:
    """That a topic is subscribed already does not mean that it was unsubscribed."""
    for name in ("Authenticate", "Subscribe", "Unsubscribe", ""):
        expected = ErrorKind.BENIGN if name == request_name else ErrorKind.REFUSED
        assert classify({"errorCode": code}, name) is expected


def test_a_refusal_is_told_in_the_servers_words() -> None:
    """Code and message, where they are there."""
    assert refusal_text("No", {"errorCode": "C", "errorMessage": "why"}, str) == "No: C (why)."
    assert refusal_text("No", {"errorCode": "C"}, str) == "No: C."
    assert refusal_text("No", {}, str) == "No: no errorCode."
    assert (
        refusal_text("No", {"errorCode": 5, "errorMessage": {"a": 1}}, str) == "No: 5 ({'a': 1})."
    )


@pytest.mark.parametrize("place", ["errorCode", "errorMessage"])
@pytest.mark.parametrize("padding", [0, 50, 110, 115, 130])
def test_a_key_in_the_servers_words_is_masked(place: str, padding: int) -> None:
    """Also where the text is cut in the middle of the key."""
    redact = Redactor(["0123456789abcdef"])
    for words in ("x" * padding + "0123456789abcdef", ["x" * padding + "0123456789abcdef"]):
        text = refusal_text("No", {place: words}, redact) + error_code({place: words}, redact)
        assert "0123" not in text
        assert len(text) < 400


def test_words_nested_without_end_are_survived() -> None:
    """The text of an error must not raise."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert (
        refusal_text("No", {"errorCode": deep, "errorMessage": deep}, str) == "No: <list> (<list>)."
    )


def test_a_failed_connection_carries_what_is_to_be_told() -> None:
    """And the text of its error."""
    failure = ConnectionFailed(EToroError("why"))
    assert str(failure) == "why"
    assert (failure.code, failure.fatal, failure.slow) == (1006, False, False)
