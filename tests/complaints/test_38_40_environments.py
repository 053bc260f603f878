"""Complaints 38 to 40: notebooks, forks, clocks, proxies, and what logs give away."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest

from etoro_sync import ClientState, EToroError, EToroWebSocketError
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.amounts import amount
from tests.support.certificates import Certificates
from tests.support.clients import API_KEY, USER_KEY, Ear, connect_and_run, envelope
from tests.support.clocks import LeapingTime
from tests.support.peer import Peer
from tests.support.scripts import live

PRICE = {"Ask": "2", "Bid": "1"}

FIRST_CELL = """
import asyncio, signal, sys, threading
from etoro_sync import WsClient, WsClientOptions

url = {url!r}
loop = asyncio.get_running_loop()
signals = {{n: signal.getsignal(n) for n in signal.valid_signals()}}
hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
"""
CELL = """
client = WsClient(WsClientOptions("key", "key", url, proxy=""))
client.connect()
rates = client.queue("instrument:rate")
client.subscribe([18], snapshot=True)
print("cell:", rates.get(timeout=5)[0], client.state.value)
"""
CLOSE = "client.disconnect()"
LAST_CELL = """
from etoro_sync.ws.core import core_of
def own():
    return [t for t in threading.enumerate() if t.name.startswith("etoro-sync")]
for thread in own():
    sessions = core_of(client).sessions
    if thread not in (sessions.present.reader._thread, sessions.dispatcher._thread):
        thread.join(5)
print("threads:", len(own()))
print("untouched:", loop is asyncio.get_running_loop(),
      signals == {n: signal.getsignal(n) for n in signal.valid_signals()},
      hooks == (sys.excepthook, threading.excepthook, sys.unraisablehook))
"""


@pytest.mark.heavy
def test_complaint_38_the_second_run_of_a_cell_fails(simulator: MakeSimulator) -> None:
    """In one kernel, with its running loop, a cell runs again, with a close before it or not.

    Two threads are left then, those of the last client, and nothing of the process is changed.
    """
    import nbclient
    import nbformat

    sim = simulator()
    sources = [FIRST_CELL.format(url=sim.url), CELL, CELL, CLOSE, CELL, CELL, LAST_CELL]
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbclient.NotebookClient(notebook, timeout=20, kernel_name="python3").execute()
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)
    assert text.splitlines() == [
        *["cell: 18 live"] * 4,
        "threads: 2",
        "untouched: True True True",
    ]
    assert not [o for cell in notebook.cells for o in cell.outputs if o.get("name") == "stderr"]


FORKS = """
import os, signal, sys, threading, time
from etoro_sync import ClientState, EToroClosedError, WsClient, WsClientOptions

options = WsClientOptions("key", "key", sys.argv[1], proxy="")
client = WsClient(options)
client.on("instrument:rate", lambda i, rate: None)
client.connect()
rates = client.queue("instrument:rate", maxsize=0)  # a full one would be warned of
client.subscribe([18, 19], snapshot=True)
done = threading.Event()

def hold_locks():
    # Whatever lock there is, some fork finds it taken.
    mine = [].clear  # of this thread alone: one that several register is warned of
    while not done.is_set():
        client.off("open", mine)
        client.on("open", mine)
        client.subscribe([20], wait=False)
        client.queue("open").close()
        client.unsubscribe([20], wait=False)
        client.stats(), repr(client)

busy = [threading.Thread(target=hold_locks) for _ in range(2)]
for thread in busy:
    thread.start()

def in_the_child(number):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10)
    calls = [
        rates.get, rates.get_nowait, lambda: next(iter(rates)), client.connect,
        client.run_forever, client.stats, client.remove_all_listeners,
        lambda: client.subscribe([21]), lambda: client.unsubscribe([18]),
        lambda: client.on("open", print), lambda: client.off("open", print),
        lambda: client.queue("open"), lambda: client.wait_for("open"),
        lambda: next(client.stream([18])), lambda: client.subscriptions, lambda: client.rates,
    ]
    for call in calls:
        try:
            call()
        except EToroClosedError as exc:
            assert "fork()" in str(exc), exc
        else:
            raise AssertionError("a child may not use its parent's client")
    assert client.state is ClientState.CLOSED, client.state
    assert not client.is_connected and not client.is_authenticated
    client.generation, client.last_pong_at, repr(client), repr(rates)
    client.disconnect(), client.close(), rates.close()
    if number % 10 == 0:
        with WsClient(options) as own:
            assert next(own.stream([30]))[0] == 30

for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        in_the_child(number)
        # An ordinary end, with the interpreter's exit handlers, takes time: every fifth has one.
        sys.exit(0) if number % 5 == 0 else os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, (number, status)
done.set()
for thread in busy:
    thread.join()
assert client.state is ClientState.LIVE and client.generation == 1
received = rates.received
deadline = time.monotonic() + 5
while rates.received < received + 10:
    assert time.monotonic() < deadline
    rates.get(timeout=5)
