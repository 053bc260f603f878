import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from etoro_sync.simulator.listener import Listener
from etoro_sync.simulator.tls import make_certificates
from etoro_sync.simulator.transport import Transport

Pair = tuple[Transport, socket.socket]
PATIENCE = 10


@pytest.fixture
def pair() -> Iterator[Callable[..., Pair]]:
    """Connect transports with ordinary sockets."""
    with contextlib.ExitStack() as stack:

        def make(send_timeout: float = PATIENCE, context: ssl.SSLContext | None = None) -> Pair:
            listener = stack.enter_context(
                contextlib.closing(Listener("127.0.0.1", 0, lambda: context, send_timeout))
            )
            peer = socket.create_connection(("127.0.0.1", listener.port), PATIENCE)
            stack.enter_context(peer)
            accepted = listener.accept()
            assert accepted is not None
            assert accepted.getpeername() == peer.getsockname()
            stack.callback(accepted.close)
            return accepted, peer

        yield make


def in_thread(action: Callable[[], object]) -> Callable[[], object]:
    """Start something that will block and give a function that waits for its outcome."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(action())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def wait() -> object:
        thread.join(PATIENCE)
        return outcome[0]

    return wait


def until_blocked(transport: Transport) -> None:
    """Wait until a thread waits inside the transport."""
    deadline = threading.Event()
    while not transport._waiting:
        deadline.wait(0.001)


def test_data_passes_in_both_directions(pair: Callable[..., Pair]) -> None:
    """A transport is as good as a socket."""
    transport, peer = pair()
    received = in_thread(lambda: transport.recv(100))
    peer.sendall(b"there")
    assert received() == b"there"
    big = b"x" * 3_000_000
    sent = in_thread(lambda: transport.sendall(big))
    with peer.makefile("rb") as file:
        assert file.read(len(big)) == big
    assert sent() is None
    assert transport.family == socket.AF_INET
    assert transport.getpeername() == peer.getsockname()
    assert transport.getsockname() == peer.getpeername()


def test_the_end_of_the_stream_is_seen_in_both_directions(pair: Callable[..., Pair]) -> None:
    """Half-closing works from either side."""
    transport, peer = pair()
    transport.shutdown(socket.SHUT_WR)
    assert peer.recv(1) == b""
    peer.shutdown(socket.SHUT_WR)
    assert transport.recv(1) == b""


def test_a_reset_wakes_a_blocked_reader_and_the_peer_sees_it(pair: Callable[..., Pair]) -> None:
    """Nobody hangs on a connection that is cut off."""
    transport, peer = pair()
    received = in_thread(lambda: transport.recv(100))
    until_blocked(transport)
    transport.reset()
    transport.reset()
    assert isinstance(received(), ConnectionResetError)
    with pytest.raises(ConnectionResetError):
        transport.sendall(b"late")
    with pytest.raises(ConnectionResetError):
        transport.shutdown(socket.SHUT_WR)
    transport.close()
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


def test_a_reset_wakes_a_blocked_sender(pair: Callable[..., Pair]) -> None:
    """A sender who waits for a slow peer is let go."""
    transport, _ = pair()
    sent = in_thread(lambda: transport.sendall(b"x" * 50_000_000))
    until_blocked(transport)
    transport.reset()
    assert isinstance(sent(), ConnectionResetError)
    assert not transport.stalled


def test_closing_wakes_a_blocked_reader_and_gives_the_descriptor_back(
    pair: Callable[..., Pair],
) -> None:
    """Closing from another thread is safe."""
    transport, _ = pair()
    received = in_thread(lambda: transport.recv(100))
    until_blocked(transport)
    transport.close()
    transport.close()
    transport.reset()
    assert isinstance(received(), ConnectionResetError)
    assert transport.fileno() == -1


def test_a_peer_that_takes_nothing_is_cut_off_after_the_send_timeout(
    pair: Callable[..., Pair],
) -> None:
    """It is reset, and noted as stalled."""
    transport, peer = pair(send_timeout=0.05)
    with pytest.raises(TimeoutError):
        transport.sendall(b"x" * 50_000_000)
    assert transport.stalled
    transport.close()
    with pytest.raises(ConnectionResetError), peer.makefile("rb") as file:
        file.read()


def test_a_timeout_limits_reading_and_sending(pair: Callable[..., Pair]) -> None:
    """As with a socket; it can be lifted again."""
    transport, peer = pair()
    transport.settimeout(0.02)
    with pytest.raises(TimeoutError):
        transport.recv(1)
    transport.settimeout(None)
    peer.sendall(b"x")
    assert transport.recv(1) == b"x"
    transport.settimeout(0.02)
    with pytest.raises(TimeoutError):
        transport.sendall(b"x" * 50_000_000)


def test_tls_needs_no_handshake_of_its_own(pair: Callable[..., Pair]) -> None:
    """The first read does it, and data passes both ways at once."""
    certificates = make_certificates()
    transport, peer = pair(context=certificates.context)
    big = b"x" * 3_000_000
    first = in_thread(lambda: transport.recv(100))
    with certificates.client_context().wrap_socket(peer, server_hostname="localhost") as secure:
        secure.sendall(b"hello")
        assert first() == b"hello"
        sent = in_thread(lambda: transport.sendall(big))
        with secure.makefile("rb") as file:
            assert file.read(len(big)) == big
        assert sent() is None
