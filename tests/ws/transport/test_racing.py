"""The addresses of a host race: a dead one costs a quarter of a second, and leaves nothing."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from etoro_sync.errors import EToroTimeoutError, EToroWebSocketError
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.transport import racing
from etoro_sync.ws.transport.addresses import Addresses
from etoro_sync.ws.transport.dialer import Dialer
from etoro_sync.ws.transport.proxy import make_tunnel
from etoro_sync.ws.transport.racing import Race
from etoro_sync.ws.transport.target import Target
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.support.certificates import Certificates
from tests.support.clocks import FakeClock
from tests.support.raw_server import Peer, Refuser
from tests.support.threads import Watchdog
from tests.ws.transport.tools import (
    A_WHILE,
    AT_ONCE,
    SOON,
    BlackHole,
    dial,
    dialled,
    has_ipv6,
    make_dialer,
    no_context,
    read_all,
    resolve_to,
)

Place = tuple[str, int]


def greet(peer: Peer) -> None:
    peer.send(b"hello")
    peer.wait_closed()


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    """A client's context that trusts the tests' authority."""
    return ssl.create_default_context(cadata=certificates.authority_pem().decode())


@pytest.fixture(params=["127.0.0.1", "::1"])
def hole(request: pytest.FixtureRequest) -> Iterator[Place]:
    """An address from which no answer comes, of either family."""
    if request.param == "::1" and not has_ipv6():
        pytest.skip("the machine has no IPv6")
    with BlackHole(request.param) as hole:
        yield request.param, hole.port


def no_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second attempt begin only where the first has failed."""
    monkeypatch.setattr(racing, "_HEAD_START", 1000.0)


# A dead address


def test_an_address_that_is_dead_costs_a_quarter_of_a_second(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch, hole: Place
) -> None:
    """Not its share of the time: RFC 8305 has the next one tried meanwhile."""
    server = raw_server(greet)
    resolve_to(monkeypatch, hole, ("127.0.0.1", server.port))
    started = time.monotonic()
    with dialled("ws://localhost/ws", waker) as stream:
        assert 0.24 <= time.monotonic() - started < AT_ONCE
        assert read_all(stream, 5) == b"hello"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_an_address_that_refuses_costs_nothing(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    certificates: Certificates,
    context: ssl.SSLContext,
    secure: bool,
) -> None:
    """The next attempt begins at once."""
    no_head_start(monkeypatch)
    server = raw_server(greet, certificates.server if secure else None)
    with Refuser() as refuser, Watchdog(AT_ONCE):
        resolve_to(monkeypatch, *[("127.0.0.1", p) for p in (refuser.port, server.port)])
        with dialled(f"ws{'s' * secure}://localhost/ws", waker, context) as stream:
            assert read_all(stream, 5) == b"hello"


LOST: dict[str, Callable[[Peer], object]] = {
    "closed": lambda peer: peer.close(),
    "reset": lambda peer: peer.reset(),
    "plain": lambda peer: (peer.send(b"HTTP/1.1 400 Bad\r\n\r\n"), peer.wait_closed()),
}


@pytest.mark.parametrize("how", [*LOST, "wrong_host", "expired"])
def test_an_address_whose_tls_fails_costs_nothing(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    certificates: Certificates,
    context: ssl.SSLContext,
    how: str,
) -> None:
    """As one that refuses: each attempt is verified by itself."""
    no_head_start(monkeypatch)
    good = raw_server(greet, certificates.server)
    bad = raw_server(LOST.get(how, greet), getattr(certificates, how, None))
    resolve_to(monkeypatch, ("127.0.0.1", bad.port), ("127.0.0.1", good.port))
    with Watchdog(AT_ONCE), dialled("wss://localhost/ws", waker, context) as stream:
        assert read_all(stream, 5) == b"hello"


