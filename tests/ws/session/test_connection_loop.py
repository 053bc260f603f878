"""The loop over one connection: what it asks for how often."""

from __future__ import annotations

import threading

import pytest

from etoro_sync.ws.protocol.control import ControlChannel
from etoro_sync.ws.session.controller import Controller
from etoro_sync.ws.transport.keepalive import Keepalive
from tests.conftest import MakeClient, StartServer
from tests.support.clients import envelope
from tests.support.peer import Peer

PRICE = {"Ask": "2", "Bid": "1", "Date": "d", "PriceRateID": "1"}


def test_a_lone_message_sets_off_no_look_at_the_deadlines(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are judged when the next one is due, and not at each wake-up: reading puts them off."""
    looks: list[str] = []
    for owner, name in (
        (Keepalive, "judge"),
        (ControlChannel, "check_deadline"),
        (Controller, "check"),
    ):
        usual = getattr(owner, name)

        def counted(self: object, now: float, name: str = name, usual: object = usual) -> object:
            looks.append(name)
            return usual(self, now)  # type: ignore[operator]

        monkeypatch.setattr(owner, name, counted)
    goes_on, messages = threading.Semaphore(0), 50

    def one_by_one(peer: Peer) -> None:
        peer.handshake()
        peer.authenticate()
        peer.acknowledge()
        for _ in range(messages):
            peer.send_text(envelope("instrument:18", PRICE))
            assert goes_on.acquire(timeout=5)
        peer.serve()

    c = client(raw_server(one_by_one).url)
    rates = c.queue("instrument:rate")
    c.subscribe([18])
    c.connect()
    for _ in range(messages):
        rates.get(timeout=5)
        goes_on.release()
    # At the beginning, for each reply, and once a second.
    for name in ("judge", "check_deadline", "check"):
        assert 1 <= looks.count(name) < messages / 2
