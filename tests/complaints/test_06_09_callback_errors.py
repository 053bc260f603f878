"""Complaints 6 to 9: one exception in a callback, or one bad frame, and the stream is over."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from etoro_sync import ClientState, EToroError, WsInstrumentRate
from etoro_sync.ws.core import core_of
from tests.conftest import MakeClient, MakeSimulator, StartServer
from tests.support.clients import Ear, envelope
from tests.support.frames import BINARY, CONTINUATION, TEXT
from tests.support.peer import Peer
from tests.support.scripts import live
from tests.support.threads import run_in_thread

PRICE = {"Ask": "2", "Bid": "1"}


def test_complaint_06_an_error_in_a_callback_tears_the_connection_down(
    raw_server: StartServer, client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A raising callback is logged once, counted and emitted; all messages come all the same."""

    def thousand(peer: Peer) -> None:
        peer.accept()
        for n in range(1000):
            peer.send_text(envelope("instrument:18", {"Ask": str(n + 2), "Bid": "1"}))
        peer.serve()

    server = raw_server(thousand)
    c = client(server.url)
    seen: list[float] = []

    @c.on("instrument:rate")
    def fifth_and_ninth(instrument_id: int, rate: WsInstrumentRate) -> None:
        seen.append(rate.ask)
        if len(seen) in (5, 9):
            raise RuntimeError(f"number {len(seen)}")

    ear = Ear(c)
    c.connect()
    ear.wait_for("instrument:rate", 1000)
    assert seen == [n + 2.0 for n in range(1000)]
    assert [str(error) for error in ear.of("error")] == ["number 5", "number 9"]
    assert c.stats().callback_errors == 2
    # The second of a kind within a minute is only counted.
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert "fifth_and_ninth" in record.getMessage()
    assert (server.connections, c.generation, c.state) == (1, 1, ClientState.LIVE)


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_complaint_07_swallowing_or_killing_both_anger(
    simulator: MakeSimulator, client: MakeClient, kind: type[BaseException]
) -> None:
    """What a callback raises ends nothing, and the queue of `error` brings it to the main thread.

    So the user decides: raise it there, or `off()` in the callback, or go on.
    """
    sim = simulator()
    c = client(sim.url)
    calls: list[int] = []

    @c.on("instrument:rate")
    def broken(instrument_id: int, rate: WsInstrumentRate) -> None:
        calls.append(instrument_id)
        if len(calls) == 2:
            c.off("instrument:rate", broken)
        raise kind("of the user")

    ear = Ear(c)
    errors = c.queue("error")
    c.connect()
    c.subscribe([18])
    for _ in range(3):
        sim.publish(18, **PRICE)
    ear.wait_for("instrument:rate", 3)
    with pytest.raises(Exception, match=kind.__name__ if kind is not ValueError else "of the user"):
        raise errors.get(timeout=5)
    assert isinstance(errors.get(timeout=5), ValueError if kind is ValueError else EToroError)
    assert calls == [18, 18]
    assert c.stats().callback_errors == 2
    assert c.state is ClientState.LIVE


def test_complaint_07_what_a_predicate_raises_reaches_its_caller(
    simulator: MakeSimulator, client: MakeClient
) -> None:
    """User code that runs on the user's own thread raises there, and leaves no queue behind."""
    sim = simulator()
    c = client(sim.url)
    c.connect()
    c.subscribe([18])

    def broken(instrument_id: int, rate: WsInstrumentRate) -> bool:
        raise LookupError("of the user")

    waiting = run_in_thread(lambda: c.wait_for("instrument:rate", broken, timeout=5))
    while not core_of(c).registry.queues() and not waiting.done():
        pass
    sim.publish(18, **PRICE)
    with pytest.raises(LookupError, match="of the user"):
        waiting.result()
    assert core_of(c).registry.queues() == []
    assert c.stats().callback_errors == 0


