"""Queues, fed by hand: no client, no sockets."""

from __future__ import annotations

import inspect
import logging
import queue
from typing import Any

import pytest

from etoro_sync import (
    EToroClosedError,
    EToroQueueOverflowError,
    EToroValidationError,
    EToroWebSocketError,
    EventQueue,
    clocks,
)
from etoro_sync import synchronization as monitor
from etoro_sync.delivery import queues as module
from etoro_sync.delivery.dispatcher import Dispatcher
from etoro_sync.delivery.event_queue import make_buffer
from etoro_sync.delivery.queues import ItemQueue
from etoro_sync.throttle import LogThrottle
from tests.support.clocks import FakeClock
from tests.support.foreign import Float, Int
from tests.support.threads import on_each_record, run_in_thread


def new_queue(event: str = "private:event", **options: Any) -> ItemQueue:
    buffer = make_buffer(event, options.get("maxsize"), options.get("overflow"))
    return ItemQueue(event, buffer, lambda q: None)


@pytest.mark.parametrize(
    ("event", "maxsize", "overflow", "field"),
    [
        ("instrument:rate", -1, None, "maxsize"),
        ("instrument:rate", 1.5, None, "maxsize"),
        ("instrument:rate", True, None, "maxsize"),
        ("instrument:rate", "many", None, "maxsize"),
        ("instrument:rate", 5, "block", "overflow"),
        ("instrument:rate", 5, 7, "overflow"),
        ("private:event", 5, "conflate", "overflow"),
        ("instrument:delta", 5, "conflate", "overflow"),
    ],
)
def test_bad_settings_name_the_field_and_what_is_allowed(
    event: str, maxsize: Any, overflow: Any, field: str
) -> None:
    """maxsize is a whole number from 0 up; conflation is for rates only."""
    with pytest.raises(EToroValidationError) as caught:
        make_buffer(event, maxsize, overflow)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("event", "size", "last"),
    [
        ("instrument:rate", 10_000, "newest"),
        ("message", 10_000, "error"),
        ("open", 100_000, "error"),
    ],
)
def test_defaults_depend_on_the_event(event: str, size: int, last: str) -> None:
    """10,000 and conflation for rates, 100,000 and an error for what must not be lost."""
    q = new_queue(event)
    q.feed([(1, n) for n in range(size + 5)])
    assert q.qsize() == size
    if last == "newest":
        assert q.conflated == 5
    else:
        assert q.dropped == 5
        for _ in range(size):
            q.get_nowait()
        with pytest.raises(EToroWebSocketError, match="5 items"):
            q.get_nowait()


def test_numbers_of_other_libraries_are_numbers() -> None:
    """As sizes and as seconds; what is none is refused by name, and is a ValueError as ever."""
    size: Any = Int(1)
    q = ItemQueue("stale", make_buffer("stale", size, "drop_newest"), lambda queue: None)
    q.feed([1, 2])
    seconds: Any = Float(0.01)
    assert q.get(timeout=seconds) == 1
    with pytest.raises(queue.Empty):
        q.get(timeout=seconds)
    for wrong in (True, "5", -1):
        with pytest.raises(EToroValidationError) as caught:
            q.get(timeout=wrong)  # type: ignore[arg-type]
        assert caught.value.field == "timeout"


def test_a_maxsize_of_zero_is_unbounded() -> None:
    """For those who ask for it."""
    q = new_queue(maxsize=0)
    q.feed(range(250_000))
    assert q.qsize() == 250_000
    assert q.dropped == 0


def test_items_come_in_order_and_counts_agree() -> None:
    """First in, first out; qsize(), empty() and len of what waits."""
    q = new_queue()
    assert q.empty()
    q.feed(["a", "b"])
    q.feed(["c"])
    assert q.qsize() == 3
    assert not q.empty()
    assert [q.get(), q.get(timeout=1), q.get_nowait()] == ["a", "b", "c"]
    assert (q.received, q.delivered, q.dropped, q.conflated) == (3, 3, 0, 0)
    with pytest.raises(queue.Empty):
        q.get(block=False)


@pytest.mark.parametrize("event", ["instrument:rate", "private:event"])
def test_several_items_are_taken_at_once(event: str) -> None:
    """As many as there are, up to a number; none when it is empty, and the error behind the end."""
    items = new_queue(event)
    assert items.take(5) == []
    items.feed([(n, n) for n in range(7)])
    taken = []
    while some := items.take(5):
        assert len(some) <= 5
        taken += some
    assert taken == [(n, n) for n in range(7)]
    assert (items.received, items.delivered) == (7, 7)
    items.end("over")
    with pytest.raises(EToroClosedError, match="over"):
        items.take(5)


