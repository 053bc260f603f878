"""A connection that takes no more topics is filled to its last place; the rest is handed on."""

from __future__ import annotations

from typing import Any

import pytest

from etoro_sync.errors import EToroSubscriptionError
from etoro_sync.ws.protocol.control import Operation
from etoro_sync.ws.protocol.replies import says_full
from tests.ws.protocol.tools import Client

FULL = {"errorMessage": "Too many subscriptions for session"}


class Crowded(Client):
    """A channel whose connection takes so many topics, and which may hand on the others."""

    def __init__(self, room: int, *wanted: str, takes: bool = True) -> None:
        super().__init__(*wanted)
        self.room, self.takes = room, takes
        self.moved: list[tuple[list[str], int]] = []
        self.protocol.move = self._move
        self.held: set[str] = set()

    def _move(self, operations: list[Operation], topics: list[str], room: int) -> bool:
        if self.takes:
            self.moved.append((topics, room))
            self.tracker.remove(topics)
        return self.takes

    def serve(self) -> int:
        """Answer all requests as eToro does; return how many there were."""
        count = 0
        while self.send() is not None:
            count += 1
            topics = set(self.last["data"]["topics"])
            if len(self.held | topics) > self.room:
                self.nack(**FULL)
            else:
                self.held |= topics
                self.ack()
        return count


@pytest.mark.parametrize("room", [1, 3, 7, 8])
def test_it_is_filled_to_its_last_place(room: int) -> None:
    """By halves, so that only a few requests are refused; the call succeeds."""
    client = Crowded(room).login()
    topics = [f"instrument:{n}" for n in range(8)]
    client.subscribe(*topics)
    assert client.serve() <= 2 * 4
    assert len(client.held) == room
    assert client.outcomes == [None]
    rest = [topic for topic in topics if topic not in client.held]
    assert client.moved == ([(rest, room)] if rest else [])
    assert set(client.wanted) == client.held


def test_a_restoration_hands_on_what_does_not_fit_any_more() -> None:
    """All else is restored; nothing is given up."""
    topics = ("private", *(f"instrument:{n}" for n in range(8)))
    client = Crowded(5, *topics).login(with_snapshots=True)
    client.serve()
    ((rest, room),) = client.moved
    assert room == 5
    assert {*rest, *client.held} == set(topics)
    assert "private" in client.held
    assert not client.protocol.restoring


def test_without_another_connection_it_is_a_refusal() -> None:
    """Of the topics that did not fit; those that did stay subscribed."""
    client = Crowded(2, takes=False).login()
    client.subscribe("instrument:1", "instrument:2", "instrument:3")
    client.serve()
    (error,) = client.outcomes
    assert isinstance(error, EToroSubscriptionError)
    assert "Too many subscriptions" in str(error)
    assert client.wanted == sorted(client.held)


def test_a_connection_that_takes_nothing_hands_nothing_on() -> None:
    """Else each connection would hand all of it on to the next one, for ever."""
    client = Crowded(0).login()
    client.subscribe("instrument:1")
    client.serve()
    assert client.moved == []
    assert isinstance(client.outcomes[0], EToroSubscriptionError)


def test_a_client_of_one_connection_asks_no_further() -> None:
    """It raises the refusal at once, as it is."""
    client = Client().login()
    client.subscribe("instrument:1", "instrument:2")
    client.send()
    assert client.nack(**FULL).error is not None
    assert client.send() is None


@pytest.mark.parametrize(
    ("reply", "full"),
    [
        ({"errorCode": "SubscribeFailed", **FULL}, True),
        ({"errorCode": "SubscribeFailed", "errorMessage": "No such topic"}, False),
        ({"errorCode": "TooManyRequests", **FULL}, False),
        ({"errorCode": "SubscribeFailed", "errorMessage": 5}, False),
        ({"errorCode": ["SubscribeFailed"], **FULL}, False),
        ({}, False),
    ],
)
def test_which_refusal_says_so(reply: dict[str, Any], full: bool) -> None:
    """The code alone is that of any refusal; so the message counts, too."""
    assert says_full(reply) is full
