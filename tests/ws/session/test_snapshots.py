"""Which rates are published while a snapshot is awaited, and when it does not arrive."""

from __future__ import annotations

import threading

import pytest

from etoro_sync import EToroWebSocketError
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope
from tests.support.frames import TEXT, frame
from tests.support.peer import Peer
from tests.support.scripts import live


def test_promise_8_connecting_again_after_a_failure_begins_with_snapshots(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """The topics are still wanted, and there was a gap."""
    sim = simulator()
    c = client(sim.url, reconnect_attempts=0)
    c.connect()
    c.subscribe([18])
    sim.drop()
    with pytest.raises(EToroWebSocketError):
        c.run_forever()
    ear = Ear(c)
    c.connect()
    ear.wait(lambda e: any(d.is_snapshot for _, d in e.of("instrument:delta")))
    assert c.generation == 2


PRICE = {"Ask": "2", "Bid": "1"}


def test_promise_8_a_duplicate_that_brings_no_snapshot_holds_nothing_back(
    raw_server: StartServer, client: MakeClient
) -> None:
    """eToro has said that it sends none, so the deltas are all there is."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge("TopicAlreadySubscribed")
        peer.send_text(envelope("instrument:18", PRICE))
        peer.serve()

    c = client(raw_server(script).url)
    q = c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    c.connect()
    assert q.get(timeout=5)[1].ask == 2


def test_promise_8_news_before_the_authentication_is_not_mixed_with_the_lost_connection(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Its other side may have changed meanwhile."""

    def script(peer: Peer) -> None:
        peer.handshake()
        if peer.index == 1:
            peer.send_text(envelope("instrument:18", {"Bid": "10"}))
        peer.authenticate()
        peer.acknowledge()
        if peer.index == 0:
            peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
            return
        peer.send_text(envelope("instrument:18", {"Ask": "20", "Bid": "10"}, "Snapshot"))
        peer.serve()

    c = client(raw_server(script).url)
    ear = Ear(c)
    c.subscribe([18], snapshot=True)
    c.connect()
    ear.wait_for("instrument:rate", 2)
    found = [(rate.generation, rate.ask, rate.bid) for _, rate in ear.of("instrument:rate")]
    assert found == [(1, 2, 1), (2, 20, 10)]


def test_promise_9_a_price_that_was_held_back_for_a_snapshot_is_told_if_none_comes(
    raw_server: StartServer, client: MakeClient
) -> None:
    """It was received while the snapshot was requested, and may be the last for a long time."""

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        again = peer.read_json()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.reply(again, "TopicAlreadySubscribed")
        peer.serve()

    c = client(raw_server(script).url)
    q = c.queue("instrument:rate")
    ear = Ear(c)
    c.connect()
    c.subscribe([18])
    c.subscribe([18], snapshot=True)
    assert q.get(timeout=5)[1].ask == 2
    assert ear.wait_for("instrument:rate")[0][1] == c.rates[18]
    assert c.stats().rates == 1


def test_promise_9_a_refused_request_for_a_snapshot_holds_no_price_back(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Another call wants the same topic without one, and that call is accepted."""
    second = threading.Event()

    def script(peer: Peer) -> None:
        peer.accept()
        refused = peer.read_json()
        assert second.wait(5)
        peer.reply(refused, "SubscribeFailed")
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE))
        peer.serve()

    c = client(raw_server(script).url)
    rates = c.queue("instrument:rate")
    c.connect()
    c.subscribe([18], snapshot=True, wait=False)
    c.subscribe([18], wait=False)
    second.set()
    assert rates.get(timeout=5)[1].bid == 1


def test_promise_9_an_order_event_behind_a_failing_reply_is_delivered(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Both may have come in one read."""

    def first(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.reset()

    def second(peer: Peer) -> None:
        peer.accept()
        request = peer.read_json()
        refusal = (
            f'{{"id":"{request["id"]}","success":false,"operation":"Subscribe",'
            '"errorCode":"UnhandledException"}'
        )
        order = envelope("private", {"OrderID": 7}, "Trading.New")
        peer.send(frame(TEXT, refusal.encode()) + frame(TEXT, order.encode()))
        peer.serve()

    c = client(raw_server([first, second, live]).url)
    q = c.queue("private:event")
    c.subscribe("private")
    c.connect()
    assert q.get(timeout=5).order_id == 7
