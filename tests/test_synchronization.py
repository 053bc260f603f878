"""Waiting for a change: who is woken, when a wait ends, and what an interrupt leaves behind."""

from __future__ import annotations

import ast
import signal
import threading
import time
from pathlib import Path

import pytest

from etoro_sync import synchronization as module
from etoro_sync.synchronization import Monitor, join_thread
from tests.support.clocks import LeapingTime
from tests.support.interrupts import every_interrupt, interrupted_in, locks_held
from tests.support.threads import run_in_thread


def test_a_change_wakes_all_waiting_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and not because a wait is cut into slices for Windows."""
    monkeypatch.setattr(module, "_SLICE", 60.0)
    monitor, changes = Monitor(), [0]
    waiting = [run_in_thread(lambda: monitor.wait(lambda: changes[0] > 0, None)) for _ in range(3)]
    while len(monitor._bells) < 3:
        pass
    with monitor.lock:
        changes[0] = 1
        monitor.changed()
    assert [thread.result() for thread in waiting] == [True, True, True]
    assert monitor._bells == []


def test_a_wait_goes_on_after_a_change_of_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until its own condition holds."""
    monkeypatch.setattr(module, "_SLICE", 60.0)
    monitor, changes = Monitor(), [0]
    waiting = run_in_thread(lambda: monitor.wait(lambda: changes[0] == 5, None))
    while not waiting.done():
        if monitor._bells:
            with monitor.lock:
                changes[0] += 1
                monitor.changed()
    assert changes == [5]
    assert waiting.result()


def test_a_wait_ends_at_its_deadline_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """After several slices; what is so already does not wait at all."""
    monkeypatch.setattr(module, "_SLICE", 0.001)
    monitor = Monitor()
    assert not monitor.wait(lambda: False, time.monotonic() + 0.01)
    assert monitor._bells == []
    assert monitor.wait(lambda: True, 0.0)
    assert not monitor.wait(lambda: False, 0.0)


def test_an_interrupted_wait_leaves_no_lock_held() -> None:
    """And nothing that piles up: the next change takes off the list what is left."""
    monitor = Monitor()
    places = 0
    for where, outcome in every_interrupt(lambda: monitor.wait(lambda: False, None)):
        places += 1
        assert type(outcome) is KeyboardInterrupt, where
        assert locks_held(monitor) == 0, where
        assert len(monitor._bells) <= 1, where
        with monitor.lock:
            monitor.changed()
        assert monitor._bells == [], where
    assert places > 5


def test_a_monitor_itself_cannot_be_used_in_a_with_statement() -> None:
    """An ``__enter__`` written in Python is what Ctrl-C can break."""
    assert not hasattr(Monitor, "__enter__")
    assert type(Monitor().lock).__enter__.__class__.__name__ == "method_descriptor"


def test_time_in_which_the_process_stood_still_is_no_time_that_was_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that is waited for has stood still, too, with the answer unread."""
    time = LeapingTime()
    monkeypatch.setattr(module, "clocks", time)
    monitor, changes = Monitor(), [0]
    waiting = run_in_thread(lambda: monitor.wait(lambda: changes[0] == 2, time.monotonic() + 0.3))
    while not monitor._bells:
        pass
    time.leap(100.0)
    with monitor.lock:
        changes[0] = 1  # of something else
        monitor.changed()
    while not monitor._bells:
        assert not waiting.done()
    with monitor.lock:
        changes[0] = 2
        monitor.changed()
    assert waiting.result()
    waiting = run_in_thread(lambda: monitor.wait(lambda: False, time.monotonic() + 0.1))
    while not monitor._bells:
        pass
    time.leap(100.0)
    assert waiting.result() is False


class _Endless(threading.Thread):
    """One that goes on until it was looked at so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks, self.at = looks, time.monotonic()
        self.waits: list[float] = []

    def is_alive(self) -> bool:
        before, self.at = self.at, time.monotonic()
        self.waits.append(self.at - before)
        return len(self.waits) <= self.looks

    def join(self, timeout: float | None = None) -> None:
        raise AssertionError("join() cannot stand Ctrl-C")


def test_promise_13_a_ctrl_c_that_just_misses_a_wait_for_a_thread_is_seen_soon() -> None:
    """A signal that comes right before the system's wait is only noticed behind it."""
    endless = _Endless(30)
    assert join_thread(endless, 60.0)
    assert sorted(endless.waits)[20] < 1.0
    assert not join_thread(_Endless(30), 0.0)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="sends signals")
def test_promise_13_a_thread_that_ctrl_c_left_behind_is_not_taken_for_ended() -> None:
    """As by ``Thread.join()`` of CPython up to 3.12: what it still writes would be given up."""
    enough = threading.Event()
    thread = threading.Thread(target=enough.wait)
    thread.start()
    with interrupted_in("join_thread"), pytest.raises(KeyboardInterrupt):
        join_thread(thread, 20.0)
    assert thread.is_alive()
    assert not join_thread(thread, 0.01)
    enough.set()
    assert join_thread(thread, 20.0)


def test_no_thread_is_waited_for_longer_than_that() -> None:
    """Those of a client go through the one function that cuts its waits."""
    calls = [
        f"{path.name}:{node.lineno}"
        for path in (Path(module.__file__).parent).rglob("*.py")
        if "simulator" not in path.parts and path.name != "synchronization.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "join"
        and isinstance(node.func.value, ast.Attribute)
        and node.func.value.attr == "_thread"
    ]
    assert calls == []