def test_an_address_that_is_silent_in_tls_costs_a_quarter_of_a_second(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    certificates: Certificates,
    context: ssl.SSLContext,
) -> None:
    """And its connection is closed as soon as the race is won."""
    good, left = raw_server(greet, certificates.server), threading.Event()
    bad = raw_server(lambda peer: (peer.wait_closed(), left.set()))
    resolve_to(monkeypatch, ("127.0.0.1", bad.port), ("127.0.0.1", good.port))
    started = time.monotonic()
    with dialled("wss://localhost/ws", waker, context) as stream:
        assert 0.24 <= time.monotonic() - started < AT_ONCE
        assert left.wait(SOON)
        assert read_all(stream, 5) == b"hello"


def test_an_address_that_is_only_slow_wins_all_the_same(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    certificates: Certificates,
    context: ssl.SSLContext,
) -> None:
    """It goes on running when the next one has begun."""
    monkeypatch.setattr(racing, "_HEAD_START", A_WHILE)
    begun = threading.Event()

    def slow(peer: Peer) -> None:
        peer.wait(begun)
        peer.start_tls(certificates.server)
        greet(peer)

    first, second = raw_server(slow), raw_server(lambda peer: (begun.set(), peer.wait_closed()))
    resolve_to(monkeypatch, ("127.0.0.1", first.port), ("127.0.0.1", second.port))
    with dialled("wss://localhost/ws", waker, context) as stream:
        assert read_all(stream, 5) == b"hello"
        assert stream._sock.getpeername()[1] == first.port


def test_an_attempt_that_has_come_as_far_as_tls_gets_another_quarter_of_a_second(
    monkeypatch: pytest.MonkeyPatch, waker: Waker
) -> None:
    """A server that is far away would be called twice each time."""

    class Runner:
        """TCP takes 0.2 s, and so does TLS."""

        def __init__(self, found: Any, _: object) -> None:
            self.address = found[4]
            self.connected = False
            self.sock = socket.socket()
            begun.append(clock.now)

        def step(self) -> int:
            if clock.now - begun[0] >= 0.4:
                return 0
            self.connected = clock.now - begun[0] >= 0.2
            return selectors.EVENT_WRITE

        def close(self) -> None:
            self.sock.close()

    begun: list[float] = []
    clock = FakeClock()
    monkeypatch.setattr(racing, "_Attempt", Runner)
    addresses: Any = [(0, 0, 0, "", (name, 1)) for name in "ab"]
    race = Race(addresses, (no_context, ""), waker, lambda _: clock.advance(0.05), 1e6, clock)
    sock, address = race.run()
    with sock:
        assert address == ("a", 1)
    assert len(begun) == 1


# All of them


def test_what_came_the_furthest_is_told(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    certificates: Certificates,
    context: ssl.SSLContext,
) -> None:
    """An expired certificate is reported rather than a port that refused."""
    server = raw_server(greet, certificates.expired)
    with Refuser() as refuser:
        places = [("127.0.0.1", refuser.port), ("127.0.0.1", server.port)]
        for order in (places, places[::-1]):
            resolve_to(monkeypatch, *order)
            with pytest.raises(EToroWebSocketError, match=r"is not trusted: .* expired"):
                dial("wss://localhost/ws", waker, context)


