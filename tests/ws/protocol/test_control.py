"""Requests, acknowledgements and refusals: in the end the connection has what is wanted."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from etoro_sync.errors import (
    EToroAuthError,
    EToroClosedError,
    EToroError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from etoro_sync.redaction import Redactor
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.protocol.control import MAX_FRAME_BYTES, ControlChannel, Operation, Outcome
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker

API_KEY, USER_KEY = "api-key-0123456789", "user-key-0123456789"


class Client:
    """A protocol with its tracker, and what its callers were told."""

    def __init__(self, *wanted: str) -> None:
        self.tracker = WsSubscriptionTracker()
        self.tracker.add(wanted)
        ids = (f"id-{n}" for n in itertools.count(1))
        self.protocol = ControlChannel(
            self.tracker, 10.0, 5.0, Redactor([API_KEY, USER_KEY]), lambda: next(ids)
        )
        self.told: list[EToroError | None] = []
        self.last: dict[str, Any] = {}

    def login(self, *, with_snapshots: bool = False) -> Client:
        """Open a connection up to where requests are sent."""
        self.last = json.loads(self.protocol.authenticate(API_KEY, USER_KEY, 100.0))
        assert self.ack().name == "Authenticate"
        self.protocol.restore(with_snapshots=with_snapshots)
        return self

    def subscribe(self, *topics: str, snapshot: bool = False) -> Operation:
        wish = self.tracker.add(topics, snapshot)
        return self.submit("Subscribe", topics, snapshot, wish)

    def unsubscribe(self, *topics: str) -> Operation:
        self.tracker.remove(topics)
        return self.submit("Unsubscribe", topics, False)

    def submit(
        self, name: str, topics: tuple[str, ...], snapshot: bool, wish: int = 0
    ) -> Operation:
        snapshots = {t: True for t in topics if snapshot}
        operation = Operation(name, list(topics), snapshots, self.told.append, wish)
        self.protocol.submit(operation)
        return operation

    def send(self, now: float = 100.0) -> dict[str, Any] | None:
        """The next request, decoded."""
        request = self.protocol.next_request(now)
        if request is None:
            return None
        assert len(request[0]) <= MAX_FRAME_BYTES
        self.last = json.loads(request[0])
        data = self.last["data"]
        assert request[1] == (tuple(data["topics"]) if data.get("snapshot") else ())
        return self.last

    def ack(self, **changes: Any) -> Outcome:
        reply = {"id": self.last["id"], "success": True, "operation": self.last["operation"]}
        return self.protocol.on_reply({**reply, **changes})

    def nack(self, code: Any = "SubscribeFailed", **changes: Any) -> Outcome:
        return self.ack(success=False, errorCode=code, **changes)

    def sent(self) -> list[str]:
        """Send the next request and return its topics."""
        request = self.send()
        assert request is not None
        topics: list[str] = request["data"]["topics"]
        return topics

    @property
    def wanted(self) -> list[str]:
        return self.tracker.get_all()

    def confirmed(self, *topics: str) -> bool:
        return all(self.protocol.is_confirmed(topic) for topic in topics)


# Authentication ----------------------------------------------------------------------------------


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
    """Return what a user is told whose authentication was refused."""
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
    """Whoever reads the error need not look for it."""
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
    assert client.told == [None]


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


# Acknowledgements --------------------------------------------------------------------------------


def test_an_acknowledgement_confirms_and_tells_the_caller() -> None:
    """Once, with no error."""
    client = Client().login()
    client.subscribe("a", "b")
    assert client.sent() == ["a", "b"]
    assert client.told == []
    assert client.ack() == Outcome("Subscribe", ("a", "b"))
    assert client.told == [None]
    assert client.confirmed("a", "b")
    assert client.protocol.deadline is None
    client.unsubscribe("a")
    client.send()
    assert client.last["operation"] == "Unsubscribe"
    assert client.ack() == Outcome("Unsubscribe", ("a",))
    assert client.told == [None, None]
    assert not client.confirmed("a")


@pytest.mark.parametrize(
    "noise",
    [
        {"id": "other", "success": True, "operation": "Subscribe"},
        {"success": True},
        {"success": True, "operation": "Unsubscribe"},
        {"id": ["id-2"], "success": True},
        {"operation": {}},
        {},
    ],
)
def test_noise_is_no_acknowledgement(noise: dict[str, Any]) -> None:
    """Late, doubled and foreign ones change nothing."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    assert client.protocol.on_reply(noise) == Outcome("")
    assert not client.confirmed("a")
    client.ack()
    assert client.confirmed("a")
    assert client.ack() == Outcome("")
    assert client.told == [None]


