import contextlib
import socket

import pytest

from etoro_sync.simulator.listener import Listener, Stopping
from etoro_sync.simulator.tls import make_certificates

PATIENCE = 10


def test_a_peer_that_has_gone_before_tls_does_not_end_the_accepting() -> None:
    """It becomes a connection that ends at once."""
    certificates = make_certificates()
    with Listener("127.0.0.1", 0, certificates.context, PATIENCE) as listener:
        for parting in (b"", b"hello"):
            with socket.create_connection(listener.getsockname()) as peer:
                peer.sendall(parting)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            accepted, _ = listener.accept()
            with contextlib.suppress(OSError):  # how it ends is up to the system
                assert accepted.recv(1) in (b"", parting[:1])
            accepted.close()
        assert not listener.transports


def test_a_listener_knows_its_open_transports() -> None:
    """It can wait for their end, and refuse new ones."""
    with Listener("127.0.0.1", 0, None, PATIENCE) as listener:
        with socket.create_connection(listener.getsockname()) as peer:
            accepted, _ = listener.accept()
            assert [t.getpeername() for t in listener.transports] == [peer.getsockname()]
            assert not listener.wait_closed(0)
            accepted.close()
            assert listener.wait_closed(0)
            assert not listener.transports
        listener.refuse()
        with socket.create_connection(listener.getsockname()) as peer:
            with pytest.raises(Stopping):
                listener.accept()
            assert peer.recv(1) == b""


def test_a_taken_port_is_an_error_and_costs_no_descriptor() -> None:
    """The caller learns at once."""
    with (
        Listener("127.0.0.1", 0, None, PATIENCE) as listener,
        pytest.raises(OSError, match="in use"),
    ):
        Listener("127.0.0.1", listener.getsockname()[1], None, PATIENCE)
