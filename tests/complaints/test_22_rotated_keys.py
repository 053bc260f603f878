"""Complaint 22: keys that were rotated, and a client that goes on with the old ones."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.conftest import MakeClient, StartServer
from tests.support.clients import API_KEY, Ear
from tests.support.peer import Peer

FIRST, SECOND = "rotated-key-first", "rotated-key-second"


def test_complaint_22_a_rotated_key_is_never_sent_again(
    raw_server: StartServer, client: MakeClient
) -> None:
    """From the first attempt after the rotation on, every connection brings the new key.

    The key is a function, which is called once for each attempt, and what it returned earlier is
    not kept.
    """
    sent: list[dict[str, str]] = []
    calls: list[str] = []
    current = [FIRST]
    rotated = threading.Event()

    def user_key() -> str:
        calls.append(current[0])
        return current[0]

    def serve(*then: Callable[[Peer], object]) -> Callable[[Peer], None]:
        def script(peer: Peer) -> None:
            peer.handshake()
            request = peer.read_json()
            sent.append(request["data"])  # before the client knows that they were accepted
            peer.reply(request)
            for step in then:
                step(peer)
            peer.serve()

        return script

    def close(peer: Peer) -> None:
        peer.send_close(1012)

    def close_when_rotated(peer: Peer) -> None:
        peer.wait(rotated)
        close(peer)

    server = raw_server([serve(close_when_rotated), serve(close), serve(close), serve()])
    c = client(server.url, user_key=user_key)
    ear = Ear(c)
    c.connect()
    current[0] = SECOND
    rotated.set()
    ear.wait_for("reconnected", 3)
    c.disconnect()
    assert [keys["userKey"] for keys in sent] == [FIRST, SECOND, SECOND, SECOND]
    assert {keys["apiKey"] for keys in sent} == {API_KEY}
    assert calls == [FIRST, SECOND, SECOND, SECOND]