def test_an_acknowledgement_without_id_is_matched_by_its_operation() -> None:
    """Only one request is in flight."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    assert client.ack(id=None).name == "Subscribe"
    assert client.confirmed("a")


def test_success_with_an_error_code_is_a_refusal() -> None:
    """As is success that is not true."""
    for changes in ({"errorCode": "X"}, {"success": "false"}, {"success": None}, {"success": 1}):
        client = Client().login()
        client.subscribe("a")
        client.send()
        assert isinstance(client.ack(**changes).error, EToroSubscriptionError)


@pytest.mark.parametrize(
    "reply",
    [
        {"success": False},
        {"errorCode": "BinaryMessagesNotSupported", "success": False},
        {"errorCode": "BinaryMessagesNotSupported"},
        {"errorCode": "UnhandledException", "success": True},
    ],
)
def test_a_refusal_of_nothing_is_an_error_for_nobody(reply: dict[str, Any]) -> None:
    """It is told, and the connection goes on."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    error = client.protocol.on_reply(reply).error
    assert type(error) is EToroWebSocketError
    assert error.error_code == reply.get("errorCode", "no errorCode")
    assert "belongs to no request" in str(error)
    client.ack()
    assert client.confirmed("a")


def test_an_overdue_acknowledgement_fails_the_connection() -> None:
    """The topics stay wanted, and the operation starts anew."""
    client = Client().login()
    client.subscribe("a")
    client.send(now=200.0)
    assert client.protocol.deadline == 205.0
    client.protocol.check_deadline(204.9)
    with pytest.raises(ConnectionFailed) as caught:
        client.protocol.check_deadline(205.0)
    assert isinstance(caught.value.error, EToroTimeoutError)
    assert "Subscribe of a within 5 s" in str(caught.value)
    client.protocol.connection_lost()
    client.protocol.check_deadline(999.0)
    client.login(with_snapshots=True)
    assert client.sent() == ["a"]
    client.ack()
    assert client.send() is None
    assert client.told == [None]


def test_one_request_is_in_flight_at_a_time() -> None:
    """Requests that cross are applied in unknown order."""
    client = Client().login()
    client.subscribe("a")
    client.unsubscribe("a")
    client.subscribe("a")
    assert client.sent() == ["a"]
    assert client.send() is None
    client.ack()
    assert client.send() is None
    assert client.told == [None, None, None]
    assert client.confirmed("a")


def test_large_calls_go_out_in_several_frames() -> None:
    """The caller is told when all of them are acknowledged."""
    topics = [f"instrument:{10**17 + n}" for n in range(4999)]
    client = Client().login()
    client.subscribe(*topics, snapshot=True)
    sent: list[str] = []
    while (request := client.send()) is not None:
        assert client.told == []
        sent += request["data"]["topics"]
        client.ack()
    assert sent == topics
    assert client.told == [None]


