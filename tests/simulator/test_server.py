import ast
import copy
import gc
import os
import pickle
import runpy
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import etoro_sync.simulator
from etoro_sync.simulator import EToroSimulator, endpoint
from etoro_sync.simulator.endpoint import Endpoint
from etoro_sync.simulator.feed import Feed
from etoro_sync.simulator.hub import Hub
from etoro_sync.simulator.listener import Listener
from etoro_sync.simulator.timers import TimerQueue
from tests.simulator.client import PATIENCE, Client, was_reset
from tests.simulator.conftest import Connect, Simulate

PACKAGE = Path(etoro_sync.simulator.__file__).parent


def test_rates_flow_to_whom_subscribed_until_paused(simulate: Simulate, connect: Connect) -> None:
    """A pause holds them back, and they flow again afterwards."""
    sim = simulate({18: 4800.0, 19: 1.5}, rate=1000)
    client, other = connect(sim), connect(sim)
    client.subscribe("instrument:18", "instrument:19", "instrument:20")
    other.subscribe("instrument:18")
    messages = [client.message() for _ in range(100)]
    assert {m.topic for m in messages} == {"instrument:18", "instrument:19"}
    assert {m.type for m in messages} == {"Trading.Instrument.Rate"}
    assert len({m.id for m in messages}) == 100
    assert {other.message().topic for _ in range(30)} == {"instrument:18"}
    sim.pause()
    sim.send_text("paused")
    while client.receive() != "paused":
        pass
    for _ in range(50):  # each one a round trip, in which rates would have come
        client.subscribe("private")
    assert not client.waiting
    sim.resume()
    assert client.message().type == "Trading.Instrument.Rate"


def test_by_default_each_instrument_sends_about_once_a_second(
    simulate: Simulate, connect: Connect
) -> None:
    """However many others there are, and not while its market is closed or the feed is paused."""
    sim = simulate(rate=None)
    sim.set_active(999, False)
    client = connect(sim)
    topics = [f"instrument:{n}" for n in range(900, 1000)]
    client.subscribe(*topics)
    start = time.monotonic()
    found = Counter(client.message().topic for _ in range(300))
    assert 1.5 < time.monotonic() - start < 6
    assert len(found) == 99
    assert max(found.values()) <= 12
    sim.pause()
    sim.send_text("paused")
    while client.receive() != "paused":
        pass
    sim.resume()
    assert client.message().topic in topics


def test_a_snapshot_and_the_deltas_after_it_fit_together(
    simulate: Simulate, connect: Connect
) -> None:
    """At any moment a merging client knows exactly what the simulator knows."""
    sim = simulate(rate=2000, mix="universe")
    client = connect(sim)
    client.subscribe("instrument:18")
    for _ in range(20):
        client.message()
    client.subscribe("instrument:18", snapshot=True)
    state: dict[str, str] = {}
    while not state:
        message = client.message()
        state = message.content if message.type == "Snapshot" else {}
    for _ in range(100):
        state.update(client.message().content)
    sim.pause()
    sim.send_text("end")
    while (received := client.receive()) != "end":
        client.waiting.appendleft(received)
        state.update(client.message().content)
    assert state == sim.last(18)


def test_a_closed_instrument_sends_no_rates(simulate: Simulate, connect: Connect) -> None:
    """The others go on, and so does it when it opens again."""
    sim = simulate([18, 19], rate=1000)
    sim.set_active(18, False)
    client = connect(sim)
    client.subscribe("instrument:18", "instrument:19")
    assert {client.message().topic for _ in range(50)} == {"instrument:19"}
    sim.set_active(18, True)
    while client.message().topic != "instrument:18":
        pass


def test_the_same_seed_sends_the_same_prices(simulate: Simulate, connect: Connect) -> None:
    """Another seed sends others."""

    def prices(seed: int) -> list[str | None]:
        client = connect(simulate(rate=1000, seed=seed))
        client.subscribe("instrument:18", "instrument:19", snapshot=True)
        return [client.message().content.get("Bid") for _ in range(100)]

    first = prices(1)
    assert first == prices(1) != prices(2)


def test_thousands_of_messages_per_second_arrive_complete(
    simulate: Simulate, connect: Connect
) -> None:
    """However fast the feed, nothing is lost on the way to a client that reads."""
    sim = simulate(rate=5000)
    client = connect(sim)
    client.subscribe(*(f"instrument:{n}" for n in range(200)))
    assert len({client.message().id for _ in range(5000)}) == 5000
    assert sim.slow_clients == 0


