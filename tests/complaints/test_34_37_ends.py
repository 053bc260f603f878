"""Complaints 34 to 37: programs that hang, or fall over, when they are to end."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import EVENTS, ClientState, EToroClosedError, EToroError, WsClient
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import envelope
from tests.support.peer import Peer
from tests.support.processes import interruptible
from tests.support.threads import Watchdog, run_in_thread
from tests.support.timing import MS

PRICE = {"Ask": "2", "Bid": "1"}
PROGRAM = """
    import atexit, sys, threading
    from etoro_sync import WsClient, WsClientOptions

    client = WsClient(WsClientOptions("key", "key", sys.argv[1], proxy="", close_timeout=0.5))
"""


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start programs that are killed when a test fails before their end."""
    with contextlib.ExitStack() as stack:

        def start(body: str, url: str, *options: str) -> subprocess.Popen[str]:
            text = textwrap.dedent(PROGRAM) + textwrap.dedent(body)
            process = subprocess.Popen(
                interruptible([sys.executable, *options, "-c", text, url]),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.communicate)
            stack.callback(process.kill)
            return process

        yield start


def shell_status(process: subprocess.Popen[str]) -> int:
    """Return the exit status that a shell shows: 128 and the number of the signal."""
    status = process.returncode
    return status if status >= 0 else 128 - status


#: The call -> the program, which says that it is about to make it.
BLOCKING = {
    "connect": "print('now', flush=True); client.connect()",
    "run_forever": "client.connect(); print('now', flush=True); client.run_forever()",
    "get": "client.connect(); q = client.queue('unknown'); print('now', flush=True); q.get()",
    "iteration": "client.connect(); print('now', flush=True); list(client.queue('unknown'))",
    "wait_for": "client.connect(); print('now', flush=True); client.wait_for('unknown')",
    "stream": "client.connect(); print('now', flush=True); list(client.stream([18]))",
    "subscribe": "client.connect(); print('now', flush=True); client.subscribe([18], timeout=60)",
    "disconnect": """
        options = WsClientOptions("key", "key", sys.argv[1], proxy="", close_timeout=60.0)
        client = WsClient(options)
        client.connect()
        print('now', flush=True)
        client.disconnect()
    """,
    "with": """
        with client:
            print('now', flush=True)
            client.run_forever()
    """,
    "a callback": """
        client.on("authenticated", lambda: (print('now', flush=True), client.wait_for("unknown")))
        try:
            client.connect()
            # Ctrl-C may come here, where only the user's disconnect() lets the callback go.
            client.run_forever()
        finally:
            client.disconnect()
    """,
}


@pytest.mark.heavy
@pytest.mark.parametrize("call", BLOCKING)
def test_complaint_34_only_the_break_key_works(
    raw_server: StartServer, program: Callable[..., subprocess.Popen[str]], call: str
) -> None:
    """Ctrl-C in any blocking call ends the program in 2 s with status 130, whoever the server is.

    This one answers nothing but the credentials, and reads nothing after them.
    """
    reached = threading.Event()

    def deaf(peer: Peer) -> None:
        peer.read_request()
        reached.set()
        if call != "connect":
            peer.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                + peer.accept_key().encode()
                + b"\r\n\r\n"
            )
            peer.authenticate()
        peer.hold()

    process = program(BLOCKING[call], raw_server(deaf).url)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    assert reached.wait(10)
    # Whether it is inside the call by now, or still before it, must make no difference.
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=20)
    assert time.monotonic() - started < 2000 * MS
    assert shell_status(process) == 130
    assert stderr.splitlines()[-1] == "KeyboardInterrupt"


def refused(call: Callable[[], Any]) -> None:
    with contextlib.suppress(EToroError):
        call()
        raise AssertionError("it was not refused")


def record(c: WsClient) -> None:
    """Begin a recording and end it."""
    with tempfile.TemporaryDirectory() as folder:
        c.record(folder).close()


