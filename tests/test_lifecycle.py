"""Where a client stands: transitions, and sessions that are over."""

from __future__ import annotations

import os
import time
from functools import partial

import pytest

from etoro_sync import ClientState, EToroClosedError, EToroWebSocketError
from etoro_sync import synchronization as monitor
from etoro_sync.lifecycle import Lifecycle
from etoro_sync.synchronization import ProcessGuard
from tests.support.threads import Background, run_in_thread


def nothing() -> None: ...


def begun() -> tuple[Lifecycle, int]:
    lifecycle = Lifecycle()
    number = lifecycle.begin()
    assert number is not None
    return lifecycle, number


def test_a_session_begins_once_and_again_when_it_is_over() -> None:
    """While one is at work, a second one is refused."""
    lifecycle, first = begun()
    assert lifecycle.begin() is None
    lifecycle.closed(first, nothing)
    second = lifecycle.begin()
    assert second is not None
    assert second != first
    assert lifecycle.state is ClientState.CONNECTING


def test_a_session_that_was_replaced_changes_nothing() -> None:
    """A thread that hung in a name resolution comes back late."""
    lifecycle, old = begun()
    lifecycle.failed(old, EToroWebSocketError("late"), nothing)
    new = lifecycle.begin()
    assert new is not None
    lifecycle.advance(old, ClientState.LIVE)
    assert lifecycle.state is ClientState.CONNECTING
    cleanup = partial(pytest.fail, "cleaned up the newer session")
    lifecycle.failed(old, EToroWebSocketError("later"), cleanup)
    lifecycle.closed(old, cleanup)
    assert lifecycle.state is ClientState.CONNECTING
    lifecycle.advance(new, ClientState.LIVE)
    assert lifecycle.state is ClientState.LIVE


def test_disconnect_wins_over_a_failure() -> None:
    """Once disconnect() is at work, a failing connection is no news, and nothing goes live."""
    lifecycle, number = begun()
    assert lifecycle.closing() == number
    lifecycle.failed(number, EToroWebSocketError("reset"), partial(pytest.fail, "no failure"))
    lifecycle.advance(number, ClientState.LIVE)
    assert lifecycle.state is ClientState.CLOSING
    lifecycle.closed(number, nothing)
    assert lifecycle.state is ClientState.CLOSED
    assert lifecycle.error is None


def test_a_failure_is_logged_before_it_is_seen_and_without_a_hold() -> None:
    """A log handler is a user's code: it may connect again, or disconnect, on whichever thread."""
    lifecycle, number = begun()
    seen: list[ClientState] = []

    def log() -> None:
        seen.append(lifecycle.state)
        lifecycle.closing()
        lifecycle.closed(number, nothing)
        assert lifecycle.begin() is not None

    error = EToroWebSocketError("gave up")
    lifecycle.failed(number, error, partial(pytest.fail, "another session"), log)
    assert seen == [ClientState.CONNECTING]
    assert lifecycle.state is ClientState.CONNECTING
    lifecycle.failed(number, error, nothing, partial(pytest.fail, "of an old session"))


def test_a_failure_is_kept_until_the_next_session() -> None:
    """disconnect() after it, and connect(), forget it."""
    lifecycle, number = begun()
    error = EToroWebSocketError("gave up")
    cleaned: list[int] = []
    lifecycle.failed(number, error, partial(cleaned.append, 1))
    lifecycle.failed(number, EToroWebSocketError("second"), partial(cleaned.append, 2))
    assert cleaned == [1]
    assert lifecycle.error is error
    assert lifecycle.closing() == number
    assert lifecycle.state is ClientState.FAILED
    lifecycle.closed(number, nothing)
    assert lifecycle.error is None


def wait_for_a_waiting_thread(lifecycle: Lifecycle) -> None:
    while not lifecycle._monitor._bells:
        pass


def test_only_the_session_right_behind_a_failed_one_goes_on_with_it() -> None:
    """One that the user has closed in between has dealt with the failure."""
    lifecycle, first = begun()
    assert not lifecycle.resumed
    lifecycle.failed(first, EToroWebSocketError("lost"), nothing)
    second = lifecycle.begin()
    assert second is not None
    assert lifecycle.resumed
    lifecycle.closed(second, nothing)
    assert lifecycle.begin() is not None
    assert not lifecycle.resumed