def test_order_events_come_on_their_own_when_told_to(simulate: Simulate, connect: Connect) -> None:
    """They are about instruments that somebody has subscribed to, and end in several ways."""
    sim = simulate(order_interval=0.01)
    client = connect(sim)
    client.subscribe("private")
    events = [client.message().content for _ in range(4)]
    assert [event["StatusID"] for event in events] == [3, 4, 5, 3]
    assert len({event["OrderID"] for event in events[:3]}) == 3
    assert events[2]["RequestGuid"] == events[3]["RequestGuid"]
    assert {event["InstrumentID"] for event in events} == {100000}
    client.subscribe("instrument:18")
    while client.message().content["InstrumentID"] != 18:
        pass


def test_nul_keepalives_come_as_binary_messages_also_in_a_pause(
    simulate: Simulate, connect: Connect
) -> None:
    """Only authenticated clients get them."""
    sim = simulate(nul_interval=0.01)
    sim.pause()
    stranger = connect(sim, login=False)
    client = connect(sim)
    assert [client.receive() for _ in range(3)] == [b"\x00"] * 3
    assert stranger.subscribe("private")["errorCode"] == "Unauthorized"
    assert not stranger.waiting


def test_a_nul_can_come_before_the_reply_to_authenticate(
    simulate: Simulate, connect: Connect
) -> None:
    """So the first frame need not be the reply, whether it is good or bad."""
    client = connect(simulate(api_key="api", nul_before_auth=True), login=False)
    assert not client.authenticate("wrong")["success"]
    assert client.authenticate()["success"]
    assert client.subscribe("private")["success"]
    assert list(client.waiting) == [b"\x00", b"\x00"]


@pytest.mark.parametrize("tls", [False, True])
def test_stopping_says_goodbye_and_leaves_no_thread_and_no_descriptor(tls: bool) -> None:
    """Whatever its clients do: read, sleep, or not even finish the handshake."""

    def round_trip() -> None:
        with EToroSimulator(rate=500, tls=tls) as sim:
            clients = [Client(sim) for _ in range(3)]
            raw = socket.create_connection(("127.0.0.1", sim.port))
            sim.wait_until(lambda s: len(s.clients) == 3)
        for client in clients:
            closed = client.closed()
            assert closed.rcvd is not None
            assert closed.rcvd.code == 1001
            client.abandon()
        raw.close()

    round_trip()  # what is made once per process is made now
    gc.collect()
    threads, descriptors = set(threading.enumerate()), os.listdir("/dev/fd")
    round_trip()
    assert set(threading.enumerate()) <= threads
    assert len(os.listdir("/dev/fd")) <= len(descriptors)


