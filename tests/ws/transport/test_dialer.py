"""From a URL to a connected stream: addresses, one deadline, interruption."""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from typing import Any

import pytest

from etoro_sync.errors import EToroTimeoutError, EToroWebSocketError
from etoro_sync.synchronization import Interrupted
from etoro_sync.ws.transport import dialer as dialer_module
from etoro_sync.ws.transport import socket_stream
from etoro_sync.ws.transport.dialer import Dialer
from etoro_sync.ws.transport.target import Target
from etoro_sync.ws.transport.waker import Waker
from tests.conftest import StartServer
from tests.support.clocks import LeapingTime
from tests.support.raw_server import Peer, Refuser
from tests.support.threads import Watchdog, run_in_thread
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
    stream_with_peer,
)


def greet(peer: Peer) -> None:
    peer.send(b"hello")
    peer.wait_closed()


# Targets


@pytest.mark.parametrize(
    ("url", "target", "shown"),
    [
        ("wss://ws.etoro.com/ws", Target("ws.etoro.com", 443, True), "ws.etoro.com:443"),
        ("WSS://ws.etoro.com/ws", Target("ws.etoro.com", 443, True), "ws.etoro.com:443"),
        ("ws://localhost", Target("localhost", 80, False), "localhost:80"),
        ("wss://h:8443/a/b?c=d", Target("h", 8443, True), "h:8443"),
        ("ws://[::1]:8080/ws", Target("::1", 8080, False), "[::1]:8080"),
        ("wss://[2001:db8::1]/ws", Target("2001:db8::1", 443, True), "[2001:db8::1]:443"),
    ],
)
def test_a_url_leads_to_a_host_and_a_port(url: str, target: Target, shown: str) -> None:
    """The port is the URL's or the scheme's; an IPv6 address is shown in brackets."""
    assert Target.of(url) == target
    assert str(target) == shown


# Connecting


def test_a_listening_server_is_reached(raw_server: StartServer, waker: Waker) -> None:
    """The stream that comes out is connected."""
    server = raw_server(greet)
    with dialled(server.url, waker) as stream:
        assert read_all(stream, 5) == b"hello"


@pytest.mark.skipif(not has_ipv6(), reason="the machine has no IPv6")
def test_an_ipv6_literal_is_reached(waker: Waker) -> None:
    """``ws://[::1]:port`` works."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        with dialled(f"ws://[::1]:{port}/ws", waker) as stream:
            far, _ = listener.accept()
            with far:
                far.sendall(b"six")
                assert read_all(stream, 3) == b"six"


def test_frames_leave_at_once_and_a_dead_peer_is_noticed(
    raw_server: StartServer, waker: Waker
) -> None:
    """The socket has Nagle's delay off and the kernel's keepalive on."""
    server = raw_server(greet)
    with dialled(server.url, waker) as stream:
        sock = stream._sock
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000


def test_a_system_that_refuses_an_option_is_no_obstacle(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Socket options are improvements; one that is unknown or refused is left out."""
    monkeypatch.setattr(socket_stream, "_TCP_OPTIONS", {"TCP_NOT_HERE": 1, "TCP_KEEPINTVL": -1})
    server = raw_server(greet)
    with dialled(server.url, waker) as stream:
        assert read_all(stream, 5) == b"hello"