#: All that is public, with a call that returns; `connect` and `disconnect` come last, apart.
PUBLIC: dict[str, Callable[[WsClient], Any]] = {
    "on": lambda c: c.on("open", print),
    "once": lambda c: c.once("open", print),
    "off": lambda c: c.off("open", print),
    "remove_all_listeners": lambda c: c.remove_all_listeners("unknown"),
    "queue": lambda c: c.queue("open").close(),
    "stream": lambda c: c.stream([55], timeout=5),
    "subscribe": lambda c: c.subscribe([56], timeout=5),
    "unsubscribe": lambda c: c.unsubscribe([56], timeout=5),
    "subscriptions": lambda c: c.subscriptions,
    "rates": lambda c: dict(c.rates.items()),
    "wait_for": lambda c: refused(lambda: c.wait_for("unknown", lambda m: False, timeout=0.001)),
    "expect": lambda c: refused(
        lambda: c.expect("unknown", lambda m: False, timeout=0.001).__enter__().wait()
    ),
    "alert": lambda c: c.alert(55, print, above=1e9).cancel(),
    "wait_for_order": lambda c: refused(lambda: c.wait_for_order(77, timeout=0.001)),
    "order_updates": lambda c: c.order_updates(77).close(),
    "record": lambda c: record(c),
    "run_forever": lambda c: refused(c.run_forever),
    "live": lambda c: c.live().close(),
    "stats": lambda c: c.stats(),
    "state": lambda c: c.state,
    "is_connected": lambda c: c.is_connected,
    "is_authenticated": lambda c: c.is_authenticated,
    "generation": lambda c: c.generation,
    "last_pong_at": lambda c: c.last_pong_at,
}
ENDS = {"connect", "disconnect", "close"}


def test_complaint_35_every_public_name_is_called() -> None:
    """The next test forgets nothing that a user can call."""
    assert {name for name in dir(WsClient) if not name.startswith("_")} == {*PUBLIC, *ENDS}


@pytest.mark.parametrize("event", EVENTS)
def test_complaint_35_a_call_from_a_callback_deadlocks(
    raw_server: StartServer, client: MakeClient, event: str
) -> None:
    """Every method may be called from every callback, `disconnect` and `connect` included."""

    def eventful(peer: Peer) -> None:
        peer.accept()
        if peer.index == 0:
            peer.acknowledge()
            peer.send_text(envelope("instrument:18", PRICE))
            peer.send_text(envelope("private", {"OrderID": 1}, "Trading.New"))
            peer.send_text(envelope("news", {}, "News"))
            peer.send_text("no JSON")
            if event in ("close", "reconnecting", "reconnected"):
                peer.reset()
                return
        peer.serve()

    c = client(raw_server(eventful).url, stale_after=0.05)
    problems: list[str] = []
    finished = threading.Event()

    def call_everything(*arguments: Any) -> None:
        for name, call in PUBLIC.items():
            try:
                call(c)
            except Exception as exc:
                problems.append(f"{name}: {exc!r}")
        c.disconnect()
        states.append(c.state)
        c.close()
        c.connect()
        states.append(c.state)
        refused(c.connect)
        finished.set()

    states: list[ClientState] = []
    c.once(event, call_everything)
    c.subscribe([18], snapshot=False)
    with Watchdog(15):
        # The callback may end this session before connect() has returned.
        connecting = run_in_thread(c.connect)
        assert finished.wait(14)
        assert isinstance(connecting.exception(), EToroClosedError | None)
    assert problems == []
    assert states == [ClientState.CLOSED, ClientState.LIVE]
    assert c.is_authenticated


