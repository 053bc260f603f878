"""Connecting, ending and waiting that overlap, in several threads or in a signal handler."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import deque
from typing import Any

import pytest

from etoro_sync import ClientState, EToroClosedError, EToroError, EToroWebSocketError
from etoro_sync.ws.core import Core, core_of
from etoro_sync.ws.session.commands import Commands
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.threads import Watchdog, join_stragglers, run_in_thread
from tests.support.timing import Stopwatch


def test_promise_12_a_disconnect_that_is_overtaken_leaves_the_new_session_alone(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its topics and queues stay, wherever the late disconnect() is held up."""
    c = client(simulator().url)
    c.connect()
    overtaken, go_on = threading.Event(), threading.Event()
    real = core_of(c).lifecycle.settle

    def late(*arguments: Any) -> bool:
        if not overtaken.is_set():
            overtaken.set()
            go_on.wait(5)
        return real(*arguments)

    monkeypatch.setattr(core_of(c).lifecycle, "settle", late)
    ending = run_in_thread(c.disconnect)
    assert overtaken.wait(5)
    c.disconnect()
    c.connect()
    rates = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    go_on.set()
    ending.result()
    assert c.state is ClientState.LIVE
    assert c.subscriptions == ("instrument:18",)
    assert rates.get(timeout=5)[0] == 18
    assert core_of(c).registry.queues() == [rates._items]