def test_no_session_begins_before_the_queues_of_a_failed_one_are_ended() -> None:
    """A supervisor connects again at once; its queues must not end by the old error."""
    lifecycle, number = begun()
    beginning: list[Background[int | None]] = []

    def end_queues() -> None:
        assert lifecycle.state is ClientState.FAILED
        beginning.append(run_in_thread(lifecycle.begin))
        wait_for_a_waiting_thread(lifecycle)
        assert not beginning[0].done()
        assert lifecycle.state is ClientState.FAILED

    lifecycle.failed(number, EToroWebSocketError("gave up"), end_queues)
    assert beginning[0].result() == number + 1
    assert lifecycle.resumed


@pytest.mark.parametrize("end", ["closed", "failed", "settle"])
def test_no_lock_is_held_while_a_session_is_cleaned_up(end: str) -> None:
    """Cleaning up takes other locks, whose holders may be in a signal handler that disconnects."""
    lifecycle, number = begun()
    calls: list[object] = []

    def cleanup() -> None:
        calls.append(run_in_thread(lifecycle.closing).result())

    arguments = (EToroWebSocketError("gave up"),) if end == "failed" else ()
    getattr(lifecycle, end)(number, *arguments, cleanup)
    assert calls == [number]


def test_whoever_cleans_up_cannot_begin_a_session_and_does_not_wait_to() -> None:
    """A finalizer in the midst of it would wait for itself."""
    lifecycle, number = begun()
    numbers: list[int | None] = []
    lifecycle.failed(number, EToroWebSocketError("x"), lambda: numbers.append(lifecycle.begin()))
    assert numbers == [None]
    assert lifecycle.begin() == number + 1


def test_a_begin_that_is_held_off_for_too_long_is_refused() -> None:
    """At its deadline."""
    lifecycle, number = begun()
    outcomes: list[int | None] = []

    def cleanup() -> None:
        late = time.monotonic() + 0.01
        outcomes.append(run_in_thread(lambda: lifecycle.begin(deadline=late)).result())

    lifecycle.closed(number, cleanup)
    lifecycle.settle(number, cleanup)
    assert outcomes == [None, None]


def test_what_interrupts_a_cleanup_holds_off_no_session() -> None:
    """Nor does it leave one that is closing for ever."""
    lifecycle, number = begun()
    lifecycle.closing()
    with pytest.raises(KeyboardInterrupt):
        lifecycle.closed(number, interrupt)
    assert lifecycle.state is ClientState.CLOSED
    second = lifecycle.begin()
    assert second is not None
    with pytest.raises(KeyboardInterrupt):
        lifecycle.failed(second, EToroWebSocketError("gave up"), interrupt)
    assert lifecycle.begin() is not None


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_session_that_was_replaced_is_not_cleaned_up() -> None:
    """Whoever is overtaken by a new session leaves that alone."""
    lifecycle, old = begun()
    lifecycle.closed(old, nothing)
    lifecycle.begin()
    assert not lifecycle.settle(old, partial(pytest.fail, "cleaned up the newer session"))
    assert lifecycle.closing(old) != old
    assert lifecycle.state is ClientState.CONNECTING


def test_waiting_ends_with_the_state_or_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Woken by the change itself."""
    monkeypatch.setattr(monitor, "_SLICE", 60.0)
    lifecycle, number = begun()
    late = time.monotonic() + 0.01
    assert not lifecycle.outcome(number, ClientState.CONNECTING, deadline=late)
    waiting = run_in_thread(lambda: lifecycle.outcome(number, ClientState.CONNECTING))
    lifecycle.advance(number, ClientState.LIVE)
    assert waiting.result() is True


def test_a_waiting_call_raises_the_failure_also_when_the_user_closes_at_once() -> None:
    """The waiting thread may wake only after both have happened."""
    lifecycle, number = begun()
    lifecycle.failed(number, EToroWebSocketError("gave up"), nothing)
    lifecycle.closed(number, nothing)
    with pytest.raises(EToroWebSocketError, match="gave up"):
        lifecycle.outcome(number, ClientState.CONNECTING)
    second = lifecycle.begin()
    assert second is not None
    late = time.monotonic() + 0.01
    assert not lifecycle.outcome(second, ClientState.CONNECTING, deadline=late)
    lifecycle.advance(second, ClientState.LIVE)
    assert lifecycle.outcome(second, ClientState.CONNECTING)


def test_a_process_guard_knows_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a child the error says what to do."""
    guard = ProcessGuard()
    guard.check()
    own = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: own + 1)
    assert guard.foreign
    with pytest.raises(EToroClosedError, match="new client"):
        guard.check()