def test_complaint_35_a_wish_from_a_callback_does_not_survive_disconnect(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """What a callback subscribes to while `disconnect()` waits for it is forgotten, too."""
    sim = simulator()
    c = client(sim.url)
    c.on("close", lambda code, reason: c.subscribe([18]))
    c.connect()
    c.disconnect()
    assert c.subscriptions == ()
    c.connect()
    c.subscribe([19])
    assert sim.subscribed == {"instrument:19"}


WAITING: dict[str, Callable[[WsClient], Any]] = {
    "get": lambda c: c.queue("unknown").get(),
    "iteration": lambda c: deque(c.queue("unknown"), maxlen=0),
    "wait_for": lambda c: c.wait_for("unknown"),
    "stream": lambda c: deque(c.stream([77]), maxlen=0),
    "run_forever": lambda c: c.run_forever(),
    "subscribe": lambda c: c.subscribe([78], timeout=60),
}


@pytest.mark.parametrize("call", WAITING)
def test_complaint_36_a_poll_hangs_if_it_is_closed_elsewhere(
    raw_server: StartServer, client: MakeClient, call: str
) -> None:
    """`close()` in one thread wakes what blocks in another, at once and not at the next poll."""
    asked = threading.Event()

    def slow_to_acknowledge(peer: Peer) -> None:
        peer.accept()
        if call in ("stream", "subscribe"):
            request = peer.read_json()
            asked.set()
            if call == "stream":
                peer.reply(request)
        peer.serve()

    server = raw_server(slow_to_acknowledge)
    took: list[float] = []
    for _ in range(3):
        asked.clear()
        c = client(server.url)
        c.connect()
        waiting = run_in_thread(lambda c=c: WAITING[call](c))
        if call in ("stream", "subscribe"):
            assert asked.wait(5)
        while (
            call in ("get", "iteration", "wait_for", "stream") and not core_of(c).registry.queues()
        ):
            assert not waiting.done()
        started = time.monotonic()
        c.close()
        error = waiting.exception()
        took.append(time.monotonic() - started)
        if call in ("get", "wait_for", "subscribe"):
            assert isinstance(error, EToroClosedError)
        else:
            assert error is None
    # 100 ms each on a machine with nothing else to do. Waits are cut into slices of one second,
    # so one of three below this bound shows that somebody woke it.
    assert min(took) < 0.1
    assert max(took) < 3000 * MS


#: How a program ends in mid-stream -> its last lines, its exit status, and what the client logs.
EXITS: dict[str, tuple[str, int, str]] = {
    "its last line": ("", 0, ""),
    "sys.exit": ("sys.exit(3)", 3, ""),
    "sys.exit in a callback": (
        "client.once('instrument:rate', lambda i, r: sys.exit(9)); client.wait_for('error')",
        0,
        r"The callback <lambda> for [^\n]* raised SystemExit\nTraceback .*SystemExit: 9\n",
    ),
    "a callback that still works": (
        """
        inside = threading.Event()
        client.on('instrument:delta', lambda i, d: (inside.set(), threading.Event().wait(30)))
        assert inside.wait(10)
        """,
        0,
        r"The end of the program did not wait for the callback <lambda>, [^\n]*\n",
    ),
    "Ctrl-C outside of all calls, while a callback waits in one": (
        """
        inside = threading.Event()
        client.on('instrument:delta', lambda i, d: (inside.set(), client.wait_for('unknown')))
        assert inside.wait(10)
        raise KeyboardInterrupt
        """,
        -signal.SIGINT,
        r"Traceback .*\nKeyboardInterrupt\n"
        r"The callback <lambda> for 'instrument:delta' raised EToroClosedError\nTraceback .*"
        r"EToroClosedError: The program ends\.\n",
    ),
    "threads that still read": (
        """
        def read():
            for pair in client.stream([19]):
                pass
        for _ in range(5):
            threading.Thread(target=read, daemon=True).start()
        client.wait_for('instrument:rate', lambda i, r: i == 19)
        """,
        0,
        "",
    ),
    "an outage": (
        """
        lost = threading.Event()
        client.on('reconnecting', lambda *a: lost.set())
        print("cut", flush=True)
        assert lost.wait(10)
        """,
        0,
        r"The connection ended [^\n]* Reconnecting in [^\n]*\n",
    ),
    "calls of an exit handler": (
        """
        def late():
            client.subscribe([20], wait=False)
            client.stats(), client.rates, client.subscriptions
            client.disconnect()
            client.disconnect()
        atexit.register(late)
        """,
        0,
        "",
    ),
}


@pytest.mark.heavy
@pytest.mark.parametrize("end", EXITS)
def test_complaint_37_errors_at_interpreter_shutdown(
    simulator: MakeSimulator, program: Callable[..., subprocess.Popen[str]], end: str
) -> None:
    """A program that ends in mid-stream without `disconnect()` says nothing on stderr."""
    sim = simulator(rate=3000)
    body, status, logged = EXITS[end]
    begin = """
        client.on('instrument:rate', lambda i, r: None)
        client.connect()
        client.subscribe([18], snapshot=True)
        client.wait_for('instrument:rate')
    """
    text = textwrap.dedent(begin) + textwrap.dedent(body)
    process = program(text, sim.url, "-X", "dev", "-W", "error")
    if end == "an outage":
        assert process.stdout is not None
        assert process.stdout.readline() == "cut\n"
        sim.drop()
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (status, "")
    # Nothing of the interpreter's own.
    assert re.fullmatch(logged, stderr, re.DOTALL), stderr
