"""Promise 8: which connection data belongs to, also where it comes before the keys are accepted."""

from __future__ import annotations

import threading

import pytest

from etoro_sync import EToroWebSocketError
from etoro_sync.ws.protocol.requests import Operation
from etoro_sync.ws.session.commands import Commands
from tests.conftest import MakeClient, StartServer
from tests.support.clients import Ear, connect_and_run, envelope
from tests.support.peer import Peer

PRICE = {"Ask": "2", "Bid": "1"}
TELLING = ("close", "reconnecting", "open", "instrument:rate", "authenticated", "reconnected")


def rate(topic: int, ask: str, kind: str = "Trading.Instrument.Rate") -> str:
    return envelope(f"instrument:{topic}", {"Ask": ask, "Bid": "1"}, kind)


def price_then_reset(peer: Peer) -> None:
    """Acknowledge what is wanted, bring one price, and vanish."""
    peer.accept()
    peer.acknowledge()
    peer.send_text(rate(18, "2", "Snapshot"))
    peer.reset()


def hasty(peer: Peer) -> None:
    """Send data before the keys are accepted, then what a server sends."""
    peer.handshake()
    request = peer.read_json()
    peer.send_text(rate(18, "7"))  # wanted, with a snapshot to come
    peer.send_text(rate(19, "8"))  # wanted by nobody
    peer.send_text(envelope("private", {"OrderID": 1}))
    peer.reply(request)
    peer.acknowledge()
    peer.send_text(rate(18, "9", "Snapshot"))
    peer.serve()


def test_promise_8_data_before_the_keys_are_accepted_belongs_to_the_new_connection(
    raw_server: StartServer, client: MakeClient
) -> None:
    """It stands behind ``open``, and waits for the snapshot where one will be asked for."""
    c = client(raw_server([price_then_reset, hasty]).url)
    ear, orders, rates = Ear(c), c.queue("private:event"), c.queue("instrument:rate")
    c.subscribe([18], snapshot=True)
    c.connect()
    assert orders.get(timeout=5).generation == 2
    heard = [rates.get(timeout=5) for _ in range(3)]
    assert [(key, each.generation, each.ask) for key, each in heard] == [
        (18, 1, 2.0),
        (19, 2, 8.0),
        (18, 2, 9.0),
    ]
    ear.wait_for("instrument:rate", 3)
    events = ear.names(*TELLING)
    assert events[events.index("close") :] == [
        "close",
        "reconnecting",
        "open",
        "instrument:rate",
        "authenticated",
        "reconnected",
        "instrument:rate",
    ]
    assert c.rates[18].ask == 9.0
    assert ear.of("private:event")[0].generation == 2


@pytest.mark.parametrize("snapshot", [False, True])
def test_promise_8_on_the_first_connection_it_waits_for_a_snapshot_only_if_one_is_wanted(
    raw_server: StartServer, client: MakeClient, snapshot: bool
) -> None:
    """There was no gap, so that nothing is unknown which a snapshot would have to tell."""
    c = client(raw_server(hasty).url)
    rates = c.queue("instrument:rate")
    c.subscribe([18], snapshot=snapshot)
    c.connect()
    heard = [rates.get(timeout=5) for _ in range(2 if snapshot else 3)]
    expected = [(18, 7.0), (19, 8.0), (18, 9.0)]
    assert [(key, each.ask) for key, each in heard] == expected[1 if snapshot else 0 :]
    assert {each.generation for _, each in heard} == {1}


def test_promise_8_after_a_failure_the_next_session_waits_for_the_snapshot_too(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Its first connection follows a gap."""
    c = client(raw_server([price_then_reset, hasty]).url, reconnect_attempts=0)
    c.subscribe([18])
    ear = Ear(c)
    with pytest.raises(EToroWebSocketError):
        connect_and_run(c)
    c.connect()
    ear.wait(lambda e: (18, 2) in [(key, each.generation) for key, each in e.of("instrument:rate")])
    heard = [(key, each.ask) for key, each in ear.of("instrument:rate") if each.generation == 2]
    assert heard == [(19, 8.0), (18, 9.0)]


def test_promise_8_each_connection_that_was_opened_counts(
    raw_server: StartServer, client: MakeClient
) -> None:
    """Also one that ends before the keys are accepted: it may have brought data."""

    def data_then_reset(peer: Peer) -> None:
        peer.handshake()
        peer.read_json()
        peer.send_text(rate(19, "8"))
        peer.reset()

    no_websocket = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    scripts = [
        price_then_reset,
        data_then_reset,
        lambda peer: peer.respond(no_websocket),  # never open
        hasty,
    ]
    c = client(raw_server(scripts).url)
    ear = Ear(c)
    c.subscribe([18], snapshot=True)
    assert c.generation == 0
    c.connect()
    (gap,) = ear.wait_for("reconnected")
    assert gap.generation == c.generation == c.stats().connections == len(ear.of("open")) == 3
    ear.wait_for("instrument:rate", 4)
    rates = [(key, each.generation) for key, each in ear.of("instrument:rate")]
    assert rates == [(18, 1), (19, 2), (19, 3), (18, 3)]


@pytest.mark.parametrize("again", [False, True], ids=["unsubscribed", "and subscribed again"])
@pytest.mark.parametrize("late", [False, True], ids=["delivered before", "delivered behind"])
@pytest.mark.parametrize("connection", [1, 2])
def test_promise_8_what_is_unsubscribed_before_the_keys_are_accepted_is_waited_for_no_more(
    raw_server: StartServer,
    client: MakeClient,
    monkeypatch: pytest.MonkeyPatch,
    again: bool,
    late: bool,
    connection: int,
) -> None:
    """It is shown no longer, and asked for no more, unless it is wanted again.

    Whether the reader thread hears of it before it has read the answer or behind it.
    """
    take = Commands.take
    delivered = threading.Event()
    taken: list[Operation] = []

    def take_later(commands: Commands) -> list[Operation]:
        new = [] if late and not c.is_authenticated else take(commands)
        taken.extend(new)
        if len(commands.operations if late else taken) >= (2 if again else 1):
            delivered.set()
        return new

    monkeypatch.setattr(Commands, "take", take_later)

    def second(peer: Peer) -> None:
        peer.handshake()
        request = peer.read_json()
        peer.send_text(rate(18, "7"))
        peer.wait(delivered)
        peer.reply(request)
        asked = peer.acknowledge()["data"]["topics"]
        assert ("instrument:18" in asked) is again
        # Of the first connection the second wish asks for no snapshot, unlike the first one.
        snapshot = again and connection == 2
        peer.send_text(rate(18, "9", "Snapshot" if snapshot else "Trading.Instrument.Rate"))
        peer.send_text(rate(20, "5", "Snapshot"))
        peer.serve()

    c = client(raw_server([price_then_reset, second][-connection:]).url)
    rates = c.queue("instrument:rate")
    c.subscribe([20])
    c.subscribe([18], snapshot=connection == 1 and again)

    @c.on("open")
    def change() -> None:
        if c.generation == connection:
            c.unsubscribe([18])
            if again:
                c.subscribe([18])

    c.connect()
    while rates.get(timeout=5)[0] != 20:
        pass
    assert (18 in c.rates) is again
    if again:
        assert c.rates[18].ask == 9.0
