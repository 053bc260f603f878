"""The wanted topics."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from etoro_sync.ws.protocol.tracker import WsSubscriptionTracker


def test_topics_are_kept_in_the_order_in_which_they_were_wanted() -> None:
    """Each once."""
    tracker = WsSubscriptionTracker()
    tracker.add(["b", "a"])
    tracker.add(["c", "b"])
    assert tracker.get_all() == ["b", "a", "c"]
    assert tracker.size == 3
    tracker.remove(["b", "unknown"])
    assert tracker.get_all() == ["a", "c"]
    assert tracker.has("a")
    assert not tracker.has("b")
    tracker.clear()
    assert (tracker.get_all(), tracker.size) == ([], 0)


def test_a_requested_snapshot_stays_until_the_topic_is_removed() -> None:
    """Subscribing again without one takes nothing back."""
    tracker = WsSubscriptionTracker()
    tracker.add(["a"], snapshot=True)
    tracker.add(["a", "b"])
    assert tracker.snapshots() == {"a": True, "b": False}
    tracker.remove(["a"])
    tracker.add(["a"])
    assert tracker.snapshots() == {"b": False, "a": False}


def test_a_string_is_one_topic() -> None:
    """Not seven letters."""
    tracker = WsSubscriptionTracker()
    tracker.add("private")
    assert tracker.get_all() == ["private"]
    tracker.remove("private")
    assert tracker.size == 0


def test_copies_are_given_away() -> None:
    """What a caller does with them changes nothing."""
    tracker = WsSubscriptionTracker()
    tracker.add(["a"])
    tracker.get_all().clear()
    tracker.snapshots().clear()
    assert tracker.has("a")


def test_the_callers_own_code_runs_without_the_lock() -> None:
    """A generator may ask the tracker itself."""
    tracker = WsSubscriptionTracker()
    tracker.add(["a"])

    def topics() -> Iterator[str]:
        yield from [f"{topic}{len(tracker.snapshots())}" for topic in tracker.get_all()]

    tracker.add(topics())
    assert tracker.get_all() == ["a", "a1"]


def test_sixteen_threads_may_use_it_at_once() -> None:
    """Each finds its own topics, and no loop fails."""
    tracker = WsSubscriptionTracker()
    failures: list[Exception] = []

    def use(number: int) -> None:
        topics = [f"{number}-{n}" for n in range(20)]
        try:
            for _ in range(50):
                tracker.add(topics, snapshot=True)
                assert set(topics) <= set(tracker.get_all())
                assert all(tracker.snapshots()[topic] for topic in topics)
                tracker.remove(topics[:10])
                assert not any(tracker.has(topic) for topic in topics[:10])
                assert tracker.size >= 10
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert tracker.size == 160
