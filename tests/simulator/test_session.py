import json
from typing import Any

import pytest

from etoro_sync.simulator.session import Policy, Session, masked, parse_request

KEYS = {"apiKey": "a", "userKey": "u"}


def ask(session: Session, operation: str, data: Any = None, **extra: Any) -> dict[str, Any]:
    """Send a request to a session and give the parsed reply."""
    request: dict[str, Any] = {"id": "7", "operation": operation, **extra}
    if data is not None:
        request["data"] = data
    text = session.answer(request).text
    assert text is not None
    reply: dict[str, Any] = json.loads(text)
    return reply


def logged_in(**rules: Any) -> Session:
    """Make an authenticated session."""
    session = Session(Policy(**rules))
    assert ask(session, "Authenticate", KEYS)["success"]
    return session


def test_a_granted_request_is_answered_with_its_id_and_operation_and_nothing_else() -> None:
    """Acknowledgements are that bare on the wire."""
    assert ask(Session(Policy()), "Authenticate", KEYS) == {
        "id": "7",
        "success": True,
        "operation": "Authenticate",
    }


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "DataRequired"),
        ("text", "DataRequired"),
        ({}, "ApiKeyRequired"),
        ({"apiKey": "", "userKey": "u"}, "ApiKeyRequired"),
        ({"apiKey": "a"}, "UserKeyRequired"),
        ({"apiKey": "a", "userKey": None}, "UserKeyRequired"),
        ({"apiKey": "x", "userKey": "u"}, "InvalidKey"),
        ({"apiKey": 5, "userKey": "u"}, "InvalidKey"),
        ({"apiKey": "a", "userKey": "x"}, "Unauthorized"),
    ],
)
def test_wrong_credentials_are_refused_with_the_code_that_says_why(data: Any, code: str) -> None:
    """A refused client is not authenticated."""
    session = Session(Policy(api_key="a", user_key="u"))
    reply = ask(session, "Authenticate", data)
    assert reply.pop("errorMessage")
    assert reply == {
        "id": "7",
        "success": False,
        "operation": "Authenticate",
        "errorCode": code,
    }
    assert not session.authenticated
    assert ask(session, "Authenticate", KEYS)["success"]


def test_any_keys_do_where_none_are_laid_down() -> None:
    """Without keys of its own a simulator accepts whatever is not empty."""
    session = Session(Policy())
    assert ask(session, "Authenticate", {"apiKey": "x", "userKey": "y"})["success"]


def test_a_second_authentication_is_refused_and_changes_nothing() -> None:
    """The session stays authenticated."""
    session = logged_in()
    assert ask(session, "Authenticate", KEYS)["errorCode"] == "SessionAlreadyAuthenticated"
    assert session.authenticated


@pytest.mark.parametrize("operation", ["Subscribe", "Unsubscribe"])
def test_nothing_is_granted_without_authentication(operation: str) -> None:
    """The refusal names what was refused."""
    session = Session(Policy())
    reply = ask(session, operation, {"topics": ["instrument:18"]})
    assert (reply["errorCode"], reply["operation"]) == ("Unauthorized", operation)
    assert not session.topics


def test_topics_are_subscribed_and_unsubscribed() -> None:
    """Unsubscribing what is not subscribed is granted, too."""
    session = logged_in()
    assert ask(session, "Subscribe", {"topics": ["instrument:18", "private"]})["success"]
    assert session.topics == {"instrument:18", "private"}
    assert ask(session, "Unsubscribe", {"topics": ["private", "instrument:1"]})["success"]
    assert session.topics == {"instrument:18"}