client.disconnect()
print("parent untouched")
"""


@pytest.mark.long_form
@pytest.mark.heavy
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
# Work for a whole processor; a child that hangs ends itself after 10 s.
@pytest.mark.timeout(120)
def test_complaint_39_threads_vanish_and_locks_stick_after_fork(simulator: MakeSimulator) -> None:
    """Forks under load: each call of the child is refused, its end is clean, the parent's too.

    A client that the child makes for itself works.
    """
    sim = simulator(rate=2000)
    # Python 3.12 warns of every fork of a program with threads, which is the user's business.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, sim.url]
    command.append(str(amount(20, 100)))
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert (done.returncode, done.stdout) == (0, "parent untouched\n"), done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("hours", [1, -1])
def test_complaint_40_the_clock_is_off(
    simulator: MakeSimulator, client: MakeClient, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A wall clock that is set by an hour, either way, ends, delays and repeats nothing."""
    sim = simulator()
    c = client(sim.url, heartbeat_interval=0.1, heartbeat_timeout=5, stale_after=0.2)
    ear = Ear(c)
    c.connect()
    c.subscribe([18], snapshot=True)
    ear.wait_for("stale")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + hours * 3600)
    # Longer than both timers, by the only clock that counts.
    for count in (2, 3):
        sim.publish(18, **PRICE)
        ear.wait_for("stale", count)
    assert ear.names("close", "reconnecting", "error") == []
    assert all(age < 60 for _, age in ear.of("stale"))
    started = time.monotonic()
    sim.drop()
    ear.wait_for("reconnected")
    assert time.monotonic() - started < 5
    assert c.stats().last_message_age is not None
    assert 0 <= (c.stats().last_message_age or 0) < 60


def test_complaint_40_an_outage_of_ten_minutes_is_timed_by_the_monotonic_clock(
    raw_server: StartServer, client: MakeClient, leap: LeapingTime
) -> None:
    """Refused for ten minutes: attempts within the budget of the backoff, then recovery."""

    def first(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
        peer.reset()

    def back(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", {"Ask": "4", "Bid": "3"}, "Snapshot"))
        peer.serve()

    server = raw_server([first, back])
    c = client(
        server.url,
        reconnect_attempts=None,
        reconnect_delay=1.0,
        reconnect_max_delay=60.0,
        heartbeat_interval=0,
    )
    ear = Ear(c)
    rates = c.queue("instrument:rate")
    leap.at(0.0, server.stop_listening)
    leap.at(600.0, server.start_listening)
    c.subscribe([18], snapshot=True)
    c.connect()
    (gap,) = ear.wait_for("reconnected")
    waits = [seconds for _, seconds in ear.of("reconnecting")]
    assert 10 <= len(waits) <= 50
    assert 600 <= sum(waits) < 660
    assert all(wait <= min(2**n, 60) for n, wait in enumerate(waits))
    assert 600 <= gap.seconds < 665
    assert server.connections == 2
    assert [rates.get(timeout=5)[1].ask for _ in range(2)] == [2, 4]
    assert c.state is ClientState.LIVE


def test_complaint_40_a_key_log_that_cannot_be_written_is_named(
    raw_server: StartServer,
    client: MakeClient,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names SSLKEYLOGFILE and its file, and not a handshake that has failed."""
    server = raw_server(lambda peer: peer.wait_closed(), tls=certificates.server)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "gone" / "log"))
    with pytest.raises(EToroWebSocketError, match="SSLKEYLOGFILE names") as caught:
        client(server.url).connect()
    assert str(tmp_path / "gone" / "log") in str(caught.value)
    assert "handshake" not in str(caught.value)


def test_complaint_40_a_certificate_file_of_the_environment_is_trusted(
    raw_server: StartServer,
    client: MakeClient,
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind a proxy that inspects TLS, `SSL_CERT_FILE` will do; nobody has to verify less."""
    authority = tmp_path / "authority.pem"
    authority.write_bytes(certificates.authority_pem())
    server = raw_server(live, tls=certificates.server)
    untrusting = client(server.url)
    with pytest.raises(EToroError, match="is not trusted"):
        untrusting.connect()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    c = client(server.url)
    c.connect()
    assert c.is_authenticated


@pytest.mark.parametrize("source", ["the option", "the environment"])
def test_complaint_40_a_proxys_password_is_never_shown(
    raw_server: StartServer,
    client: MakeClient,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    source: str,
) -> None:
    """All logs at DEBUG, all errors and reprs hold neither a key nor the proxy's password."""
    password = "planted-proxy-password-2342"
    asked: list[str] = []

    def proxy(peer: Peer) -> None:
        """Be a tunnel to a server that repeats the keys, and later one that refuses."""
        asked.append(peer.read_request())
        if peer.index > 0:
            peer.send(f"HTTP/1.1 407 {password}\r\n\r\n".encode())
            return
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        assert peer.start_tls(certificates.wrong_host)
        peer.accept()
        peer.send_text(f"nonsense with {API_KEY} and {USER_KEY}")
        peer.send_close(4000, f"{API_KEY} {USER_KEY}")

    url = f"http://me:{password}@127.0.0.1:{raw_server(proxy).port}"
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", url if source == "the environment" else "http://127.0.0.1:9")
    caplog.set_level(logging.DEBUG)
    c = client(
        # The one name for which there is a certificate and no address.
        "wss://example.invalid/ws",
        proxy=url if source == "the option" else None,
        ssl_context=certificates.client,
        reconnect_attempts=2,
    )
    ear = Ear(c)
    with pytest.raises(EToroError, match="407") as caught:
        connect_and_run(c)
    c.disconnect()
    assert asked[0].startswith("CONNECT example.invalid:443 ")
    assert "Proxy-Authorization: Basic " in asked[0]
    shown = [caplog.text, repr(c), repr(core_of(c).options), str(caught.value), repr(c.stats())]
    shown += [repr(arguments) + str(arguments) for _, arguments in ear.heard]
    shown += ["".join(traceback.format_exception(error)) for error in ear.of("error")]
    for secret in (password, API_KEY, USER_KEY):
        assert not [text for text in shown if secret in text]
    # Something was there to be hidden.
    assert "***" in caplog.text
