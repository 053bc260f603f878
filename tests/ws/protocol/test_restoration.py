"""What a new connection asks for, and what a refusal of it costs."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync.errors import EToroAuthError, EToroSubscriptionError
from etoro_sync.ws.failures import ConnectionFailed
from etoro_sync.ws.protocol.control import Operation
from tests.ws.protocol.tools import Client


def test_private_that_was_accepted_shares_a_frame_and_is_first_in_it() -> None:
    """A server that falsely says that it is subscribed already is asked again for each topic."""
    client = Client("a")
    client.tracker.add(["private"], snapshot=True)
    client.login()
    while client.send():
        client.ack()
    client.login(with_snapshots=True)
    assert client.sent() == ["private", "a"]
    client.nack("TopicAlreadySubscribed")
    assert not client.confirmed("private")
    assert client.sent() == ["private"]
    client.ack()
    assert client.sent() == ["a"]
    client.ack()
    assert client.confirmed("private", "a")


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
    """eToro does not document what a snapshot of ``private`` contains."""
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
    """It was never accepted, and a retry cannot help; the outcome holds the error."""
    client = Client("a").login()
    client.send()
    outcome = client.nack("SubscribeFailed")
    assert isinstance(outcome.error, EToroSubscriptionError)
    assert client.wanted == []
    assert not client.protocol.restoring


def test_what_was_unsubscribed_during_an_outage_has_to_prove_itself_again() -> None:
    """That it was accepted before it was unsubscribed does not count."""
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


def test_what_was_unsubscribed_on_a_connection_has_to_prove_itself_again() -> None:
    """A refusal of it on the next one is no reason to replace that one."""
    client = Client("a").login()
    client.send()
    client.ack()
    client.unsubscribe("a")
    client.send()
    client.ack()
    client.tracker.add(["a"])
    client.protocol.connection_lost()
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
    """Calls in an outage return at once, so nobody is left to retry."""
    client = Client("a").login()
    version = client.tracker.add(["b"])
    client.protocol.submit(Operation("Subscribe", ["b"], {}, version=version, awaited=False))
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
    """The controller notices the end at a reply only; the unsubscription follows."""
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
    assert client.outcomes == [None]


def test_calls_that_wait_are_served_by_the_restoration() -> None:
    """The restoration requests their snapshots, so the calls do not."""
    client = Client().login()
    client.subscribe("a", snapshot=True)
    client.protocol.connection_lost()
    client.login(with_snapshots=True)
    client.subscribe("a", snapshot=True)
    assert client.sent() == ["a"]
    client.ack()
    assert client.send() is None
    assert client.outcomes == [None, None]


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
    """A topic that was never accepted is given up, and nothing else with it."""
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


def test_an_outage_collects_no_calls_that_nobody_waits_for() -> None:
    """The restoration brings the connection to what is wanted when it begins."""
    client = Client("a")
    for _ in range(1000):
        client.protocol.submit(Operation("Subscribe", ["a"], {}, client.outcomes.append, 0, False))
    assert client.outcomes == [None] * 1000
    client.login()
    assert client.sent() == ["a"]
    client.ack()
    assert client.send() is None