#: What must neither end the reader nor cost the next message: name -> text, and how often it is
#: counted as bad.
BAD_TEXTS: dict[str, tuple[str, int]] = {
    "truncated": (envelope("instrument:18", PRICE)[:-7], 1),
    "empty": ("", 0),
    "no JSON": ("<html>502</html>", 1),
    "a number": ("17", 1),
    "null": ("null", 1),
    "a list": ("[]", 1),
    "an empty object": ("{}", 1),
    "messages is a text": ('{"messages":"18"}', 1),
    "messages is null": ('{"messages":null}', 1),
    "a message is null": ('{"messages":[null]}', 1),
    "a message without content": ('{"messages":[{"topic":"instrument:18"}]}', 1),
    "topic is a list": ('{"messages":[{"topic":[],"content":"{}","id":"","type":"X"}]}', 1),
    "content is no JSON": (
        '{"messages":[{"topic":"instrument:18","content":"{","id":"m",'
        '"type":"Trading.Instrument.Rate"}]}',
        1,
    ),
    "content is a list": (envelope("instrument:18", [1]), 1),
    "a price is an object": (envelope("instrument:18", {"Ask": {}, "Bid": "1"}), 1),
    "a price is NaN": (envelope("instrument:18", {"Ask": "NaN", "Bid": "1"}), 1),
    "an order is a number": (envelope("private", 7, "Trading.New"), 1),
    "an order of wrong types": (envelope("private", {"OrderID": []}, "Trading.New"), 0),
    "very deep": ("[" * 100_000 + "]" * 100_000, 1),
    "a lone surrogate": ('{"messages":[{"topic":"\\ud800","content":"{}","id":1,"type":2}]}', 0),
    "a reply to nobody": ('{"id":"other","success":false,"operation":7,"errorCode":[]}', 0),
    "ten megabytes": ('"' + "x" * 10_000_000 + '"', 1),
}


def test_complaint_08_bad_data_kills_the_listener_thread(
    raw_server: StartServer, client: MakeClient
) -> None:
    """A message that cannot be understood is counted, emitted and skipped; the next one counts."""

    def fuzz(peer: Peer) -> None:
        peer.accept()
        for n, (text, _) in enumerate(BAD_TEXTS.values()):
            peer.send_text(text)
            peer.send_frame(BINARY, b"\x00\xff")
            peer.send_text(envelope("instrument:77", {"Ask": str(n + 2), "Bid": "1"}))
        peer.serve()

    server = raw_server(fuzz)
    c = client(server.url)
    q = c.queue("instrument:rate", instrument_ids=[77])
    c.connect()
    for n, name in enumerate(BAD_TEXTS):
        assert q.get(timeout=10)[1].ask == n + 2, name
    # And each binary message, which is neither a keepalive nor JSON.
    bad = sum(count + 1 for _, count in BAD_TEXTS.values())
    assert c.stats().bad_messages == bad
    assert (server.connections, c.state) == (1, ClientState.LIVE)


BROKEN: dict[str, tuple[int, Any]] = {
    "bad UTF-8": (1007, lambda peer: peer.send_frame(TEXT, b"\xff\xfe")),
    "reserved bits": (1002, lambda peer: peer.send_frame(TEXT, b"{}", rsv=4)),
    "masked": (1002, lambda peer: peer.send_frame(TEXT, b"{}", mask=True)),
    "unknown opcode": (1002, lambda peer: peer.send_frame(0x5, b"{}")),
    "stray continuation": (1002, lambda peer: peer.send_frame(CONTINUATION, b"{}")),
    "too long": (1009, lambda peer: peer.send_frame(TEXT, b"", declared_length=1 << 40)),
    "cut off": (1006, lambda peer: (peer.send_frame(TEXT, b"{", declared_length=9), peer.reset())),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_complaint_08_a_broken_frame_costs_one_connection(
    raw_server: StartServer, client: MakeClient, fault: str
) -> None:
    """What makes the rest of a connection unreadable ends it, with a code, and not the client."""
    code, break_it = BROKEN[fault]

    def broken(peer: Peer) -> None:
        peer.accept()
        break_it(peer)
        if not peer.closed:
            peer.wait_closed(5)

    c = client(raw_server([broken, broken, live]).url)
    ear = Ear(c)
    c.connect()
    ear.wait_for("reconnected", 2)
    assert [heard for heard, _ in ear.of("close")] == [code] * 2
    assert c.state is ClientState.LIVE


PROGRAM = """
    import threading
    from etoro_sync import WsClient, WsClientOptions
    from etoro_sync.simulator import EToroSimulator

    reported = threading.Event()

    def my_callback(instrument_id, rate):
        raise RuntimeError("planted")

    with EToroSimulator(rate=0) as sim:
        with WsClient(WsClientOptions("k", "u", sim.url, proxy="")) as client:
            client.on("instrument:rate", my_callback)
            client.on("error", lambda error: reported.set())
            client.subscribe([18], snapshot=True)
            assert reported.wait(10)
"""


@pytest.mark.heavy
def test_complaint_09_the_default_hides_failures() -> None:
    """A program that configures nothing finds the traceback of its callback's error on stderr."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(PROGRAM)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "The callback my_callback for 'instrument:rate' raised RuntimeError"
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "RuntimeError: planted"
    assert any("my_callback" in line for line in lines[2:])
