import contextlib
import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from etoro_sync.simulator import listener as listener_module
from etoro_sync.simulator.listener import Listener
from etoro_sync.simulator.tls import make_certificates
from etoro_sync.simulator.transport import Transport

PATIENCE = 10


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Make listeners that are closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(port: int = 0, context: ssl.SSLContext | None = None) -> Listener:
            return stack.enter_context(
                contextlib.closing(Listener("127.0.0.1", port, lambda: context, PATIENCE))
            )

        yield start


def knock(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), PATIENCE)


def accept(listener: Listener) -> Transport:
    accepted = listener.accept()
    assert accepted is not None
    return accepted


def test_a_peer_that_has_gone_before_tls_does_not_end_the_accepting(
    listen: Callable[..., Listener],
) -> None:
    """It becomes a connection that ends at once."""
    listener = listen(context=make_certificates().context)
    for parting in (b"", b"hello"):
        with knock(listener) as peer:
            peer.sendall(parting)
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        accepted = accept(listener)
        with contextlib.suppress(OSError):  # how it ends is up to the system
            assert accepted.recv(1) in (b"", parting[:1])
        accepted.close()
    assert not listener.transports


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Count how often a listener waits for the system to have descriptors again."""
    counted = threading.Semaphore(0)
    wait = Listener._wait_before_retry

    def count_and_wait(self: Listener) -> None:
        counted.release()
        wait(self)

    monkeypatch.setattr(Listener, "_wait_before_retry", count_and_wait)
    return counted


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("spare", [0, 1, 2])
def test_a_process_without_descriptors_accepts_as_soon_as_it_has_some(
    listen: Callable[..., Listener], retries: threading.Semaphore, spare: int, tls: bool
) -> None:
    """Whichever step lacks one: nothing is left of the failed ones, and the next is served."""
    resource = pytest.importorskip("resource")
    listener = listen(context=make_certificates().context if tls else None)
    served = threading.Semaphore(0)

    def serve() -> None:
        while (transport := listener.accept()) is not None:
            transport.close()
            served.release()

    serving = threading.Thread(target=serve)
    with socket.socket() as first, socket.socket() as second:
        usual = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_before = len(os.listdir("/dev/fd"))
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + spare, usual[1]))
        try:
            serving.start()
            first.connect(("127.0.0.1", listener.port))
            assert retries.acquire(timeout=PATIENCE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, usual)
        second.connect(("127.0.0.1", listener.port))
        assert served.acquire(timeout=PATIENCE)
        listener.stop()
        serving.join(PATIENCE)
        assert not serving.is_alive()
        assert len(os.listdir("/dev/fd")) <= open_before
    assert not listener.transports


def test_a_port_that_is_not_to_be_had_at_once_is_taken_a_little_later(
    listen: Callable[..., Listener], retries: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refusing gives it up for a moment; when that fails, listening gets it back."""
    listener = listen()
    bound = vars(listener_module)["_bind"]

    def lack(host: str, port: int) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(listener_module, "_bind", lack)
    outcome: list[Transport | None] = []
    serving = threading.Thread(target=lambda: outcome.append(listener.accept()))
    serving.start()
    listener.listen(False)
    assert retries.acquire(timeout=PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        knock(listener)
    listener.listen(True)
    monkeypatch.setattr(listener_module, "_bind", bound)
    listener.wait_settled(PATIENCE)
    with knock(listener):
        serving.join(PATIENCE)
    assert isinstance(outcome[0], Transport)
    outcome[0].close()


def test_a_listener_knows_its_open_transports(listen: Callable[..., Listener]) -> None:
    """It can wait for their end."""
    listener = listen()
    with knock(listener) as peer:
        accepted = accept(listener)
        assert [t.getpeername() for t in listener.transports] == [peer.getsockname()]
        assert not listener.wait_closed(0)
        accepted.close()
        assert listener.wait_closed(0)
        assert not listener.transports


def test_a_stopped_listener_accepts_nothing_and_gives_its_port_back(
    listen: Callable[..., Listener],
) -> None:
    """Not even who has knocked already; the waiting for connections ends."""
    listener = listen()
    outcome: list[object] = []
    waiting = threading.Thread(target=lambda: outcome.append(listener.accept()))
    waiting.start()
    listener.stop()
    waiting.join(PATIENCE)
    assert outcome == [None]
    with knock(listener) as peer:
        assert listener.accept() is None
        listener.close()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
    listen(port=listener.port)


def test_a_listener_can_refuse_for_a_while_and_keeps_its_port(
    listen: Callable[..., Listener],
) -> None:
    """Refused is refused by the system, and nobody else gets the port meanwhile."""
    listener = listen()
    accepted: list[Transport | None] = []

    def serve() -> None:
        while (transport := listener.accept()) is not None:
            accepted.append(transport)
            transport.close()

    serving = threading.Thread(target=serve)
    serving.start()
    for number in range(1, 3):
        listener.listen(False)
        listener.listen(False)
        listener.wait_settled(PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            knock(listener)
        listener.listen(True)
        listener.wait_settled(PATIENCE)
        with knock(listener) as peer:
            assert peer.recv(1) == b""
        assert len(accepted) == number
    listener.listen(False)
    listener.wait_settled(PATIENCE)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", listener.port))
    listener.stop()
    serving.join(PATIENCE)


def test_a_taken_port_is_an_error_and_costs_no_descriptor(
    listen: Callable[..., Listener],
) -> None:
    """The caller learns at once."""
    listener = listen()
    with pytest.raises(OSError, match="in use"):
        listen(port=listener.port)