def test_a_second_snapshot_is_asked_for() -> None:
    """Who subscribes again with a snapshot wants one; without, nothing is to be done."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    client.ack()
    client.subscribe("a")
    assert client.send() is None
    client.subscribe("a", snapshot=True)
    assert client.sent() == ["a"]
    assert client.last["data"]["snapshot"] is True


# Refusals ----------------------------------------------------------------------------------------


def test_a_refusal_is_atomic() -> None:
    """The refused topics, and those that were not tried, are not wanted any more."""
    topics = [f"instrument:{10**17 + n}" for n in range(1500)]
    client = Client().login()
    client.subscribe(*topics)
    first = client.sent()
    client.ack()
    second = client.sent()
    outcome = client.nack(errorMessage="Too many subscriptions for session")
    assert outcome.topics == tuple(second)
    (error,) = client.told
    assert isinstance(error, EToroSubscriptionError)
    assert error is outcome.error
    assert error.error_code == "SubscribeFailed"
    assert error.topics == tuple(topics[len(first) :])
    assert "Too many subscriptions for session" in str(error)
    assert client.wanted == first
    assert client.confirmed(*first)
    assert client.send() is None


def test_a_refusal_leaves_topics_that_another_call_asks_for() -> None:
    """That call has its own try, the untried topics of the first included."""
    topics = [f"instrument:{10**17 + n}" for n in range(1500)]
    client = Client().login()
    client.subscribe(*topics)
    client.send()
    client.subscribe(topics[0], topics[-1])
    client.nack()
    assert client.wanted == [topics[0], topics[-1]]
    assert client.sent() == [topics[0], topics[-1]]
    client.ack()
    assert client.told[1:] == [None]
    assert client.confirmed(topics[0], topics[-1])


def test_a_refusal_leaves_a_wish_that_was_recorded_but_not_handed_over_yet() -> None:
    """Between recording and handing over, another thread's call may be refused."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    wish = client.tracker.add(["a"])
    client.nack()
    client.submit("Subscribe", ("a",), False, wish)
    assert client.sent() == ["a"]
    client.ack()
    assert client.told[1:] == [None]
    assert client.wanted == ["a"]
    assert client.protocol.is_of_use("a")
    assert not client.protocol.is_of_use("b")


def test_a_refused_second_snapshot_leaves_the_subscription() -> None:
    """The connection carries it, so it stays wanted."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    client.ack()
    client.subscribe("a", snapshot=True)
    client.send()
    assert client.nack("UnhandledException").error is not None
    assert client.wanted == ["a"]
    assert client.confirmed("a")


def test_a_refused_unsubscription_is_told_and_may_be_repeated() -> None:
    """Nothing is wanted again because of it."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    client.ack()
    client.unsubscribe("a")
    client.send()
    assert client.nack("TopicAlreadySubscribed").error is not None
    assert isinstance(client.told[1], EToroSubscriptionError)
    assert client.wanted == []
    client.unsubscribe("a")
    assert client.sent() == ["a"]
    client.ack()
    assert not client.confirmed("a")


@pytest.mark.parametrize("code", ["TooManyRequests", "UnhandledException", "Unauthorized"])
def test_a_call_of_the_users_is_refused_and_not_retried(code: str) -> None:
    """The caller is told and decides."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    assert client.nack(code).raised
    (error,) = client.told
    assert isinstance(error, EToroSubscriptionError)
    assert error.error_code == code


def test_duplicates_are_found_by_halving() -> None:
    """One duplicate rejects a frame; the others are subscribed in the end."""
    client = Client().login()
    topics = [f"t{n}" for n in range(7)]
    known = {"t2", "t5"}
    client.subscribe(*topics)
    accepted: set[str] = set()
    frames = 0
    while (request := client.send()) is not None:
        frames += 1
        asked = set(request["data"]["topics"])
        if asked & (known | accepted):
            client.nack("TopicAlreadySubscribed")
        else:
            accepted |= asked
            client.ack()
    assert accepted | known == set(topics)
    assert client.confirmed(*topics)
    assert client.told == [None]
    assert frames < 2 * len(topics)


def test_a_duplicate_of_what_is_confirmed_is_an_acknowledgement() -> None:
    """The snapshot that was asked for does not come, but nothing else is missing."""
    client = Client().login()
    client.subscribe("a", "b")
    client.send()
    client.ack()
    client.subscribe("a", "b", snapshot=True)
    client.send()
    outcome = client.nack("TopicAlreadySubscribed")
    assert outcome == Outcome("Subscribe", ("a", "b"), duplicate=True)
    assert client.told == [None, None]


def test_words_of_any_type_are_survived() -> None:
    """A hostile server ends a request, not the client."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, 5, {"a": 1}, "x" * 10**6, True):
        client = Client().login()
        client.subscribe("a")
        client.send()
        error = client.nack(value, errorMessage=value).error
        assert error is not None
        assert len(str(error)) < 500


