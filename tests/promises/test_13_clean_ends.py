"""Promise 13: disconnect(), Ctrl-C, exit, fork and garbage collection leave nothing behind."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from etoro_sync import ClientState, EToroClosedError, WsClient
from etoro_sync.market.feed_handler import FeedHandler
from etoro_sync.simulator import EToroSimulator
from etoro_sync.ws.core import core_of
from etoro_sync.ws.session.reader import Reader
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, quick_options
from tests.support.frames import TEXT, frame
from tests.support.peer import Peer
from tests.support.processes import interruptible
from tests.support.threads import (
    assert_no_new_descriptors,
    assert_no_new_threads,
    join_stragglers,
    run_in_thread,
)
from tests.support.timing import Stopwatch


def deaf(peer: Peer) -> None:
    peer.accept()
    peer.hold()


def test_promise_13_disconnect_against_a_silent_server_is_bounded(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A server that never answers the close costs close_timeout, not more."""
    c = client(raw_server(deaf).url, close_timeout=0.3)
    ear = Ear(c)
    c.connect()
    started = time.monotonic()
    c.disconnect()
    elapsed = time.monotonic() - started
    assert 0.25 < elapsed < 1.5
    assert c.state is ClientState.CLOSED
    assert ear.of("close") == [(1006, "the server did not answer the close in time")]