def test_a_refused_connection_names_the_target(waker: Waker) -> None:
    """The error says where nobody listens, and what to check."""
    with Refuser() as refuser, pytest.raises(EToroWebSocketError) as caught:
        dial(refuser.url, waker)
    assert f"127.0.0.1:{refuser.port}" in str(caught.value)
    assert "refused" in str(caught.value)
    assert "Check ws_url" in str(caught.value)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_a_connection_that_succeeds_at_once_needs_no_wait(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some systems connect to the own machine without a wait."""

    class Eager(socket.socket):
        def connect(self, address: Any) -> None:
            self.settimeout(SOON)
            super().connect(address)
            self.setblocking(False)

    monkeypatch.setattr(socket, "socket", Eager)
    server = raw_server(greet)
    with dialled(server.url, waker) as stream:
        assert read_all(stream, 5) == b"hello"


# Addresses


@pytest.mark.parametrize("error", [socket.gaierror(-3, "Temporary failure"), UnicodeError("x")])
def test_a_name_that_does_not_resolve_is_said_so(
    waker: Waker, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A failed resolution is this package's error and names the host."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(EToroWebSocketError, match=r"Cannot resolve nowhere\.invalid: ") as caught:
        dial("wss://nowhere.invalid/ws", waker)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("host", ["a\0b", "x" * 70])
def test_a_name_that_no_host_can_have_is_said_so(waker: Waker, host: str) -> None:
    """What the resolver refuses to look up at all is no internal error."""
    with pytest.raises(EToroWebSocketError, match="Cannot resolve"):
        make_dialer(waker).open(Target(host, 80, False), no_context)


def test_a_name_without_addresses_is_said_so(waker: Waker, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer of the resolver is an error and not a silent None."""
    resolve_to(monkeypatch)
    with pytest.raises(EToroWebSocketError, match="no address"):
        dial("ws://localhost/ws", waker)


def test_a_localhost_that_is_elsewhere_is_not_called_without_tls(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its loopback addresses are used: the keys must not leave this machine unencrypted."""
    server = raw_server(greet)
    resolve_to(monkeypatch, ("192.0.2.1", server.port))
    with pytest.raises(EToroWebSocketError, match="localhost resolves to another machine"):
        dial(f"ws://localhost:{server.port}/ws", waker)
    resolve_to(monkeypatch, ("192.0.2.1", server.port), ("127.0.0.1", server.port))
    with dialled(f"ws://localhost:{server.port}/ws", waker) as stream:
        assert read_all(stream, 5) == b"hello"
    assert server.connections == 1


def test_names_are_resolved_for_each_attempt(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that did not resolve a moment ago may resolve now."""
    server = raw_server(greet)
    real, calls = socket.getaddrinfo, []

    def sometimes(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        if len(calls) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", sometimes)
    for _ in range(2):
        with pytest.raises(EToroWebSocketError, match="Temporary failure in name resolution"):
            dial(server.url, waker)
    with dialled(server.url, waker) as stream:
        assert read_all(stream, 5) == b"hello"


def test_an_address_that_refuses_is_passed_over(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next address is tried when the first one refuses."""
    server = raw_server(greet)
    with Refuser() as refuser:
        resolve_to(monkeypatch, ("127.0.0.1", refuser.port), ("127.0.0.1", server.port))
        with dialled("ws://localhost/ws", waker) as stream:
            assert read_all(stream, 5) == b"hello"


def test_an_address_of_a_kind_that_the_system_lacks_is_passed_over(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system without IPv6 cannot even make the socket; the next address is tried."""
    server = raw_server(greet)

    class Lacking(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **kwargs: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported")
            super().__init__(family, *args, **kwargs)

    resolve_to(monkeypatch, ("::1", server.port), ("127.0.0.1", server.port))
    monkeypatch.setattr(socket, "socket", Lacking)
    with dialled("ws://localhost/ws", waker) as stream:
        assert read_all(stream, 5) == b"hello"


def test_a_route_that_leads_nowhere_is_told_by_its_meaning(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux has "Invalid argument" for a blackhole route; the address is named, too."""

    class Nowhere(socket.socket):
        def connect(self, address: Any) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(socket, "socket", Nowhere)
    with pytest.raises(EToroWebSocketError, match="no route to it") as caught:
        dial("ws://127.0.0.1:1/ws", waker)
    assert "Invalid argument" not in str(caught.value)
    assert "(127.0.0.1)" in str(caught.value)


# Deadlines


def test_one_deadline_holds_for_all_addresses(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three dead addresses take as long as one, and the error says what to do."""
    with BlackHole() as hole:
        resolve_to(monkeypatch, *[("127.0.0.1", hole.port)] * 3)
        with Watchdog(AT_ONCE), pytest.raises(EToroTimeoutError, match="raise connect_timeout"):
            dial("ws://localhost/ws", waker, seconds=3 * A_WHILE)


def test_a_slow_resolver_uses_up_the_same_deadline(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the name took all the time, no connection is begun."""
    real = socket.getaddrinfo

    def slow(*args: Any, **kwargs: Any) -> Any:
        time.sleep(A_WHILE)
        return real(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Refuser() as refuser, pytest.raises(EToroTimeoutError, match="the TCP connection to"):
        dial(refuser.url, waker, seconds=A_WHILE / 2)


def test_a_deadline_may_be_far_away(raw_server: StartServer, waker: Waker) -> None:
    """A connect_timeout of thirty years is legal."""
    server = raw_server(greet)
    with dialled(server.url, waker, seconds=1e9) as stream:
        assert read_all(stream, 5) == b"hello"


# Interruption


def test_nothing_is_begun_when_the_client_stops(waker: Waker) -> None:
    """A client that is to stop does not even resolve the name."""
    waker.stop()
    with Refuser() as refuser, pytest.raises(Interrupted):
        dial(refuser.url, waker)


def test_disconnect_ends_a_connection_attempt_at_once(waker: Waker) -> None:
    """While TCP waits for an answer, ``disconnect()`` is obeyed at once."""
    timer = threading.Timer(A_WHILE / 2, waker.stop)
    with BlackHole() as hole, Watchdog(AT_ONCE):
        timer.start()
        with pytest.raises(Interrupted):
            dial(hole.url, waker)
    timer.join()


def test_another_wake_up_ends_nothing(waker: Waker) -> None:
    """A subscription made while TCP waits for an answer wakes the reader, which goes on waiting."""
    timer = threading.Timer(A_WHILE / 4, waker.wake)
    with BlackHole() as hole:
        timer.start()
        started = time.monotonic()
        with pytest.raises(EToroTimeoutError):
            dial(hole.url, waker, seconds=2 * A_WHILE)
        assert time.monotonic() - started >= 1.8 * A_WHILE
    timer.join()


def test_disconnect_ends_a_wait_of_a_later_step_at_once(
    raw_server: StartServer, waker: Waker
) -> None:
    """Whatever step waits on the stream, a stop ends it."""
    server = raw_server(lambda peer: peer.wait_closed())
    dialer = make_dialer(waker, SOON)
    with dialled(server.url, waker) as stream, Watchdog(AT_ONCE):
        dialer.send(stream, b"x", "the step")
        waiting = run_in_thread(lambda: dialer.wait(stream, "the step"))
        waker.stop()
        assert isinstance(waiting.exception(SOON), Interrupted)


# Descriptors


@pytest.mark.parametrize("allowed", [0, 1])
def test_a_process_without_descriptors_gets_an_error_that_says_so(
    raw_server: StartServer, waker: Waker, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    """EMFILE is a failed connection, which is retried, and no internal error; nothing leaks."""
    real, made = selectors.DefaultSelector, []

    def scarce() -> selectors.BaseSelector:
        if threading.current_thread() is not threading.main_thread():
            return real()
        if len(made) >= allowed:
            raise OSError(errno.EMFILE, "Too many open files")
        made.append(1)
        return real()

    server = raw_server(lambda peer: peer.wait_closed())
    monkeypatch.setattr(selectors, "DefaultSelector", scarce)
    with pytest.raises(EToroWebSocketError, match=r"Cannot connect to .*: Too many open files"):
        dial(server.url, waker)
    monkeypatch.undo()


def test_an_interrupt_from_outside_leaves_no_socket(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever leaves the attempt, the socket does not stay behind."""

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    with BlackHole() as hole:
        dialer = make_dialer(waker, 1000)
        monkeypatch.setattr(selectors.DefaultSelector, "select", interrupted)
        with pytest.raises(KeyboardInterrupt):
            dialer.open(Target.of(hole.url), no_context)


# Heads of HTTP answers


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_head_is_found_wherever_the_network_cuts_it(
    waker: Waker, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    """The empty line may come in two reads, and what follows it is kept."""
    whole = b"A: b\r\n\r\nrest"
    pieces = iter([whole[:cut], None, whole[cut:8], whole[8:], b""])
    with stream_with_peer(waker) as (stream, _):
        monkeypatch.setattr(stream, "read", lambda: next(pieces, b"") or None)
        monkeypatch.setattr(stream, "wait", lambda deadline: None)
        head, rest = make_dialer(waker).read_head(stream, "the step")
        assert head == b"A: b\r\n\r\n"
        assert b"rest".startswith(rest)


def test_what_has_come_in_time_counts_also_when_it_is_read_late(
    waker: Waker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stood still while it waited, with the answer unread; then nothing more comes."""
    clock = LeapingTime()
    monkeypatch.setattr(dialer_module, "clocks", clock)
    dialer = Dialer(waker, clock.monotonic() + 10.0)
    with stream_with_peer(waker) as (stream, far):

        def stand_still(deadline: float | None) -> None:
            far.sendall(b"answer")
            wait(0.0)
            clock.leap(100.0)

        wait = stream.wait
        monkeypatch.setattr(stream, "wait", stand_still)
        assert dialer.read(stream, "an exchange") == b"answer"
        monkeypatch.setattr(stream, "wait", lambda deadline: None)
        with pytest.raises(EToroTimeoutError, match="an exchange did not finish"):
            dialer.read(stream, "an exchange")