def test_keys_that_the_server_repeats_are_masked() -> None:
    """In the text and in the code, for errors of every kind."""
    words = {"errorMessage": "x" * 110 + API_KEY + USER_KEY, "errorCode": f"Bad-{API_KEY}"}
    errors: list[Any] = []
    client = Client()
    client.last = json.loads(client.protocol.authenticate(API_KEY, USER_KEY, 0.0))
    with pytest.raises(ConnectionFailed) as caught:
        client.ack(success=False, **words)
    errors += [caught.value, caught.value.error]
    client = Client().login()
    errors.append(client.protocol.on_reply({"success": False, **words}).error)
    client.subscribe("a")
    client.send()
    errors.append(client.ack(success=False, **words).error)
    for error in errors:
        shown = f"{error} {error!r} {vars(error)}"
        assert "0123" not in shown
        assert "***" in shown


def test_no_repr_shows_a_key() -> None:
    """Not even while the request that carries the keys is in flight."""
    client = Client()
    client.protocol.authenticate(API_KEY, USER_KEY, 0.0)
    client.subscribe("a")
    shown = f"{client.protocol!r} {vars(client.protocol)} "
    assert "0123" not in shown


# Restoration -------------------------------------------------------------------------------------


def test_a_new_connection_restores_what_is_wanted() -> None:
    """In the order in which it was first wanted, so that a limit hits the new; private first."""
    client = Client("instrument:1", "private").login()
    assert client.protocol.restoring
    # In a frame of its own: nothing that is wrong with others can cost the order events.
    assert client.sent() == ["private"]
    client.ack()
    assert client.sent() == ["instrument:1"]
    assert client.last["data"]["snapshot"] is False
    client.ack()
    assert not client.protocol.restoring
    client.protocol.connection_lost()
    assert not client.confirmed("private")
    client.tracker.add(["instrument:2"])
    client.login(with_snapshots=True)
    sent = []
    while client.protocol.restoring:
        request = client.send()
        assert request is not None
        sent.append((request["data"]["topics"], request["data"]["snapshot"]))
        client.ack()
    # What a snapshot of `private` would be nobody knows.
    assert sent == [(["private"], False), (["instrument:1", "instrument:2"], True)]


def test_a_restoration_of_nothing_is_over_at_once() -> None:
    """There is no acknowledgement to wait for."""
    client = Client().login(with_snapshots=True)
    assert not client.protocol.restoring
    assert client.send() is None


def test_private_is_restored_with_the_users_own_choice() -> None:
    """What its snapshot would be nobody knows."""
    client = Client()
    client.tracker.add(["private"], snapshot=True)
    client.login(with_snapshots=True)
    client.send()
    assert client.last["data"]["snapshot"] is True


def test_what_was_accepted_before_is_not_given_up() -> None:
    """A refusal is then the connection's failure; the topics stay wanted."""
    client = Client("a").login()
    client.send()
    client.ack()
    client.login(with_snapshots=True)
    client.send()
    with pytest.raises(ConnectionFailed) as caught:
        client.nack("SubscribeFailed")
    assert isinstance(caught.value.error, EToroSubscriptionError)
    assert not caught.value.slow
    assert client.wanted == ["a"]
    client.login(with_snapshots=True)
    client.send()
    with pytest.raises(ConnectionFailed) as caught:
        client.nack("TooManyRequests")
    assert caught.value.slow


def test_what_was_wanted_before_the_connection_is_given_up_when_refused() -> None:
    """It was never accepted, and asking again cannot help; the outcome tells."""
    client = Client("a").login()
    client.send()
    outcome = client.nack("SubscribeFailed")
    assert isinstance(outcome.error, EToroSubscriptionError)
    assert client.wanted == []
    assert not client.protocol.restoring


