"""connect(retry=True): the first connection is tried like any later one."""

from __future__ import annotations

import pytest

from etoro_sync import (
    ClientState,
    EToroAuthError,
    EToroTimeoutError,
    EToroValidationError,
    EToroWebSocketError,
)
from tests.conftest import MakeClient, StartServer
from tests.support.clients import Ear
from tests.support.peer import Peer
from tests.support.threads import Watchdog, run_in_thread


def drop(peer: Peer) -> None:
    peer.reset()


def live(peer: Peer) -> None:
    peer.handshake()
    peer.authenticate()
    peer.serve()


def reject(peer: Peer) -> None:
    peer.handshake()
    peer.reply(peer.read_json(), "InvalidKey", "no such key")
    peer.serve()


def test_a_service_may_start_before_the_network_does(
    raw_server: StartServer, client: MakeClient
) -> None:
    """connect() returns once it is there; each failure is emitted."""
    server = raw_server([drop, drop, live])
    c = client(server.url)
    ear = Ear(c)
    with Watchdog(20):
        c.connect(retry=True)
    assert c.state is ClientState.LIVE
    assert server.connections == 3
    assert len(ear.wait_for("reconnecting", 2)) == 2
    assert ear.names("reconnected") == []


def test_without_retry_the_first_failure_is_the_end(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A wrong address is to be seen at once."""
    server = raw_server([drop, live])
    c = client(server.url)
    with pytest.raises(EToroWebSocketError):
        c.connect()
    assert server.connections == 1
    c.connect()


def test_rejected_keys_are_not_tried_again(raw_server: StartServer, client: MakeClient) -> None:
    """They would be as wrong the next time."""
    server = raw_server([drop, reject, live])
    c = client(server.url)
    with Watchdog(20), pytest.raises(EToroAuthError):
        c.connect(retry=True)
    assert server.connections == 2
    assert c.state is ClientState.FAILED


def test_the_attempts_come_to_an_end(raw_server: StartServer, client: MakeClient) -> None:
    """As many as of any later connection."""
    server = raw_server([drop])
    c = client(server.url, reconnect_attempts=2)
    with Watchdog(20), pytest.raises(EToroWebSocketError, match="Gave up after 2 attempts"):
        c.connect(retry=True)
    assert server.connections == 3


def test_the_caller_may_limit_the_wait(raw_server: StartServer, client: MakeClient) -> None:
    """The client has ended then, as ever when connect() fails."""
    c = client(raw_server([drop]).url, reconnect_attempts=None, reconnect_delay=5.0)
    with Watchdog(20), pytest.raises(EToroTimeoutError):
        c.connect(timeout=0.2, retry=True)
    assert c.state is ClientState.FAILED


def test_disconnect_ends_the_attempts(raw_server: StartServer, client: MakeClient) -> None:
    """From another thread, also between two of them."""
    c = client(raw_server([drop]).url, reconnect_attempts=None, reconnect_delay=60.0)
    ear = Ear(c)
    connecting = run_in_thread(lambda: c.connect(retry=True))
    ear.wait_for("reconnecting")
    c.disconnect()
    assert isinstance(connecting.exception(), EToroWebSocketError)
    assert c.state is ClientState.CLOSED


def test_the_next_connection_begins_as_the_caller_says(
    raw_server: StartServer, client: MakeClient
) -> None:
    """What was said once does not hold for ever; and it is a bool."""
    server = raw_server([live, drop])
    c = client(server.url)
    c.connect(retry=True)
    c.disconnect()
    with pytest.raises(EToroWebSocketError):
        c.connect()
    with pytest.raises(EToroValidationError, match="retry"):
        c.connect(retry="yes")  # type: ignore[arg-type]
