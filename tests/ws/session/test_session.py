"""Ends of a session without disconnect(): of the program, of the last reference, by a fork."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from etoro_sync import ClientState, EToroAuthError, EToroClosedError
from etoro_sync.ws.core import core_of
from etoro_sync.ws.session import session
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import make_client
from tests.support.peer import Peer
from tests.support.scripts import until
from tests.support.threads import join_stragglers, run_in_thread
from tests.support.timing import Stopwatch


def test_promise_2_the_end_of_the_program_wakes_whoever_waits(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """As disconnect() does, so that no exit handler and no daemon thread waits for ever."""
    c = client(simulator().url)
    c.connect()
    waiting = run_in_thread(c.queue("unknown").get)
    running = run_in_thread(c.run_forever)
    session._end_all()
    assert c.state is ClientState.CLOSED
    error = waiting.exception()
    assert isinstance(error, EToroClosedError)
    assert str(error) == "The program ends."
    assert running.exception() is None


def test_promise_2_the_end_of_the_program_wakes_also_where_the_reader_hangs(
    client: MakeClient,
) -> None:
    """For example in a name resolution; its thread is a daemon and does not delay the end."""
    release = threading.Event()
    c = client("ws://127.0.0.1:9/ws", close_timeout=0.05)
    waiting = c.queue("unknown")

    def hang(*arguments: Any) -> None:
        release.wait(5)

    core_of(c).sessions._begin()[1].reader.__dict__["_session"] = hang
    present = core_of(c).sessions.present
    assert present is not None
    present.start()
    session._end_all()
    try:
        assert c.state is ClientState.CLOSED
        with pytest.raises(EToroClosedError, match="program ends"):
            waiting.get(timeout=5)
    finally:
        release.set()


def test_promise_13_the_end_of_the_program_stands_a_client_that_connects_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A daemon thread may change the list of sessions while it is read."""

    class Changing(list[Any]):
        looks = 0

        def __iter__(self) -> Iterator[Any]:
            self.looks += 1
            if self.looks < 3:
                raise RuntimeError("Set changed size during iteration")
            return super().__iter__()

    changing = Changing()
    monkeypatch.setattr(session, "_sessions", changing)
    session._end_all()
    assert changing.looks == 3


def test_promise_13_the_end_of_the_program_has_one_deadline_for_all_clients(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Ten clients whose callbacks hang cost no more than one."""
    sim = simulator()
    release = threading.Event()
    clients = [client(sim.url) for _ in range(6)]
    for c in clients:
        c.on("authenticated", lambda: release.wait(20))
        c.connect()
    watch = Stopwatch()
    session._end_all()
    elapsed = watch.seconds
    release.set()
    assert elapsed < 3


def test_a_sessions_end_is_forgotten_by_the_module(simulator: MakeSimulator) -> None:
    """The list for the interpreter's exit does not grow."""
    before = len(session._sessions)
    c = make_client(simulator().url)
    c.connect()
    assert len(session._sessions) == before + 1
    c.disconnect()
    assert len(session._sessions) == before


@pytest.mark.parametrize("listening", [True, False])
def test_promise_1_a_client_that_is_collected_says_so(
    simulator: MakeSimulator, caplog: pytest.LogCaptureFixture, listening: bool
) -> None:
    """In the log, if it has callbacks: they get no error."""
    c = make_client(simulator().url)
    if listening:
        c.on("private:event", print)
    c.connect()
    del c
    gc.collect()
    assert not join_stragglers(prefix="etoro-sync-reader")
    warned = ["Keep a reference" in r.getMessage() for r in caplog.records if r.levelno > 20]
    assert warned == [True] * listening


def test_promise_1_a_loop_over_the_queue_of_a_client_that_was_collected_does_not_end_in_silence(
    simulator: MakeSimulator,
) -> None:
    """It raises; only after the user has closed the client would it end without an error."""
    c = make_client(simulator().url)
    c.connect()
    items = c.queue("unknown")._items
    core_of(c).registry.add_queue(items, None)
    del c
    with pytest.raises(EToroClosedError, match="nothing referred to it any more"):
        list(items)


def test_promise_2_a_queue_goes_on_whose_client_was_dropped(simulator: MakeSimulator) -> None:
    """A reference to the queue keeps the client, too."""
    sim = simulator()

    def queue_only() -> Any:
        c = make_client(sim.url)
        c.connect()
        return c.queue("close")

    reader = run_in_thread(queue_only().get)
    gc.collect()
    sim.drop()
    assert reader.result()[0] == 1006
    del reader  # and with it the queue
    gc.collect()
    sim.wait_until(lambda s: not s.clients)


def test_promise_13_the_collector_in_a_forked_child_does_not_end_the_parents_session(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collecting the child's copy does not affect the parent's threads."""
    c = client(simulator().url)
    c.connect()
    assert core_of(c).sessions.present is not None
    own = os.getpid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: own + 1)
        core_of(c).sessions.present.abandon()
    c.subscribe([18])
    assert c.state is ClientState.LIVE


@pytest.mark.parametrize("live", [False, True], ids=["in connect()", "while nobody waits"])
def test_what_ends_a_client_is_logged_unless_a_caller_raises_it(
    raw_server: StartServer, client: MakeClient, caplog: pytest.LogCaptureFixture, live: bool
) -> None:
    """Else it would stand there twice, in the same words."""
    lose = threading.Event()

    def refuse(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate("InvalidKey")
        peer.wait_closed(5)

    c = client(raw_server([until(lose), refuse] if live else refuse).url)
    waiting = c.queue("unknown")
    if live:
        c.connect()
        lose.set()
    else:
        with pytest.raises(EToroAuthError):
            c.connect()
    with pytest.raises(EToroAuthError):
        waiting.get(timeout=5)
    assert caplog.text.count("The client ended: ") == live
