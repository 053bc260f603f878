"""Authenticate: the request, its replies, and the errors that users get for these."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etoro_sync.errors import (
    EToroAuthError,
    EToroError,
    EToroWebSocketError,
)
from etoro_sync.ws.failures import ConnectionFailed
from tests.ws.protocol.tools import API_KEY, USER_KEY, Client


def test_authenticate_is_the_documented_request() -> None:
    """Both keys, an id, nothing else."""
    text = Client().protocol.authenticate(API_KEY, USER_KEY, 0.0)
    assert json.loads(text) == {
        "id": "id-1",
        "operation": "Authenticate",
        "data": {"userKey": USER_KEY, "apiKey": API_KEY},
    }


def test_nothing_is_sent_before_the_authentication_is_answered() -> None:
    """An unauthenticated Subscribe is refused."""
    client = Client()
    client.subscribe("a")
    assert client.send() is None
    client.last = json.loads(client.protocol.authenticate(API_KEY, USER_KEY, 0.0))
    assert client.send() is None
    assert not client.protocol.authenticated
    client.ack()
    assert client.protocol.authenticated
    assert client.sent() == ["a"]


@pytest.mark.parametrize(
    ("code", "error", "fatal", "slow"),
    [
        ("InvalidKey", EToroAuthError, True, False),
        ("Unauthorized", EToroAuthError, True, False),
        ("Forbidden", EToroAuthError, True, False),
        ("ApiKeyRequired", EToroAuthError, True, False),
        ("UserKeyRequired", EToroAuthError, True, False),
        ("DataRequired", EToroAuthError, True, False),
        ("InsufficientPermissions", EToroAuthError, True, False),
        ("TooManyRequests", EToroWebSocketError, False, True),
        ("UnhandledException", EToroWebSocketError, False, False),
        ("Novelty", EToroAuthError, False, False),
        ("TopicAlreadySubscribed", EToroAuthError, False, False),
        (None, EToroAuthError, False, False),
    ],
)
def test_a_refused_authentication_ends_the_connection(
    code: str | None, error: type[EToroError], fatal: bool, slow: bool
) -> None:
    """Only where the credentials are wrong it ends the client too."""
    client = Client()
    client.last = json.loads(client.protocol.authenticate(API_KEY, USER_KEY, 0.0))
    with pytest.raises(ConnectionFailed) as caught:
        client.nack(code, errorMessage="why")
    failure = caught.value
    assert type(failure.error) is error
    assert (failure.fatal, failure.slow) == (fatal, slow)
    assert getattr(failure.error, "error_code", None) == (code or "no errorCode")
    assert "why" in str(failure.error)
    assert not client.protocol.authenticated


def test_a_session_that_is_authenticated_already_is_authenticated() -> None:
    """A benign refusal."""
    client = Client()
    client.last = json.loads(client.protocol.authenticate(API_KEY, USER_KEY, 0.0))
    assert client.nack("SessionAlreadyAuthenticated").name == "Authenticate"
    assert client.protocol.authenticated


def refused_login(code: str, api_key: str = API_KEY, user_key: str = USER_KEY) -> str:
    """Return the message of the error for a refused authentication."""
    client = Client()
    client.last = json.loads(client.protocol.authenticate(api_key, user_key, 0.0))
    with pytest.raises(ConnectionFailed) as caught:
        client.nack(code)
    return str(caught.value.error)


@pytest.mark.parametrize("code", ["InvalidKey", "Unauthorized", "Forbidden", "Novelty"])
def test_a_rejected_key_is_asked_about_what_users_do_wrong(code: str) -> None:
    """They swap the two keys, and leave the quotation marks of a file around them."""
    text = refused_login(code)
    assert "Check ETORO_API_KEY and ETORO_USER_KEY" in text
    assert "swapped" in text
    assert "quotation marks or blanks" in text
    assert ("market-data:read" in text) is (code == "Forbidden")


def test_insufficient_permissions_are_named_and_nothing_is_said_of_swapped_keys() -> None:
    """The keys are right, so that other keys are no help."""
    text = refused_login("InsufficientPermissions")
    assert "market-data:read" in text
    assert "swapped" not in text


@pytest.mark.parametrize(
    ("api_key", "user_key", "words"),
    [
        ('"abcdef"', USER_KEY, "api_key has a quotation mark"),
        ("abcdef'", USER_KEY, "api_key has a quotation mark"),
        (API_KEY, "\u201cabcdef\u201d", "user_key has a quotation mark"),
        (API_KEY, "abc def", "user_key has a blank"),
        ("abcdef", "abcdef", "are the same"),
    ],
)
def test_what_is_odd_about_the_keys_is_told_without_showing_them(
    api_key: str, user_key: str, words: str
) -> None:
    """The error itself says what looks wrong with the keys."""
    text = refused_login("InvalidKey", api_key, user_key)
    assert words in text
    assert "abc" not in text
    assert words not in refused_login("InvalidKey")


@pytest.mark.parametrize("word", [True, "true", "True", " TRUE "])
def test_success_may_be_written_as_text(word: object) -> None:
    """Other parts of the feed write their flags so."""
    client = Client()
    client.last = json.loads(client.protocol.authenticate(API_KEY, USER_KEY, 0.0))
    assert client.ack(success=word).error is None
    assert client.protocol.authenticated
    client.subscribe("a")
    client.send()
    client.ack(success=word)
    assert client.outcomes == [None]


@pytest.mark.parametrize("word", [False, "false", "False"])
def test_a_failure_may_be_written_as_text(word: object) -> None:
    """Also where nothing else says that the credentials were refused."""
    client = Client()
    client.protocol.authenticate(API_KEY, USER_KEY, 0.0)
    assert client.protocol.on_reply({"success": "true", "id": "other"}).error is None
    assert client.protocol.on_reply({"success": word, "id": "other"}).error is not None
    with pytest.raises(ConnectionFailed):
        client.protocol.on_reply({"success": word})


def test_a_subscription_that_permissions_forbid_names_them() -> None:
    """A key for prices alone is refused the orders."""
    for code in ("InsufficientPermissions", "Forbidden"):
        client = Client().login()
        client.subscribe("private")
        client.send()
        assert "market-data:read" in str(client.nack(code).error)


@pytest.mark.parametrize("reply", [{"errorCode": "InvalidKey"}, {"operation": None, "id": ""}])
def test_wrong_credentials_are_told_even_without_id_and_operation(reply: dict[str, Any]) -> None:
    """And not as a timeout ten seconds later."""
    client = Client()
    client.protocol.authenticate(API_KEY, USER_KEY, 0.0)
    with pytest.raises(ConnectionFailed) as caught:
        client.protocol.on_reply({"success": False, "errorCode": "Unauthorized", **reply})
    assert caught.value.fatal


def test_a_refusal_without_id_and_operation_answers_the_authentication() -> None:
    """Nothing else was sent yet; and a server that asks for patience gets it."""
    client = Client()
    client.protocol.authenticate(API_KEY, USER_KEY, 0.0)
    with pytest.raises(ConnectionFailed) as caught:
        client.protocol.on_reply({"success": False, "errorCode": "TooManyRequests"})
    assert caught.value.slow
    assert not caught.value.fatal


def test_an_unanswered_authentication_is_an_auth_error() -> None:
    """At its deadline, and not before."""
    client = Client()
    client.protocol.authenticate(API_KEY, USER_KEY, 100.0)
    assert client.protocol.deadline == 110.0
    client.protocol.check_deadline(109.9)
    with pytest.raises(ConnectionFailed) as caught:
        client.protocol.check_deadline(110.0)
    assert isinstance(caught.value.error, EToroAuthError)
    assert not caught.value.fatal