def test_promise_12_a_connect_that_is_overtaken_ends_what_it_has_made(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By disconnect() and connect() in another thread, while it makes its session."""
    c = client(simulator().url)
    real = Commands.__init__
    made, go_on = threading.Event(), threading.Event()
    boxes: list[Commands] = []

    def slow(box: Commands, *arguments: Any) -> None:
        real(box, *arguments)
        boxes.append(box)
        monkeypatch.setattr(Commands, "__init__", real)
        made.set()
        go_on.wait(5)

    monkeypatch.setattr(Commands, "__init__", slow)
    connecting = run_in_thread(c.connect)
    assert made.wait(5)
    c.disconnect()
    c.connect()
    go_on.set()
    assert isinstance(connecting.exception(), EToroClosedError)
    assert boxes[0].waker.fileno() == -1
    assert c.state is ClientState.LIVE
    assert c.is_authenticated


def no_descriptors(*arguments: Any) -> None:
    raise OSError("Too many open files")


def test_promise_12_no_lock_of_the_client_is_taken_under_another(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread may disconnect, with any lock held, while another one connects or disconnects."""
    c = client(simulator().url)
    sessions = core_of(c).sessions
    locks = [sessions._lock, core_of(c).lifecycle._monitor.lock, core_of(c).tracker.lock]
    nested: list[str] = []

    def watch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def watched(*arguments: Any) -> Any:
            if any(lock._is_owned() for lock in locks):  # type: ignore[attr-defined]
                nested.append(name)
            return real(*arguments)

        monkeypatch.setattr(owner, name, watched)

    for name in ("begin", "closing", "closed", "failed", "settle"):
        watch(core_of(c).lifecycle, name)
    watch(core_of(c).requests, "clear")
    watch(core_of(c).registry, "end_queues")
    watch(core_of(c).book, "clear")
    c.connect()
    c.disconnect()
    monkeypatch.setattr(Commands, "__init__", no_descriptors)
    with pytest.raises(EToroError):
        c.connect()
    assert nested == []


def test_promise_12_a_signal_handler_that_disconnects_inside_a_queue_ends(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the client fails, and its reader waits for the lock of that queue."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0, close_timeout=0.05)
    c.connect()
    waiting = c.queue("unknown")
    real = waiting._items._buffer.pop

    def interrupted(now: float) -> Any:
        monkeypatch.setattr(waiting._items._buffer, "pop", real)
        sim.drop()
        while c.state is not ClientState.FAILED:
            pass
        c.disconnect()
        return real(now)

    with Watchdog(10):
        monkeypatch.setattr(waiting._items._buffer, "pop", interrupted)
        waiting._items.feed(["an item"])
        assert waiting.get() == "an item"
        with pytest.raises(EToroError):
            waiting.get()
    assert c.state is ClientState.CLOSED
    assert not join_stragglers(prefix="etoro-sync-reader")


@pytest.mark.parametrize("call", ["wait_for", "get", "stream"])
def test_promise_2_a_call_that_begins_after_the_failure_ends_too(
    simulator: MakeSimulator, client: MakeClient, call: str
) -> None:
    """A loop of calls must not miss an end that comes between two of them."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    c.connect()
    sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()
    begin = {
        "wait_for": lambda: c.wait_for("open"),
        "get": lambda: c.queue("open").get(),
        "stream": lambda: deque(c.stream([1])),
    }[call]
    error = run_in_thread(begin).exception()
    assert isinstance(error, EToroWebSocketError)
    assert "reset" in str(error)
    c.disconnect()
    if call != "get":
        assert isinstance(run_in_thread(begin).exception(), EToroClosedError)


def test_promise_2_a_queue_made_while_disconnect_is_at_work_ends(
    raw_server: StartServer, client: MakeClient
) -> None:
    """It is not in the list of those that disconnect() has ended already."""

    def deaf(peer: Peer) -> None:
        peer.accept()
        peer.hold()

    c = client(raw_server(deaf).url, close_timeout=0.5)
    c.connect()
    ending = run_in_thread(c.disconnect)
    while c.state is not ClientState.CLOSING:
        pass
    assert isinstance(run_in_thread(lambda: c.wait_for("open")).exception(), EToroClosedError)
    ending.result()


@pytest.mark.parametrize("call", ["wait_for", "stream"])
def test_promise_2_a_call_that_disconnect_overtakes_at_its_beginning_ends(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """It has seen a live client, but has not made the queue that disconnect() would end."""
    c = client(simulator().url)
    c.connect()
    add = core_of(c).registry.add_queue

    def overtaken(queue: Any, ids: Any) -> None:
        c.disconnect()
        add(queue, ids)

    monkeypatch.setattr(core_of(c).registry, "add_queue", overtaken)
    calls = {"wait_for": lambda: c.wait_for("unknown"), "stream": lambda: next(iter(c.stream(18)))}
    waiting = run_in_thread(calls[call])
    try:
        assert isinstance(waiting.exception(timeout=2), EToroClosedError)
    finally:
        for left in core_of(c).registry.queues():
            left.close()


def look_and_disconnect(core: Core) -> ClientState:
    state = core.lifecycle.state
    core.sessions.disconnect(None)
    return state


def test_promise_2_run_forever_returns_when_disconnect_comes_at_its_beginning(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of its checks of the state."""
    c = client(simulator().url)
    c.connect()
    monkeypatch.setattr(Core, "state", property(look_and_disconnect))
    c.run_forever()
    monkeypatch.undo()
    assert c.state is ClientState.CLOSED


def test_promise_13_ctrl_c_inside_disconnect_leaves_a_client_that_is_closed(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that can be connected again."""
    c = client(raw_server(live).url)
    c.connect()

    def interrupted(self: object, timeout: float) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("etoro_sync.ws.session.reader.Reader.join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            c.disconnect()
    assert c.state is ClientState.CLOSED
    c.connect()


@pytest.mark.parametrize("timeout", [float("inf"), 1e10])
def test_promise_13_disconnect_takes_any_timeout(
    raw_server: StartServer, client: MakeClient, timeout: float
) -> None:
    """Also one that is too large for the system's waits."""
    c = client(raw_server(live).url)
    c.connect()
    c.disconnect(timeout=timeout)
    assert c.state is ClientState.CLOSED


def test_promise_13_a_slow_callback_adds_nothing_to_the_bound_of_disconnect(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """close_timeout and a tenth of a second, whatever still runs."""
    sim = simulator()
    c = client(sim.url, close_timeout=0.2)
    release, inside = threading.Event(), threading.Event()

    @c.on("authenticated")
    def slow() -> None:
        inside.set()
        release.wait(10)

    c.connect()
    assert inside.wait(5)
    watch = Stopwatch()
    c.disconnect()
    elapsed = watch.seconds
    release.set()
    # The bound is 0.3 s; the rest is for a busy machine.
    assert elapsed < 0.8


def test_nothing_is_kept_of_a_session_once_another_one_has_begun(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """A program may connect and disconnect any number of times."""
    c = client(simulator().url)
    c.connect()
    first = weakref.ref(core_of(c).sessions.present)
    c.disconnect()
    c.connect()
    gc.collect()
    assert first() is None
