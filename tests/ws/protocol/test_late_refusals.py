"""A refusal of a topic while others are restored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from etoro_sync.ws.protocol.control import ControlChannel, Operation
from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker


@pytest.mark.parametrize("moment", ["before", "after"])
def test_promise_7_no_snapshot_is_left_to_a_restoration_that_is_refused_it(moment: str) -> None:
    """A call before or after the refusal, while others are restored, requests its own snapshot."""
    tracker, ids = WsSubscriptionTracker(), iter("1234567")
    tracker.add(["private", "instrument:18"], True)
    protocol = ControlChannel(tracker, 10.0, 10.0, str, new_id=lambda: next(ids))

    def answer(number: int, code: str = "") -> dict[str, Any]:
        protocol.on_reply({"id": str(number), "success": not code, "errorCode": code})
        if number == 1:
            protocol.restore(with_snapshots=False)
        request = protocol.next_request(0.0)
        return json.loads(request[0])["data"] if request else {}

    def subscribe() -> None:
        version = tracker.add(["private"], True)
        protocol.submit(Operation("Subscribe", ["private"], {"private": True}, version=version))

    protocol.authenticate("k", "u", 0.0)
    assert answer(1) == {"topics": ["private"], "snapshot": True}
    if moment == "before":
        subscribe()
    assert answer(2, "SubscribeFailed") == {"topics": ["instrument:18"], "snapshot": True}
    if moment == "after":
        subscribe()
    assert answer(3) == {"topics": ["private"], "snapshot": True}