def test_items_of_several_events_are_taken_in_their_order() -> None:
    """Rates that follow one another at once, and other events one by one."""
    items = ItemQueue("x", make_buffer(("instrument:rate", "close"), 0, None), lambda q: None)
    items.feed([("instrument:rate", (1, "a")), ("instrument:rate", (2, "b"))])
    items.feed([("close", (1006, "lost")), ("instrument:rate", (1, "c"))])
    taken = []
    while some := items.take(5):
        assert len({event for event, *_ in some}) == 1
        taken += some
    rates = [("instrument:rate", 1, "a"), ("instrument:rate", 2, "b")]
    assert taken == [*rates, ("close", 1006, "lost"), ("instrument:rate", 1, "c")]


def test_a_reader_that_takes_several_is_warned_when_it_is_late(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As one that takes one at a time."""
    clock = FakeClock()
    items = ItemQueue(
        "private:event", make_buffer("private:event", 0, None), lambda q: None, clock=clock
    )
    for _ in range(200):
        items.feed(range(5))
        clock.now += 1.0
        items.take(1)
    assert "too slow" in caplog.text


def test_several_readers_share_the_items() -> None:
    """Each item goes to exactly one of the threads that wait."""
    q = new_queue()
    readers = [run_in_thread(lambda: list(q)) for _ in range(4)]
    for n in range(100):
        q.feed([n])
    q.end("over")
    got = [item for reader in readers for item in reader.result()]
    assert sorted(got) == list(range(100))


def test_a_closed_queue_delivers_what_waits_and_then_says_that_it_is_closed() -> None:
    """close() is idempotent, takes nothing more, and wakes readers."""
    taken_off: list[ItemQueue] = []
    q = ItemQueue("open", make_buffer("open", None, None), taken_off.append)
    q.feed([()])
    blocked = run_in_thread(lambda: [q.get(), q.get()])
    q.close()
    q.close()
    q.feed([()])
    assert isinstance(blocked.exception(), EToroClosedError)
    assert q.received == 1
    assert q in taken_off
    with pytest.raises(EToroClosedError, match="queue was closed"):
        q.get()


def test_iteration_ends_with_the_queue_and_raises_what_failed() -> None:
    """A for loop ends quietly after close(), and with the error of a failed client."""
    closed = new_queue()
    closed.feed([1, 2])
    closed.end("closed by the user")
    assert list(closed) == [1, 2]
    failed = new_queue()
    failed.feed([1])
    failed.end("failed", EToroWebSocketError("gave up"))
    items = iter(failed)
    assert next(items) == 1
    with pytest.raises(EToroWebSocketError, match="gave up"):
        next(items)


def test_each_reader_of_a_failed_queue_gets_an_exception_of_its_own() -> None:
    """Raised in several threads, one object would mix their tracebacks."""
    q, failure, cause = new_queue(), EToroWebSocketError("no", "TooManyRequests"), OSError("why")
    failure.__cause__ = cause
    q.end("failed", failure)
    raised = [run_in_thread(q.get).exception() for _ in range(2)]
    assert raised[0] is not raised[1]
    assert all(type(error) is EToroWebSocketError for error in raised)
    assert all(error.error_code == "TooManyRequests" for error in raised)  # type: ignore[union-attr]
    assert all(error.__cause__ is cause for error in raised if error)


def test_a_reader_is_woken_by_an_item_and_by_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not because a wait is cut into slices for Windows."""
    monkeypatch.setattr(monitor, "_SLICE", 60.0)
    q = new_queue()
    reader = run_in_thread(q.get)
    while not q._monitor._bells:
        pass
    q.feed(["item"])
    assert reader.result() == "item"
    reader = run_in_thread(q.get)
    while not q._monitor._bells:
        pass
    q.end("over")
    assert isinstance(reader.exception(), EToroClosedError)


def test_several_readers_are_woken_by_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there are items, not one of them."""
    monkeypatch.setattr(monitor, "_SLICE", 60.0)
    q = new_queue()
    readers = [run_in_thread(q.get) for _ in range(2)]
    while len(q._monitor._bells) < 2:
        pass
    q.feed(["a", "b"])
    assert sorted(reader.result() for reader in readers) == ["a", "b"]


def test_an_overflow_that_is_still_to_be_raised_makes_the_queue_not_empty() -> None:
    """A loop that reads until the queue is empty gets the error, too."""
    q = new_queue(maxsize=1)
    q.feed(["a", "b"])
    assert q.get_nowait() == "a"
    assert (q.qsize(), q.empty()) == (0, False)
    with pytest.raises(EToroQueueOverflowError):
        q.get_nowait()
    assert q.empty()


def test_the_first_end_counts() -> None:
    """A queue that failed does not turn into one that was closed."""
    q = new_queue()
    q.end("failed", EToroWebSocketError("gave up"))
    q.close()
    with pytest.raises(EToroWebSocketError, match="gave up"):
        q.get()


def test_a_failed_client_that_was_closed_by_the_user_elsewhere_raises_in_iteration() -> None:
    """An EToroClosedError that is the client's failure is not a quiet end."""
    q = new_queue()
    q.end("failed", EToroClosedError("connect() was interrupted."))
    with pytest.raises(EToroClosedError, match="interrupted"):
        next(iter(q))


def test_a_queue_is_a_context_manager_and_shows_its_state() -> None:
    """Leaving the block closes it; repr shows what waits."""
    with new_queue() as q:
        q.feed([1])
        assert repr(q) == "<ItemQueue 'private:event': 1 waiting, 0 dropped>"
    assert q.get() == 1
    with pytest.raises(EToroClosedError):
        q.get_nowait()


@pytest.mark.parametrize("overflow", ["conflate", "drop_oldest", "drop_newest", "raise"])
def test_a_queue_that_is_full_is_warned_of_once_a_minute(
    overflow: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """When items begin to give way, and not before."""
    clock = FakeClock()
    monkeypatch.setattr(module, "LogThrottle", lambda: LogThrottle(clock=clock))
    q = new_queue("instrument:rate", maxsize=2, overflow=overflow)
    q.feed([(1, "a"), (2, "a")])
    assert caplog.records == []
    for _ in range(5):
        q.feed([(1, "b")])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "A queue of 'instrument:rate' is full" in caplog.text
    clock.advance(61)
    q.feed([(2, "b")])
    conflated = "dropped until now: 0 items; replaced by newer ones: 6 rates."
    words = conflated if overflow == "conflate" else "dropped until now: 6 items;"
    assert words in caplog.records[1].getMessage()
    assert len(caplog.records) == 2


def test_no_lock_is_held_while_a_full_queue_is_logged() -> None:
    """A log handler is user code: it may wait for a thread that reads the queue."""
    q = new_queue("instrument:rate", maxsize=1)
    with on_each_record(q.get_nowait) as outcomes:
        q.feed([(1, "a"), (2, "a")])
    assert outcomes == [(2, "a")]


def timed_queue(conflate_after: float | None = None) -> tuple[ItemQueue, FakeClock]:
    clock = FakeClock()
    buffer = make_buffer("instrument:rate", None, None, conflate_after)
    return ItemQueue("instrument:rate", buffer, lambda q: None, clock=clock), clock


def test_a_queue_keeps_every_rate_while_there_is_room_unless_asked_not_to() -> None:
    """Some users read a lot at once, now and then; others want to stay near the present."""
    for conflate_after, expected in ((None, [1, 2, 3, 4]), (1.0, [3, 4])):
        q, clock = timed_queue(conflate_after)
        q.feed([(18, 1), (18, 2), (18, 3)])
        clock.advance(2.0)
        q.feed([(19, 4)])
        taken = []
        while not q.empty():
            taken.append(q.get_nowait()[1])
        assert taken == expected
        assert q.conflated == 4 - len(expected)
        assert q.delivered + q.dropped + q.conflated + q.qsize() == q.received


@pytest.mark.parametrize(
    ("event", "overflow", "conflate_after"),
    [
        ("instrument:rate", "drop_oldest", 1.0),
        ("private:event", None, 1.0),
        ("instrument:rate", None, -1.0),
        ("instrument:rate", None, "1"),
    ],
)
def test_conflation_by_age_is_for_rates_that_may_be_conflated(
    event: str, overflow: str | None, conflate_after: Any
) -> None:
    """Of all other events each one counts; and it is a number of seconds."""
    with pytest.raises(EToroValidationError) as caught:
        make_buffer(event, None, overflow, conflate_after)
    assert caught.value.field == "conflate_after"


def test_the_lag_of_a_queue_is_the_age_of_what_waits_longest() -> None:
    """0.0 when nothing waits."""
    q, clock = timed_queue()
    assert q.lag == 0.0
    q.feed([(18, 1)])
    clock.advance(2.0)
    q.feed([(18, 2)])
    clock.advance(0.5)
    assert q.lag == 2.5
    q.get()
    assert q.lag == 0.5
    q.get()
    assert q.lag == 0.0


@pytest.mark.parametrize(("conflate_after", "limit"), [(None, 5.0), (1.0, 1.0), (3.0, 3.0)])
def test_a_loop_that_falls_behind_is_warned_of_by_age(
    conflate_after: float | None, limit: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a minute, although it reads all the time and the queue is far from full."""
    q, clock = timed_queue(conflate_after)
    for n in range(400):
        q.feed([(n * 3 % 200, n), (n * 3 % 200 + 1, n), (n * 3 % 200 + 2, n)])
        q.get()
        clock.advance(0.05)
    (record,) = caplog.records
    behind = float(record.getMessage().split("it is ")[1].split(" s behind")[0])
    assert limit <= behind < limit * 2
    assert ("conflate_after=1.0 would" in record.getMessage()) == (conflate_after is None)


def test_who_reads_a_lot_at_once_now_and_then_is_not_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What waits is old, but the loop is not slow: it finds the queue empty soon."""
    q, clock = timed_queue()
    for _ in range(5):
        q.feed([(18, n) for n in range(1000)])
        clock.advance(60.0)
        while not q.empty():
            q.get()
            clock.advance(0.001)
    assert caplog.records == []


def test_users_have_every_figure_of_their_queue() -> None:
    """What is public of the items is public of the queue, but for what the reader calls."""
    public = {name for name in dir(ItemQueue) if not name.startswith("_")}
    readers = {"abandon", "barrier", "batch_in", "collector", "end", "feed", "finish"}
    readers |= {"has_failed", "has_room", "take"}
    assert public - readers <= {name for name in dir(EventQueue) if not name.startswith("_")}
    items = new_queue(maxsize=1, overflow="drop_oldest")
    items.feed([1, 2])
    q = EventQueue(items, None)
    assert (q.event, q.qsize(), q.empty()) == ("private:event", 1, False)
    assert q.get_nowait() == 2
    assert (q.received, q.delivered, q.dropped, q.conflated) == (2, 1, 1, 0)
    with q:
        assert repr(q) == "<EventQueue 'private:event': 0 waiting, 1 dropped>"
    assert list(q) == []


def test_who_reads_what_qsize_counts_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Such a reader never finds the queue empty, for some always comes while it reads."""
    q, clock = timed_queue()
    for _ in range(5):
        for n in range(100):
            q.feed([(18, n)])
            clock.advance(0.6)
        for n in range(q.qsize()):
            if n % 10 == 0:
                q.feed([(18, n)])
            q.get()
            clock.advance(0.001)
        assert not q.empty()
    assert caplog.records == []


def test_who_is_late_and_catches_up_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that works for ten seconds on what a minute has brought has no need of advice."""
    q, clock = timed_queue()
    for n in range(600):
        q.feed([(18, n)])
        clock.advance(0.1)
    while not q.empty():
        q.get()
        clock.advance(0.015)
        if q.delivered % 7 == 0:
            q.feed([(18, 0)])
    assert caplog.records == []


def test_a_loop_that_begins_late_and_stays_late_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also if it never gets any later."""
    q, clock = timed_queue()
    for n in range(600):
        q.feed([(18, n)])
        clock.advance(0.1)
    for n in range(200):
        q.feed([(18, n)])
        q.get()
        clock.advance(0.1)
    (record,) = caplog.records
    assert "it is 60.0 s behind" in record.getMessage()


def test_the_warning_of_a_slow_loop_over_other_events_does_not_advise_to_skip_rates(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """conflate_after is for rates."""
    clock = FakeClock()
    buffer = make_buffer("private:event", None, None)
    q = ItemQueue("private:event", buffer, lambda q: None, clock=clock)
    for n in range(200):
        q.feed([n, n])
        assert q.get() == n // 2
        clock.advance(0.1)
    (record,) = caplog.records
    assert "a queue of 'private:event' is too slow" in record.getMessage()
    assert "conflate_after" not in record.getMessage()


@pytest.mark.parametrize("kind", [ItemQueue, Dispatcher])
def test_lags_count_the_machines_sleep(kind: type) -> None:
    """What waited through an hour of it is that old, and is skipped for what is newer."""
    assert inspect.signature(kind).parameters["clock"].default is clocks.uptime


def test_the_lag_of_a_queue_is_not_asked_for_in_a_forked_child() -> None:
    """A thread of the parent may have held the lock, which nobody would ever release there."""
    q, _ = timed_queue()
    q._guard._pid = 0
    with pytest.raises(EToroClosedError):
        _ = q.lag


def test_ages_of_what_was_read_are_forgotten() -> None:
    """Also of a queue that is read in time and never gets empty."""
    for overflow in ("conflate", "drop_oldest"):
        clock = FakeClock()
        buffer = make_buffer("instrument:rate", 10, overflow)
        q = ItemQueue("instrument:rate", buffer, lambda q: None, clock=clock)
        for n in range(1000):
            q.feed([(18, n)])
            if n > 5:
                q.get()
            clock.advance(0.01)
        assert len(buffer._arrivals._notes) < 50  # type: ignore[attr-defined]