def test_what_was_unsubscribed_during_an_outage_has_to_prove_itself_again() -> None:
    """Its acceptance was of another time."""
    client = Client("a").login()
    client.send()
    client.ack()
    client.protocol.connection_lost()
    client.tracker.remove(["a"])
    client.login(with_snapshots=True)
    client.protocol.connection_lost()
    client.tracker.add(["a"])
    client.login(with_snapshots=True)
    client.send()
    assert isinstance(client.nack("SubscribeFailed").error, EToroSubscriptionError)
    assert client.wanted == []


@pytest.mark.parametrize(
    ("code", "slow"), [("TooManyRequests", True), ("UnhandledException", False)]
)
def test_a_restoration_that_may_succeed_later_is_tried_again(code: str, slow: bool) -> None:
    """A throttled server does not cost a subscription that no caller is there to repeat."""
    client = Client("a").login()
    client.send()
    with pytest.raises(ConnectionFailed) as caught:
        client.nack(code)
    assert caught.value.slow is slow
    assert client.wanted == ["a"]


@pytest.mark.parametrize("code", ["TooManyRequests", "UnhandledException"])
def test_what_is_recorded_while_topics_are_restored_is_tried_again_as_they_are(code: str) -> None:
    """Its caller has returned, as everybody who asks for something in an outage."""
    client = Client("a").login()
    wish = client.tracker.add(["b"])
    client.protocol.submit(Operation("Subscribe", ["b"], {}, wish=wish, awaited=False))
    assert client.sent() == ["a"]
    client.ack()
    assert client.sent() == ["b"]
    with pytest.raises(ConnectionFailed):
        client.nack(code)
    assert client.wanted == ["a", "b"]


@pytest.mark.parametrize(
    ("calls", "kept"),
    [
        ([("a", "b"), ("a", "bad")], {"a", "b"}),
        ([("a", "bad"), ("a", "b")], {"a", "b"}),
        ([("a", "bad"), ("a",), ("a", "bad")], {"a"}),
        ([("a", "bad")], {"a"}),
    ],
)
def test_a_refused_restoration_takes_no_topic_but_the_bad_one(
    calls: list[tuple[str, ...]], kept: set[str]
) -> None:
    """Whichever calls have named it: those recorded before the connection share frames."""
    client = Client()
    for topics in calls:
        client.tracker.add(topics)
    client.login()
    while client.send() is not None:
        if "bad" in client.last["data"]["topics"]:
            client.nack("SubscribeFailed")
        else:
            client.ack()
    assert set(client.wanted) == kept
    assert client.confirmed(*kept)


def test_a_restoration_ends_by_a_reply_even_if_all_is_unsubscribed_meanwhile() -> None:
    """The reader sees its end only there; the unsubscription follows."""
    client = Client("a").login()
    client.unsubscribe("a")
    assert client.sent() == ["a"]
    assert client.protocol.restoring
    client.ack()
    assert not client.protocol.restoring
    assert client.sent() == ["a"]
    assert client.last["operation"] == "Unsubscribe"
    client.ack()
    assert not client.confirmed("a")
    assert client.told == [None]


def test_calls_that_wait_are_served_by_the_restoration() -> None:
    """Their snapshots are among those of the restoration, and are not asked for twice."""
    client = Client().login()
    client.subscribe("a", snapshot=True)
    client.protocol.connection_lost()
    client.login(with_snapshots=True)
    client.subscribe("a", snapshot=True)
    assert client.sent() == ["a"]
    client.ack()
    assert client.send() is None
    assert client.told == [None, None]


def test_a_snapshot_that_the_restoration_does_not_bring_is_asked_for() -> None:
    """On a first connection topics are restored as they were wanted then."""
    client = Client("a").login()
    client.subscribe("a", snapshot=True)
    assert client.sent() == ["a"]
    assert client.last["data"]["snapshot"] is False
    client.ack()
    assert client.sent() == ["a"]
    assert client.last["data"]["snapshot"] is True


