"""Readers that disconnect() no longer waits for: they must not change the next session."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

import pytest

from etoro_sync import ClientState, EToroTimeoutError
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import envelope
from tests.support.frames import TEXT, frame
from tests.support.peer import Peer


@pytest.mark.parametrize("blocks", ["a bad message", "a bad Ask", "a queue that is full"])
def test_promise_8_a_reader_that_comes_back_late_changes_no_price_of_the_next_session(
    raw_server: StartServer, client: MakeClient, blocks: str
) -> None:
    """A log handler has blocked it during a read for longer than disconnect() waits."""
    inside, release = threading.Event(), threading.Event()

    class Blocks(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if blocks.split()[-1] in record.getMessage() or "JSON" in record.getMessage():
                inside.set()
                release.wait(10)

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", {"Ask": "20", "Bid": "10"}, "Snapshot"))
        if peer.index == 0:
            order = envelope("private", {"OrderID": 1}, "Trading.New")
            first = {
                "a bad message": ["no JSON"],
                "a bad Ask": [envelope("instrument:18", {"Ask": "x", "Bid": "1"})],
                "a queue that is full": [order, order, order],
            }
            texts = [*first[blocks], envelope("instrument:18", {"Ask": "2", "Bid": "1"})]
            peer.send(b"".join(frame(TEXT, text.encode()) for text in texts))
            peer.hold()
        peer.serve()

    c = client(raw_server(script).url, close_timeout=0.05)
    handler, logger = Blocks(), logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    try:
        full = c.queue("private:event", maxsize=1)
        c.connect()
        c.subscribe([18], snapshot=True)
        assert inside.wait(5)
        assert core_of(c).sessions.present is not None
        late = core_of(c).sessions.present.reader._thread
        c.disconnect()
        assert late.is_alive()
        rates = c.queue("instrument:rate")
        c.connect()
        c.subscribe([18], snapshot=True)
        assert rates.get(timeout=5)[1].bid == 10
        release.set()
        late.join(5)
    finally:
        release.set()
        logger.removeHandler(handler)
    assert c.rates[18].bid == 10
    assert rates.empty()
    assert full.qsize() == (1 if blocks == "a queue that is full" else 0)


PRICE = {"Ask": "2", "Bid": "1"}


def test_promise_8_a_look_up_that_comes_back_late_leaves_the_next_session_its_prices(
    raw_server: StartServer, client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of a connect() that timed out ends when another session uses the rate book."""
    real, calls, release, late = socket.getaddrinfo, [0], threading.Event(), threading.Event()

    def slow_at_first(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            release.wait(10)
        return real(*arguments, **options)

    def script(peer: Peer) -> None:
        peer.accept()
        peer.acknowledge()
        peer.send_text(envelope("instrument:18", PRICE, "Snapshot"))
        late.wait(10)
        peer.send_text(envelope("instrument:18", {"Bid": "1.5"}))
        peer.serve()

    monkeypatch.setattr(socket, "getaddrinfo", slow_at_first)
    c = client(raw_server(script).url)
    try:
        with pytest.raises(EToroTimeoutError):
            c.connect(timeout=0.05)
        assert core_of(c).sessions.present is not None
        first = core_of(c).sessions.present.reader._thread
        c.connect()
        rates = c.queue("instrument:rate")
        c.subscribe([18], snapshot=True)
        assert rates.get(timeout=5)[1].bid == 1
        assert first.is_alive()
        release.set()
        first.join(5)
        assert not first.is_alive()
    finally:
        release.set()
        late.set()
    rate = rates.get(timeout=5)[1]
    assert (rate.ask, rate.bid) == (2, 1.5)


@pytest.mark.parametrize("again", [True, False])
def test_promise_8_a_reader_that_comes_back_late_closes_nothing_of_the_next_session(
    simulator: MakeSimulator, client: MakeClient, again: bool
) -> None:
    """disconnect() did not wait for it; the new session does not emit the end of its connection."""
    inside, release = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "cannot be understood" in record.getMessage():
                inside.set()
                release.wait(5)

    handler = Slow()
    logger = logging.getLogger("etoro_sync")
    logger.addHandler(handler)
    try:
        sim = simulator()
        c = client(sim.url, close_timeout=0.01)
        c.connect()
        late = core_of(c).sessions.present
        assert late is not None
        sim.send_text("no JSON")
        assert inside.wait(5)
        c.disconnect()
        if again:
            c.connect()
        closes = c.queue("close")
        release.set()
        assert late.reader.join(5)
    finally:
        release.set()
        logger.removeHandler(handler)
    assert closes.empty()
    assert (c.state is ClientState.LIVE) == again
    assert (c.stats().connected_age is not None) == again
