"""What the tests of the protocol share."""

from __future__ import annotations

import itertools
import json
from typing import Any

from etoro_sync.errors import EToroError
from etoro_sync.redaction import Redactor
from etoro_sync.ws.protocol.control import MAX_FRAME_BYTES, ControlChannel, Operation, Outcome
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker

API_KEY, USER_KEY = "api-key-0123456789", "user-key-0123456789"


class Client:
    """A control channel with its tracker, and the outcomes of its operations."""

    def __init__(self, *wanted: str) -> None:
        self.tracker = WsSubscriptionTracker()
        self.tracker.add(wanted)
        ids = (f"id-{n}" for n in itertools.count(1))
        self.protocol = ControlChannel(
            self.tracker, 10.0, 5.0, Redactor([API_KEY, USER_KEY]), lambda: next(ids)
        )
        self.outcomes: list[EToroError | None] = []
        self.last: dict[str, Any] = {}

    def login(self, *, with_snapshots: bool = False) -> Client:
        """Open a connection up to where requests are sent."""
        self.last = json.loads(self.protocol.authenticate(API_KEY, USER_KEY, 100.0))
        assert self.ack().name == "Authenticate"
        self.protocol.restore(with_snapshots=with_snapshots)
        return self

    def subscribe(self, *topics: str, snapshot: bool = False) -> Operation:
        version = self.tracker.add(topics, snapshot)
        return self.submit("Subscribe", topics, snapshot, version)

    def unsubscribe(self, *topics: str) -> Operation:
        self.tracker.remove(topics)
        return self.submit("Unsubscribe", topics, False)

    def submit(
        self, name: str, topics: tuple[str, ...], snapshot: bool, version: int = 0
    ) -> Operation:
        snapshots = {t: True for t in topics if snapshot}
        operation = Operation(name, list(topics), snapshots, self.outcomes.append, version)
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