def test_a_snapshot_that_the_restoration_has_brought_already_is_asked_for_again() -> None:
    """The caller's queue is younger than the first one."""
    client = Client("private", "a").login()
    while client.send():
        client.ack()
    client.tracker.add([f"instrument:{10**17 + n}" for n in range(1500)])
    client.login(with_snapshots=True)
    done = client.sent()
    client.ack()
    assert "a" in client.sent()
    client.ack()
    assert client.protocol.restoring
    assert done == ["private"]
    client.subscribe("a", snapshot=True)
    topics = []
    while (request := client.send()) is not None:
        topics.append(request["data"]["topics"])
        client.ack()
    assert topics[-1] == ["a"]


def refuse(client: Client, *bad: str, code: str = "Novelty") -> tuple[list[Any], int]:
    """Answer all requests; return the topics of the errors, and how many requests there were."""
    errors: list[Any] = []
    count = 0
    while (request := client.send()) is not None:
        count += 1
        if set(bad) & set(request["data"]["topics"]):
            outcome = client.nack(code)
            errors += [outcome.error.topics] if outcome.error else []  # type: ignore[attr-defined]
        else:
            client.ack()
    return errors, count


def test_a_refused_restoration_costs_only_the_topics_that_are_bad() -> None:
    """One frame holds the topics of many calls; what is refused is found by halving."""
    client = Client()
    for topic in ("a", "b", "bad", "c"):
        client.tracker.add([topic])
    client.tracker.add(["worse", "d"])
    client.login()
    errors, _ = refuse(client, "bad", "worse")
    assert client.wanted == ["a", "b", "c", "d"]
    assert client.confirmed("a", "b", "c", "d")
    assert sorted(errors) == [("bad",), ("worse",)]
    assert not client.protocol.restoring


def test_a_topic_that_was_accepted_is_not_given_up_beside_new_ones() -> None:
    """The connection fails for it, also where it was refused in a frame with others."""
    client = Client("a", "b").login()
    refuse(client)
    client.tracker.add(["c", "d"])
    client.login(with_snapshots=True)
    with pytest.raises(ConnectionFailed) as caught:
        refuse(client, "b")
    assert isinstance(caught.value.error, EToroSubscriptionError)
    assert caught.value.error.topics == ("b",)
    assert not caught.value.fatal
    assert client.wanted == ["a", "b", "c", "d"]


def test_permissions_that_were_lost_end_the_client_beside_new_topics() -> None:
    """But for a topic that was never accepted, which costs nothing but itself."""
    client = Client("a", "b").login()
    refuse(client)
    client.tracker.add(["c"])
    client.login(with_snapshots=True)
    assert refuse(client, "c", code="InsufficientPermissions")[0] == [("c",)]
    client.login(with_snapshots=True)
    with pytest.raises(ConnectionFailed) as caught:
        refuse(client, "a", "b", code="InsufficientPermissions")
    assert isinstance(caught.value.error, EToroAuthError)
    assert caught.value.fatal


