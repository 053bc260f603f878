"""How calls are cut into requests."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from etoro_sync.ws.protocol.requests import MAX_FRAME_BYTES, Operation, Request, chunk_topics, plan

TOPICS = st.lists(st.text(max_size=30), max_size=60)


@given(TOPICS, st.integers(1, 300))
def test_chunks_partition_in_order_and_fit(topics: list[str], budget: int) -> None:
    """Nothing is lost, doubled or moved; only a topic that is over the budget alone is over it."""
    chunks = chunk_topics(topics, budget)
    assert [topic for chunk in chunks for topic in chunk] == topics
    for chunk in chunks:
        assert chunk
        assert len(json.dumps(chunk)) <= budget or len(chunk) == 1


def test_chunks_are_as_full_as_they_can_be() -> None:
    """A topic begins a new frame only where it does not fit."""
    assert [len(chunk) for chunk in chunk_topics(["abc"] * 10, 28)] == [4, 4, 2]
    assert chunk_topics([], 28) == []


def test_a_whole_session_fits_into_frames_of_20_kib() -> None:
    """4,999 topics with the longest ids; a frame over 25 KiB kills the connection silently."""
    topics = [f"instrument:{10**17 + n}" for n in range(4999)]
    for name, wanted in (("Subscribe", True), ("Unsubscribe", False)):
        operation = Operation(name, topics, dict.fromkeys(topics, True))
        requests = plan(operation, lambda topic, w=wanted: w, () if wanted else set(topics))
        assert sum(len(request.topics) for request in requests) == 4999
        for request in requests:
            request.id = "f" * 36
            assert len(request.to_json().encode()) <= MAX_FRAME_BYTES
            assert request.operation is operation


def test_a_plan_holds_only_what_is_wanted_and_missing() -> None:
    """What a later call has changed is left to that call."""
    operation = Operation("Subscribe", ["a", "b", "c", "d"], {"c": True, "d": True})
    requests = plan(operation, lambda topic: topic != "a", {"b", "c"})
    assert [(r.topics, r.snapshot) for r in requests] == [(["c"], True), (["d"], True)]


def test_duplicates_stay_apart_from_new_topics() -> None:
    """eToro rejects the frame that holds one, as a whole."""
    operation = Operation("Subscribe", ["a", "b"], {"a": True, "b": True})
    requests = plan(operation, lambda topic: True, {"a"})
    assert [r.topics for r in requests] == [["a"], ["b"]]


def test_an_unsubscription_is_of_what_is_confirmed_and_not_wanted() -> None:
    """A topic that somebody wants again stays."""
    operation = Operation("Unsubscribe", ["a", "b", "c"])
    requests = plan(operation, lambda topic: topic == "a", {"a", "b"})
    assert [r.topics for r in requests] == [["b"]]


def test_requests_are_written_as_documented() -> None:
    """Unsubscribe carries no snapshot."""
    request = Request("Subscribe", ["instrument:18"], True, None, "1")
    assert json.loads(request.to_json()) == {
        "id": "1",
        "operation": "Subscribe",
        "data": {"topics": ["instrument:18"], "snapshot": True},
    }
    request = Request("Unsubscribe", ["instrument:18"], True, None, "1")
    assert json.loads(request.to_json()) == {
        "id": "1",
        "operation": "Unsubscribe",
        "data": {"topics": ["instrument:18"]},
    }


def test_an_operation_that_nobody_waits_for_may_end() -> None:
    """The default of ``on_done`` does nothing."""
    Operation("Subscribe", ["a"]).on_done(None)
