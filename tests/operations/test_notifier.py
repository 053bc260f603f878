"""What a service manager is told, heard at its end of the socket."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from etoro_sync import EToroError, WsClient
from etoro_sync.operations import health
from etoro_sync.operations.notifier import _Socket, _watchdog_period
from etoro_sync.systemd import Notifier, notify
from tests.conftest import MakeClient, MakeSimulator
from tests.support.clients import make_client, quick_options
from tests.support.threads import assert_no_new_descriptors

from .conftest import Blocker, Manager, until

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="there is no systemd"),
]

Notify = Callable[..., Notifier]


@pytest.fixture
def notifying() -> Iterator[Notify]:
    """Notify until the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(notify(*args, **options))


def test_ready_comes_after_the_first_data(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """A service that depends on this one starts when there are prices."""
    sim = simulator(instruments={18: 4800.0})
    made = client(sim.url)
    notifying(made)
    manager.wait_for("STATUS=the client is disconnected")
    made.connect()
    made.subscribe([18, "private"])
    manager.wait_for("STATUS=live")
    manager.wait_for("WATCHDOG=1")
    assert "READY=1" not in manager.lines
    sim.publish(18, Ask="4801")
    manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    assert manager.lines.count("READY=1") == 1


def test_private_alone_is_ready_once_live(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """An order event may come tomorrow. Without a subscription there is nothing to be ready for."""
    made = client(simulator().url)
    notifying(made)
    made.connect()
    manager.wait_for("WATCHDOG=1")
    manager.wait_for("WATCHDOG=1")
    assert "READY=1" not in manager.lines
    made.subscribe("private")
    manager.wait_for("READY=1")


def test_a_start_may_last_as_long_as_the_client_tries(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """A machine whose network comes up late is no failed start; one that does nothing is."""
    sim = simulator()
    made = client(sim.url, reconnect_attempts=None)
    sim.stop()
    notifying(made)
    assert manager.receive() == ["STATUS=the client is disconnected"]
    thread = threading.Thread(target=lambda: made.connect(retry=True), name="connecting")
    thread.start()
    assert manager.wait_for("EXTEND") == "EXTEND_TIMEOUT_USEC=30000000"
    manager.wait_for("WATCHDOG=1")
    sim.start()
    manager.wait_for("STATUS=live")
    thread.join()


def test_signs_of_life_go_on_during_an_outage(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """The client works on it, and a restart of the program would not help."""
    sim = simulator()
    made = client(sim.url, reconnect_delay=60, reconnect_max_delay=60, reconnect_attempts=None)
    made.connect()
    made.subscribe("private")
    notifying(made)
    manager.wait_for("READY=1")
    sim.stop()
    manager.wait_for("STATUS=the client is reconnecting")
    for _ in range(3):
        manager.wait_for("WATCHDOG=1")


def test_no_sign_of_life_of_a_reader_that_hangs(
    simulator: MakeSimulator,
    client: MakeClient,
    manager: Manager,
    notifying: Notify,
    blocker: Blocker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The manager is to restart the program, although all threads are alive."""
    monkeypatch.setattr(health, "HUNG", 0.1)
    sim = simulator()
    made = client(sim.url)
    made.connect()
    made.subscribe("private")
    notifying(made)
    manager.wait_for("WATCHDOG=1")
    sim.drop()
    assert blocker.blocks.wait(5)
    until(lambda: (made.stats().reader_delay or 0) > 0.2)
    manager.drain()
    with pytest.raises(TimeoutError):
        manager.wait_for("WATCHDOG=1", timeout=0.4)
    blocker.go_on.set()
    manager.wait_for("WATCHDOG=1")


def test_no_sign_of_life_of_a_client_that_has_failed(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """Until the program connects again: whether it is over is the program's to say."""
    sim = simulator()
    made = client(sim.url, reconnect_attempts=0)
    made.connect()
    made.subscribe("private")
    notifying(made)
    manager.wait_for("WATCHDOG=1")
    sim.drop()
    manager.wait_for("STATUS=the client is failed")
    manager.drain()
    with pytest.raises(TimeoutError):
        manager.receive(timeout=0.4)
    made.connect()
    manager.wait_for("WATCHDOG=1")


def test_stopping_is_told_once_when_the_client_is_disconnected(
    simulator: MakeSimulator, client: MakeClient, manager: Manager
) -> None:
    """And the thread ends."""
    made = client(simulator().url)
    made.connect()
    notifier = notify(made)
    manager.wait_for("WATCHDOG=1")
    assert notifier.active
    made.disconnect()
    manager.wait_for("STOPPING=1")
    until(lambda: not notifier.active)
    notifier.close()
    assert manager.drain() == []


def test_a_client_that_was_closed_before_may_connect_again(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """Its old end is not the program's."""
    made = client(simulator().url)
    made.connect()
    made.disconnect()
    notifying(made)
    assert manager.receive() == ["STATUS=the client is closed"]
    made.connect()
    manager.wait_for("WATCHDOG=1")
    assert "STOPPING=1" not in manager.lines


def test_leaving_the_block_is_stopping(
    simulator: MakeSimulator, client: MakeClient, manager: Manager
) -> None:
    """Before the client disconnects, which may take a second."""
    made = client(simulator().url)
    made.connect()
    with notify(made):
        manager.wait_for("WATCHDOG=1")
    assert manager.drain()[-1] == "STOPPING=1"


def test_several_clients_all_have_to_be_ready_and_alive(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """A name cannot begin a line of its own."""
    sim = simulator()
    one, other = client(sim.url), client(sim.url)
    one.connect()
    one.subscribe("private")
    notifying({"a\nREADY=1": one, "b": other})
    manager.wait_for("STATUS=a READY=1: live; b: the client is disconnected")
    with pytest.raises(TimeoutError):
        manager.receive(timeout=0.4)
    other.connect()
    other.subscribe("private")
    manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    one.disconnect()
    manager.drain()
    assert "STOPPING=1" not in manager.lines
    other.disconnect()
    manager.wait_for("STOPPING=1")


def test_a_client_that_is_gone_has_no_sign_of_life(
    simulator: MakeSimulator, manager: Manager, notifying: Notify
) -> None:
    """Notifying does not keep it alive."""
    made = make_client(simulator().url)
    made.connect()
    notifying(made)
    manager.wait_for("WATCHDOG=1")
    del made
    gc.collect()
    manager.wait_for("STOPPING=1")


def test_signs_of_life_come_twice_in_the_time_that_the_manager_allows(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """One that is late by chance is then no reason to be restarted."""
    assert _watchdog_period() == 0.1
    made = client(simulator().url)
    made.connect()
    notifying(made)
    manager.wait_for("WATCHDOG=1")
    since = time.monotonic()
    for _ in range(10):
        manager.wait_for("WATCHDOG=1")
    # 1.0 to 1.5 s, and the manager would allow 2.0; the rest is for a machine that is busy.
    assert time.monotonic() - since < 3.0


@pytest.mark.parametrize(
    ("name", "value"),
    [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "x"), ("WATCHDOG_USEC", "")],
)
def test_no_watchdog_where_none_is_wanted(
    name: str,
    value: str,
    simulator: MakeSimulator,
    client: MakeClient,
    manager: Manager,
    notifying: Notify,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That of a parent process is not this one's."""
    monkeypatch.setenv(name, value)
    made = client(simulator().url)
    made.connect()
    made.subscribe("private")
    notifying(made)
    manager.wait_for("READY=1")
    made.disconnect()
    manager.wait_for("STOPPING=1")
    assert "WATCHDOG=1" not in manager.lines


def test_without_a_manager_nothing_happens(
    client: MakeClient, simulator: MakeSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same program runs on a terminal."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    made = client(simulator().url)
    before = threading.active_count()
    with notify(made) as notifier:
        assert not notifier.active
        assert threading.active_count() == before


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has abstract sockets")
def test_an_abstract_socket(
    client: MakeClient,
    simulator: MakeSimulator,
    notifying: Notify,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name begins with @."""
    name = f"@etoro-sync-test-{os.getpid()}"
    with contextlib.closing(Manager(name)) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        notifying(client(simulator().url))
        manager.wait_for("STATUS=")


def test_what_a_busy_manager_did_not_take_is_told_later(
    simulator: MakeSimulator,
    client: MakeClient,
    manager: Manager,
    notifying: Notify,
    caplog: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A start whose READY=1 is lost would never end."""
    monkeypatch.setattr(_Socket, "patience", 0.02)
    made = client(simulator().url)
    made.connect()
    made.subscribe("private")
    manager.fill()
    notifying(made)
    until(lambda: "Cannot reach the service manager" in caplog.text)
    manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    assert manager.lines.count("READY=1") == 1
    assert [line for line in manager.lines if line.startswith("STATUS=")][-1] == "STATUS=live"
    assert len(caplog.records) == 1


def test_a_status_is_short(
    simulator: MakeSimulator, client: MakeClient, manager: Manager, notifying: Notify
) -> None:
    """systemd ignores a message of more than 4096 bytes, with the sign of life that is in it."""
    made = client(simulator().url)
    notifying({f"€\udcff{number} " * 100: made for number in range(40)})
    (line,) = manager.receive()
    assert line.startswith("STATUS=€")
    assert len(line.encode()) < 2100


@pytest.mark.parametrize("name", ["vsock:2:1234", "relative/path", "/no/such/socket"])
def test_an_address_that_cannot_be_reached_is_logged_once(
    name: str,
    client: MakeClient,
    simulator: MakeSimulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
) -> None:
    """The program goes on."""
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    caplog.set_level(logging.WARNING, "etoro_sync")
    made = client(simulator().url)
    made.connect()
    made.subscribe("private")
    with notify(made):
        until(lambda: len(caplog.records) == 1)
    assert len(caplog.records) == 1


def test_a_system_without_threads(
    simulator: MakeSimulator,
    client: MakeClient,
    manager: Manager,
    no_thread: Callable[[str], None],
) -> None:
    """It is an error, as nobody would restart the program."""
    made = client(simulator().url)
    no_thread("etoro-sync-notify")
    with assert_no_new_descriptors(), pytest.raises(EToroError, match=r"service manager: .*thread"):
        notify(made)


def test_a_defect_is_logged_and_ends_the_signs_of_life(
    simulator: MakeSimulator, manager: Manager, notifying: Notify, caplog: Any
) -> None:
    """So that the manager restarts the program, instead of nobody watching it."""

    class Odd(WsClient):
        def stats(self) -> Any:
            raise ZeroDivisionError

    made = Odd(quick_options(simulator().url))
    made.connect()
    notifier = notifying(made)
    until(lambda: not notifier.active)
    assert "Reporting to the service manager ended" in caplog.text
    assert "WATCHDOG=1" not in manager.drain()
    made.disconnect()


PROGRAM = """
import os, sys, time
from etoro_sync.systemd import notify
from tests.support.clients import make_client, quick_options
from tests.support.threads import assert_no_new_descriptors

client = make_client(sys.argv[1])
notifier = notify(client)
client.connect()
client.subscribe("private")
child = os.fork()
if not child:
    notifier.close()
    sys.exit(0)
os.waitpid(child, 0)
print("forked", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_the_program_s_end_is_told_and_a_child_s_is_not(
    simulator: MakeSimulator, manager: Manager
) -> None:
    """A forked child that ends must not stop the service."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, simulator().url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "WATCHDOG_PID": ""},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "forked\n"
    manager.wait_for("READY=1")
    manager.drain()
    assert "STOPPING=1" not in manager.lines
    assert process.communicate("x", timeout=10) == ("", "")
    manager.wait_for("STOPPING=1")
    assert manager.drain() == []