def test_snapshots_are_given_once_per_topic_and_only_when_asked_for() -> None:
    """Also for a topic that is subscribed already."""
    session = logged_in()
    topics = ["instrument:2", "instrument:1", "instrument:2"]
    request: dict[str, Any] = {
        "operation": "Subscribe",
        "data": {"topics": topics, "snapshot": True},
    }
    for _ in range(2):
        assert session.answer(request).snapshots == ("instrument:2", "instrument:1")
    for flag in (False, None, "true"):
        request["data"] = {"topics": topics, "snapshot": flag}
        assert session.answer(request).snapshots == ()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (None, "DataRequired"),
        ({}, "DataRequired"),
        ({"topics": "instrument:18"}, "UnhandledException"),
        ({"topics": [18]}, "UnhandledException"),
    ],
)
def test_a_subscription_without_proper_topics_is_refused(data: Any, code: str) -> None:
    """The refusal tells apart what is missing and what is wrong."""
    assert ask(logged_in(), "Subscribe", data)["errorCode"] == code


def test_too_many_topics_are_refused_as_a_whole_and_capacity_can_be_freed() -> None:
    """A frame is granted or refused in one piece, and what was subscribed stays."""
    session = logged_in(max_topics=3)
    assert ask(session, "Subscribe", {"topics": ["a", "b"]})["success"]
    reply = ask(session, "Subscribe", {"topics": ["b", "c", "d"]})
    assert reply["errorCode"] == "SubscribeFailed"
    assert reply["errorMessage"] == "Too many subscriptions for session"
    assert session.topics == {"a", "b"}
    assert ask(session, "Unsubscribe", {"topics": ["a"]})["success"]
    assert ask(session, "Subscribe", {"topics": ["b", "c", "d"]})["success"]


def test_duplicates_are_refused_where_that_is_laid_down() -> None:
    """One duplicate refuses the whole frame."""
    session = logged_in(duplicate_error=True)
    assert ask(session, "Subscribe", {"topics": ["a", "a"]})["success"]
    reply = ask(session, "Subscribe", {"topics": ["b", "a"]})
    assert reply["errorCode"] == "TopicAlreadySubscribed"
    assert session.topics == {"a"}


def test_an_unknown_operation_is_refused_with_its_id() -> None:
    """Before and after authentication alike."""
    for session in (Session(Policy()), logged_in()):
        reply = ask(session, "Dance")
        assert (reply["id"], reply["operation"]) == ("7", "Dance")
        assert reply["errorCode"] == "UnhandledException"


def test_a_request_without_id_and_operation_is_refused_without_them() -> None:
    """There is nothing to echo."""
    requests: list[dict[str, Any] | None] = [{}, None]
    for request in requests:
        text = Session(Policy()).answer(request).text
        assert text is not None
        assert json.loads(text).keys() == {"success", "errorCode", "errorMessage"}


def test_a_granted_request_without_an_id_is_answered_without_one() -> None:
    """Only what was sent is echoed."""
    text = Session(Policy()).answer({"operation": "Authenticate", "data": KEYS}).text
    assert text == '{"success":true,"operation":"Authenticate"}'


@pytest.mark.parametrize("text", ["", "hello", "[1]", "5", '{"id":', "[" * 100_000, "9" * 5000])
def test_text_that_is_not_a_json_object_is_no_request(text: str) -> None:
    """Nothing that a client sends can upset the parser."""
    assert parse_request(text) is None


def test_a_request_may_be_pretty_printed() -> None:
    """The real server accepts that as well."""
    assert parse_request('{\n  "id": "1"\n}') == {"id": "1"}


def test_keys_are_hidden_in_what_is_kept_of_a_request() -> None:
    """Whether a key was there is all that can be seen."""
    data = {"apiKey": "secret", "userKey": "", "authorization": "Bearer secret", "other": 1}
    request = {"id": "1", "operation": "Authenticate", "data": data}
    kept = masked(request)
    assert kept["data"] == {"apiKey": "***", "userKey": "", "authorization": "***", "other": 1}
    assert data["apiKey"] == "secret"
    assert masked({"data": 5}) == {"data": 5}
    assert "secret" not in repr(Policy(api_key="secret", user_key="secret"))
