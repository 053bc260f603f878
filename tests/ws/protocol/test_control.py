"""Requests, acknowledgements and refusals: in the end the connection has what is wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from etoro_sync.errors import (
    EToroClosedError,
    EToroSubscriptionError,
    EToroTimeoutError,
    EToroWebSocketError,
)
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.protocol.control import Outcome
from tests.ws.protocol.tools import API_KEY, USER_KEY, Client

pytestmark = pytest.mark.heavy

# Acknowledgements --------------------------------------------------------------------------------


def test_an_acknowledgement_confirms_and_tells_the_caller() -> None:
    """Once, with no error."""
    client = Client().login()
    client.subscribe("a", "b")
    assert client.sent() == ["a", "b"]
    assert client.outcomes == []
    assert client.ack() == Outcome("Subscribe", ("a", "b"))
    assert client.outcomes == [None]
    assert client.confirmed("a", "b")
    assert client.protocol.deadline is None
    client.unsubscribe("a")
    client.send()
    assert client.last["operation"] == "Unsubscribe"
    assert client.ack() == Outcome("Unsubscribe", ("a",))
    assert client.outcomes == [None, None]
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
    assert client.outcomes == [None]


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
    """The outcome holds the error, and the connection goes on."""
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
    assert client.outcomes == [None]


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
    assert client.outcomes == [None, None, None]
    assert client.confirmed("a")


def test_large_calls_go_out_in_several_frames() -> None:
    """The operation completes once all of them are acknowledged."""
    topics = [f"instrument:{10**17 + n}" for n in range(4999)]
    client = Client().login()
    client.subscribe(*topics, snapshot=True)
    sent: list[str] = []
    while (request := client.send()) is not None:
        assert client.outcomes == []
        sent += request["data"]["topics"]
        client.ack()
    assert sent == topics
    assert client.outcomes == [None]


def test_a_second_snapshot_is_asked_for() -> None:
    """A repeated call with a snapshot requests it; one without sends nothing."""
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
    (error,) = client.outcomes
    assert isinstance(error, EToroSubscriptionError)
    assert error is outcome.error
    assert error.error_code == "SubscribeFailed"
    assert error.topics == tuple(topics[len(first) :])
    assert "Too many subscriptions for session" in str(error)
    assert client.wanted == first
    assert client.confirmed(*first)
    assert client.send() is None


def test_a_refusal_leaves_topics_that_another_call_asks_for() -> None:
    """The second call requests them itself, also topics that the first did not get to."""
    topics = [f"instrument:{10**17 + n}" for n in range(1500)]
    client = Client().login()
    client.subscribe(*topics)
    client.send()
    client.subscribe(topics[0], topics[-1])
    client.nack()
    assert client.wanted == [topics[0], topics[-1]]
    assert client.sent() == [topics[0], topics[-1]]
    client.ack()
    assert client.outcomes[1:] == [None]
    assert client.confirmed(topics[0], topics[-1])


def test_a_refusal_leaves_a_topic_that_was_added_again_but_not_handed_over_yet() -> None:
    """Between recording and handing over, another thread's call may be refused."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    version = client.tracker.add(["a"])
    client.nack()
    client.submit("Subscribe", ("a",), False, version)
    assert client.sent() == ["a"]
    client.ack()
    assert client.outcomes[1:] == [None]
    assert client.wanted == ["a"]
    assert client.protocol.is_needed("a")
    assert not client.protocol.is_needed("b")


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
    assert isinstance(client.outcomes[1], EToroSubscriptionError)
    assert client.wanted == []
    client.unsubscribe("a")
    assert client.sent() == ["a"]
    client.ack()
    assert not client.confirmed("a")


@pytest.mark.parametrize("code", ["TooManyRequests", "UnhandledException", "Unauthorized"])
def test_a_call_of_the_users_is_refused_and_not_retried(code: str) -> None:
    """The caller gets the error and decides."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    assert client.nack(code).raised
    (error,) = client.outcomes
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
    assert client.outcomes == [None]
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
    assert client.outcomes == [None, None]


def test_a_duplicate_that_this_connection_has_not_asked_for_is_unproven() -> None:
    """There is only the server's word that it is subscribed."""
    client = Client().login()
    client.subscribe("a")
    client.send()
    outcome = client.nack("TopicAlreadySubscribed")
    assert outcome == Outcome("Subscribe", ("a",), duplicate=True, unproven=True)
    assert client.confirmed("a")


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


def test_fail_all_ends_what_waits() -> None:
    """Each caller once; a late reply finds nothing."""
    client = Client().login()
    client.subscribe("a")
    client.subscribe("b")
    client.send()
    error = EToroClosedError("over")
    client.protocol.fail_all(error)
    assert client.outcomes == [error, error]
    assert client.ack() == Outcome("")


# Convergence -------------------------------------------------------------------------------------

TOPICS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


class Convergence(RuleBasedStateMachine):
    """Calls and faults in any order; once all is accepted, the wanted topics are subscribed."""

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
        assert len(self.client.outcomes) <= self.started

    @invariant()
    def what_is_confirmed_is_what_the_server_has(self) -> None:
        assert all(self.client.confirmed(topic) == (topic in self.server) for topic in "abcdef")

    def teardown(self) -> None:
        for _ in range(1000):
            if self.client.protocol.deadline is None and self.client.send() is None:
                break
            self.answer()
        assert len(self.client.outcomes) == self.started
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