@pytest.mark.parametrize(("bad", "most"), [(1, 20), (6, 120)])
def test_bad_topics_among_thousands_are_found_by_a_bounded_number_of_requests(
    bad: int, most: int
) -> None:
    """Two more for each level of halving, and for each of them."""
    topics = [f"instrument:{n}" for n in range(1, 4999)]
    client = Client(*topics).login()
    _, usual = refuse(client)
    worst = topics[:: len(topics) // bad][:bad]
    client = Client(*topics).login()
    errors, count = refuse(client, *worst)
    assert sorted(errors) == sorted((topic,) for topic in worst)
    assert client.protocol.restoring is False
    assert count - usual <= most


def test_a_server_that_refuses_everything_is_not_asked_for_ever() -> None:
    """Frames are given up as a whole then; each restoration begins to count anew."""
    topics = [f"instrument:{n}" for n in range(1, 3000)]
    client = Client(*topics).login()
    errors, count = refuse(client, *topics)
    assert sorted(topic for topics in errors for topic in topics) == sorted(topics)
    assert client.wanted == []
    assert count <= 3 + 2 * 64
    client.tracker.add(["a", "bad"])
    client.login()
    assert refuse(client, "bad")[0] == [("bad",)]


def test_an_outage_collects_no_wishes_that_nobody_waits_for() -> None:
    """The restoration brings the connection to what is wanted when it begins."""
    client = Client("a")
    for _ in range(1000):
        client.protocol.submit(Operation("Subscribe", ["a"], {}, client.told.append, 0, False))
    assert client.told == [None] * 1000
    client.login()
    assert client.sent() == ["a"]
    client.ack()
    assert client.send() is None


def test_fail_all_ends_what_waits() -> None:
    """Each caller once; a late reply finds nothing."""
    client = Client().login()
    client.subscribe("a")
    client.subscribe("b")
    client.send()
    error = EToroClosedError("over")
    client.protocol.fail_all(error)
    assert client.told == [error, error]
    assert client.ack() == Outcome("")


# Convergence -------------------------------------------------------------------------------------

TOPICS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


class Convergence(RuleBasedStateMachine):
    """Users and faults in any order; afterwards a polite server is brought to what is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client().login()
        self.server: set[str] = set()
        self.started = 0
        self.doubtful: set[str] = set()

    @rule(topics=TOPICS, snapshot=st.booleans())
    def subscribe(self, topics: list[str], snapshot: bool) -> None:
        self.client.subscribe(*topics, snapshot=snapshot)
        self.started += 1

    @rule(topics=TOPICS)
    def unsubscribe(self, topics: list[str]) -> None:
        self.client.unsubscribe(*topics)
        self.started += 1

    @rule()
    def answer(self) -> None:
        """Send what is due and have it accepted."""
        if self.client.protocol.deadline is None and self.client.send() is None:
            return
        self._apply()
        self.client.ack()

    def _apply(self) -> None:
        topics = self.client.last["data"]["topics"]
        if self.client.last["operation"] == "Subscribe":
            self.server.update(topics)
        else:
            self.server.difference_update(topics)
            self.doubtful.difference_update(topics)

    @rule()
    def send(self) -> None:
        self.client.send()

    @precondition(lambda self: self.client.protocol.deadline is not None)
    @rule(code=st.sampled_from(["SubscribeFailed", "TooManyRequests", "Novelty"]))
    def refuse(self, code: str) -> None:
        if self.client.last["operation"] == "Unsubscribe":
            self.doubtful.update(self.client.last["data"]["topics"])
        try:
            self.client.nack(code)
        except ConnectionFailed:
            self.lose()

    @rule()
    def lose(self) -> None:
        self.client.protocol.connection_lost()
        self.server.clear()
        self.doubtful.clear()
        self.client.login(with_snapshots=True)

    @rule()
    def noise(self) -> None:
        self.client.protocol.on_reply({"id": "foreign", "success": True, "operation": "Subscribe"})

    @invariant()
    def no_caller_is_told_twice(self) -> None:
        assert len(self.client.told) <= self.started

    @invariant()
    def what_is_confirmed_is_what_the_server_has(self) -> None:
        assert all(self.client.confirmed(topic) == (topic in self.server) for topic in "abcdef")

    def teardown(self) -> None:
        for _ in range(1000):
            if self.client.protocol.deadline is None and self.client.send() is None:
                break
            self.answer()
        assert len(self.client.told) == self.started
        # Only a refused unsubscription leaves more than is wanted, until the next connection.
        assert set(self.client.wanted) <= self.server
        assert self.server - set(self.client.wanted) <= self.doubtful
        assert not self.client.protocol.restoring


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(
    st.dictionaries(
        st.sampled_from(["id", "operation", "success", "errorCode", "errorMessage"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(max_size=4)
        | st.lists(st.integers(), max_size=2)
        | st.just("Subscribe"),
    )
)
def test_any_reply_is_an_outcome_or_a_failed_connection(reply: dict[str, Any]) -> None:
    """Nothing else escapes."""
    client = Client().login()
    client.subscribe("a")
    for _ in range(2):
        try:
            assert isinstance(client.protocol.on_reply(reply), Outcome)
        except ConnectionFailed:
            pass
        client.send()