def test_stopping_does_not_wait_for_clients_that_do_not_read(
    simulate: Simulate, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are reset, with all that still waits for them."""
    monkeypatch.setattr(endpoint, "_SEND_TIMEOUT", 1000.0)
    sim = simulate()
    client = connect(sim, max_queue=1)
    for _ in range(100):
        sim.send_text("x" * 500_000)
    sim.stop()
    assert client.closed().rcvd is None
    assert not [t for t in threading.enumerate() if "simulator" in t.name]


def test_stopping_twice_does_no_harm_and_the_port_is_free_at_once(
    simulate: Simulate, connect: Connect
) -> None:
    """The same simulator, or another one, can take the port again."""
    sim = simulate(rate=1000)
    connect(sim).subscribe("instrument:18")
    url, port = sim.url, sim.port
    sim.stop()
    sim.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)
    assert (sim.port, sim.clients) == (port, [])
    sim.start()
    assert sim.url == url
    client = connect(sim)
    client.subscribe("instrument:18")
    assert client.message().topic == "instrument:18"
    assert sim.connections == 2
    with pytest.raises(RuntimeError, match="already running; call stop"):
        sim.start()
    sim.stop()
    assert connect(simulate(port=port)).subscribe("private")["success"]


def interrupt(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """Let Ctrl-C come at the end of the next call of a method."""
    usual = getattr(owner, name)

    def interrupted(*args: Any) -> None:
        monkeypatch.undo()
        usual(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)


def threads_of_simulators() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "simulator" in thread.name]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Feed, "stop"),
        (Listener, "stop"),
        (Listener, "close"),
        (Hub, "close_all"),
        (Listener, "wait_closed"),
        (Listener, "join_threads"),
        (Endpoint, "stop"),
        (TimerQueue, "clear"),
    ],
)
def test_a_stop_that_was_interrupted_is_finished_by_the_next(
    simulate: Simulate,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
) -> None:
    """Wherever Ctrl-C comes; what is asked for in between does no harm."""
    sim = simulate()
    client = connect(sim)
    sim.fault("pong_only")
    interrupt(monkeypatch, owner, name)
    with pytest.raises(KeyboardInterrupt):
        sim.stop()
    sim.fault("refuse")
    sim.stop()
    assert not threads_of_simulators()
    assert sim.faults == []
    client.closed()
    sim.start()
    assert connect(sim).subscribe("private")["success"]


@pytest.mark.parametrize(("owner", "name"), [(Endpoint, "wait_settled"), (Feed, "start")])
def test_a_start_that_was_interrupted_leaves_nothing_behind(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    """Nobody has a running simulator then that could be stopped."""
    sim = simulate()
    sim.stop()
    interrupt(monkeypatch, owner, name)
    with pytest.raises(KeyboardInterrupt):
        sim.start()
    assert not threads_of_simulators()
    assert "not running" in repr(sim)


def test_a_taken_port_is_an_error_and_the_simulator_can_be_started_later(
    simulate: Simulate,
) -> None:
    """A failed start leaves nothing behind."""
    sim = simulate()
    other = EToroSimulator(port=sim.port)
    with pytest.raises(OSError):
        other.start()
    assert "not running" in repr(other)
    sim.stop()
    with other:
        assert "ws://127.0.0.1" in repr(other)


def test_the_address_is_known_once_it_has_been_started() -> None:
    """Before that, only a port that was chosen."""
    with pytest.raises(RuntimeError, match=r"no port yet; call start\(\) first"):
        _ = EToroSimulator().url
    assert EToroSimulator(port=7777).url == "ws://127.0.0.1:7777/ws"
    assert EToroSimulator(port=7777, host="::1").url == "ws://[::1]:7777/ws"


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_it_can_listen_on_the_loopback_address_of_ipv6(
    simulate: Simulate, connect: Connect
) -> None:
    """The URL has the brackets that it needs."""
    try:
        sim = simulate(host="::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback address")
    assert connect(sim).subscribe("private")["success"]


def test_without_tls_there_is_nothing_to_trust(simulate: Simulate) -> None:
    """Asking for a context is a mistake that is named."""
    sim = simulate()
    assert sim.ca_pem is None
    with pytest.raises(RuntimeError, match="create it with tls=True"):
        sim.client_ssl_context()


def test_a_reset_in_the_middle_of_the_flow_harms_nobody_else(
    simulate: Simulate, connect: Connect
) -> None:
    """Clients may come and go in any way while rates flow."""
    sim = simulate(rate=2000)
    steady = connect(sim)
    steady.subscribe("instrument:18")
    for n in range(10):
        client = connect(sim)
        client.subscribe("instrument:18")
        client.message()
        if n % 2:
            client.abandon()
        else:
            client.ws.close()
    assert steady.message().topic == "instrument:18"
    sim.wait_until(lambda s: len(s.clients) == 1)
    sim.drop()
    assert was_reset(steady.closed())


@pytest.mark.parametrize(
    ("missing", "use"),
    [
        ("websockets.sync.server", lambda: runpy.run_path(str(PACKAGE / "__init__.py"))),
        ("trustme", lambda: EToroSimulator(tls=True)),
    ],
)
def test_a_missing_package_is_reported_in_one_line_that_says_what_to_install(
    missing: str, use: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """websockets is missed on import, trustme only when TLS is wanted."""
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError) as caught:
        use()
    assert str(caught.value).endswith('pip install "etoro-sync[simulator]"')
    assert "\n" not in str(caught.value)


def test_the_simulator_shares_no_code_with_the_client() -> None:
    """So that it can be the client's counterpart."""
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2
                assert "etoro_sync" not in (node.module or "")
            elif isinstance(node, ast.Import):
                assert not any(alias.name.startswith("etoro_sync") for alias in node.names)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_simulator_cannot_be_copied_or_pickled(duplicate: Callable[[object], object]) -> None:
    """And says what to pass on to another process."""
    with pytest.raises(TypeError, match=r"cannot be copied or pickled: .* Pass its url instead"):
        duplicate(EToroSimulator())