def test_a_timeout_tells_of_another_address_that_has_failed(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That error may be the one that the user can fix."""
    with Refuser() as refuser, BlackHole() as hole:
        resolve_to(monkeypatch, ("127.0.0.1", refuser.port), ("127.0.0.1", hole.port))
        with pytest.raises(EToroTimeoutError, match=r"raise connect_timeout.*refused \(127"):
            dial("ws://localhost/ws", waker, seconds=A_WHILE)


def test_what_has_failed_comes_last_in_the_next_attempt(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no attempt succeeded, also the addresses that were still being tried."""
    addresses, target = Addresses(), Target("localhost", 1, False)

    def tried(*places: Place) -> list[int]:
        resolve_to(monkeypatch, *places)
        found = make_dialer(waker).resolve(target)
        return [each[4][1] for each in addresses.order(found)]  # type: ignore[misc]

    server = raw_server(greet)
    with Refuser() as refuser, BlackHole() as hole:
        dead, silent, good = [("127.0.0.1", p) for p in (refuser.port, hole.port, server.port)]
        resolve_to(monkeypatch, dead, silent)
        dialer = Dialer(waker, time.monotonic() + A_WHILE, addresses)
        with pytest.raises(EToroTimeoutError):
            dialer.open(target, no_context)
        assert tried(dead, silent, good) == [good[1], dead[1], silent[1]]


def test_what_was_begun_when_disconnect_came_has_not_failed(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its place in the next attempt."""
    addresses = Addresses()
    with BlackHole() as hole:
        place = ("127.0.0.1", hole.port)
        resolve_to(monkeypatch, place, ("127.0.0.2", 1))
        addresses.mark_proven(place)
        dialer = Dialer(waker, time.monotonic() + SOON, addresses)
        select = selectors.DefaultSelector.select
        monkeypatch.setattr(
            selectors.DefaultSelector, "select", lambda *args: (waker.stop(), select(*args))[1]
        )
        with pytest.raises(Interrupted):
            dialer.open(Target("localhost", 1, False), no_context)
    waker.stopping = False
    found = make_dialer(waker).resolve(Target("localhost", 1, False))
    assert addresses.order(found) == found


@pytest.mark.parametrize("step", ["TCP", "TLS"])
def test_a_race_sleeps_while_nothing_comes(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    context: ssl.SSLContext,
    step: str,
) -> None:
    """Waiting for an answer keeps no processor busy."""
    server = raw_server(lambda peer: peer.wait_closed())
    slept = []
    select = selectors.DefaultSelector.select

    def counted(selector: selectors.BaseSelector, timeout: float | None = None) -> Any:
        if threading.current_thread() is threading.main_thread():
            slept.append(timeout)
        return select(selector, timeout)

    monkeypatch.setattr(selectors.DefaultSelector, "select", counted)
    with BlackHole() as hole:
        port = hole.port if step == "TCP" else server.port
        with pytest.raises(EToroTimeoutError, match=step):
            dial(f"wss://localhost:{port}/ws", waker, context, seconds=2 * A_WHILE)
    assert len(slept) < 10


# Other ways to end, and to begin


def test_disconnect_ends_a_race_at_once_and_closes_every_attempt(
    raw_server: StartServer,
    waker: Waker,
    monkeypatch: pytest.MonkeyPatch,
    context: ssl.SSLContext,
) -> None:
    """In whichever step each of them is."""
    monkeypatch.setattr(racing, "_HEAD_START", 0.0)
    left = threading.Semaphore(0)
    reached = threading.Barrier(2, waker.stop)

    def silent(peer: Peer) -> None:
        reached.wait()
        peer.wait_closed()
        left.release()

    servers = [raw_server(silent) for _ in range(2)]
    with BlackHole() as hole, Watchdog(AT_ONCE):
        places = [("127.0.0.1", p) for p in (hole.port, *(server.port for server in servers))]
        resolve_to(monkeypatch, *places)
        with pytest.raises(Interrupted):
            dial("wss://localhost/ws", waker, context)
    for _ in servers:
        assert left.acquire(timeout=SOON)


def test_a_proxys_addresses_race_too(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TCP; TLS begins behind the proxy, on the one connection that won."""
    proxy = raw_server(
        lambda peer: (peer.respond(b"HTTP/1.1 200 OK\r\n\r\n"), peer.pause(0.01), greet(peer))
    )
    target = Target("localhost", 1, False)
    tunnel = make_tunnel(urlsplit("http://localhost:3128"), target)
    with BlackHole() as hole:
        resolve_to(monkeypatch, ("127.0.0.1", hole.port), ("127.0.0.1", proxy.port))
        started = time.monotonic()
        with dialled("ws://localhost:1/ws", waker, tunnel=tunnel) as stream:
            assert 0.24 <= time.monotonic() - started < AT_ONCE
            assert read_all(stream, 5) == b"hello"