def test_promise_13_disconnect_against_a_streaming_server_is_bounded(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A server that never stops sending cannot hold the client."""

    def endless(peer: Peer) -> None:
        peer.accept()
        while True:
            peer.send_text('{"messages":[]}')

    c = client(raw_server(endless).url, close_timeout=0.3)
    c.connect()
    watch = Stopwatch()
    c.disconnect()
    assert watch.seconds < 2


def test_promise_13_close_timeout_bounds_the_handshake_also_for_a_patient_caller(
    raw_server: StartServer, client: MakeClient
) -> None:
    """disconnect(timeout=60) does not wait for a server that will not answer."""
    c = client(raw_server(deaf).url, close_timeout=0.2)
    c.connect()
    watch = Stopwatch()
    c.disconnect(timeout=60)
    assert watch.seconds < 5


def test_promise_13_disconnect_without_patience_ends_at_once(
    raw_server: StartServer, client: MakeClient
) -> None:
    """disconnect(timeout=0) cuts the closing handshake short, and the thread is gone too."""
    c = client(raw_server(deaf).url, close_timeout=60)
    c.connect()
    c.disconnect(timeout=0)
    assert not join_stragglers(prefix="etoro-sync-reader")


def test_promise_13_disconnect_is_idempotent_and_legal_in_any_state(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Before connect(), twice, from several threads: nothing is raised, subscriptions are gone."""
    sim = simulator()
    c = client(sim.url)
    c.subscribe([18])
    c.disconnect()
    assert c.subscriptions == ()
    assert c.state is ClientState.CLOSED
    c.connect()
    threads = [run_in_thread(c.disconnect) for _ in range(5)]
    for thread in threads:
        thread.result()
    c.close()
    assert c.state is ClientState.CLOSED
    with pytest.raises(EToroClosedError):
        _get_closed(c)


def _get_closed(c: WsClient) -> None:
    q = c.queue("open")
    c.disconnect()
    q.get(timeout=1)


def test_promise_13_disconnect_while_connecting_ends_connect(
    raw_server: StartServer, client: MakeClient
) -> None:
    """At every step of the way connect() ends with EToroClosedError and the thread is gone."""
    reached = threading.Event()

    def stuck(peer: Peer) -> None:
        peer.read_request()
        reached.set()
        peer.hold()

    c = client(raw_server(stuck).url)
    connecting = run_in_thread(c.connect)
    assert reached.wait(5)
    c.disconnect()
    assert isinstance(connecting.exception(), EToroClosedError)


def test_promise_13_a_hundred_cycles_leave_no_thread_and_no_descriptor() -> None:
    """Back to the baseline after many sessions, of one client and of many."""
    # The simulator is stopped inside the check, so that its own descriptors do not count.
    with (
        assert_no_new_threads(),
        assert_no_new_descriptors(),
        EToroSimulator(rate=0, nul_interval=0) as sim,
    ):
        one = WsClient(quick_options(sim.url))
        for n in range(50):
            one.connect()
            if n % 10 == 0:
                one.subscribe([18])
            one.disconnect()
        for _ in range(50):
            with WsClient(quick_options(sim.url)):
                pass


def test_promise_13_a_hanging_callback_does_not_hold_disconnect(
    simulator: MakeSimulator, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """disconnect() returns in its time, names the callback, and the thread ends when it returns."""
    sim = simulator()
    c = client(sim.url, close_timeout=0.2)
    release, hanging = threading.Event(), threading.Event()

    @c.on("authenticated")
    def hang_here() -> None:
        hanging.set()
        release.wait(10)

    c.connect()
    assert hanging.wait(5)
    watch = Stopwatch()
    c.disconnect()
    assert watch.seconds < 2
    assert "hang_here" in caplog.text
    release.set()
    assert not join_stragglers(prefix="etoro-sync-dispatcher")


def test_promise_13_a_client_that_nobody_uses_any_more_ends_itself(
    simulator: MakeSimulator,
) -> None:
    """A notebook cell that is run twice replaces its client; the old connection goes."""
    sim = simulator()

    def cell() -> WsClient:
        fresh_client = WsClient(quick_options(sim.url))
        fresh_client.connect()
        fresh_client.subscribe([18])
        return fresh_client

    notebook = {"client": cell()}
    notebook["client"] = cell()
    # At once, not when the garbage collector happens to run.
    sim.wait_until(lambda s: len(s.clients) == 1)
    assert notebook["client"].state is ClientState.LIVE
    notebook["client"].disconnect()


def rates_of_queue(c: WsClient) -> Callable[[], float]:
    orders = c.queue("instrument:rate")
    return lambda: float(orders.get(timeout=5)[1].bid)


def rates_of_iteration(c: WsClient) -> Callable[[], float]:
    rates = iter(c.queue("instrument:rate"))
    return lambda: float(next(rates)[1].bid)


def rates_of_method(c: WsClient) -> Callable[[], float]:
    get = c.queue("instrument:rate").get
    return lambda: float(get(timeout=5)[1].bid)


def rates_of_stream(c: WsClient) -> Callable[[], float]:
    rates = c.stream([18])
    next(rates)  # from here on it is subscribed
    return lambda: float(next(rates)[1].bid)


def rates_of_client_method(c: WsClient) -> Callable[[], float]:
    wait_for = c.wait_for
    return lambda: float(wait_for("instrument:rate", timeout=5)[1].bid)


def rates_of_view(c: WsClient) -> Callable[[], float]:
    rates = c.rates

    def changed() -> float:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if 18 in rates and rates[18].bid < 0.5:
                return rates[18].bid
        raise TimeoutError

    return changed


def rates_of_items(c: WsClient) -> Callable[[], float]:
    items = c.rates.items()

    def changed() -> float:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if found := [rate.bid for _, rate in items if rate.bid < 0.5]:
                return found[0]
        raise TimeoutError

    return changed


@pytest.mark.parametrize(
    "keep",
    [
        rates_of_queue,
        rates_of_iteration,
        rates_of_method,
        rates_of_stream,
        rates_of_client_method,
        rates_of_view,
        rates_of_items,
    ],
)
def test_promise_13_what_is_left_of_a_client_keeps_it_alive_and_ends_it(
    simulator: MakeSimulator, keep: Callable[[WsClient], Callable[[], float]]
) -> None:
    """A function that returns only a queue of its client; and who drops that drops the client."""
    sim = simulator()

    def make() -> Callable[[], float]:
        made = WsClient(quick_options(sim.url))
        made.connect()
        if keep is not rates_of_stream:
            made.subscribe([18])
        return keep(made)

    left = make()
    gc.collect()
    enough = threading.Event()

    def publish() -> None:
        while not enough.wait(0.01):
            sim.publish(18, Ask="2", Bid="0.25")

    published = run_in_thread(publish)
    try:
        assert left() == 0.25
        assert len(sim.clients) == 1
    finally:
        enough.set()
    published.result()
    del left
    # At once, not when the garbage collector happens to run.
    sim.wait_until(lambda s: not s.clients)


def test_promise_13_queues_of_a_client_that_nobody_uses_do_not_keep_it_alive(
    simulator: MakeSimulator,
) -> None:
    """A notebook's cell that is run again, with queues that are open, and one in a cycle."""
    sim = simulator()

    def cell() -> tuple[Any, ...]:
        made = WsClient(quick_options(sim.url))
        made.connect()
        queues = [made.queue("instrument:rate"), made.queue("error", maxsize=0)]
        return made, queues, made.rates, made.stream([18])

    notebook = {"all": cell()}
    notebook["all"] = cell()
    sim.wait_until(lambda s: len(s.clients) == 1)
    cycle = notebook.pop("all")[1][0]
    assert len(sim.clients) == 1
    cycle.itself = cycle
    del cycle
    gc.collect()
    sim.wait_until(lambda s: not s.clients)


def test_promise_13_a_queue_that_nobody_refers_to_collects_nothing_more(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """It is as good as closed, and warns of nothing."""
    c = client(simulator().url)
    kept, dropped = c.queue("open"), c.queue("open")
    assert len(core_of(c).registry.queues()) == 2
    del dropped
    assert len(core_of(c).registry.queues()) == 1
    c.connect()
    assert kept.get(timeout=5) == ()


SCRIPT = """
import os, signal, sys, threading, time
from etoro_sync import WsClient, WsClientOptions

client = WsClient(WsClientOptions("k1234567", "u1234567", ws_url=sys.argv[1], proxy=""))
client.on("instrument:rate", lambda instrument_id, rate: None)
{connect}
print("ready", flush=True)
{body}
"""


def start(
    url: str, body: str, connect: str = "client.connect(); client.subscribe([18])"
) -> subprocess.Popen[str]:
    script = SCRIPT.format(body=textwrap.dedent(body), connect=connect)
    return subprocess.Popen(
        interruptible([sys.executable, "-X", "dev", "-W", "error", "-c", script, url]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().strip()


BLOCKED = {
    "run_forever": "client.run_forever()",
    "get": "client.queue('private:event').get()",
    "iteration": "for event in client.queue('private:event'): pass",
    "wait_for": "client.wait_for('private:event')",
    "stream": "for pair in client.stream([19]): pass",
}


@pytest.mark.heavy
@pytest.mark.parametrize("call", BLOCKED)
def test_promise_13_ctrl_c_ends_every_blocking_call_within_two_seconds(
    simulator: MakeSimulator, call: str
) -> None:
    """KeyboardInterrupt, exit status as the shell expects, and no thread that holds the exit."""
    sim = simulator()
    process = start(sim.url, BLOCKED[call])
    assert read_line(process.stdout) == "ready"
    if call == "stream":
        sim.wait_until(lambda s: "instrument:19" in s.subscribed)
    process.send_signal(signal.SIGINT)
    watch = Stopwatch()
    _, stderr = process.communicate(timeout=10)
    assert watch.seconds < 4
    assert process.returncode in (-signal.SIGINT, 130), stderr
    assert stderr.strip().splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.heavy
def test_promise_13_ctrl_c_ends_connect(raw_server: StartServer) -> None:
    """Also while the server does not answer."""
    reached = threading.Event()

    def stuck(peer: Peer) -> None:
        peer.read_request()
        reached.set()
        peer.hold()

    url = raw_server(stuck).url
    process = start(url, "", connect="client.connect()")
    assert reached.wait(10)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode in (-signal.SIGINT, 130), stderr
    assert stderr.strip().splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.heavy
def test_promise_13_a_script_that_ends_in_mid_stream_exits_clean(
    simulator: MakeSimulator,
) -> None:
    """No disconnect(), thousands of messages under way: status 0 and an empty stderr."""
    sim = simulator(rate=2000)
    process = start(sim.url, "client.wait_for('instrument:rate', timeout=10)")
    stdout, stderr = process.communicate(timeout=15)
    assert process.returncode == 0
    assert stderr == ""
    assert stdout.strip() == "ready"


@pytest.mark.heavy
def test_promise_13_a_lost_connection_does_not_kill_a_program_that_lets_sigpipe_kill_it() -> None:
    """Filters restore the signal's default; on the reader's thread a lost peer is an error only."""
    script = """
        import signal, socket, threading
        from etoro_sync.ws.session.signals import block_sigpipe

        def write_to_nobody():
            block_sigpipe()
            near, far = socket.socketpair()
            with near:
                far.close()
                try:
                    near.send(b"x")
                except BrokenPipeError:
                    print("lost, not killed")

        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        thread = threading.Thread(target=write_to_nobody)
        thread.start()
        thread.join()
        """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "lost, not killed"), done.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="needs /proc")
def test_promise_13_the_reader_blocks_sigpipe_for_itself_alone(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Other threads of the program keep the disposition that it has chosen."""
    c = client(simulator().url)
    c.connect()
    blocked = {
        thread.name.rsplit("-", 1)[0]: int(status.group(1), 16) >> (signal.SIGPIPE - 1) & 1
        for thread in threading.enumerate()
        if (status := _signal_mask(thread)) and not thread.name.startswith("etoro-simulator")
    }
    assert blocked["etoro-sync-reader"] == 1
    assert blocked["MainThread"] == 0


def _signal_mask(thread: threading.Thread) -> re.Match[str] | None:
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return re.search(r"SigBlk:\s*(\w+)", status)


@pytest.mark.heavy
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_promise_13_a_forked_child_gets_a_clear_error_and_the_parent_is_untouched(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """Under load, many times: no call hangs in the child, and the parent's stream goes on."""
    sim = simulator(rate=1000)
    c = client(sim.url)
    q = c.queue("instrument:rate")
    c.connect()
    c.subscribe([18], snapshot=True)
    for _ in range(20):
        q.get(timeout=5)
        pid = os.fork()
        if pid == 0:
            status = 200
            try:
                status = _in_the_child(c, q)
            finally:
                # Whatever happens, the child must not go on as a second test run.
                os._exit(status)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
    assert q.get(timeout=5)[1].generation == 1
    assert c.state is ClientState.LIVE


def _in_the_child(c: WsClient, q: object) -> int:
    # By the system's own handler: the one of the test run would raise in here.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(5)
    calls = [
        lambda: q.get(),  # type: ignore[attr-defined]
        lambda: c.subscribe([19]),
        lambda: c.on("open", print),
        lambda: c.wait_for("open"),
        lambda: c.run_forever(),
        lambda: c.queue("open"),
        lambda: c.connect(),
        lambda: c.subscriptions,
        lambda: c.rates,
        lambda: c.stats(),
        lambda: next(iter(c.stream([18]))),
    ]
    for number, call in enumerate(calls):
        try:
            call()
        except EToroClosedError as exc:
            if "fork()" not in str(exc):
                return 100 + number
        except BaseException:
            return 50 + number
        else:
            return 1 + number
    c.disconnect()
    if c.is_connected or c.is_authenticated or c.state is not ClientState.CLOSED:
        return 99
    return 0


def test_promise_13_a_read_of_many_small_messages_is_left_when_the_client_is_to_stop(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are handled in slices, and between two of them the end is looked for."""
    sizes: list[int] = []
    sent, begun, told = (threading.Event() for _ in range(3))
    take, stop = FeedHandler.on_texts, Reader.stop

    def on_texts(feed: FeedHandler, texts: list[str], on_reply: Any) -> None:
        sent.wait(5)  # the next read finds all of it
        take(feed, texts, on_reply)
        if len(texts) > 100:
            sizes.append(len(texts))
            begun.set()
            told.wait(5)

    def stop_and_tell(reader: Reader) -> None:
        stop(reader)
        told.set()

    def script(peer: Peer) -> None:
        peer.accept()
        peer.send(frame(TEXT, b"{}") * 10_000)
        sent.set()
        peer.hold()

    monkeypatch.setattr(FeedHandler, "on_texts", on_texts)
    monkeypatch.setattr(Reader, "stop", stop_and_tell)
    c = client(raw_server(script).url, close_timeout=0.001)
    c.connect()
    assert begun.wait(5)
    c.disconnect()
    assert max(sizes) == 256
    assert sum(sizes) < 9_000
